//! From the inventory to members that can be reached.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::{Context, Failure};
use super::ClusterArgs;
use crate::ca::Store;
use crate::host::process::ProcessHost;
use crate::host::ssh::{Ssh, SshOptions};
use crate::host::{Host, Service};
use crate::inventory::{Inventory, Member};
use crate::migrate::{Node, Pair};
use crate::systemd::SystemdService;

/// Where certificates go when nothing else is said.
const SSL_DIR: &str = "/etc/ssl/etcd";

/// The inventory's members, with their pairs from the PKI directory. Connects to all of them at once.
pub(super) fn nodes(context: &Context, cluster: &ClusterArgs) -> Result<Vec<Node>, Failure> {
    let path = &cluster.inventory;
    let inventory = Inventory::load(path)?;
    if inventory.members.is_empty() {
        return Err(Failure::no("no-members", format!("{} names no member", path.display()))
            .hint("add a [[member]] with its name and ips"));
    }
    let store = Store::at(&context.global.pki_dir);
    let options = SshOptions {
        config: cluster.ssh_config.clone(),
        become_root: cluster.become_root || inventory.cluster.become_root,
    };
    let reach = &|member| {
        let (host, service) = reach(context, &inventory, member, &options)?;
        node(&inventory, member, &store, host, service)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            inventory.members.iter().map(|member| scope.spawn(move || reach(member))).collect();
        threads.into_iter().map(|thread| thread.join().expect("connecting does not panic")).collect()
    })
}

/// A member's machine, and the unit that runs etcd there.
type Reached = (Arc<dyn Host>, Box<dyn Service>);

/// Connects to a member's machine and finds its unit.
fn reach(
    context: &Context,
    inventory: &Inventory,
    member: &Member,
    options: &SshOptions,
) -> Result<Reached, Failure> {
    let no_host = |what: &dyn std::fmt::Display| Failure::no("no-host", format!("{}: {what}", member.name));
    if let Some(dir) = &member.process {
        let host = ProcessHost::open(&member.name, dir).map_err(|error| {
            no_host(&error).hint("its process = \"…\" names the directory of a member that `etcd-pki rehearse --keep` left running")
        })?;
        let service = Box::new(host.service());
        return Ok((Arc::new(host), service));
    }
    let Some(ssh) = &member.ssh else {
        return Err(no_host(&"the inventory does not say where it runs")
            .hint("add ssh = \"user@host\" to its [[member]]"));
    };
    let destination = match &inventory.cluster.ssh_user {
        Some(user) if !ssh.contains('@') => format!("{user}@{ssh}"),
        _ => ssh.clone(),
    };
    let host = Ssh::connect(&member.name, destination, options.clone())
        .map_err(|error| Failure::no(error.code(), error.to_string()).hint(error.hint()))?;
    if host.dials_by_shell() {
        let what = "its sshd forwards no connections; etcd is reached through a shell there instead";
        context.out.warning(format_args!("{}: {what}", member.name));
    }
    let host: Arc<dyn Host> = Arc::new(host);
    let unit = member.unit.as_deref().or(inventory.cluster.unit.as_deref());
    let service = SystemdService::find(Arc::clone(&host), unit).map_err(|error| {
        Failure::no("no-unit", error.to_string()).hint("name it with unit = \"…\" in the inventory")
    })?;
    Ok((host, Box::new(service)))
}

fn node(
    inventory: &Inventory,
    member: &Member,
    store: &Store,
    host: Arc<dyn Host>,
    service: Box<dyn Service>,
) -> Result<Node, Failure> {
    let ssl_dir = member.ssl_dir.clone().or_else(|| inventory.cluster.ssl_dir.clone());
    let pair = match store.pair(&member.name)? {
        None => None,
        Some(pair) => Some(Pair { cert_pem: pair.cert_pem, key_pem: pair.key_pem, ca_pem: store.ca_pem()? }),
    };
    let node =
        Node::new(&member.name, host, service, ssl_dir.unwrap_or_else(|| PathBuf::from(SSL_DIR)), pair);
    node.map_err(|error| Failure::no(error.code(), error.to_string()).hint(error.hint()))
}
