//! A client of one member: the v3 JSON gateway or the v2 API, whichever it serves.
//!
//! Every call goes to that member and no other, on a new connection unless [`Client::keep_alive`] was asked for: a gate
//! wants to know whether a *new* client gets through, not whether an old connection lives on.

mod answers;
mod auth;
mod http;
mod lines;
mod peers;
mod reply;
pub(super) mod snapshot;
mod v2;
pub(super) mod v3;
mod watch;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::error::{EtcdError, Fault};
use super::tls::Tls;
use super::transport::{Dial, Direct};
use super::types::{MemberId, MemberUrl, PeerUrl, Scheme};
pub use answers::{Alarm, Health, KeyValue, Member, MemberList, Status, Versions};
pub use auth::{Login, User};
use http::Http;
pub use peers::PeerStream;
use reply::{HealthWire, VersionWire};
pub use watch::{Event, Watch};

/// How a member is reached.
#[derive(Clone)]
pub struct Endpoint {
    /// Its URL. With https, the certificate must cover this URL's host.
    pub url: MemberUrl,
    /// The CA to trust and the pair to show; https without it fails.
    pub tls: Option<Arc<Tls>>,
    /// Who opens the connections.
    pub dial: Arc<dyn Dial>,
    /// How long one call may take in all; for a watch, how long it may be silent.
    pub timeout: Duration,
}

impl Endpoint {
    /// A member that is dialled from this machine, with a timeout of five seconds a call.
    pub fn direct(url: MemberUrl, tls: Option<Arc<Tls>>) -> Self {
        Self { url, tls, dial: Arc::new(Direct), timeout: Duration::from_secs(5) }
    }
}

/// Which API a member is spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// `/v2/…`: always on in 3.3 and older, `--enable-v2` in 3.4 and 3.5, gone in 3.6.
    V2,
    /// The JSON gateway of the v3 API.
    V3 {
        /// `/v3` (3.4 and later), `/v3beta` (3.3), `/v3alpha` (3.2 and older).
        prefix: &'static str,
    },
}

/// A client of one member.
pub struct Client {
    http: Http,
    api: OnceLock<Api>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("url", &self.http.base).field("api", &self.api.get()).finish()
    }
}

type Result<T> = std::result::Result<T, EtcdError>;

