//! Members as they stand: what each runs with and would start with, the files it really uses, judged in their roles
//! against the addresses that it really advertises; and for every two members whether one can dial the other.
//!
//! Nothing is changed. [`look`] observes one member through its [`Host`] and [`Service`]; what is said of it afterwards
//! is a pure function of what was seen.

mod ask;
mod certificates;
mod dials;
pub mod files;
mod look;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;

use ::time::OffsetDateTime;

use crate::advice::Advice;
use crate::etcd::{ClientUrl, Config, PeerUrl};
use crate::host::access::{End, Reader, Walk};
use crate::host::{Host, HostError, Service};
use crate::verify::report::{Judged, Part};
use crate::verify::{CrlFile, EtcdVersion, Finding, GoVersion, Judgement, Severity, Verdict, grpc_only};

pub use dials::{Dial, dials};
pub use look::look;

/// A member, and how it is reached.
pub struct Place {
    /// The inventory's name, or the host's.
    pub name: String,
    /// Its machine.
    pub host: Arc<dyn Host>,
    /// The unit that runs etcd there.
    pub service: Box<dyn Service>,
}

/// What the operator wants members to be judged by, where it is not what they have themselves.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// When; each member's own clock otherwise.
    pub at: Option<OffsetDateTime>,
    /// Whose rules; those of the Go that each member's etcd was built with otherwise.
    pub go: Option<GoVersion>,
    /// Settings of Go, as `GODEBUG` has them, on top of those of each member's etcd.
    pub godebug: String,
    /// The CA that clients trust; a member's own trusted CA file otherwise.
    pub ca: Option<Vec<u8>>,
    /// The CA for members that name none themselves.
    pub spare_ca: Option<Vec<u8>>,
    /// The CA from which a cure would issue, up to its root.
    pub issuer: Option<Vec<u8>>,
}

/// A member as it was seen.
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// What its process runs with, else what the disk would give it.
    pub config: Config,
    /// Whether there is a process.
    pub runs: bool,
    /// What the process runs with that the disk would not give it, and the other way round.
    pub drift: Vec<String>,
    /// What the disk would give it at the next start; `Err` says why it would not start.
    next: Result<Config, String>,
    /// Its etcd's version, where it could be asked for.
    pub version: Option<String>,
    /// Whose rules it judges by.
    pub go: GoVersion,
    /// The time by its clock.
    pub at: OffsetDateTime,
    /// Since when its process runs, in seconds since 1970.
    since: Option<u64>,
    /// Whom etcd runs as.
    pub reader: Option<Reader>,
    /// The files that its settings name, by setting.
    files: BTreeMap<&'static str, Walk>,
    /// Keys of a CA that lie beside them.
    ca_keys: Vec<String>,
    /// The client URLs that it tells others.
    pub client_urls: Vec<ClientUrl>,
    /// The peer URLs that the others dial.
    pub peer_urls: Vec<PeerUrl>,
    /// Whether etcd's authentication is on; `None` where it could not be asked.
    pub authentication: Option<bool>,
    host: Arc<dyn Host>,
}

/// The settings that name a file.
const FILES: [&str; 8] = [
    "cert-file",
    "key-file",
    "trusted-ca-file",
    "client-crl-file",
    "peer-cert-file",
    "peer-key-file",
    "peer-trusted-ca-file",
    "peer-crl-file",
];

impl Member {
    /// What is said of its settings, its files and its certificates.
    pub fn judge(&self, terms: &Terms) -> Vec<Judged> {
        let configuration = Judged {
            source: self.unit.clone(),
            member: Some(self.name.clone()),
            part: Part::Configuration,
            judgement: settings::judge(self),
        };
        std::iter::once(configuration).chain(certificates::judge(self, terms)).collect()
    }

    /// The content of the file that a setting names.
    fn file(&self, setting: &str) -> Option<&[u8]> {
        self.files.get(setting)?.bytes()
    }

    /// The CA file by which it verifies others.
    pub fn trusted_ca(&self) -> Option<&[u8]> {
        self.file("trusted-ca-file").or(self.file("peer-trusted-ca-file"))
    }

    /// Whether its peer port demands certificates: naming a CA is enough from 3.4 on.
    fn demands_peers(&self) -> bool {
        self.config.is_on("peer-client-cert-auth")
            || self.is_set("peer-trusted-ca-file") && self.demands_by_ca_alone()
    }

    /// Whether a trusted CA alone has it demand certificates; so where its release is not known.
    fn demands_by_ca_alone(&self) -> bool {
        self.release().is_none_or(EtcdVersion::demands_by_ca_alone)
    }

    /// Whether its client port demands certificates.
    fn demands_clients(&self) -> bool {
        self.config.is_on("client-cert-auth") || self.is_set("trusted-ca-file") && self.demands_by_ca_alone()
    }

    /// Whether HTTP has client ports of its own, and the others serve gRPC only.
    fn splits_http(&self) -> bool {
        self.is_set("listen-client-http-urls")
    }

    /// Whether its gRPC-only ports let revoked clients in; `None` where its release is not known.
    fn ignores_lists(&self) -> Option<bool> {
        if !self.splits_http() || !self.is_set("client-crl-file") {
            return Some(false);
        }
        self.release().and_then(grpc_only::ignores_lists)
    }

    /// Whether its etcd is known to read revocation lists in PEM.
    fn reads_pem_lists(&self) -> bool {
        self.release().is_some_and(|release| !release.reads_der_lists_only())
    }

    /// Its etcd's release, where it could be asked for.
    fn release(&self) -> Option<EtcdVersion> {
        self.version.as_deref()?.parse().ok()
    }

    /// The revocation list that a setting names; none where it could not be read by us.
    fn list(&self, setting: &str) -> Option<CrlFile> {
        let walk = self.files.get(setting)?;
        if matches!(walk.end, End::Wrong(_)) {
            return None;
        }
        Some(CrlFile::found(&walk.path, walk.bytes(), self.release()))
    }

    fn is_set(&self, setting: &str) -> bool {
        self.config.get(setting).is_some_and(|value| !value.is_empty())
    }
}

/// Findings in the order of their weight, and the verdict that they make.
fn judgement(mut findings: Vec<Finding>, rejected: bool) -> Judgement {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let verdict = if rejected { Verdict::Reject } else { Verdict::Accept };
    Judgement { verdict, findings, leaf: None }
}

fn finding(
    code: crate::verify::Code,
    severity: Severity,
    message: impl Into<String>,
    fix: impl Into<Advice>,
) -> Finding {
    Finding { code, severity, message: message.into(), etcd_says: None, fix: Some(fix.into()) }
}

/// What keeps a member from being looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SurveyError {
    /// Neither its process nor its unit says what it runs with.
    #[error("{member}: {what}")]
    Configuration {
        /// The member.
        member: String,
        /// Why not.
        what: String,
    },
    /// Its machine.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl SurveyError {
    /// A stable name for it.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Configuration { .. } => "no-configuration",
            Self::Host(_) => "no-host",
        }
    }

    /// What to do.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Configuration { .. } => "read its unit: `systemctl cat etcd`",
            Self::Host(_) => "can you reach it as root? --become uses sudo there",
        }
    }
}
