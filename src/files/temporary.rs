//! Files that are written under a temporary name first: `.NAME.PID-N.tmp`, in the directory of the place they are for.
//!
//! Their writer holds a lock on them (flock(2)) as long as it lives. One that nobody holds was left by a process that
//! died, and is removed by the next run that looks.

use std::fs::{File, TryLockError};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::{FileError, list, parent, rename_new};

/// A file under a temporary name. Dropped before it has its place, it is removed.
pub(super) struct Temporary {
    file: File,
    path: Option<PathBuf>,
}

impl Temporary {
    /// Makes one for `place`, with mode 0600, that no other process takes for a leftover.
    pub(super) fn create(place: &Path) -> Result<Self, FileError> {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for attempt in 0..64u32 {
            // `.tmp` at the end: systemd ignores such drop-ins.
            let path = parent(place).join(format!(".{name}.{}-{attempt}.tmp", std::process::id()));
            match rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600)) {
                Ok(fd) => {
                    let file = File::from(fd);
                    // Where the file system has no locks, it is not taken for a leftover either.
                    let _ = file.try_lock();
                    // A sweep between the two calls has removed it.
                    if rustix::fs::fstat(&file).is_ok_and(|stat| stat.st_nlink == 0) {
                        continue;
                    }
                    return Ok(Self { file, path: Some(path) });
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(FileError::io("write", place)(errno)),
            }
        }
        Err(FileError::io("write", place)(Errno::EXIST))
    }

    pub(super) const fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Renames it over the file that may be in its place.
    pub(super) fn replace(mut self, place: &Path) -> Result<(), FileError> {
        if let Some(path) = &self.path {
            rustix::fs::rename(path, place).map_err(FileError::io("rename into", place))?;
            self.path = None;
        }
        Ok(())
    }

    /// Gives it its place, which must be free, as a second name; the temporary one goes when this value does. Where the
    /// file system has no links it is renamed.
    pub(super) fn link(&mut self, place: &Path) -> Result<(), FileError> {
        let Some(path) = &self.path else { return Ok(()) };
        match rustix::fs::linkat(CWD, path, CWD, place, AtFlags::empty()) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => Err(FileError::Exists { path: place.to_owned() }),
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
                rename_new(path, place)?;
                self.path = None;
                Ok(())
            }
            Err(errno) => Err(FileError::io("write", place)(errno)),
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Nothing half-written stays; that this may fail too changes nothing about the error.
            let _ = rustix::fs::unlink(path);
        }
    }
}

/// The process that made the temporary file `name` while it wrote `file`; `None` when it is no such file.
pub fn temporary_writer(name: &str, file: &str) -> Option<u32> {
    writer(name.strip_prefix('.')?.strip_prefix(file)?.strip_prefix('.')?)
}

/// Whether a file of this name is a temporary one of this program.
fn is_temporary(name: &str) -> bool {
    let parts = || name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.');
    parts().is_some_and(|(_, tail)| writer(&format!("{tail}.tmp")).is_some())
}

fn writer(tail: &str) -> Option<u32> {
    let (pid, attempt) = tail.strip_suffix(".tmp")?.split_once('-')?;
    attempt.parse::<u32>().ok()?;
    pid.parse().ok()
}

/// A temporary file that its writer, which has died, has left.
pub(super) struct Leftover {
    path: PathBuf,
    _file: File,
}

impl Leftover {
    /// That temporary file; `None` where its writer lives, or where that cannot be known.
    fn of(path: PathBuf) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(&path, flags, Mode::empty()).ok()?);
        match file.try_lock() {
            Ok(()) => Some(Self { path, _file: file }),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => None,
        }
    }

    fn is(&self, place: &Path) -> bool {
        let identity = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
        let own = rustix::fs::fstat(self._file.as_fd()).map(identity);
        let there = rustix::fs::statat(CWD, place, AtFlags::SYMLINK_NOFOLLOW).map(identity);
        own.is_ok() && own.ok() == there.ok()
    }

    /// Removes it. Best effort: the next run finds it again.
    pub(super) fn remove(self) {
        let _ = rustix::fs::unlink(&self.path);
    }
}

/// The temporary name that a run left which died between giving `place` its file and reporting it.
pub(super) fn unfinished(place: &Path) -> Result<Option<Leftover>, FileError> {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let dir = parent(place);
    let names = list(dir)?.into_iter().filter(|other| temporary_writer(other, &name).is_some());
    Ok(names.filter_map(|name| Leftover::of(dir.join(name))).find(|left| left.is(place)))
}

/// Removes what processes that have died left of writing `place`. Best effort.
///
/// # Errors
/// [`FileError::Io`] when the directory cannot be listed.
pub fn sweep_for(place: &Path) -> Result<(), FileError> {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let names = list(parent(place))?;
    let own = names.iter().filter(|other| temporary_writer(other, &name).is_some());
    own.filter_map(|name| Leftover::of(parent(place).join(name)))
        // That one says that the file in its place is unfinished; the run that writes the file anew removes it.
        .filter(|left| !left.is(place))
        .for_each(Leftover::remove);
    Ok(())
}

/// Removes those of the files `names` of a directory that processes which have died left half-written. Best effort.
///
/// Returns the names that were removed.
pub fn sweep<'a>(dir: &Path, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut removed = Vec::new();
    for name in names.filter(|name| is_temporary(name)) {
        if let Some(left) = Leftover::of(dir.join(name)) {
            left.remove();
            removed.push(name.to_owned());
        }
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::super::{FileMode, Meta, create_new, read, replace};
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        list(dir).unwrap()
    }

    #[test]
    fn only_what_the_dead_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("server1.p12");
        let living = Temporary::create(&place).unwrap();
        std::fs::write(dir.path().join(".server1.p12.1-0.tmp"), b"half").unwrap();
        std::fs::write(dir.path().join(".notes.tmp"), b"mine").unwrap();
        sweep_for(&place).unwrap();
        assert_eq!(names(dir.path()).len(), 2, "{:?}", names(dir.path()));
        let all = names(dir.path());
        assert_eq!(sweep(dir.path(), all.iter().map(String::as_str)), Vec::<String>::new());
        drop(living);
        assert_eq!(names(dir.path()), [".notes.tmp"]);
    }

    #[test]
    fn a_file_whose_writer_died_before_it_could_say_so_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("server1.p12");
        let left = dir.path().join(".server1.p12.1-0.tmp");
        std::fs::write(&left, b"first").unwrap();
        std::fs::hard_link(&left, &place).unwrap();
        create_new(&place, b"second", Meta::mode(FileMode::SECRET)).unwrap();
        assert_eq!(read(&place).unwrap().unwrap().bytes, b"second");
        assert_eq!(names(dir.path()), ["server1.p12"]);
        // And one that was finished is never touched again.
        let again = create_new(&place, b"third", Meta::mode(FileMode::SECRET));
        assert!(matches!(again, Err(FileError::Exists { .. })));
        replace(&place, b"fourth", Meta::mode(FileMode::SECRET)).unwrap();
        assert_eq!(names(dir.path()), ["server1.p12"]);
    }
}
