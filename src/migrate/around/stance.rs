//! What a station is, and how it reaches the cluster.

/// How a station reaches the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stance {
    /// As it did before this tool came.
    AsWas,
    /// A proxy by https too; everything else by plain text on the loopback port.
    Loopback,
    /// By https with a certificate of its own.
    Https,
}

/// What a station is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// flannel.
    Flannel,
    /// fleet.
    Fleet,
    /// A unit that calls `etcdctl`.
    Etcdctl,
    /// `etcd --proxy on`.
    V2Proxy,
    /// `etcd grpc-proxy`.
    GrpcProxy,
    /// Anything else that names an endpoint.
    Other,
}

impl Kind {
    /// In words.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Flannel => "flannel",
            Self::Fleet => "fleet",
            Self::Etcdctl => "calls etcdctl",
            Self::V2Proxy => "a v2 proxy",
            Self::GrpcProxy => "a gRPC proxy",
            Self::Other => "names an endpoint",
        }
    }

    pub(super) const fn is_proxy(self) -> bool {
        matches!(self, Self::V2Proxy | Self::GrpcProxy)
    }
}

/// One station brought to one stance.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Moved {
    /// The machine.
    pub host: String,
    /// The unit.
    pub unit: String,
    /// What it is.
    pub kind: Kind,
    /// Where it went.
    pub stance: Stance,
    /// Whether a member runs on that machine.
    #[serde(skip)]
    pub on_member: bool,
    /// Whether it was restarted for that.
    pub restarted: bool,
}

impl Moved {
    /// Where it goes, in words.
    pub const fn describe(&self) -> &'static str {
        match self.stance {
            Stance::AsWas => "as it was",
            _ if self.kind.is_proxy() => "https with a certificate, where members speak it",
            Stance::Loopback if self.on_member => "the loopback port",
            Stance::Loopback => "the proxy beside it",
            Stance::Https => "https with a certificate of its own",
        }
    }
}
