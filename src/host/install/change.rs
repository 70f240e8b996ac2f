//! What is placed where, and what has to change for that.

use std::path::PathBuf;

use serde::Serialize;

use crate::files::{FileMode, Owner};

/// Where a bundle goes, and how.
#[derive(Debug, Clone)]
pub struct Target {
    /// The directory, absolute.
    pub dir: PathBuf,
    /// Who owns the files, and the directory where we make it.
    pub owner: Owner,
    /// The directory's mode. None: 0755 for one that we make, and one that is there is left as it is.
    pub dir_mode: Option<FileMode>,
    /// Replace what another CA or name has there.
    pub force: bool,
}

/// What is to happen to one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The directory or file.
    pub path: PathBuf,
    /// What happens to it.
    pub action: Action,
    /// Its mode afterwards, as four octal digits in JSON.
    #[serde(serialize_with = "octal")]
    pub mode: FileMode,
    /// Its owner afterwards; none keeps it as it is, or as this process makes it.
    pub owner: Option<Owner>,
    #[serde(skip)]
    pub(super) part: Option<Part>,
}

/// What happens to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A directory is made.
    MakeDirectory,
    /// A file is written where none was.
    Create,
    /// A file is replaced.
    Replace,
    /// Mode and owner change, the content stays.
    SetMode,
    /// What a killed run left behind is removed.
    RemoveLeftover,
}

impl Action {
    /// In words.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::MakeDirectory => "make directory",
            Self::Create => "create",
            Self::Replace => "replace",
            Self::SetMode => "set mode",
            Self::RemoveLeftover => "remove",
        }
    }
}

/// The three files of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Ca,
    Cert,
    Key,
}

/// What was found and what is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they happen; empty when nothing is to be done.
    pub changes: Vec<Change>,
    /// What is right already.
    pub kept: Vec<PathBuf>,
    /// What is odd and does not stand in the way.
    pub warnings: Vec<String>,
    /// The CA file's own content, where it holds other CAs too and is left as it is.
    pub(super) ca: Option<Vec<u8>>,
}

fn octal<S: serde::Serializer>(mode: &FileMode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(mode)
}
