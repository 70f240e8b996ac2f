//! Why something could not be placed.

use std::path::PathBuf;

use crate::host::HostError;

/// Why nothing was placed, or not all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The host could not do it.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The directory is not absolute, or is something else.
    #[error("{path} {what}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// What stands there is somebody else's.
    #[error("{path} {what}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The machine has no trust store of a kind that is known.
    #[error("{host}: no system trust store of a known kind is there")]
    NoTrustStore {
        /// The machine.
        host: String,
    },
    /// A symlink, directory or device stands where a file is to go.
    #[error("{path} is {what}, not a regular file")]
    NotRegular {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Some of the files are new and some are old, or it is not known whether that lasts.
    #[error("{source}")]
    Unfinished {
        /// What went wrong.
        source: HostError,
    },
    /// The CA's file is in place, and the system's bundle was not made anew.
    #[error("{host}: {program}: {what}")]
    Untrusted {
        /// The machine.
        host: String,
        /// The program that makes the bundle.
        program: &'static str,
        /// What went wrong.
        what: String,
    },
}
