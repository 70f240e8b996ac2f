//! The stages a member passes through on its way from plain HTTP to HTTPS only.

use crate::etcd::Scheme;

use super::peers::PeerAt;

/// The port of old clients, kept on the loopback address in plain text.
pub const LEGACY_PORT: u16 = 4001;
/// Where clients find https while the migration lasts, on versions that cannot serve it beside http on one port.
pub const SECOND_PORT: u16 = 2378;

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
    /// The same, and HTTP for peers on their second port too: only with `--strict`.
    Beside,
    /// https for peers, HTTP on their second port; for clients as before. Only with `--strict`.
    Bridge,
    /// https for clients and peers; http on the loopback port only.
    Tls,
    /// https alone.
    Sealed,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 7] =
        [Self::Plain, Self::Loopback, Self::Certs, Self::Beside, Self::Bridge, Self::Tls, Self::Sealed];

    /// What its peer URL says once the stage is reached.
    pub const fn peer_at(self) -> PeerAt {
        match self {
            Self::Plain | Self::Loopback | Self::Certs | Self::Beside => PeerAt::Plain,
            Self::Bridge | Self::Tls | Self::Sealed => PeerAt::Https,
        }
    }

    /// Whether its peer listeners serve what a peer URL says.
    pub const fn serves(self, at: PeerAt) -> bool {
        match at {
            PeerAt::Plain => matches!(self.peer_at(), PeerAt::Plain),
            PeerAt::Second => self.is_strict(),
            PeerAt::Https => matches!(self.peer_at(), PeerAt::Https),
        }
    }

    /// What the client URLs speak that it advertises.
    pub const fn client_scheme(self) -> Scheme {
        match self {
            Self::Tls | Self::Sealed => Scheme::Https,
            _ => Scheme::Http,
        }
    }

    /// Whether only a migration with `--strict` comes by here.
    pub const fn is_strict(self) -> bool {
        matches!(self, Self::Beside | Self::Bridge)
    }

    /// In words.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Plain => "plain HTTP",
            Self::Loopback => "plain HTTP, on the loopback port too",
            Self::Certs => "certificates in force, HTTP still served",
            Self::Beside => "certificates in force, HTTP still served, for peers on their second port too",
            Self::Bridge => "HTTPS for peers, HTTP on their second port; for clients HTTP still served",
            Self::Tls => "HTTPS, plain HTTP on the loopback port only",
            Self::Sealed => "HTTPS only",
        }
    }
}
