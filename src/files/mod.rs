//! The one module that writes files on this machine.
//!
//! A file is written beside its place under a temporary name that nobody else can open, given its owner and
//! mode, fsynced, renamed into place, and its directory is fsynced: whoever looks sees the whole old file or the
//! whole new one, and a key is never readable for a moment. Symlinks are not followed into.
#![allow(clippy::disallowed_methods, reason = "this is the module the ban points to")]

mod lock;
mod staged;
mod types;

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Uid};

pub use lock::{DirLock, LockError};
pub use staged::temporary_writer;
pub use types::{FileError, FileImage, FileKind, FileMode, FileStat, Meta, Owner};

use staged::{Staged, put};

/// Writes a file that must not exist yet.
///
/// # Errors
/// [`FileError::Exists`] when something of that name is there (it is left as it is); [`FileError::Io`].
pub fn create_new(path: &Path, bytes: &[u8], meta: Meta) -> Result<(), FileError> {
    put(path, bytes, meta, RenameFlags::NOREPLACE)
}

/// Writes a file, atomically replacing the one that may be there.
///
/// # Errors
/// [`FileError::NotRegular`] when a symlink, directory or device is in its place; [`FileError::Io`].
pub fn replace(path: &Path, bytes: &[u8], meta: Meta) -> Result<(), FileError> {
    match kind(path)? {
        None | Some(FileType::RegularFile) => put(path, bytes, meta, RenameFlags::empty()),
        Some(other) => Err(not_regular(path, other)),
    }
}

/// Writes several files as [`replace`] does: all are complete beside their places before the first one moves, and
/// then they move in a row, so that an error while writing leaves every old file as it was.
///
/// # Errors
/// [`FileError::NotRegular`] or [`FileError::Io`].
pub fn replace_all(files: &[(&Path, &[u8], Meta)]) -> Result<(), FileError> {
    let mut staged = Vec::with_capacity(files.len());
    for &(path, bytes, meta) in files {
        match kind(path)? {
            None | Some(FileType::RegularFile) => staged.push(Staged::new(path, bytes, meta)?),
            Some(other) => return Err(not_regular(path, other)),
        }
    }
    staged.into_iter().try_for_each(|file| file.commit(RenameFlags::empty()))?;
    let mut synced: Vec<&Path> = Vec::new();
    for &(path, ..) in files {
        if !synced.contains(&parent(path)) {
            sync_dir(parent(path))?;
            synced.push(parent(path));
        }
    }
    Ok(())
}

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

/// Opens a file for appending, made with `mode` when it is not there. Lines appended are durable after
/// [`File::sync_data`]; the directory is synced here when the file is new.
///
/// # Errors
/// [`FileError::Io`], also when the path is a symlink.
pub fn open_append(path: &Path, mode: FileMode) -> Result<File, FileError> {
    let is_new = kind(path)?.is_none();
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::from_raw_mode(mode.bits()))
        .map_err(FileError::io("open", path))?;
    if is_new {
        sync_dir(parent(path))?;
    }
    Ok(File::from(fd))
}

/// Makes a directory and its missing parents, each with `mode`, durably. One that exists is left as it is.
///
/// Returns whether the last one was made.
///
/// # Errors
/// [`FileError::Io`], also when something that is no directory is in the way.
pub fn make_dir(path: &Path, meta: Meta) -> Result<bool, FileError> {
    make_dir_in(path, meta, true)
}

fn make_dir_in(path: &Path, meta: Meta, parent_may_be_missing: bool) -> Result<bool, FileError> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(meta.mode.bits())) {
        Ok(()) => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let dir = rustix::fs::open(path, flags, Mode::empty()).map_err(FileError::io("open", path))?;
            apply_meta(&dir, path, meta)?;
            rustix::fs::fsync(&dir).map_err(FileError::io("sync", path))?;
            sync_dir(parent(path))?;
            Ok(true)
        }
        Err(rustix::io::Errno::EXIST) => {
            let stat = rustix::fs::stat(path).map_err(FileError::io("look at", path))?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                Ok(false)
            } else {
                Err(FileError::io("create directory", path)(rustix::io::Errno::NOTDIR))
            }
        }
        // Where the parent is there and nothing can be made in it (/proc), once more is enough.
        Err(rustix::io::Errno::NOENT) if parent_may_be_missing && parent(path) != path => {
            make_dir(parent(path), meta)?;
            make_dir_in(path, meta, false)
        }
        Err(errno) => Err(FileError::io("create directory", path)(errno)),
    }
}

