//! A throw-away cluster: members on loopback addresses of their own, with the ports they have in production.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::etcd::client::{Client, Endpoint};
use crate::etcd::{ClientUrl, HostPort, PeerUrl, Scheme};
use crate::files::{self, FileError, FileMode, Meta};
use crate::host::command;
use crate::host::process::{DirError, ProcessDir, ProcessHost, Unit};
use crate::host::supervisor::{Request, Supervised};
use crate::inventory;

/// The port clients use.
pub const CLIENT_PORT: u16 = 2379;
/// The port members use among themselves.
pub const PEER_PORT: u16 = 2380;
/// The plain-text port that stays on the loopback address.
pub const LEGACY_PORT: u16 = crate::migrate::stage::LEGACY_PORT;
/// Where https is served during the migration, on versions that cannot serve it beside http.
pub const SECOND_PORT: u16 = crate::migrate::stage::SECOND_PORT;
/// Where members find each other for a while with `--strict`.
pub const SECOND_PEER_PORT: u16 = 2382;

/// The most members that can be asked for; etcd itself advises seven at most.
pub const MOST_MEMBERS: u8 = 9;

/// How long a new cluster may take until every member is healthy.
const HEALTHY_WITHIN: Duration = Duration::from_secs(60);

/// The etcd binary and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// Its absolute path.
    pub path: PathBuf,
    /// Such as `3.4.23`.
    pub version: String,
}

/// Why a cluster could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The addresses would leave the loopback net.
    #[error("{members} members from {base} on do not fit into 127.0.0.0/8")]
    Addresses {
        /// The first address.
        base: Ipv4Addr,
        /// How many members.
        members: u8,
    },
    /// A member's directory could not be used.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A signal came while it started.
    #[error("interrupted")]
    Interrupted,
    /// There is no etcd in PATH.
    #[error("there is no etcd in PATH")]
    NoEtcd,
    /// The file is not an etcd that runs here.
    #[error("{path} is no etcd that runs here: {what}")]
    NotEtcd {
        /// The file.
        path: PathBuf,
        /// What it said or the system said.
        what: String,
    },
    /// A port is taken.
    #[error("{address} is in use")]
    PortInUse {
        /// The address and port.
        address: SocketAddr,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address and port.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A member did not become healthy.
    #[error("{member} did not become healthy within {} s: {what}", HEALTHY_WITHIN.as_secs())]
    Unhealthy {
        /// The member.
        member: String,
        /// What was seen last.
        what: String,
    },
    /// A supervisor could not be started.
    #[error("{member}: cannot start its supervisor: {source}")]
    Supervisor {
        /// The member.
        member: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Finds etcd and asks it for its version.
///
/// # Errors
/// [`ClusterError::NoEtcd`], [`ClusterError::NotEtcd`].
pub fn find_etcd(given: Option<&Path>) -> Result<Binary, ClusterError> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => {
            let search = std::env::var_os("PATH").unwrap_or_default();
            let mut candidates = std::env::split_paths(&search).map(|dir| dir.join("etcd"));
            candidates.find(|path| path.is_file()).ok_or(ClusterError::NoEtcd)?
        }
    };
    let wrong = |what: String| ClusterError::NotEtcd { path: path.clone(), what };
    let path = path.canonicalize().map_err(|error| wrong(error.to_string()))?;
    let mut ask = command::command(&path);
    // ETCD_* variables of the caller's would count as settings.
    ask.arg("--version").env_clear();
    if let Some((name, value)) = unsupported_architecture() {
        ask.env(name, value);
    }
    let output = command::run(ask, b"", Duration::from_secs(10)).map_err(|error| wrong(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.lines().find_map(|line| line.strip_prefix("etcd Version:")).map(str::trim);
    let version = version.ok_or_else(|| wrong("`--version` does not print `etcd Version:`".to_owned()))?;
    Ok(Binary { version: version.to_owned(), path })
}

/// etcd up to 3.4 refuses to run on ARM unless it is told that this is known.
fn unsupported_architecture() -> Option<(&'static str, &'static str)> {
    cfg!(target_arch = "aarch64").then_some(("ETCD_UNSUPPORTED_ARCH", "arm64"))
}

/// The addresses of so many members, one after the other from `base` on.
///
/// # Errors
/// [`ClusterError::Addresses`] when they do not all lie in 127.0.0.0/8.
pub fn addresses(base: Ipv4Addr, members: u8) -> Result<Vec<Ipv4Addr>, ClusterError> {
    let first = u32::from(base);
    let all: Option<Vec<_>> =
        (0..u32::from(members)).map(|i| first.checked_add(i).map(Ipv4Addr::from)).collect();
    all.filter(|all| all.iter().all(Ipv4Addr::is_loopback)).ok_or(ClusterError::Addresses { base, members })
}

/// Checks that every port of every address is free.
///
/// # Errors
/// [`ClusterError::PortInUse`], [`ClusterError::Listen`].
pub fn check_ports(addresses: &[Ipv4Addr]) -> Result<(), ClusterError> {
    for &address in addresses {
        for port in [CLIENT_PORT, PEER_PORT, LEGACY_PORT, SECOND_PORT, SECOND_PEER_PORT] {
            let address = SocketAddr::from((address, port));
            match TcpListener::bind(address) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                    return Err(ClusterError::PortInUse { address });
                }
                Err(source) => return Err(ClusterError::Listen { address, source }),
            }
        }
    }
    Ok(())
}

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
    pub fn url(&self, scheme: Scheme, port: u16) -> ClientUrl {
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

/// A URL at an address.
pub fn url(address: Ipv4Addr, scheme: Scheme, port: u16) -> ClientUrl {
    PeerUrl::new(scheme, HostPort::from(SocketAddr::from((address, port))))
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
            .map(|(name, address)| format!("{name}={}", url(*address, Scheme::Http, PEER_PORT)))
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
                ..Endpoint::direct(member.url(Scheme::Http, CLIENT_PORT), None)
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
    let client = url(address, Scheme::Http, CLIENT_PORT).to_string();
    let peer = url(address, Scheme::Http, PEER_PORT).to_string();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stay_on_the_loopback_net() {
        let base = Ipv4Addr::new(127, 0, 1, 254);
        let all = addresses(base, 3).unwrap();
        assert_eq!(all[2], Ipv4Addr::new(127, 0, 2, 0));
        assert!(addresses(Ipv4Addr::new(10, 0, 0, 1), 1).is_err());
        assert!(addresses(Ipv4Addr::new(127, 255, 255, 255), 2).is_err());
        assert!(addresses(Ipv4Addr::BROADCAST, 2).is_err());
    }

    #[test]
    fn a_taken_port_is_named() {
        let address = Ipv4Addr::new(127, 63, 0, 1);
        let taken = TcpListener::bind((address, LEGACY_PORT)).unwrap();
        let Err(ClusterError::PortInUse { address }) = check_ports(&[address]) else {
            panic!("it is taken");
        };
        assert_eq!(address, taken.local_addr().unwrap());
    }

    #[test]
    fn what_is_no_etcd_is_said() {
        let missing = find_etcd(Some(Path::new("/nonexistent/etcd"))).unwrap_err();
        assert!(matches!(missing, ClusterError::NotEtcd { .. }), "{missing}");
        let other = find_etcd(Some(Path::new("/bin/true"))).unwrap_err();
        assert!(other.to_string().contains("does not print"), "{other}");
    }
}
