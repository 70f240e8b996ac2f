//! What can go wrong on a host.

use crate::files::FileError;

use super::ssh::SshError;

/// What can go wrong on a host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// A command could not be run or did not end in time.
    #[error("{host}: {command}: {what}")]
    Command {
        /// The host.
        host: String,
        /// The command's name.
        command: String,
        /// What happened.
        what: String,
    },
    /// A connection could not be made.
    #[error("{host}: cannot connect to {address}: {source}")]
    Dial {
        /// The host that dialled.
        host: String,
        /// Where to.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file could not be read or written.
    #[error("{host}: {source}")]
    File {
        /// The host.
        host: String,
        /// What happened.
        source: FileError,
    },
    /// Another run of this tool is at work there.
    #[error("{host}: another run is at work there: {holder}")]
    Locked {
        /// The host.
        host: String,
        /// What the other run wrote of itself.
        holder: String,
    },
    /// There is no such user or group on the host.
    #[error("{host}: there is no user or group {name:?}")]
    NoSuchUser {
        /// The host.
        host: String,
        /// The name.
        name: String,
    },
    /// The service is not what we expect.
    #[error("{host}: {service}: {what}")]
    Service {
        /// The host.
        host: String,
        /// The unit.
        service: String,
        /// What is wrong.
        what: String,
    },
    /// It cannot be had over ssh.
    #[error(transparent)]
    Ssh(#[from] SshError),
}