/// Gives an existing file or directory another mode and owner, durably; a final symlink is refused.
///
/// # Errors
/// [`FileError::Io`].
pub fn set_meta(path: &Path, meta: Meta) -> Result<(), FileError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(FileError::io("open", path))?;
    apply_meta(&fd, path, meta)?;
    rustix::fs::fsync(&fd).map_err(FileError::io("sync", path))
}

/// Removes a file durably; one that is not there is fine. Returns whether it was there.
///
/// # Errors
/// [`FileError::Io`].
pub fn remove(path: &Path) -> Result<bool, FileError> {
    match rustix::fs::unlink(path) {
        Ok(()) => sync_dir(parent(path)).map(|()| true),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(errno) => Err(FileError::io("remove", path)(errno)),
    }
}

/// Removes an empty directory; one that is not there, or not empty, is left. Returns whether it went.
///
/// # Errors
/// [`FileError::Io`].
pub fn remove_empty_dir(path: &Path) -> Result<bool, FileError> {
    match rustix::fs::rmdir(path) {
        Ok(()) => sync_dir(parent(path)).map(|()| true),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTEMPTY) => Ok(false),
        Err(errno) => Err(FileError::io("remove", path)(errno)),
    }
}

/// Removes a directory with all that is in it: for throw-away directories that this program made.
///
/// # Errors
/// [`FileError::Io`].
pub fn remove_tree(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_dir_all(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError::Io { action: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Renames a file into a place that must be free, durably.
///
/// # Errors
/// [`FileError::Exists`] when the new name is taken; [`FileError::Io`].
pub fn rename_new(from: &Path, to: &Path) -> Result<(), FileError> {
    rename(from, to, RenameFlags::NOREPLACE)?;
    sync_dir(parent(to))?;
    if parent(from) != parent(to) { sync_dir(parent(from)) } else { Ok(()) }
}

/// Makes what happened to the names in a directory durable.
///
/// # Errors
/// [`FileError::Io`].
pub fn sync_dir(path: &Path) -> Result<(), FileError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(path, flags, Mode::empty()).map_err(FileError::io("open", path))?;
    rustix::fs::fsync(&dir).map_err(FileError::io("sync", path))
}

/// The directory a path lies in; `.` for a bare name.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if dir.as_os_str().is_empty() => Path::new("."),
        Some(dir) => dir,
        None => path,
    }
}

fn apply_meta(fd: &OwnedFd, path: &Path, meta: Meta) -> Result<(), FileError> {
    if let Some(owner) = meta.owner {
        rustix::fs::fchown(fd, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
            .map_err(FileError::io("change the owner of", path))?;
    }
    rustix::fs::fchmod(fd, Mode::from_raw_mode(meta.mode.bits()))
        .map_err(FileError::io("change the mode of", path))
}

fn rename(from: &Path, to: &Path, flags: RenameFlags) -> Result<(), FileError> {
    match rustix::fs::renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, to, flags) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::EXIST) => Err(FileError::Exists { path: to.to_owned() }),
        Err(errno) => Err(FileError::io("rename into", to)(errno)),
    }
}

fn kind(path: &Path) -> Result<Option<FileType>, FileError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_has_its_mode_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server1-key.pem");
        create_new(&path, b"one", Meta::mode(FileMode::SECRET)).unwrap();
        let image = read(&path).unwrap().unwrap();
        assert_eq!((image.bytes.as_slice(), image.mode), (&b"one"[..], FileMode::SECRET));
        assert!(matches!(
            create_new(&path, b"two", Meta::mode(FileMode::SECRET)),
            Err(FileError::Exists { .. })
        ));
        assert_eq!(read(&path).unwrap().unwrap().bytes, b"one");
        replace(&path, b"two", Meta::mode(FileMode::PUBLIC)).unwrap();
        let image = read(&path).unwrap().unwrap();
        assert_eq!((image.bytes.as_slice(), image.mode), (&b"two"[..], FileMode::PUBLIC));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn symlinks_are_not_followed_into() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("ca.pem");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(matches!(read(&link), Err(FileError::NotRegular { what: "a symlink", .. })));
        assert!(matches!(
            replace(&link, b"x", Meta::mode(FileMode::PUBLIC)),
            Err(FileError::NotRegular { .. })
        ));
        assert!(open_append(&link, FileMode::SECRET).is_err());
    }
}
