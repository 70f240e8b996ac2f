//! The cluster as what stands around it reaches it.

use std::collections::{BTreeMap, BTreeSet};

use crate::etcd::ports;
use crate::etcd::{ClientUrl, Scheme};
use crate::systemd::endpoints::Known;

use super::super::node::Node;
use super::super::observe::Observed;
use super::place::Place;

/// The cluster as stations reach it.
pub(super) struct Ways {
    /// `host:port` of every plain-text client listener as it is advertised.
    pub(super) plain: Vec<String>,
    /// The ports of the members' client listeners.
    ports: BTreeSet<u16>,
    /// The https client URLs when the migration is over.
    pub(super) https: Vec<String>,
    /// The https client URLs while it lasts.
    pub(super) meanwhile: Vec<String>,
    /// The members' own https listener as their machine reaches it, by name.
    pub(super) local: BTreeMap<String, String>,
    /// The members and their peer URLs, as `--initial-cluster` names them.
    pub(super) cluster: String,
    /// Whether `etcdctl` there speaks v2 unless told otherwise.
    pub(super) v2: bool,
}

impl Ways {
    pub(super) fn of(nodes: &[Node], observed: &Observed) -> Self {
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
                let urls =
                    ClientUrl::list(sight.base.get(flag).map_or("", String::as_str)).unwrap_or_default();
                urls.into_iter().filter(|url| url.at().port() != ports::LEGACY).collect::<Vec<_>>()
            };
            for url in urls("advertise-client-urls") {
                ways.plain.push(url.at().to_string());
                ways.https.push(url.with_scheme(Scheme::Https).to_string());
                ways.meanwhile.push(
                    ClientUrl::new(Scheme::Https, url.at().with_port(ports::TEMPORARY_HTTPS)).to_string(),
                );
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
    pub(super) fn known(&self, place: &Place) -> Known {
        let mut listeners: BTreeSet<String> = self.plain.iter().cloned().collect();
        if place.member_unit.is_some() {
            for port in self.ports.iter().chain([&ports::LEGACY]) {
                listeners.extend(["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}")));
            }
        }
        Known { listeners }
    }
}
