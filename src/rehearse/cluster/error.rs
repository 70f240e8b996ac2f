//! Why a cluster could not be started.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::files::FileError;
use crate::host::process::DirError;

/// How long a new cluster may take until every member is healthy.
pub(super) const HEALTHY_WITHIN: Duration = Duration::from_secs(60);

/// Why a cluster could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The addresses would leave the loopback net.
    #[error("{members} members from {base} on do not fit into 127.0.0.0/8")]
    Addresses {
        /// The first address.
        base: Ipv4Addr,
        /// How many members.
        members: u8,
    },
    /// A member's directory could not be used.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A signal came while it started.
    #[error("interrupted")]
    Interrupted,
    /// There is no etcd in PATH.
    #[error("there is no etcd in PATH")]
    NoEtcd,
    /// The file is not an etcd that runs here.
    #[error("{path} is no etcd that runs here: {what}")]
    NotEtcd {
        /// The file.
        path: PathBuf,
        /// What it said or the system said.
        what: String,
    },
    /// A port is taken.
    #[error("{address} is in use")]
    PortInUse {
        /// The address and port.
        address: SocketAddr,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address and port.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A member did not become healthy.
    #[error("{member} did not become healthy within {} s: {what}", HEALTHY_WITHIN.as_secs())]
    Unhealthy {
        /// The member.
        member: String,
        /// What was seen last.
        what: String,
    },
    /// A supervisor could not be started.
    #[error("{member}: cannot start its supervisor: {source}")]
    Supervisor {
        /// The member.
        member: String,
        /// What the system said.
        source: std::io::Error,
    },
}
