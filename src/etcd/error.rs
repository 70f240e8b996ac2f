//! What a call to a member can end with.

use crate::host::ssh::excerpt;
use crate::limits::size;

/// A call that did not succeed: which URL, which call, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url}: {call}: {fault}")]
pub struct EtcdError {
    /// The member's client URL.
    pub url: String,
    /// The call, such as `POST /v3/cluster/member/list`.
    pub call: String,
    /// Why.
    pub fault: Fault,
}

/// Why a call did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// etcd's authentication is on and refuses: no user, a wrong password, or a user without the permission.
    #[error("authentication: {message}")]
    Auth {
        /// etcd's words, such as `etcdserver: user name is empty`.
        message: String,
    },
    /// The connection was closed without an answer: a member that is stopping, or plain HTTP to a TLS port (etcd's
    /// TLS listener just closes).
    #[error("the connection was closed without an answer")]
    Closed,
    /// A command that stood in for a call failed.
    #[error("{what}")]
    Command {
        /// What it said, or why it could not be run.
        what: String,
    },
    /// What was answered is not what etcd answers.
    #[error("not an answer of etcd: {what}")]
    Malformed {
        /// What is wrong with it.
        what: String,
    },
    /// The path does not exist there: that API is switched off, or of another version.
    #[error("that API is not served here (404)")]
    NotFound,
    /// TLS was spoken to a port that serves plain HTTP.
    #[error("this port serves plain HTTP, not TLS")]
    PlainHttpPort,
    /// Nothing listens there.
    #[error("connection refused")]
    Refused,
    /// etcd answered with an error.
    #[error("HTTP {status}: {message}")]
    Server {
        /// The HTTP status.
        status: u16,
        /// etcd's code: a gRPC code in v3 (14 is unavailable), an `errorCode` in v2 (100 is key not found).
        code: Option<i64>,
        /// etcd's words.
        message: String,
    },
    /// No answer in time, or not the whole of it.
    #[error("no answer in time")]
    Timeout,
    /// The answer, or a part of it, is longer than is read from an etcd.
    #[error("its answer is longer than {}, which is the most that is read", size(*limit))]
    TooLarge {
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// The TLS handshake failed, or the other side ended the session with an alert.
    #[error("TLS: {what}")]
    Tls {
        /// What rustls says.
        what: String,
        /// The alert that the other side sent, as rustls names it (`BadCertificate`, `CertificateRequired`).
        alert: Option<String>,
    },
    /// The host cannot be reached.
    #[error("unreachable: {what}")]
    Unreachable {
        /// What the system says.
        what: String,
    },
}

impl Fault {
    /// Whether nothing of the call can have reached etcd, so that it may be sent again elsewhere.
    pub const fn never_sent(&self) -> bool {
        matches!(self, Self::Refused | Self::Unreachable { .. } | Self::PlainHttpPort)
    }

    /// Whether what was answered is nothing that an etcd answers.
    pub const fn is_foreign(&self) -> bool {
        matches!(self, Self::Malformed { .. } | Self::TooLarge { .. })
    }

    pub(super) fn from_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Self::Timeout,
            ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Unreachable { what: error.to_string() },
        }
    }

    pub(super) fn from_tls(error: &rustls::Error) -> Self {
        let alert = match error {
            rustls::Error::AlertReceived(alert) => Some(format!("{alert:?}")),
            _ => None,
        };
        Self::Tls { what: error.to_string(), alert }
    }

    /// What is wrong with an answer; it may quote the answer, which may hold anything.
    pub(super) fn malformed(what: impl std::fmt::Display) -> Self {
        Self::Malformed { what: excerpt(&what.to_string()) }
    }

    /// An answer with an error in it, in etcd's words or whoever's it is.
    pub(super) fn server(status: u16, code: Option<i64>, message: &str) -> Self {
        Self::Server { status, code, message: excerpt(message) }
    }
}
