//! Writing: a file appears whole, with its mode and owner, or not at all.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use rustix::fs::{Mode, OFlags, RenameFlags};

use super::dirs::apply_meta;
use super::look::{expect_file, kind};
use super::temporary::{Temporary, unfinished};
use super::{FileError, FileMode, Meta, parent, sync_dir, unlink};

/// Writes a file that must not exist yet.
///
/// A run that was killed after the file had appeared leaves its temporary name on the same file; such a file was never
/// reported to a user, and is written anew.
///
/// # Errors
/// [`FileError::Exists`] when something of that name is there (it is left as it is); [`FileError::Io`].
pub fn create_new(path: &Path, bytes: &[u8], meta: Meta) -> Result<(), FileError> {
    create_new_with(path, meta, |file| file.write_all(bytes).map_err(FileError::write(path)))
}

/// Writes a file, atomically replacing the one that may be there.
///
/// # Errors
/// [`FileError::NotRegular`] when a symlink, directory or device is in its place; [`FileError::Io`].
pub fn replace(path: &Path, bytes: &[u8], meta: Meta) -> Result<(), FileError> {
    expect_file(path)?;
    staged(path, bytes, meta)?.replace(path)?;
    sync_dir(parent(path))
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
    let stage = |&(path, bytes, meta): &(&Path, &[u8], Meta)| {
        expect_file(path)?;
        staged(path, bytes, meta)
    };
    let staged = at_once(files, stage)?;
    staged.into_iter().zip(files).try_for_each(|(file, &(path, ..))| file.replace(path))?;
    let touched: BTreeSet<&Path> = files.iter().map(|&(path, ..)| parent(path)).collect();
    touched.into_iter().try_for_each(sync_dir)
}

/// Writes files that must not exist yet under the names that are given. Their content is durable then; their names are
/// with the next [`sync_dir`]. For a transaction, whose recovery removes those that a killed run left.
///
/// # Errors
/// [`FileError::Exists`] or [`FileError::Io`]; files written before it stay.
pub fn stage_all(files: &[(&Path, &[u8], Meta)]) -> Result<(), FileError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let stage = |&(path, bytes, meta): &(&Path, &[u8], Meta)| {
        let fd = match rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)) {
            Err(rustix::io::Errno::EXIST) => return Err(FileError::Exists { path: path.to_owned() }),
            opened => opened.map_err(FileError::io("write", path))?,
        };
        apply_meta(&fd, path, meta)?;
        let mut file = File::from(fd);
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(FileError::write(path))
    };
    at_once(files, stage).map(drop)
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

/// Renames a file into a place that must be free. Durable with the next [`sync_dir`].
///
/// # Errors
/// [`FileError::Exists`] when the new name is taken; [`FileError::Io`].
pub fn rename_new(from: &Path, to: &Path) -> Result<(), FileError> {
    match rustix::fs::renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, to, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::EXIST) => Err(FileError::Exists { path: to.to_owned() }),
        done => done.map_err(FileError::io("rename into", to)),
    }
}

/// Renames a file over the one that may be in its place. Durable with the next [`sync_dir`].
///
/// # Errors
/// [`FileError::Io`]
pub fn rename_over(from: &Path, to: &Path) -> Result<(), FileError> {
    rustix::fs::rename(from, to).map_err(FileError::io("rename into", to))
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
    let left = match kind(path)? {
        None => None,
        // Renamed over below: at no moment is there less than before.
        Some(_) => Some(unfinished(path)?.ok_or_else(|| FileError::Exists { path: path.to_owned() })?),
    };
    let (mut staged, filled) = filled(path, meta, fill)?;
    match left {
        Some(left) => {
            staged.replace(path)?;
            sync_dir(parent(path))?;
            left.remove();
        }
        None => {
            // Linked, not renamed: a temporary name that is left on the file says that this run did not finish. A disk may
            // write names in any order, so that name goes first.
            sync_dir(parent(path))?;
            staged.link(path)?;
            if let Err(error) = sync_dir(parent(path)) {
                // It was not reported, so it must not be there.
                let _ = unlink(path);
                return Err(error.into());
            }
        }
    }
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

/// A file that is complete and durable under a temporary name.
fn staged(path: &Path, bytes: &[u8], meta: Meta) -> Result<Temporary, FileError> {
    filled(path, meta, |file| file.write_all(bytes).map_err(FileError::write(path)))
        .map(|(staged, ())| staged)
}

fn filled<T, E: From<FileError>>(
    path: &Path,
    meta: Meta,
    fill: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<(Temporary, T), E> {
    let mut staged = Temporary::create(path)?;
    apply_meta(staged.file(), path, meta)?;
    let filled = fill(staged.file())?;
    staged.file().sync_all().map_err(FileError::write(path))?;
    Ok((staged, filled))
}
