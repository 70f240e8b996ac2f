//! `cluster.toml`: the cluster's members, clients and proxies, with their addresses and where they are reached.

mod load;
pub mod names;
pub mod pair_files;
pub mod reference;
mod unknown;

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use load::InventoryError;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Inventory {
    /// What holds for all.
    #[serde(default)]
    pub cluster: Cluster,
    /// The members.
    #[serde(default, rename = "member", skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// The clients that get a certificate.
    #[serde(default, rename = "client", skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<Client>,
    /// The proxies in front of the cluster.
    #[serde(default, rename = "proxy", skip_serializing_if = "Vec::is_empty")]
    pub proxies: Vec<Proxy>,
}

impl Inventory {
    /// Whether it has no entry that could get a certificate.
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty() && self.clients.is_empty() && self.proxies.is_empty()
    }
}

/// What holds for all members.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cluster {
    /// The cluster's name.
    pub name: Option<String>,
    /// The unit that runs etcd, such as `etcd.service`.
    pub unit: Option<String>,
    /// Where certificates go on a node; `/etc/ssl/etcd` when absent.
    pub ssl_dir: Option<PathBuf>,
    /// The ssh user for all.
    pub ssh_user: Option<String>,
    /// Become root by sudo where ssh does not log in as root.
    #[serde(default, rename = "become", skip_serializing_if = "std::ops::Not::not")]
    pub become_root: bool,
}

/// A member.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Member {
    /// Its name: of its certificate, and etcd's `--name`.
    pub name: String,
    /// Its addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<IpAddr>,
    /// Its DNS names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    /// `[user@]host` where ssh reaches it.
    pub ssh: Option<String>,
    /// Its unit, where it differs.
    pub unit: Option<String>,
    /// Where its certificates go, where it differs.
    pub ssl_dir: Option<PathBuf>,
    /// The directory of a supervised local etcd (a rehearsal's member) instead of a host.
    pub process: Option<PathBuf>,
}

/// A client that gets a certificate.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Client {
    /// Its name: the certificate's CN.
    pub name: String,
    /// Its addresses, if any should stand in the certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<IpAddr>,
    /// Its DNS names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    /// `[user@]host` where ssh reaches it, if its pair is to be placed there.
    pub ssh: Option<String>,
}

/// A proxy in front of the cluster.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Proxy {
    /// Its name.
    pub name: String,
    /// Its addresses: the source address must be among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<IpAddr>,
    /// `[user@]host` where ssh reaches it.
    pub ssh: Option<String>,
    /// `v2` or `grpc`.
    pub kind: ProxyKind,
    /// Its unit, where it is not found.
    pub unit: Option<String>,
}

/// The two kinds of etcd proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyKind {
    /// `etcd --proxy on`, 3.4 and older.
    V2,
    /// `etcd grpc-proxy start`.
    Grpc,
}
