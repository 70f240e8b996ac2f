//! A throw-away cluster: members on loopback addresses of their own, with the ports they have in production.

mod address;
mod binary;
mod error;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::etcd::client::{Client, Endpoint};
use crate::etcd::ports;
use crate::etcd::{MemberUrl, Scheme};
use crate::files::{self, FileError, FileMode, Meta};
use crate::host::process::{DirError, ProcessDir, ProcessHost, Unit};
use crate::host::supervisor::{Request, Supervised};
use crate::inventory;
pub use address::{MOST_MEMBERS, addresses, check_ports, url};
use binary::unsupported_architecture;
pub use binary::{Binary, find_etcd};
pub use error::ClusterError;
use error::HEALTHY_WITHIN;

/// A member of the cluster. Dropping it stops it.
#[derive(Debug)]
pub struct Member {
    /// `server1`, …
    pub name: String,
    /// Its own loopback address.
    pub address: Ipv4Addr,
    /// Its directory.
    pub dir: ProcessDir,
    supervised: Supervised,
}

impl Member {
    /// A URL of this member.
    pub fn url(&self, scheme: Scheme, port: u16) -> MemberUrl {
        url(self.address, scheme, port)
    }

    /// It as the migration sees it.
    ///
    /// # Errors
    /// [`DirError`]
    pub fn host(&self) -> Result<ProcessHost, DirError> {
        ProcessHost::open(&self.name, self.dir.path())
    }
}

/// A running cluster. Dropping it stops every member.
#[derive(Debug)]
pub struct Cluster {
    /// Its members.
    pub members: Vec<Member>,
}

impl Cluster {
    /// Starts members below `dir` on plain HTTP, and waits until all are healthy.
    ///
    /// `exe` is this program, which supervises each of them; `v2` switches the v2 API on where it is off by default.
    ///
    /// # Errors
    /// [`ClusterError`]; what was started is stopped again.
    pub fn start(
        exe: &Path,
        dir: &Path,
        etcd: &Binary,
        addresses: &[Ipv4Addr],
        v2: bool,
        stop: &AtomicBool,
    ) -> Result<Self, ClusterError> {
        check_ports(addresses)?;
        let named: Vec<_> = (1..).map(|i| format!("server{i}")).zip(addresses.iter().copied()).collect();
        let all = named
            .iter()
            .map(|(name, address)| format!("{name}={}", url(*address, Scheme::Http, ports::PEER)))
            .collect::<Vec<_>>()
            .join(",");
        let mut members = Vec::new();
        for (name, address) in named {
            let dir = ProcessDir::new(dir.join(&name));
            let unit =
                Unit { exec: vec![etcd.path.to_string_lossy().into_owned()], address: IpAddr::from(address) };
            dir.create(&unit, &base_environment(&name, address, &dir, &all, v2))?;
            let supervised = Supervised::spawn(exe, &dir)
                .map_err(|source| ClusterError::Supervisor { member: name.clone(), source })?;
            members.push(Member { name, address, dir, supervised });
        }
        for member in &members {
            member
                .supervised
                .control()
                .ask(Request::Start)
                .map_err(|source| ClusterError::Supervisor { member: member.name.clone(), source })?;
        }
        let cluster = Self { members };
        cluster.wait_until_healthy(stop)?;
        Ok(cluster)
    }

    fn wait_until_healthy(&self, stop: &AtomicBool) -> Result<(), ClusterError> {
        let end = Instant::now() + HEALTHY_WITHIN;
        for member in &self.members {
            let endpoint = Endpoint {
                timeout: Duration::from_secs(2),
                ..Endpoint::direct(member.url(Scheme::Http, ports::CLIENT), None)
            };
            let client = Client::new(endpoint);
            loop {
                let what = match client.health() {
                    Ok(health) if health.healthy => break,
                    Ok(health) => health.reason.unwrap_or(health.body),
                    Err(error) => error.to_string(),
                };
                if stop.load(Ordering::Relaxed) {
                    return Err(ClusterError::Interrupted);
                }
                if Instant::now() > end {
                    let what = format!("{what}; {}", last_words(&member.dir));
                    return Err(ClusterError::Unhealthy { member: member.name.clone(), what });
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(())
    }

    /// Writes the inventory that describes the cluster, with one client.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn write_inventory(&self, path: &Path, client: &str) -> Result<(), FileError> {
        let member = |member: &Member| inventory::Member {
            name: member.name.clone(),
            ips: vec![member.address.into()],
            dns: Vec::new(),
            ssh: None,
            unit: None,
            ssl_dir: Some(member.dir.ssl()),
            process: Some(member.dir.path().to_owned()),
        };
        let inventory = inventory::Inventory {
            cluster: inventory::Cluster { name: Some("rehearsal".to_owned()), ..Default::default() },
            members: self.members.iter().map(member).collect(),
            clients: vec![inventory::Client {
                name: client.to_owned(),
                ips: Vec::new(),
                dns: Vec::new(),
                ssh: None,
            }],
            proxies: Vec::new(),
        };
        let text = toml::to_string(&inventory).expect("an inventory can be written as TOML");
        files::create_new(path, text.as_bytes(), Meta::mode(FileMode::PUBLIC))
    }

    /// Lets every member run on when this process ends.
    ///
    /// # Errors
    /// As the system says, when a supervisor is gone.
    pub fn keep(mut self) -> std::io::Result<()> {
        std::mem::take(&mut self.members).into_iter().try_for_each(|member| member.supervised.keep())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // All at once, then each is waited for: one after the other, the last would wait for a quorum in vain.
        for member in &mut self.members {
            member.supervised.let_go();
        }
    }
}

fn base_environment(
    name: &str,
    address: Ipv4Addr,
    dir: &ProcessDir,
    all: &str,
    v2: bool,
) -> BTreeMap<String, String> {
    let client = url(address, Scheme::Http, ports::CLIENT).to_string();
    let peer = url(address, Scheme::Http, ports::PEER).to_string();
    let mut base = BTreeMap::new();
    let mut set = |name: &str, value: String| base.insert(name.to_owned(), value);
    set("ETCD_NAME", name.to_owned());
    set("ETCD_DATA_DIR", dir.data().to_string_lossy().into_owned());
    set("ETCD_LISTEN_CLIENT_URLS", client.clone());
    set("ETCD_ADVERTISE_CLIENT_URLS", client);
    set("ETCD_LISTEN_PEER_URLS", peer.clone());
    set("ETCD_INITIAL_ADVERTISE_PEER_URLS", peer);
    set("ETCD_INITIAL_CLUSTER", all.to_owned());
    set("ETCD_INITIAL_CLUSTER_STATE", "new".to_owned());
    set("ETCD_INITIAL_CLUSTER_TOKEN", "rehearsal".to_owned());
    if v2 {
        set("ETCD_ENABLE_V2", "true".to_owned());
    }
    if let Some((variable, value)) = unsupported_architecture() {
        set(variable, value.to_owned());
    }
    base
}

/// The last lines of a member's log, for an error that would otherwise send its reader to a directory that is gone.
fn last_words(dir: &ProcessDir) -> String {
    let log = files::read(&dir.log()).ok().flatten().map(|image| image.bytes).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<_> = log.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}
