//! What stands around the members: proxies, and units on the hosts that reach etcd by endpoints they name.
//!
//! They move in the pause between the two rolls: proxies get certificates, so that they follow the members whichever
//! scheme these speak; units that name plain-text endpoints of their own host move to the loopback port, where plain text
//! stays. `migrate clients` takes them on to https with certificates of their own. On the way back they return first.

mod aim;
mod bring;
mod find;
mod following;
mod moving;
mod plan;
mod process;
mod proxy;
mod station;
mod works;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::etcd::{PeerUrl, Scheme};
use crate::host::Host;
use crate::inventory::ProxyKind;
use crate::systemd::endpoints::Known;

use super::error::MigrateError;
use super::node::{Node, Pair};
use super::observe::Observed;
use super::stage::{LEGACY_PORT, SECOND_PORT};
use super::traces::Traces;

/// A machine with something on it that reaches the cluster.
pub struct Place {
    /// The inventory's name.
    pub name: String,
    /// The machine.
    pub host: Arc<dyn Host>,
    /// Its addresses, as the members see them; needed of proxies only.
    pub addresses: Vec<IpAddr>,
    /// Where certificates go.
    pub ssl_dir: PathBuf,
    /// The unit of the member that runs there, which is not ours to look at here.
    pub member_unit: Option<String>,
    /// The proxy that the inventory names there.
    pub proxy: Option<Proxy>,
}

/// A proxy that the inventory names.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Which of the two.
    pub kind: ProxyKind,
    /// Its unit; found when not named.
    pub unit: Option<String>,
}

/// Everything around the members.
#[derive(Default)]
pub struct Surroundings {
    /// The machines.
    pub places: Vec<Place>,
    /// Pairs for what runs on them, by name.
    pub pairs: BTreeMap<String, Pair>,
}

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

    const fn is_proxy(self) -> bool {
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

/// The cluster as stations reach it.
struct Ways {
    /// `host:port` of every plain-text client listener as it is advertised.
    plain: Vec<String>,
    /// The ports of the members' client listeners.
    ports: BTreeSet<u16>,
    /// The https client URLs when the migration is over.
    https: Vec<String>,
    /// The https client URLs while it lasts.
    meanwhile: Vec<String>,
    /// The members' own https listener as their machine reaches it, by name.
    local: BTreeMap<String, String>,
    /// The members and their peer URLs, as `--initial-cluster` names them.
    cluster: String,
    /// Whether `etcdctl` there speaks v2 unless told otherwise.
    v2: bool,
}

impl Ways {
    fn of(nodes: &[Node], observed: &Observed) -> Self {
        let mut ways = Self {
            plain: Vec::new(),
            ports: BTreeSet::new(),
            https: Vec::new(),
            meanwhile: Vec::new(),
            local: BTreeMap::new(),
            cluster: String::new(),
            v2: false,
        };
        for (node, sight) in nodes.iter().zip(&observed.members) {
            let urls = |flag: &str| {
                let urls = PeerUrl::list(sight.base.get(flag).map_or("", String::as_str)).unwrap_or_default();
                urls.into_iter().filter(|url| url.at().port() != LEGACY_PORT).collect::<Vec<_>>()
            };
            for url in urls("advertise-client-urls") {
                ways.plain.push(url.at().to_string());
                ways.https.push(url.with_scheme(Scheme::Https).to_string());
                ways.meanwhile.push(PeerUrl::new(Scheme::Https, url.at().with_port(SECOND_PORT)).to_string());
            }
            for url in urls("listen-client-urls") {
                ways.ports.insert(url.at().port());
                let here = url.at().ip().is_none_or(|ip| ip.is_unspecified() || ip.is_loopback());
                if here {
                    let local = format!("https://{}:{}", node.host.loopback(), url.at().port());
                    ways.local.entry(node.name.clone()).or_insert(local);
                }
            }
            for url in &sight.peer_urls {
                let comma = if ways.cluster.is_empty() { "" } else { "," };
                ways.cluster.push_str(&format!("{comma}{}={url}", node.name));
            }
            ways.v2 |= sight.version.starts_with("3.3.") || sight.version.starts_with("2.");
        }
        ways
    }

    /// What units on a machine may name.
    fn known(&self, place: &Place) -> Known {
        let mut listeners: BTreeSet<String> = self.plain.iter().cloned().collect();
        if place.member_unit.is_some() {
            for port in self.ports.iter().chain([&LEGACY_PORT]) {
                listeners.extend(["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}")));
            }
        }
        Known { listeners }
    }
}

/// How long a station may take to work again, and how often it is looked at.
#[derive(Debug, Clone, Copy)]
struct Patience {
    most: Duration,
    pause: Duration,
}

impl Surroundings {
    /// Brings every station to a stance, one machine and one unit at a time; returns how many had to be moved. One that
    /// is further than a stance stays there, unless the way leads back. `tell` hears of each before it is touched.
    ///
    /// # Errors
    /// [`MigrateError::Around`] when one does not work afterwards, [`MigrateError::NoPair`] when one has no certificate.
    fn bring(
        &self,
        ways: &Ways,
        (stance, back): (Stance, bool),
        timeout: Duration,
        tell: &mut dyn FnMut(Moved) -> Result<(), MigrateError>,
    ) -> Result<usize, MigrateError> {
        let mut count = 0;
        for place in &self.places {
            for station in find::stations(place, &ways.known(place))? {
                if !back && station.stance(self, ways)? > stance {
                    continue;
                }
                let moved = station.told(stance);
                let moved = station.bring(self, ways, stance, timeout, &mut |restarted| {
                    tell(Moved { restarted, ..moved.clone() })
                })?;
                count += usize::from(moved);
            }
            // What is left are directories that several shared; on a member's machine they go with the member's own.
            if stance == Stance::AsWas && place.member_unit.is_none() {
                Traces::load(&*place.host)?.put_all_back()?;
            }
        }
        Ok(count)
    }

    /// Where every station stands.
    fn stand(&self, ways: &Ways) -> Result<Vec<Moved>, MigrateError> {
        let mut all = Vec::new();
        for place in &self.places {
            for station in find::stations(place, &ways.known(place))? {
                all.push(station.told(station.stance(self, ways)?));
            }
        }
        Ok(all)
    }
}

fn trouble(place: &Place, unit: &str, what: impl Into<String>) -> MigrateError {
    MigrateError::Around { host: place.name.clone(), unit: unit.to_owned(), what: what.into() }
}
