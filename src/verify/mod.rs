//! Judges certificates the way etcd, a Go program, does.
//!
//! [`judge`] is a pure function: bytes in, a verdict and findings out. The verdict is what etcd itself would do, by
//! the rules of the Go release it was built with; findings say why, in etcd's own words, and what to do; lints on
//! top never change the verdict. The pitfalls have stable codes and pages in [`pitfalls`].

mod asn1;
pub mod certificate;
mod chain;
mod constrained;
mod constraints;
mod cure;
mod der;
pub mod explain;
mod extensions;
mod findings;
mod go;
mod godebug;
mod host_name;
mod input;
mod judge;
mod key;
mod key_owner;
mod lints;
mod memo;
mod names;
pub mod on_disk;
mod parse_error;
mod peer;
mod pem;
pub mod pitfalls;
mod policies;
mod policy_graph;
mod pool;
pub mod probe;
mod public_key;
mod quote;
pub mod report;
mod revoked;
mod san;
pub mod served;
mod signature;
pub mod target;
mod uris;
mod when;

use std::net::IpAddr;

use ::time::OffsetDateTime;
use serde::Serialize;

use crate::advice::Advice;
pub use cure::renewal;
pub use go::{EtcdVersion, GoVersion, UnknownVersion};
pub use input::{CaFile, Trust};
pub use judge::{judge, judge_each, leaf_of};
pub use key_owner::name_owner;
pub use parse_error::ParseError;
pub use pitfalls::{Code, Pitfall, catalogue};
pub use public_key::{Curve, PublicKey};
pub use revoked::{CrlFile, grpc_only, is_crl, is_pem_list, to_der};
pub use served::covers;

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// etcd's client port: judged as a client does.
    Server,
    /// A member's peer certificate: judged as a server by those who dial it, as a client by those it dials.
    Peer,
    /// Whoever dials a client port.
    Client,
    /// A proxy: both, and without a common name.
    Proxy,
}

impl Role {
    /// Whether somebody dials it.
    pub fn serves(self) -> bool {
        !matches!(self, Self::Client)
    }

    /// Whether it dials with its certificate.
    pub fn dials(self) -> bool {
        !matches!(self, Self::Server)
    }

    /// `server`, `peer`, `client` or `proxy`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Peer => "peer",
            Self::Client => "client",
            Self::Proxy => "proxy",
        }
    }
}

/// Which of a role's sides are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sides {
    /// All that the role has.
    #[default]
    Both,
    /// Only what those ask who dial it.
    Dialled,
    /// Only what those ask whom it dials.
    Dialling,
}

/// What is judged, and against what.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// PEM as in `--cert-file`: the leaf first, then intermediates in any order.
    pub chain: &'a [u8],
    /// PEM as in `--key-file`; without it the pair is not judged.
    pub key: Option<&'a [u8]>,
    /// PEM as in `--trusted-ca-file`.
    pub ca: &'a [u8],
    /// The CA file as it was read before, for many certificates; `ca` is then not looked at.
    pub trust: Option<&'a Trust<'a>>,
    /// Further intermediates, PEM, as if they were sent along; may be empty.
    pub extra_chain: &'a [u8],
    /// What the certificate is for.
    pub role: Role,
    /// Which sides of it.
    pub sides: Sides,
    /// Names and addresses that are dialled: each must be covered.
    pub hosts: &'a [String],
    /// The address a peer or proxy dials from, as the others see it.
    pub source_ip: Option<IpAddr>,
    /// When.
    pub at: OffsetDateTime,
    /// Whose rules.
    pub go: GoVersion,
    /// A server that demands client certificates: its own gateway then shows the server's certificate as a client.
    pub client_cert_auth: bool,
    /// What the system's resolver says of `source_ip` and the DNS SANs; `None` where nobody asked.
    pub lookups: Option<&'a Lookups>,
    /// The revocation list that etcd was given; `None` where it has none.
    pub crl: Option<&'a CrlFile>,
    /// PEM of the CA from which a cure would issue, up to its root: that of the PKI directory; `None` where it is not known.
    pub issuer: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// A chain, a CA and a role, now, by the newest rules, with nothing else known.
    pub fn new(chain: &'a [u8], ca: &'a [u8], role: Role) -> Self {
        Self {
            chain,
            key: None,
            ca,
            trust: None,
            extra_chain: &[],
            role,
            sides: Sides::Both,
            hosts: &[],
            source_ip: None,
            at: OffsetDateTime::now_utc(),
            go: GoVersion::NEWEST,
            client_cert_auth: false,
            lookups: None,
            crl: None,
            issuer: None,
        }
    }
}

/// Answers of a resolver, which etcd's peer check asks for.
#[derive(Debug, Clone, Default)]
pub struct Lookups {
    /// The names of the source address (reverse).
    pub reverse: Vec<String>,
    /// Names and the addresses they have (forward).
    pub forward: Vec<(String, Vec<IpAddr>)>,
}

/// What etcd would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Let it in.
    Accept,
    /// Refuse it.
    Reject,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Accepted, and will bite.
    Warning,
    /// Refused, or about to be.
    Error,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which pitfall.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// What was found, in this file.
    pub message: String,
    /// What etcd or its client prints.
    pub etcd_says: Option<String>,
    /// What to do, as a command where there is one.
    pub fix: Option<Advice>,
}

impl Serialize for Finding {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = serializer.serialize_struct("Finding", 6)?;
        out.serialize_field("code", &self.code)?;
        out.serialize_field("etcd_says", &self.etcd_says)?;
        out.serialize_field("fix", &self.fix)?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("name", self.code.name())?;
        out.serialize_field("severity", &self.severity)?;
        out.end()
    }
}

/// A verdict and what led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What etcd would do.
    pub verdict: Verdict,
    /// The findings, what decided the verdict first.
    pub findings: Vec<Finding>,
    /// The leaf, where there is one that can be read.
    pub leaf: Option<Leaf>,
}

/// What a leaf says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The subject for people.
    pub subject: String,
    /// The common name; may be empty.
    pub common_name: String,
    /// The last moment it is valid.
    pub not_after: OffsetDateTime,
    /// DNS and IP SANs, as written.
    pub hosts: Vec<String>,
    /// Whether it may be used by servers.
    pub for_servers: bool,
    /// Whether it may be used by clients.
    pub for_clients: bool,
    /// Whether it is a CA.
    pub is_ca: bool,
    /// Whether subject and issuer are the same.
    pub self_issued: bool,
}
