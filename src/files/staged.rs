//! Files that are complete beside their places before they move there.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, RenameFlags};

use super::{FileError, Meta, apply_meta, kind, parent, rename, sync_dir};

pub(super) fn put(path: &Path, bytes: &[u8], meta: Meta, flags: RenameFlags) -> Result<(), FileError> {
    if flags.contains(RenameFlags::NOREPLACE) && kind(path)?.is_some() {
        return Err(FileError::Exists { path: path.to_owned() });
    }
    Staged::new(path, bytes, meta)?.commit(flags)?;
    sync_dir(parent(path))
}

/// A file that is complete beside its place; dropped before it is committed, it is removed.
pub(super) struct Staged {
    temporary: Option<PathBuf>,
    path: PathBuf,
}

impl Staged {
    pub(super) fn new(path: &Path, bytes: &[u8], meta: Meta) -> Result<Self, FileError> {
        let (fd, temporary) = create_temporary(path)?;
        let staged = Self { temporary: Some(temporary), path: path.to_owned() };
        fill(fd, path, bytes, meta)?;
        Ok(staged)
    }

    pub(super) fn commit(mut self, flags: RenameFlags) -> Result<(), FileError> {
        if let Some(temporary) = &self.temporary {
            rename(temporary, &self.path, flags)?;
            self.temporary = None;
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Nothing half-written stays; that this may fail too changes nothing about the error.
            let _ = rustix::fs::unlink(temporary);
        }
    }
}

fn create_temporary(path: &Path) -> Result<(OwnedFd, PathBuf), FileError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for attempt in 0..64u32 {
        // `.tmp` at the end: systemd ignores such drop-ins.
        let temporary = parent(path).join(format!(".{name}.{}-{attempt}.tmp", std::process::id()));
        match rustix::fs::open(&temporary, flags, Mode::from_raw_mode(0o600)) {
            Ok(fd) => return Ok((fd, temporary)),
            Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(FileError::io("write", path)(errno)),
        }
    }
    Err(FileError::io("write", path)(rustix::io::Errno::EXIST))
}

fn fill(fd: OwnedFd, path: &Path, bytes: &[u8], meta: Meta) -> Result<(), FileError> {
    apply_meta(&fd, path, meta)?;
    let mut file = File::from(fd);
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|source| FileError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

/// The process that made the temporary file `name` while it wrote `file`; `None` when it is no such file.
pub fn temporary_writer(name: &str, file: &str) -> Option<u32> {
    let (pid, attempt) = name
        .strip_prefix('.')?
        .strip_prefix(file)?
        .strip_prefix('.')?
        .strip_suffix(".tmp")?
        .split_once('-')?;
    attempt.parse::<u32>().ok()?;
    pid.parse().ok()
}
