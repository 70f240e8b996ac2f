//! Directories, removal, modes and owners.

use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{CWD, FileType, Gid, Mode, OFlags, RenameFlags, Uid};
use rustix::io::Errno;

use super::look::kind;
use super::{FileError, Meta, list, temporary_writer};

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
    let Err(error) = put_dir(path, meta) else { return sync_dir(parent(path)).map(|()| true) };
    match error.io_kind() {
        Some(ErrorKind::AlreadyExists) => {
            let stat = rustix::fs::stat(path).map_err(FileError::io("look at", path))?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                Ok(false)
            } else {
                Err(FileError::io("create directory", path)(Errno::NOTDIR))
            }
        }
        // Where the parent is there and nothing can be made in it (/proc), once more is enough.
        Some(ErrorKind::NotFound) if parent_may_be_missing && parent(path) != path => {
            make_dir(parent(path), meta)?;
            make_dir_in(path, meta, false)
        }
        _ => Err(error),
    }
}

/// Whether an open directory is one that this process has just made: its own, nobody else's to enter, and empty. Who owns
/// the directory above may have renamed it and put another in its place, but not one like that.
fn is_new(dir: &OwnedFd) -> rustix::io::Result<bool> {
    let stat = rustix::fs::fstat(dir)?;
    let own = stat.st_uid == rustix::process::geteuid().as_raw() && stat.st_mode & 0o777 & !0o700 == 0;
    let mut names = rustix::fs::Dir::read_from(dir)?;
    let is_empty =
        names.all(|name| name.is_ok_and(|name| matches!(name.file_name().to_bytes(), b"." | b"..")));
    Ok(own && is_empty)
}

/// Makes a directory that is never there without its mode and owner: it gets its name last. A run that dies leaves it
/// under a temporary one, which the next run that makes the same directory removes.
fn put_dir(path: &Path, meta: Meta) -> Result<(), FileError> {
    static ATTEMPT: AtomicU32 = AtomicU32::new(0);
    let io = || FileError::io("create directory", path);
    if kind(path)?.is_some() {
        return Err(io()(Errno::EXIST));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for other in list(parent(path)).unwrap_or_default() {
        let is_dead = |pid: u32| !Path::new(&format!("/proc/{pid}")).try_exists().unwrap_or(true);
        if temporary_writer(&other, &name).is_some_and(is_dead) {
            // One that holds something is no such directory, and stays.
            let _ = rustix::fs::rmdir(parent(path).join(other));
        }
    }
    let attempt = ATTEMPT.fetch_add(1, Ordering::Relaxed);
    let temporary = parent(path).join(format!(".{name}.{}-{attempt}.tmp", std::process::id()));
    rustix::fs::mkdir(&temporary, Mode::RWXU).map_err(io())?;
    let make = || {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&temporary, flags, Mode::empty()).map_err(io())?;
        if !is_new(&dir).map_err(io())? {
            let what = "it was exchanged for something else meanwhile".to_owned();
            return Err(FileError::Diverted { action: "create directory", path: path.to_owned(), what });
        }
        apply_meta(&dir, path, meta)?;
        rustix::fs::fsync(&dir).map_err(io())?;
        rustix::fs::renameat_with(CWD, &temporary, CWD, path, RenameFlags::NOREPLACE).map_err(io())
    };
    make().inspect_err(|_| {
        let _ = rustix::fs::rmdir(&temporary);
    })
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
        Err(Errno::NOENT) => Ok(false),
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
        Ok(()) | Err(Errno::NOENT) => Ok(()),
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
        Err(Errno::NOENT | Errno::NOTEMPTY) => Ok(false),
        Err(errno) => Err(FileError::io("remove", path)(errno)),
    }
}

/// Removes a directory with all that is in it: for throw-away directories that this program made.
///
/// # Errors
/// [`FileError::Io`].
pub fn remove_tree(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_dir_all(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::FileMode;

    #[test]
    fn what_a_killed_run_left_of_a_directory_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let left = |name: &str| dir.path().join(name);
        let mine = format!(".ssl.{}-99.tmp", std::process::id());
        // No process has number 0.
        for name in [".ssl.0-0.tmp", ".ssl.0-1.tmp", ".other.0-0.tmp", &mine] {
            std::fs::create_dir(left(name)).unwrap();
        }
        std::fs::create_dir(left(".ssl.0-1.tmp/full")).unwrap();
        let path = left("ssl");
        assert!(make_dir(&path, Meta::mode(FileMode::DIR)).unwrap());
        assert!(!make_dir(&path, Meta::mode(FileMode::SECRET_DIR)).unwrap());
        assert_eq!(list(dir.path()).unwrap(), [".other.0-0.tmp", ".ssl.0-1.tmp", &mine, "ssl"]);
        assert_eq!(crate::files::stat(&path).unwrap().unwrap().mode, FileMode::DIR);
    }
}
