//! A directory that stands for a whole machine's file tree, such as a mounted image: `--root DIR`.
//!
//! Every path is resolved by the kernel below that directory (`openat2`, `RESOLVE_IN_ROOT`, Linux 5.6): an absolute
//! symlink means what it will mean on that machine, and no symlink and no `..` leads out.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::Placement;
use crate::files::{self, FileError, Meta};

/// The directory, held open.
#[derive(Debug)]
pub(super) struct Root {
    dir: OwnedFd,
    path: PathBuf,
}

/// A path's directory, held open below the root, and the path through it. Valid as long as it lives.
pub(super) struct Resolved {
    _dir: OwnedFd,
    pub(super) path: PathBuf,
}

impl Root {
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|e| io("open", path, e))?;
        Ok(Self { dir, path: path.to_owned() })
    }

    /// How a path of the machine is called on ours, for people.
    pub(super) fn outside(&self, path: &Path) -> PathBuf {
        self.path.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Resolves all but the last name of a path; `None` when a directory on the way is not there.
    pub(super) fn resolve(&self, path: &Path) -> Result<Option<Resolved>, FileError> {
        // The root itself, as the directory it is.
        let name = if path == Path::new("/") { Some(".".as_ref()) } else { path.file_name() };
        let Some(name) = name else {
            return Err(io("use", &self.outside(path), Errno::INVAL));
        };
        let Some(dir) = self.open_dir(files::parent(path))? else { return Ok(None) };
        // Through the open directory, whatever is renamed meanwhile.
        let path = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name);
        Ok(Some(Resolved { _dir: dir, path }))
    }

    /// As [`Self::resolve`], an error when a directory on the way is not there.
    pub(super) fn resolve_in(&self, path: &Path) -> Result<Resolved, FileError> {
        self.resolve(path)?.ok_or_else(|| io("open", &self.outside(files::parent(path)), Errno::NOENT))
    }

    /// Makes a directory and its missing parents; returns whether the last one was made.
    pub(super) fn make_dir(&self, path: &Path, meta: Meta) -> Result<bool, FileError> {
        if self.open_dir(path)?.is_some() {
            return Ok(false);
        }
        let parent = files::parent(path);
        if self.open_dir(parent)?.is_none() && parent != path {
            self.make_dir(parent, meta)?;
        }
        let made = files::make_dir(&self.resolve_in(path)?.path, meta).map_err(|e| self.rename(e, path))?;
        match self.open_dir(path)? {
            Some(_) => Ok(made),
            // A symlink that leads nowhere below the root.
            None => Err(io("create directory", &self.outside(path), Errno::NOTDIR)),
        }
    }

    /// The names in a directory.
    pub(super) fn list(&self, path: &Path) -> Result<Vec<String>, FileError> {
        let Some(dir) = self.open_dir(path)? else { return Ok(Vec::new()) };
        let through = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
        files::list(&through).map_err(|e| self.rename(e, path))
    }

    /// Puts the path as people know it into an error that names it through an open directory.
    pub(super) fn rename(&self, error: FileError, path: &Path) -> FileError {
        let path = self.outside(path);
        match error {
            FileError::Exists { .. } => FileError::Exists { path },
            FileError::NotRegular { what, .. } => FileError::NotRegular { path, what },
            FileError::Untrusted { why, cure, .. } => FileError::Untrusted { path, why, cure },
            FileError::Diverted { action, what, .. } => FileError::Diverted { action, path, what },
            FileError::TooLarge { size, limit, .. } => FileError::TooLarge { path, size, limit },
            FileError::Silent { seconds, .. } => FileError::Silent { path, seconds },
            FileError::Io { action, source, .. } => FileError::Io { action, path, source },
        }
    }

    /// As [`Self::rename`], where the error is about one of several files: the one of the same name, or the first.
    pub(super) fn rename_any(&self, error: FileError, placements: &[Placement<'_>]) -> FileError {
        let name = error.path().file_name();
        let named = placements.iter().find(|p| p.path.file_name() == name).or(placements.first());
        match named {
            Some(placement) => self.rename(error, placement.path),
            None => error,
        }
    }

    fn open_dir(&self, path: &Path) -> Result<Option<OwnedFd>, FileError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(&self.dir, path, flags, Mode::empty(), resolve) {
                Ok(dir) => return Ok(Some(dir)),
                Err(Errno::NOENT) => return Ok(None),
                // Something was renamed while the kernel walked.
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(io("open", &self.outside(path), errno)),
            }
        }
    }
}

fn io(action: &'static str, path: &Path, errno: Errno) -> FileError {
    FileError::Io { action, path: path.to_owned(), source: errno.into() }
}
