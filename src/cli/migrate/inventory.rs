//! From an inventory, or one member's host, to members that can be reached.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::reach::{self, Reached, connect, connected, with_user};
use super::super::{Context, Failure};
use super::ClusterArgs;
use super::pairs::Pairs;
use super::user;
use crate::etcd::client::User;
use crate::files;
use crate::host::ssh::SshOptions;
use crate::inventory::{Cluster, Inventory, Member};
use crate::migrate::around::{Place, Proxy, Surroundings};
use crate::migrate::{Node, discover};

/// Where certificates go when nothing else is said.
const SSL_DIR: &str = "/etc/ssl/etcd";

/// Where the inventory is when nothing else is said.
const INVENTORY: &str = "cluster.toml";

/// What is known of a cluster before its members are reached.
pub(super) struct Known {
    pub(super) inventory: Inventory,
    options: SshOptions,
    /// It was found through its members list, so that who is behind each address is still to be made sure of.
    found: bool,
    /// The member that was asked, reached already.
    first: Option<(String, Reached)>,
}

/// The cluster's members with their pairs. Connects to all of them at once.
pub(super) fn nodes(context: &Context, cluster: &ClusterArgs) -> Result<Vec<Node>, Failure> {
    let mut known = Known::of(context, cluster)?;
    let pairs = Pairs::of(context, cluster)?;
    let user = cluster.user_file.as_deref().map(user::read).transpose()?;
    let members = known.inventory.members.clone();
    let mut reached = known.first.take();
    let (known, pairs, user) = (&known, &pairs, &user);
    std::thread::scope(|scope| {
        let threads: Vec<_> = members
            .iter()
            .map(|member| {
                let first = reached.take_if(|(name, _)| *name == member.name).map(|(_, reached)| reached);
                scope.spawn(move || {
                    let reached = match first {
                        Some(reached) => reached,
                        None => known.reach(context, member)?,
                    };
                    node(&known.inventory, member, pairs, reached, user.as_ref())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("connecting does not panic")).collect()
    })
}

/// What stands around the members: their own machines, and those of the proxies that the inventory names.
pub(super) fn surroundings(
    context: &Context,
    cluster: &ClusterArgs,
    nodes: &[Node],
) -> Result<Surroundings, Failure> {
    // A rehearsal's members live on this machine, whose units are nobody's business.
    let known = match &cluster.host {
        Some(_) => None,
        None => Some(Known::of(context, cluster)?),
    };
    let inventory = known.as_ref().map(|known| &known.inventory);
    let rehearsed = |name: &str| {
        inventory.is_some_and(|all| all.members.iter().any(|m| m.name == name && m.process.is_some()))
    };
    let mut places: Vec<Place> = nodes
        .iter()
        .filter(|node| !rehearsed(&node.name))
        .map(|node| Place {
            name: node.name.clone(),
            host: Arc::clone(&node.host),
            addresses: Vec::new(),
            ssl_dir: node.ssl_dir.clone(),
            member_unit: Some(node.service.name().to_owned()),
            proxy: None,
        })
        .collect();
    if let Some(known) = &known {
        let inventory = &known.inventory;
        for proxy in inventory.proxies.iter().filter(|proxy| proxy.ssh.is_some()) {
            let ssh = proxy.ssh.as_deref().unwrap_or_default();
            let destination = with_user(ssh, inventory.cluster.ssh_user.as_deref());
            let ssl_dir = inventory.cluster.ssl_dir.clone().unwrap_or_else(|| PathBuf::from(SSL_DIR));
            places.push(Place {
                name: proxy.name.clone(),
                host: Arc::new(connect(&proxy.name, &destination, &known.options)?),
                addresses: proxy.ips.clone(),
                ssl_dir,
                member_unit: None,
                proxy: Some(Proxy { kind: proxy.kind, unit: proxy.unit.clone() }),
            });
        }
    }
    if places.is_empty() {
        return Ok(Surroundings::default());
    }
    Ok(Surroundings { places, pairs: Pairs::of(context, cluster)?.all() })
}

impl Known {
    pub(super) fn of(context: &Context, cluster: &ClusterArgs) -> Result<Self, Failure> {
        if let Some(host) = &cluster.host {
            return Self::find(context, cluster, host);
        }
        let path = match &cluster.inventory {
            Some(path) => path.clone(),
            None if files::kind_at(Path::new(INVENTORY))?.is_some() => PathBuf::from(INVENTORY),
            None => {
                let message = format!("no member is named, and there is no {INVENTORY} here");
                return Err(Failure::usage("no-inventory", message).hint(
                    "name any member's host, as in `etcd-pki migrate plan root@172.16.0.101`, or give the cluster's \
                     description with --inventory FILE (`plan … --print-inventory` writes one)",
                ));
            }
        };
        let mut inventory = Inventory::load(&path)?;
        if inventory.members.is_empty() {
            return Err(Failure::no("no-members", format!("{} names no member", path.display()))
                .hint("add a [[member]] with its name and ips"));
        }
        fill(&mut inventory.cluster, cluster);
        let options = cluster.reach.options(inventory.cluster.become_root);
        Ok(Self { inventory, options, found: false, first: None })
    }

    /// Asks a member who the others are.
    fn find(context: &Context, cluster: &ClusterArgs, destination: &str) -> Result<Self, Failure> {
        let mut inventory = Inventory {
            cluster: Cluster { become_root: cluster.reach.becomes_root(), ..Cluster::default() },
            ..Inventory::default()
        };
        fill(&mut inventory.cluster, cluster);
        let options = cluster.reach.options(false);
        let (host, service) =
            connected(context, destination, destination, &options, inventory.cluster.unit.as_deref())?;
        let failure = |error: crate::migrate::MigrateError| {
            Failure::no(error.code(), error.to_string()).hint(error.hint())
        };
        let name = discover::etcd_name(&*host, &*service).map_err(failure)?;
        let asked = Member { name: name.clone(), ..Member::default() };
        let pairs = Pairs::of(context, cluster)?;
        let user = cluster.user_file.as_deref().map(user::read).transpose()?;
        let node = node(&inventory, &asked, &pairs, (host, service), user.as_ref())?;
        let found = discover::members(&node).map_err(failure)?;
        if found.iter().all(|member| member.name != name) {
            let names: Vec<_> = found.iter().map(|member| member.name.as_str()).collect();
            let message = format!(
                "{destination}: etcd there is named {name}; the members list has {}",
                names.join(", ")
            );
            return Err(Failure::no("wrong-host", message).hint("describe the cluster in a cluster.toml"));
        }
        let user_at = destination.rsplit_once('@').map(|(user, _)| user);
        inventory.members = found
            .into_iter()
            .map(|member| {
                let there = member.peer_hosts.first().map(|host| with_user(host, user_at));
                let ssh = if member.name == name { Some(destination.to_owned()) } else { there };
                Member { name: member.name, ips: member.ips, dns: member.dns, ssh, ..Member::default() }
            })
            .collect();
        let reached = (node.host, node.service);
        Ok(Self { inventory, options, found: true, first: Some((name, reached)) })
    }

    /// The cluster as a `cluster.toml`, with the units as they are found on the members; a member that cannot be reached
    /// is told and kept.
    pub(super) fn describe(mut self, context: &Context) -> Result<Inventory, Failure> {
        let mut reached = self.first.take();
        for i in 0..self.inventory.members.len() {
            let member = self.inventory.members[i].clone();
            let there = match reached.take_if(|(name, _)| *name == member.name) {
                Some((_, reached)) => Ok(reached),
                None => self.reach(context, &member),
            };
            match there {
                Ok((_, service)) if member.unit.is_none() && member.process.is_none() => {
                    self.inventory.members[i].unit = Some(service.name().to_owned());
                }
                Ok(_) => {}
                Err(failure) => context.out.warning(failure.message),
            }
        }
        // What others named is checked as if it had been typed.
        let text = toml::to_string(&self.inventory).unwrap_or_default();
        Ok(Inventory::parse(&text, Path::new(INVENTORY))?)
    }

    /// Connects to a member's machine and finds its unit.
    fn reach(&self, context: &Context, member: &Member) -> Result<Reached, Failure> {
        let (host, service) = reach::member(context, &self.inventory, member, &self.options)?;
        if self.found {
            let name = discover::etcd_name(&*host, &*service)
                .map_err(|error| Failure::no(error.code(), error.to_string()).hint(error.hint()))?;
            if name != member.name {
                let message = format!(
                    "{}: etcd there is named {name}; the members list calls it {}",
                    member.ssh.as_deref().unwrap_or_default(),
                    member.name
                );
                return Err(Failure::no("wrong-host", message).hint(
                    "write a cluster.toml (`migrate plan … --print-inventory > cluster.toml`), and correct its ssh = \"…\"",
                ));
            }
        }
        Ok((host, service))
    }
}

/// What the command line adds to an inventory's word on the whole cluster.
fn fill(into: &mut Cluster, cluster: &ClusterArgs) {
    into.unit = into.unit.take().or_else(|| cluster.unit.clone());
    into.ssl_dir = into.ssl_dir.take().or_else(|| cluster.ssl_dir.clone());
}

fn node(
    inventory: &Inventory,
    member: &Member,
    pairs: &Pairs,
    (host, service): Reached,
    user: Option<&User>,
) -> Result<Node, Failure> {
    let ssl_dir = member.ssl_dir.clone().or_else(|| inventory.cluster.ssl_dir.clone());
    let ssl_dir = ssl_dir.unwrap_or_else(|| PathBuf::from(SSL_DIR));
    let node = Node::new(&member.name, host, service, ssl_dir, pairs.pair(&member.name)?);
    let node = node.map_err(|error| Failure::no(error.code(), error.to_string()).hint(error.hint()))?;
    Ok(match user {
        Some(user) => node.speaking_as(user.clone()),
        None => node,
    })
}
