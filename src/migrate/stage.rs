//! The stages a member passes through on its way from plain HTTP to HTTPS only.

use crate::etcd::Scheme;

/// How far a member has come, from plain HTTP to HTTPS only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// As it was before this tool came.
    Plain,
    /// HTTP as before, and on the loopback port: what a run that was killed between two files leaves on disk.
    Loopback,
    /// Certificates in force; HTTP still served everywhere, https for clients beside it.
    Certs,
    /// https for clients and peers; http on the loopback port only.
    Tls,
    /// https alone.
    Sealed,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::Plain, Self::Loopback, Self::Certs, Self::Tls, Self::Sealed];

    /// The scheme of the peer and client URLs that it advertises, and of its peer listeners.
    pub const fn scheme(self) -> Scheme {
        match self {
            Self::Tls | Self::Sealed => Scheme::Https,
            Self::Plain | Self::Loopback | Self::Certs => Scheme::Http,
        }
    }

    /// In words.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Plain => "plain HTTP",
            Self::Loopback => "plain HTTP, on the loopback port too",
            Self::Certs => "certificates in force, HTTP still served",
            Self::Tls => "HTTPS, plain HTTP on the loopback port only",
            Self::Sealed => "HTTPS only",
        }
    }
}
