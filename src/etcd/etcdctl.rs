//! The members API through `etcdctl` on a member's host: the last resort where the gateway and v2 are both off, as with
//! `--config-file` on 3.4. gRPC is always served.

use std::io::Write;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::client::snapshot::copy_checked;
use super::client::v3::{AlarmsWire, LeaseWire, MembersWire, StatusWire, UsersWire};
use super::client::{Alarm, MemberList, Status};
use super::error::{EtcdError, Fault};
use super::types::{ClientUrl, MemberId, PeerUrl};
use crate::files::{FileMode, Meta};
use crate::host::ssh::excerpt;
use crate::host::{Host, HostError, RunOutput};

/// Where the pair and the CA are, on the host that runs `etcdctl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairFiles {
    /// The CA to trust.
    pub ca: String,
    /// The certificate.
    pub cert: String,
    /// Its key.
    pub key: String,
}

/// `etcdctl` of any version from 3.0 on, speaking v3 to one member.
pub struct Etcdctl<'a> {
    url: ClientUrl,
    files: Option<PairFiles>,
    run: &'a dyn Fn(&[&str]) -> Result<RunOutput, HostError>,
}

type Result<T, E = EtcdError> = std::result::Result<T, E>;

impl std::fmt::Debug for Etcdctl<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Etcdctl").field("url", &self.url).finish_non_exhaustive()
    }
}

impl<'a> Etcdctl<'a> {
    /// Speaks to `url` as seen from where `run` runs a command line.
    pub const fn new(
        url: ClientUrl,
        files: Option<PairFiles>,
        run: &'a dyn Fn(&[&str]) -> Result<RunOutput, HostError>,
    ) -> Self {
        Self { url, files, run }
    }

    /// The members. Unlike the gateway's, the list of 3.5's etcdctl is linearizable: it needs a quorum.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub fn members(&self) -> Result<MemberList> {
        let list = MemberList::from(self.json::<MembersWire>(&["member", "list"])?);
        list.checked().map_err(|fault| self.error("member list", fault))
    }

    /// Gives a member other peer URLs; needs a quorum.
    ///
    /// # Errors
    /// [`EtcdError`]; an empty list is refused.
    pub fn update_peer_urls(&self, id: MemberId, urls: &[PeerUrl]) -> Result<()> {
        if urls.is_empty() {
            return Err(self.error("member update", Fault::malformed("a member needs at least one peer URL")));
        }
        let urls = format!("--peer-urls={}", super::types::join(urls));
        self.call(&["member", "update", &id.to_string(), &urls]).map(drop)
    }

    /// Moves leadership from this member, which must lead, to another.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub fn move_leader(&self, to: MemberId) -> Result<()> {
        self.call(&["move-leader", &to.to_string()]).map(drop)
    }

    /// Where the member stands.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub fn status(&self) -> Result<Status> {
        #[derive(serde::Deserialize)]
        struct One {
            #[serde(rename = "Status")]
            status: StatusWire,
        }
        let mut found: Vec<One> = self.json(&["endpoint", "status"])?;
        match (found.pop(), found.is_empty()) {
            (Some(one), true) => Ok(one.status.into()),
            _ => Err(self.error("endpoint status", Fault::malformed("not the status of one endpoint"))),
        }
    }

    /// Proves that a commit goes through this member: a lease granted and revoked.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub fn commit_probe(&self) -> Result<()> {
        let lease: LeaseWire = self.json(&["lease", "grant", "10"])?;
        self.call(&["lease", "revoke", &format!("{:x}", lease.id)]).map(drop)
    }

    /// The names of the users of its authentication.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub fn users(&self) -> Result<Vec<String>> {
        self.json::<UsersWire>(&["user", "list"]).map(|wire| wire.users)
    }

    /// Proves that a linearizable read goes through this member.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub fn read_probe(&self) -> Result<()> {
        self.call(&["get", "health", "--keys-only"]).map(drop)
    }

    /// Writes a snapshot of the member's v3 data to `sink`, its hash checked; returns its length in bytes. It passes
    /// through the file `path` on the host, which is removed again.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub fn snapshot(&self, host: &dyn Host, path: &Path, sink: &mut dyn Write) -> Result<u64> {
        let failed =
            |error: HostError| self.error("snapshot save", Fault::Command { what: error.to_string() });
        let dir = path.parent().unwrap_or(path);
        host.make_dir(dir, Meta::mode(FileMode::SECRET_DIR)).map_err(failed)?;
        host.remove(path).map_err(failed)?;
        self.call(&["snapshot", "save", &path.to_string_lossy()])?;
        let image = host.read(path).map_err(failed)?;
        host.remove(path).map_err(failed)?;
        let bytes = image.map(|image| image.bytes).unwrap_or_default();
        copy_checked(&bytes, sink).map_err(|what| self.error("snapshot save", Fault::malformed(what)))
    }

    /// The alarms that are raised in the cluster.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub fn alarms(&self) -> Result<Vec<Alarm>> {
        self.json::<AlarmsWire>(&["alarm", "list"]).map(Into::into)
    }

    fn json<T: DeserializeOwned>(&self, words: &[&str]) -> Result<T> {
        let output = self.call(&[words, &["-w", "json"]].concat())?;
        serde_json::from_slice(&output.stdout)
            .map_err(|error| self.error(&words.join(" "), Fault::malformed(error)))
    }

    fn call(&self, words: &[&str]) -> Result<RunOutput> {
        let url = self.url.to_string();
        // A variable beside its flag is fatal, and 3.3 speaks v2 unless told otherwise.
        let mut argv = vec!["env"];
        for variable in ["ETCDCTL_ENDPOINTS", "ETCDCTL_CACERT", "ETCDCTL_CERT", "ETCDCTL_KEY"] {
            argv.extend(["-u", variable]);
        }
        argv.extend(["ETCDCTL_API=3", "etcdctl", "--endpoints", &url]);
        if let Some(files) = &self.files {
            argv.extend(["--cacert", &files.ca, "--cert", &files.cert, "--key", &files.key]);
        }
        argv.extend(words);
        let call = words.iter().take(2).copied().collect::<Vec<_>>().join(" ");
        let output = (self.run)(&argv)
            .map_err(|error| self.error(&call, Fault::Command { what: error.to_string() }))?;
        if output.status == Some(0) {
            return Ok(output);
        }
        Err(self.error(&call, fault_of(&String::from_utf8_lossy(&output.stderr))))
    }

    fn error(&self, call: &str, fault: Fault) -> EtcdError {
        EtcdError { url: self.url.to_string(), call: format!("etcdctl {call}"), fault }
    }
}

/// What etcdctl's standard error means. It hides most TLS causes behind a deadline.
fn fault_of(stderr: &str) -> Fault {
    let said = stderr.lines().rev().find(|line| line.starts_with("Error:"));
    let said = said.or_else(|| stderr.lines().rev().find(|line| !line.trim().is_empty())).unwrap_or("");
    let message = excerpt(said.trim_start_matches("Error:").trim());
    let any = |words: &[&str]| words.iter().any(|word| stderr.contains(word));
    if any(&["user name is empty", "invalid auth token", "authentication failed", "permission denied"]) {
        Fault::Auth { message }
    } else if any(&["x509:", "tls:", "authentication handshake failed"]) {
        Fault::Tls { what: message, alert: None }
    } else if any(&["connection refused"]) {
        Fault::Refused
    } else if message.contains("deadline exceeded") {
        Fault::Timeout
    } else {
        Fault::Command { what: format!("etcdctl: {message}") }
    }
}
