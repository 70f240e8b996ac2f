//! Writing: a file appears whole, with its mode and owner, or not at all.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, RenameFlags};

use super::dirs::apply_meta;
use super::look::{kind, not_regular};
use super::{FileError, FileMode, Meta, parent, sync_dir};

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

/// How many files of a batch wait for the disk at the same time: it takes them together.
const AT_ONCE: usize = 16;

/// Does `work` for each, in order where there are few.
fn at_once<T: Sync, R: Send>(
    all: &[T],
    work: impl Fn(&T) -> Result<R, FileError> + Sync,
) -> Result<Vec<R>, FileError> {
    let share = all.len().div_ceil(AT_ONCE).max(AT_ONCE);
    let parts: Vec<Result<Vec<R>, FileError>> = std::thread::scope(|scope| {
        let work = &work;
        let rest = all.chunks(share).skip(1);
        let others: Vec<_> = rest.map(|part| scope.spawn(move || part.iter().map(work).collect())).collect();
        let first = all.chunks(share).next().unwrap_or_default().iter().map(work).collect();
        let others = others.into_iter().map(|other| other.join().expect("writing does not panic"));
        std::iter::once(first).chain(others).collect()
    });
    let parts = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(parts.into_iter().flatten().collect())
}

/// Writes several files as [`replace`] does: all are complete beside their places before the first one moves, and
/// then they move in a row, so that an error while writing leaves every old file as it was.
///
/// # Errors
/// [`FileError::NotRegular`] or [`FileError::Io`].
pub fn replace_all(files: &[(&Path, &[u8], Meta)]) -> Result<(), FileError> {
    let stage = |&(path, bytes, meta): &(&Path, &[u8], Meta)| match kind(path)? {
        None | Some(FileType::RegularFile) => Staged::new(path, bytes, meta),
        Some(other) => Err(not_regular(path, other)),
    };
    let staged = at_once(files, stage)?;
    staged.into_iter().try_for_each(|file| file.commit(RenameFlags::empty()))?;
    let touched: BTreeSet<&Path> = files.iter().map(|&(path, ..)| parent(path)).collect();
    touched.into_iter().try_for_each(sync_dir)
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

/// Removes those of the files `names` of a directory that processes which have died left half-written. Best effort.
///
/// Returns the names that were removed.
pub fn sweep<'a>(dir: &Path, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let is_left = |name: &&str| {
        let file = || name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.');
        let writer = file().and_then(|(file, _)| temporary_writer(name, file));
        writer.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
    };
    names
        .filter(is_left)
        .filter(|name| rustix::fs::unlink(dir.join(name)).is_ok())
        .map(str::to_owned)
        .collect()
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

/// Renames files into places that must be free, in their order, and returns when all of it is durable. One that is not
/// where it should come from was renamed before, and is passed over.
///
/// # Errors
/// [`FileError::Exists`] when a new name is taken; [`FileError::Io`].
pub fn rename_each(moves: &[(PathBuf, PathBuf)]) -> Result<(), FileError> {
    let mut touched = BTreeSet::new();
    for (from, to) in moves {
        match rename(from, to, RenameFlags::NOREPLACE) {
            Err(error) if error.io_kind() == Some(std::io::ErrorKind::NotFound) => {}
            done => {
                done?;
                touched.extend([parent(to), parent(from)]);
            }
        }
    }
    touched.into_iter().try_for_each(sync_dir)
}

/// Writes a file that must not exist yet as it comes, for content too large to hold; it appears when it is whole.
///
/// # Errors
/// [`FileError::Exists`], [`FileError::Io`], or what `fill` says: then no file appears.
pub fn create_new_with<T, E: From<FileError>>(
    path: &Path,
    meta: Meta,
    fill: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<T, E> {
    if kind(path)?.is_some() {
        return Err(FileError::Exists { path: path.to_owned() }.into());
    }
    let (staged, filled) = Staged::filled(path, meta, fill)?;
    staged.commit(RenameFlags::NOREPLACE)?;
    sync_dir(parent(path))?;
    Ok(filled)
}

/// How many bytes may still be written to the file system that holds `path`.
///
/// # Errors
/// [`FileError::Io`]
pub fn free_space(path: &Path) -> Result<u64, FileError> {
    let stat = rustix::fs::statvfs(path).map_err(FileError::io("look at", path))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn put(path: &Path, bytes: &[u8], meta: Meta, flags: RenameFlags) -> Result<(), FileError> {
    if flags.contains(RenameFlags::NOREPLACE) && kind(path)?.is_some() {
        return Err(FileError::Exists { path: path.to_owned() });
    }
    Staged::new(path, bytes, meta)?.commit(flags)?;
    sync_dir(parent(path))
}

/// A file that is complete beside its place; dropped before it is committed, it is removed.
struct Staged {
    temporary: Option<PathBuf>,
    path: PathBuf,
}

impl Staged {
    fn new(path: &Path, bytes: &[u8], meta: Meta) -> Result<Self, FileError> {
        Self::filled(path, meta, |file| file.write_all(bytes).map_err(FileError::write(path)))
            .map(|(staged, ())| staged)
    }

    fn filled<T, E: From<FileError>>(
        path: &Path,
        meta: Meta,
        fill: impl FnOnce(&mut File) -> Result<T, E>,
    ) -> Result<(Self, T), E> {
        let (fd, temporary) = create_temporary(path)?;
        let staged = Self { temporary: Some(temporary), path: path.to_owned() };
        apply_meta(&fd, path, meta)?;
        let mut file = File::from(fd);
        let filled = fill(&mut file)?;
        file.sync_all().map_err(FileError::write(path))?;
        Ok((staged, filled))
    }

    fn commit(mut self, flags: RenameFlags) -> Result<(), FileError> {
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

fn rename(from: &Path, to: &Path, flags: RenameFlags) -> Result<(), FileError> {
    match rustix::fs::renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, to, flags) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::EXIST) => Err(FileError::Exists { path: to.to_owned() }),
        Err(errno) => Err(FileError::io("rename into", to)(errno)),
    }
}
