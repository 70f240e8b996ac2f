//! The one module that writes files on this machine.
//!
//! A file is written beside its place under a temporary name that nobody else can open, given its owner and
//! mode, fsynced, renamed into place, and its directory is fsynced: whoever looks sees the whole old file or the
//! whole new one, and a key is never readable for a moment. Symlinks are not followed into.
#![allow(clippy::disallowed_methods, reason = "this is the module the ban points to")]

mod lock;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Uid};

pub use lock::{DirLock, LockError};

/// Permission bits, such as 0600.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct FileMode(u32);

impl FileMode {
    /// A private key: its owner reads and writes it.
    pub const SECRET: Self = Self(0o600);
    /// A certificate: everyone reads it.
    pub const PUBLIC: Self = Self(0o644);
    /// A directory that others may enter.
    pub const DIR: Self = Self(0o755);
    /// A directory for its owner alone.
    pub const SECRET_DIR: Self = Self(0o700);

    /// The permission bits of `bits`; the file type is dropped.
    pub const fn new(bits: u32) -> Self {
        Self(bits & 0o7777)
    }

    /// The bits as a number.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl std::fmt::Display for FileMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// A numeric owner and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Owner {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

/// What a file is given before its content can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// The permission bits.
    pub mode: FileMode,
    /// The owner; none keeps the one who writes.
    pub owner: Option<Owner>,
}

impl Meta {
    /// A mode, and the owner left alone.
    pub const fn mode(mode: FileMode) -> Self {
        Self { mode, owner: None }
    }
}

/// A file as it was read: content, owner and mode.
#[derive(Clone, PartialEq, Eq)]
pub struct FileImage {
    /// The content.
    pub bytes: Vec<u8>,
    /// The permission bits.
    pub mode: FileMode,
    /// The owner.
    pub owner: Owner,
}

impl std::fmt::Debug for FileImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The content may be a key.
        write!(
            f,
            "FileImage({} bytes, {}, {}:{})",
            self.bytes.len(),
            self.mode,
            self.owner.uid,
            self.owner.gid
        )
    }
}

/// What stands at a path, a final symlink not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStat {
    /// What it is.
    pub kind: FileKind,
    /// The permission bits.
    pub mode: FileMode,
    /// The owner.
    pub owner: Owner,
}

/// The kinds of things that stand at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symlink.
    Symlink,
    /// A device, pipe or socket.
    Other,
}

/// What can go wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A file of that name is there already and was left as it is.
    #[error("{path} already exists")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The path is a symlink, a device, or a directory where a file was expected.
    #[error("{path} is {what}, not a regular file")]
    NotRegular {
        /// The path.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// The system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// Read, write, create, rename, sync, remove, …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl FileError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(rustix::io::Errno) -> Self {
        let path = path.to_owned();
        move |errno| Self::Io { action, path, source: errno.into() }
    }

    /// The file or directory it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Exists { path } | Self::NotRegular { path, .. } | Self::Io { path, .. } => path,
        }
    }

    /// The kind of the system's refusal, where it was one.
    pub fn io_kind(&self) -> Option<std::io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            _ => None,
        }
    }
}

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
        let (fd, temporary) = create_temporary(path)?;
        let staged = Self { temporary: Some(temporary), path: path.to_owned() };
        fill(fd, path, bytes, meta)?;
        Ok(staged)
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

fn fill(fd: OwnedFd, path: &Path, bytes: &[u8], meta: Meta) -> Result<(), FileError> {
    apply_meta(&fd, path, meta)?;
    let mut file = File::from(fd);
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|source| FileError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })
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
