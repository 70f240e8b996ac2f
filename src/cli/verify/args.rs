//! Words on the command line.

use crate::verify::{Role, Severity};

/// A role on the command line.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum RoleArg {
    /// A member's client port.
    Server,
    /// A member's peer port, and what it dials the others with.
    Peer,
    /// Whoever dials a client port.
    Client,
    /// A proxy.
    Proxy,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Server => Self::Server,
            RoleArg::Peer => Self::Peer,
            RoleArg::Client => Self::Client,
            RoleArg::Proxy => Self::Proxy,
        }
    }
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// JUnit XML.
    Junit,
    /// GitHub's annotations.
    Github,
    /// SARIF 2.1.0.
    Sarif,
}

/// A severity on the command line.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum FailOn {
    /// What etcd refuses, and what ends soon.
    Error,
    /// Also what will bite.
    Warning,
}

impl From<FailOn> for Severity {
    fn from(fail_on: FailOn) -> Self {
        match fail_on {
            FailOn::Error => Self::Error,
            FailOn::Warning => Self::Warning,
        }
    }
}
