//! Directories, removal, modes and owners.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Gid, Mode, OFlags, Uid};

use super::{FileError, Meta};

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
    // Nobody else's before it has its mode, so that what is opened then can be known to be ours.
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let dir = rustix::fs::open(path, flags, Mode::empty()).map_err(FileError::io("open", path))?;
            if !is_new(&dir, path).map_err(FileError::io("look at", path))? {
                let what = "it was exchanged for something else meanwhile".to_owned();
                return Err(FileError::Diverted { action: "create directory", path: path.to_owned(), what });
            }
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

/// Whether an open directory is one that this process has just made at `path`: its own and nobody else's to enter. Who owns
/// the directory above may have renamed it and put another in its place; such a one would have to be empty.
fn is_new(dir: &OwnedFd, path: &Path) -> rustix::io::Result<bool> {
    let stat = rustix::fs::fstat(dir)?;
    let caller = rustix::process::geteuid().as_raw();
    if stat.st_uid != caller || stat.st_mode & 0o077 != 0 {
        return Ok(false);
    }
    let above = rustix::fs::stat(parent(path))?;
    let same = rustix::fs::statat(dir, "..", rustix::fs::AtFlags::empty())
        .is_ok_and(|up| (up.st_dev, up.st_ino) == (above.st_dev, above.st_ino));
    if same && [caller, 0].contains(&above.st_uid) && above.st_mode & 0o022 == 0 {
        // Another run of ours may have begun to use it.
        return Ok(true);
    }
    let mut names = rustix::fs::Dir::read_from(dir)?;
    Ok(names.all(|name| name.is_ok_and(|name| matches!(name.file_name().to_bytes(), b"." | b".."))))
}

/// Gives an existing directory another mode and owner, durably; a final symlink is refused.
///
/// # Errors
/// [`FileError::Io`].
pub fn set_meta(path: &Path, meta: Meta) -> Result<(), FileError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(FileError::io("open", path))?;
    apply_meta(&fd, path, meta)?;
    rustix::fs::fsync(&fd).map_err(FileError::io("sync", path))
}

/// Gives an existing file another mode and owner, durably, where that gives nobody anything: it has no other name, and belongs
/// already to the user who is to own it. Returns whether it did; the file of somebody else is left as it is.
///
/// # Errors
/// [`FileError::Io`].
pub fn set_file_meta(path: &Path, meta: Meta) -> Result<bool, FileError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(FileError::io("open", path))?;
    let stat = rustix::fs::fstat(&fd).map_err(FileError::io("look at", path))?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let owner = meta.owner.map_or_else(|| rustix::process::geteuid().as_raw(), |owner| owner.uid);
    if !is_file || stat.st_nlink != 1 || stat.st_uid != owner {
        return Ok(false);
    }
    apply_meta(&fd, path, meta)?;
    rustix::fs::fsync(&fd).map_err(FileError::io("sync", path))?;
    Ok(true)
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

/// Removes a file without waiting for the disk, in a single step: for one whose return after a power cut does no harm.
/// One that is not there is fine.
///
/// # Errors
/// [`FileError::Io`].
pub fn unlink(path: &Path) -> Result<(), FileError> {
    match rustix::fs::unlink(path) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
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

pub(super) fn apply_meta(fd: impl AsFd, path: &Path, meta: Meta) -> Result<(), FileError> {
    if let Some(owner) = meta.owner {
        rustix::fs::fchown(&fd, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
            .map_err(FileError::io("change the owner of", path))?;
    }
    rustix::fs::fchmod(&fd, Mode::from_raw_mode(meta.mode.bits()))
        .map_err(FileError::io("change the mode of", path))
}
