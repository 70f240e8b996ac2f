//! A member's API by whatever way it serves it: each of its listeners in turn, the v3 gateway or v2, and where both
//! are switched off (3.4 with `--config-file`), or the gateway does not want us, `etcdctl` on its host.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::etcd::etcdctl::{Etcdctl, PairFiles};
use crate::etcd::{
    Alarm, Client, ClientUrl, EtcdError, Fault, MemberId, MemberList, PeerStream, PeerUrl, Scheme, Status,
};
use crate::files::{FileMode, Meta};
use crate::host::{HostError, RunOutput};
use crate::inventory::pair_files::{self, CA_FILE};

use super::node::Node;
use super::settings::Settings;
use super::trouble::Trouble;

/// How long `etcdctl` may take.
const ETCDCTL: Duration = Duration::from_secs(10);

/// A member that is spoken to.
pub(super) struct Speaker<'a> {
    node: &'a Node,
    urls: Vec<ClientUrl>,
}

type Result<T> = std::result::Result<T, EtcdError>;

impl<'a> Speaker<'a> {
    /// A member by the listeners that it runs with.
    pub(super) fn to(node: &'a Node, running: &Settings) -> Self {
        Self { node, urls: node.client_urls(running) }
    }

    pub(super) fn members(&self) -> Result<MemberList> {
        self.first(Client::members, |ctl| ctl.members())
    }

    pub(super) fn update_peer_urls(&self, id: MemberId, urls: &[PeerUrl]) -> Result<()> {
        self.first(|client| client.update_peer_urls(id, urls), |ctl| ctl.update_peer_urls(id, urls))
    }

    pub(super) fn move_leader(&self, to: MemberId) -> Result<()> {
        self.first(|client| client.move_leader(to), |ctl| ctl.move_leader(to))
    }

    pub(super) fn status(&self) -> Result<Status> {
        self.first(Client::status, |ctl| ctl.status())
    }

    pub(super) fn alarms(&self) -> Result<Vec<Alarm>> {
        self.first(Client::alarms, |ctl| ctl.alarms())
    }

    /// A commit goes through it; a linearizable read where authentication forbids that.
    pub(super) fn commit(&self) -> Result<()> {
        let probe = |client: &Client| {
            client.commit_probe().or_else(|error| match error.fault {
                Fault::Auth { .. } => client.read_probe(),
                _ => Err(error),
            })
        };
        self.first(probe, |ctl| ctl.commit_probe())
    }

    /// A linearizable read goes through it.
    pub(super) fn read(&self) -> Result<()> {
        self.first(Client::read_probe, |ctl| ctl.read_probe())
    }

    /// The users of its authentication; only a user with the role root may see them.
    pub(super) fn users(&self) -> Result<Vec<String>> {
        self.first(Client::users, |ctl| ctl.users())
    }

    /// Whether it serves v2 and there is anything in it.
    pub(super) fn has_v2_data(&self) -> bool {
        self.urls.iter().any(|url| self.node.client(url).has_v2_data().unwrap_or(false))
    }

    /// `Ok` when it says that it is healthy.
    pub(super) fn health(&self) -> std::result::Result<(), Trouble> {
        let mut why = Trouble::from("no client listener answers");
        for url in &self.urls {
            match self.node.client(url).health() {
                Ok(health) if health.healthy => return Ok(()),
                Ok(health) => {
                    let what = health.reason.unwrap_or(health.body);
                    why = format!("it says that it is not healthy: {}", what.trim()).into();
                }
                Err(error) => why = error.into(),
            }
        }
        Err(why)
    }

    /// Its streams with its peers; none where it does not tell.
    pub(super) fn peer_streams(&self) -> Option<BTreeMap<MemberId, PeerStream>> {
        self.urls.iter().find_map(|url| self.node.client(url).peer_streams().ok()).flatten()
    }

    /// Writes a snapshot of the v3 data, of at most `limit` bytes, to `sink`, its hash checked; returns its length in bytes.
    pub(super) fn snapshot(&self, sink: &mut dyn Write, limit: u64) -> Result<u64> {
        let sink = RefCell::new(sink);
        let path = self.node.host.state_dir().join("snapshot.db");
        self.first(
            |client| client.snapshot(&mut **sink.borrow_mut(), limit),
            |ctl| ctl.snapshot(&*self.node.host, &path, &mut **sink.borrow_mut()),
        )
    }

    fn first<T>(
        &self,
        by_client: impl Fn(&Client) -> Result<T>,
        by_etcdctl: impl Fn(&Etcdctl<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut last = EtcdError {
            url: self.node.name.clone(),
            call: "connect".to_owned(),
            fault: Fault::Unreachable { what: "it has no client listener".to_owned() },
        };
        for url in &self.urls {
            match by_client(&self.node.client(url)) {
                Ok(answer) => return Ok(answer),
                Err(error) if self.wants_etcdctl(&error.fault) => {
                    let run = |argv: &[&str]| self.run(argv);
                    match by_etcdctl(&Etcdctl::new(url.clone(), self.files(url), &run)) {
                        Ok(answer) => return Ok(answer),
                        // Where there is no etcdctl, what the gateway said still holds.
                        Err(_) if matches!(error.fault, Fault::Auth { .. }) => last = error,
                        Err(error) => last = error,
                    }
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Whether gRPC may do what the gateway does not. 3.3's gateway forgets the user where it streams (a snapshot).
    fn wants_etcdctl(&self, fault: &Fault) -> bool {
        let forgotten = matches!(fault, Fault::Auth { .. }) && self.node.user().is_some();
        *fault == Fault::NotFound || refuses_common_name(fault) || forgotten
    }

    /// Runs `etcdctl` there, as the user if there is one: through a file that only root reads, so that the password stands
    /// on no command line.
    fn run(&self, argv: &[&str]) -> std::result::Result<RunOutput, HostError> {
        const AS_USER: &str = r#"ETCDCTL_USER=$(cat "$1") && export ETCDCTL_USER && shift && exec "$@""#;
        let host = &*self.node.host;
        let Some(user) = self.node.user() else { return host.run(argv, ETCDCTL) };
        let path = host.state_dir().join("etcdctl-user");
        let words = Zeroizing::new(format!("{}:{}", user.name, user.password.as_str()));
        host.make_dir(&host.state_dir(), Meta::mode(FileMode::SECRET_DIR))?;
        host.place(&path, words.as_bytes(), Meta::mode(FileMode::SECRET))?;
        let shown = path.to_string_lossy();
        let output = host.run(&[&["sh", "-c", AS_USER, "sh", &shown], argv].concat(), ETCDCTL);
        host.remove(&path)?;
        output
    }

    /// Where the pair is on the member's host, for https.
    fn files(&self, url: &ClientUrl) -> Option<PairFiles> {
        let file = |name: String| self.node.ssl_dir.join(name).to_string_lossy().into_owned();
        (url.scheme() == Scheme::Https).then(|| PairFiles {
            ca: file(CA_FILE.to_owned()),
            cert: file(pair_files::cert_file(&self.node.name)),
            key: file(pair_files::key_file(&self.node.name)),
        })
    }
}

/// With authentication on, the gateway takes no request with a certificate that has a common name, although gRPC does
/// (3.4.23 and 3.5.30, with client certificates demanded).
fn refuses_common_name(fault: &Fault) -> bool {
    matches!(fault, Fault::Server { status: 400, message, .. } if message.starts_with("CommonName of client"))
}