impl Client {
    /// A client that makes a new connection for every call. Nothing is dialled yet.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { http: Http::new(endpoint, false), api: OnceLock::new() }
    }

    /// A client that keeps its connection between calls, as long-running clients do.
    pub fn keep_alive(endpoint: Endpoint) -> Self {
        Self { http: Http::new(endpoint, true), api: OnceLock::new() }
    }

    /// Speaks this API without asking the member which it serves.
    #[must_use]
    pub fn with_api(self, api: Api) -> Self {
        Self { api: OnceLock::from(api), ..self }
    }

    /// Speaks as a user of etcd's authentication: with a token in v3, by name and password in v2. Where
    /// authentication is off the v3 calls go on without.
    #[must_use]
    pub fn with_user(self, user: User) -> Self {
        self.with_login(&Login::new(user))
    }

    /// The same with a login that other clients share.
    #[must_use]
    pub fn with_login(mut self, login: &Login) -> Self {
        self.http.log_in_as(login);
        self
    }

    /// The URL that is dialled.
    pub const fn url(&self) -> &MemberUrl {
        &self.http.url
    }

    /// Whether it is spoken to in TLS.
    pub fn is_tls(&self) -> bool {
        self.http.url.scheme() == Scheme::Https
    }

    /// The API the member serves: the v3 gateway under its newest path, else v2. Asked once and remembered.
    ///
    /// # Errors
    /// [`Fault::NotFound`] when it serves neither (a 3.4 with `--config-file` has both switched off); otherwise as any
    /// call.
    pub fn api(&self) -> Result<Api> {
        if let Some(api) = self.api.get() {
            return Ok(*api);
        }
        let found = v3::detect(&self.http)?.map_or_else(|| v2::detect(&self.http), Ok)?;
        Ok(*self.api.get_or_init(|| found))
    }

    /// The member's version and the cluster's.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub fn version(&self) -> Result<Versions> {
        let reply = self.http.get("/version")?.ok()?;
        if let Ok(versions) = reply.json::<VersionWire>() {
            return Ok(Versions { server: versions.etcdserver, cluster: versions.etcdcluster });
        }
        Err(reply.fault(Fault::malformed("/version is not as etcd writes it")))
    }

    /// What `/health` says. Unhealthy is an answer, not an error. In 3.4 and older it is a linearizable read through
    /// this member, so it needs a quorum; it is not served on client ports where `--listen-metrics-urls` is set.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub fn health(&self) -> Result<Health> {
        let reply = self.http.get("/health")?;
        // 503 (3.3 and later) and 500 (2.x) come with the same body.
        if reply.status == 404 {
            return Err(reply.fault(Fault::NotFound));
        }
        let wire: HealthWire = reply.json().unwrap_or_default();
        Ok(Health {
            healthy: reply.status == 200 && wire.health.is_true(),
            status: reply.status,
            reason: Some(wire.reason).filter(|reason| !reason.is_empty()),
            body: reply.text(),
        })
    }

    /// The members as this one knows them; needs no quorum.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub fn members(&self) -> Result<MemberList> {
        match self.api()? {
            Api::V2 => v2::members(&self.http),
            Api::V3 { prefix } => v3::members(&self.http, prefix),
        }
    }

    /// The members as a peer port tells them, where this client's URL is a peer URL.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub fn peer_members(&self) -> Result<MemberList> {
        v2::peer_members(&self.http)
    }

    /// Gives a member other peer URLs; needs a quorum. Without one it ends in [`Fault::Timeout`] (v3) or status 500
    /// (v2) and may still be applied later: read the members again.
    ///
    /// # Errors
    /// [`EtcdError`]; an empty list is refused here ([`Fault::Malformed`]), since v3 would take it and the other members
    /// would panic.
    pub fn update_peer_urls(&self, id: MemberId, urls: &[PeerUrl]) -> Result<()> {
        if urls.is_empty() {
            let call = format!("member update {id}");
            return Err(self.http.error(call, Fault::malformed("a member needs at least one peer URL")));
        }
        match self.api()? {
            Api::V2 => v2::update_peer_urls(&self.http, id, urls),
            Api::V3 { prefix } => v3::update_peer_urls(&self.http, prefix, id, urls),
        }
    }

    /// Moves leadership from this member, which must lead, to another (3.3 and later, v3).
    ///
    /// # Errors
    /// [`EtcdError`]; [`Fault::NotFound`] where it serves v2 alone.
    pub fn move_leader(&self, to: MemberId) -> Result<()> {
        match self.api()? {
            Api::V2 => Err(self.http.error("move leader".to_owned(), Fault::NotFound)),
            Api::V3 { prefix } => v3::move_leader(&self.http, prefix, to),
        }
    }

    /// Where the member stands; needs no quorum.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub fn status(&self) -> Result<Status> {
        match self.api()? {
            Api::V2 => {
                let version = self.version()?.server;
                v2::status(&self.http, version)
            }
            Api::V3 { prefix } => v3::status(&self.http, prefix),
        }
    }

    /// Proves that a commit goes through this member: a lease granted and revoked (v3; leaves no key and no revision
    /// behind, and a lease that could not be revoked ends by itself), or a quorum read (v2).
    ///
    /// # Errors
    /// [`EtcdError`]; [`Fault::Auth`] where authentication forbids it.
    pub fn commit_probe(&self) -> Result<()> {
        match self.api()? {
            Api::V2 => v2::quorum_read(&self.http),
            Api::V3 { prefix } => v3::lease_probe(&self.http, prefix),
        }
    }

    /// Proves that a linearizable read goes through this member; it needs a quorum but writes nothing.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub fn read_probe(&self) -> Result<()> {
        match self.api()? {
            Api::V2 => v2::quorum_read(&self.http),
            Api::V3 { prefix } => v3::read_probe(&self.http, prefix),
        }
    }

    /// The names of the users of its authentication.
    ///
    /// # Errors
    /// [`EtcdError`]; [`Fault::Auth`] for a user without the role root, where authentication is on.
    pub fn users(&self) -> Result<Vec<String>> {
        match self.api()? {
            Api::V2 => v2::users(&self.http),
            Api::V3 { prefix } => v3::users(&self.http, prefix),
        }
    }

    /// Whether v2 is served and holds any key; v3's data is apart from it.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub fn has_v2_data(&self) -> Result<bool> {
        v2::has_data(&self.http)
    }

    /// The alarms that are raised in the cluster; v2 knows none.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub fn alarms(&self) -> Result<Vec<Alarm>> {
        match self.api()? {
            Api::V2 => Ok(Vec::new()),
            Api::V3 { prefix } => v3::alarms(&self.http, prefix),
        }
    }

    /// The streams of this member with each of its peers, from `/metrics`; `None` where that is not exported: old versions, a
    /// member that has no peers, or `--listen-metrics-urls` elsewhere.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub fn peer_streams(&self) -> Result<Option<BTreeMap<MemberId, PeerStream>>> {
        let reply = self.http.get("/metrics")?;
        if reply.status == 404 {
            return Ok(None);
        }
        Ok(peers::streams(&reply.ok()?.text()))
    }

    /// Writes a snapshot of the member's v3 data to `sink`, as `etcdctl snapshot save` has it, and checks the hash at its
    /// end; returns its length in bytes.
    ///
    /// # Errors
    /// [`Fault::NotFound`] where only v2 is served; [`Fault::Malformed`] when it is cut short or does not match its hash;
    /// [`Fault::TooLarge`] when it has more than `limit` bytes; [`Fault::Timeout`] when it comes too slowly.
    pub fn snapshot(&self, sink: &mut dyn std::io::Write, limit: u64) -> Result<u64> {
        match self.api()? {
            Api::V2 => Err(self.http.error("snapshot".to_owned(), Fault::NotFound)),
            Api::V3 { prefix } => snapshot::save(&self.http, prefix, sink, limit),
        }
    }

    /// Writes a key; returns the revision (v3) or index (v2) of the write.
    ///
    /// # Errors
    /// [`EtcdError`]; after [`Fault::Timeout`] or [`Fault::Closed`] the write may have happened.
    pub fn put(&self, key: &str, value: &str) -> Result<u64> {
        match self.api()? {
            Api::V2 => v2::put(&self.http, key, value),
            Api::V3 { prefix } => v3::put(&self.http, prefix, key, value),
        }
    }

    /// The keys under a prefix (v2: a directory), read through a quorum.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub fn get_prefix(&self, key_prefix: &str) -> Result<Vec<KeyValue>> {
        match self.api()? {
            Api::V2 => v2::get_prefix(&self.http, key_prefix),
            Api::V3 { prefix } => v3::get_prefix(&self.http, prefix, key_prefix),
        }
    }

    /// Follows the keys under a prefix (v2: a directory) from a revision on. The iterator blocks; silence for the
    /// endpoint's timeout ends it with [`Fault::Timeout`]: watch again from [`Watch::next_revision`], here or at another
    /// member, and nothing is missed.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub fn watch(&self, key_prefix: &str, from: u64) -> Result<Watch<'_>> {
        match self.api()? {
            Api::V2 => Ok(Watch::v2(&self.http, key_prefix, from)),
            Api::V3 { prefix } => Watch::v3(&self.http, prefix, key_prefix, from),
        }
    }
}
