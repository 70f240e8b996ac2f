//! What files are given and what can go wrong with them.

use std::path::{Path, PathBuf};

use crate::limits::{self, Limit};

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

impl FileKind {
    /// The kind in a raw mode (`S_IFMT`, inode(7)).
    pub const fn of_mode(mode: u32) -> Self {
        match mode & 0o170_000 {
            0o100_000 => Self::File,
            0o040_000 => Self::Directory,
            0o120_000 => Self::Symlink,
            _ => Self::Other,
        }
    }
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
    /// Somebody else could have written it, or could put something else in its place.
    #[error("{path} {why}")]
    Untrusted {
        /// The file or directory.
        path: PathBuf,
        /// Who could.
        why: String,
        /// The command that ends it, where there is one that may be recommended.
        cure: Option<String>,
    },
    /// Another user could lead, or led, what is done there to something else.
    #[error("cannot {action} {path}: {what}")]
    Diverted {
        /// Read, write, create, …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// How.
        what: String,
    },
    /// There is more in it than is read.
    #[error("cannot read {path}: it has {}, and {} are read up to {}", had(*size, *limit), limit.of, limits::size(limit.bytes))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes, where it is known.
        size: Option<u64>,
        /// The limit.
        limit: Limit,
    },
    /// A pipe whose other end sent nothing.
    #[error("cannot read {path}: nothing came through the pipe for {seconds} s")]
    Silent {
        /// The pipe.
        path: PathBuf,
        /// How long it was waited for.
        seconds: u64,
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
    pub(super) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action: "write", path, source }
    }

    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(rustix::io::Errno) -> Self {
        let path = path.to_owned();
        move |errno| Self::Io { action, path, source: errno.into() }
    }

    pub(super) fn reading(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action: "read", path, source }
    }

    /// The file or directory it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Exists { path }
            | Self::NotRegular { path, .. }
            | Self::Untrusted { path, .. }
            | Self::Diverted { path, .. }
            | Self::TooLarge { path, .. }
            | Self::Silent { path, .. }
            | Self::Io { path, .. } => path,
        }
    }

    /// What to do about an input that was refused; nothing where only the system or the caller knows.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotRegular { .. } => Some("give a regular file; save what a pipe or device gives to one"),
            Self::TooLarge { .. } => Some("give another file: this one can hardly be what is read here"),
            Self::Silent { .. } => Some("save what the other command prints to a file, and give that"),
            Self::Exists { .. } | Self::Untrusted { .. } | Self::Diverted { .. } | Self::Io { .. } => None,
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

fn had(size: Option<u64>, limit: Limit) -> String {
    size.map_or_else(|| format!("more than {}", limits::size(limit.bytes)), limits::size)
}
