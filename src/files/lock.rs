//! One writer at a time: an advisory lock on a file, freed by the kernel when its holder dies.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{FileError, FileMode, open_append};

/// A held lock; dropping it, or dying, frees it.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

/// Why a lock could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody else holds it; `holder` is what they wrote of themselves.
    #[error("{path} is held by {holder}")]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Who holds it.
        holder: String,
    },
    /// The lock file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
}

impl DirLock {
    /// Takes the lock, waiting up to `patience` for another holder; writes `who` into the file for them to read.
    ///
    /// # Errors
    /// [`LockError::Held`] when the patience is over; [`LockError::File`].
    pub fn take(path: &Path, who: &str, patience: Duration) -> Result<Self, LockError> {
        let mut file = open_append(path, FileMode::SECRET)?;
        let io = |source| FileError::Io { action: "lock", path: path.to_owned(), source };
        if !wait(&file, patience).map_err(io)? {
            let mut holder = String::new();
            let _ = file.rewind().and_then(|()| file.read_to_string(&mut holder));
            let holder = holder.lines().next().unwrap_or("another process").to_owned();
            return Err(LockError::Held { path: path.to_owned(), holder });
        }
        file.set_len(0).and_then(|()| writeln!(file, "{who}")).map_err(io)?;
        Ok(Self { _file: file })
    }

    /// Takes the lock of a directory itself, in which nothing is written for that; `None` where there is no directory, or
    /// none that this process may read.
    ///
    /// # Errors
    /// As of [`Self::take`]; who holds it is not known.
    pub fn of_directory(path: &Path, patience: Duration) -> Result<Option<Self>, LockError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT | Errno::ACCESS | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(errno) => return Err(FileError::io("lock", path)(errno).into()),
        };
        match wait(&file, patience) {
            Ok(true) => Ok(Some(Self { _file: file })),
            Ok(false) => Err(LockError::Held { path: path.to_owned(), holder: "another process".into() }),
            Err(source) => Err(FileError::Io { action: "lock", path: path.to_owned(), source }.into()),
        }
    }
}

/// Waits for a lock; returns whether it is held now.
fn wait(file: &File, patience: Duration) -> std::io::Result<bool> {
    let end = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(source)) => return Err(source),
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(TryLockError::WouldBlock) => return Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = DirLock::take(&path, "first", Duration::ZERO).unwrap();
        let Err(LockError::Held { holder, .. }) = DirLock::take(&path, "second", Duration::ZERO) else {
            panic!("two holders");
        };
        assert_eq!(holder, "first");
        drop(first);
        DirLock::take(&path, "second", Duration::ZERO).unwrap();
    }

    #[test]
    fn a_directory_is_locked_without_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirLock::of_directory(dir.path(), Duration::ZERO).unwrap();
        let second = DirLock::of_directory(dir.path(), Duration::ZERO);
        assert!(first.is_some() && matches!(second, Err(LockError::Held { .. })));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        drop(first);
        assert!(DirLock::of_directory(dir.path(), Duration::ZERO).unwrap().is_some());
        assert!(DirLock::of_directory(&dir.path().join("none"), Duration::ZERO).unwrap().is_none());
    }
}
