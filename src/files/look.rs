//! Reading and looking, without following a final symlink.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::{FileError, FileImage, FileKind, FileMode, FileStat, Owner};

/// Reads a file with its owner and mode; `None` when it is not there. A final symlink is not followed.
///
/// # Errors
/// [`FileError::NotRegular`] or [`FileError::Io`].
pub fn read(path: &Path) -> Result<Option<FileImage>, FileError> {
    match kind(path)? {
        None => return Ok(None),
        Some(FileType::RegularFile) => {}
        Some(other) => return Err(not_regular(path, other)),
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(FileError::io("read", path)(errno)),
    };
    let stat = rustix::fs::fstat(&fd).map_err(FileError::io("read", path))?;
    // All at once: a buffer that grows leaves copies of a key behind.
    let mut bytes = Vec::with_capacity(usize::try_from(stat.st_size).unwrap_or(0).saturating_add(1));
    File::from(fd).read_to_end(&mut bytes).map_err(|source| FileError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    Ok(Some(FileImage {
        bytes,
        mode: FileMode::new(stat.st_mode),
        owner: Owner { uid: stat.st_uid, gid: stat.st_gid },
    }))
}

/// What stands at a path; `None` when nothing does. A final symlink is not followed.
///
/// # Errors
/// [`FileError::Io`].
pub fn stat(path: &Path) -> Result<Option<FileStat>, FileError> {
    let stat = match rustix::fs::statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(FileError::io("look at", path)(errno)),
    };
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Other,
    };
    let owner = Owner { uid: stat.st_uid, gid: stat.st_gid };
    Ok(Some(FileStat { kind, mode: FileMode::new(stat.st_mode), owner }))
}

/// Refuses what is there and is no regular file; a symlink is none.
///
/// # Errors
/// [`FileError::NotRegular`], [`FileError::Io`].
pub fn expect_file(path: &Path) -> Result<(), FileError> {
    match kind(path)? {
        None | Some(FileType::RegularFile) => Ok(()),
        Some(other) => Err(not_regular(path, other)),
    }
}

/// The names in a directory, sorted; empty when it is not there.
///
/// # Errors
/// [`FileError::Io`].
pub fn list(dir: &Path) -> Result<Vec<String>, FileError> {
    let io = |source| FileError::Io { action: "list", path: dir.to_owned(), source };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(io)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

pub(super) fn kind(path: &Path) -> Result<Option<FileType>, FileError> {
    match rustix::fs::statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(errno) => Err(FileError::io("look at", path)(errno)),
    }
}

fn not_regular(path: &Path, kind: FileType) -> FileError {
    let what = match kind {
        FileType::Symlink => "a symlink",
        FileType::Directory => "a directory",
        _ => "a device, pipe or socket",
    };
    FileError::NotRegular { path: path.to_owned(), what }
}
