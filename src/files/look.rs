//! Reading this program's own files, and looking at paths, without following a final symlink.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};

use super::{FileError, FileImage, FileKind, FileMode, FileStat, Owner};
use crate::limits::{self, Limit};

/// Reads a file with its owner and mode; `None` when it is not there. A final symlink is not followed.
///
/// # Errors
/// [`FileError::NotRegular`], [`FileError::TooLarge`] or [`FileError::Io`].
pub fn read(path: &Path) -> Result<Option<FileImage>, FileError> {
    read_up_to(path, limits::OWN)
}

/// The same with a limit of its own.
///
/// # Errors
/// As of [`read`].
pub fn read_up_to(path: &Path, limit: Limit) -> Result<Option<FileImage>, FileError> {
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
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => image(File::from(fd), &stat, path, limit).map(Some),
        other => Err(not_regular(path, other)),
    }
}

/// The content of an open regular file.
pub(super) fn image(file: File, stat: &Stat, path: &Path, limit: Limit) -> Result<FileImage, FileError> {
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let too_large = |size| FileError::TooLarge { path: path.to_owned(), size, limit };
    if size > limit.bytes {
        return Err(too_large(Some(size)));
    }
    // All at once: a buffer that grows leaves copies of a key behind.
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).saturating_add(1));
    // A file of /proc has no size, and another may grow meanwhile.
    file.take(limit.bytes + 1).read_to_end(&mut bytes).map_err(FileError::reading(path))?;
    if bytes.len() as u64 > limit.bytes {
        return Err(too_large(None));
    }
    Ok(FileImage {
        bytes,
        mode: FileMode::new(stat.st_mode),
        owner: Owner { uid: stat.st_uid, gid: stat.st_gid },
    })
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
    let owner = Owner { uid: stat.st_uid, gid: stat.st_gid };
    Ok(Some(FileStat { kind: FileKind::of_mode(stat.st_mode), mode: FileMode::new(stat.st_mode), owner }))
}

/// The kind of what a path leads to, symlinks followed; `None` only where there is certainly nothing.
///
/// Unlike [`Path::exists`] it does not take a disk that fails or a directory that may not be entered for absence.
///
/// # Errors
/// [`FileError::Io`].
pub fn kind_at(path: &Path) -> Result<Option<FileKind>, FileError> {
    use rustix::io::Errno;
    match rustix::fs::stat(path) {
        Ok(stat) => Ok(Some(FileKind::of_mode(stat.st_mode))),
        // Nothing can be below a file, or have a name that is too long for a file.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => Ok(None),
        Err(errno) => Err(FileError::io("look at", path)(errno)),
    }
}

/// Whether a path leads to a regular file; symlinks are followed.
///
/// # Errors
/// [`FileError::Io`].
pub fn is_file(path: &Path) -> Result<bool, FileError> {
    Ok(kind_at(path)? == Some(FileKind::File))
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

pub(super) fn not_regular(path: &Path, kind: FileType) -> FileError {
    let what = match kind {
        FileType::Symlink => "a symlink",
        FileType::Directory => "a directory",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    };
    FileError::NotRegular { path: path.to_owned(), what }
}
