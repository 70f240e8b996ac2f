//! From the inventory to members that can be reached.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::{Context, Failure};
use crate::ca::Store;
use crate::host::process::ProcessHost;
use crate::inventory::{Inventory, Member};
use crate::migrate::{Node, Pair};

/// Where certificates go when nothing else is said.
const SSL_DIR: &str = "/etc/ssl/etcd";

/// The inventory's members, with their pairs from the PKI directory.
pub(super) fn nodes(context: &Context, path: &Path) -> Result<Vec<Node>, Failure> {
    let inventory = Inventory::load(path)?;
    if inventory.members.is_empty() {
        return Err(Failure::no("no-members", format!("{} names no member", path.display()))
            .hint("add a [[member]] with its name and ips"));
    }
    let store = Store::at(&context.global.pki_dir);
    inventory.members.iter().map(|member| node(&inventory, member, &store)).collect()
}

fn node(inventory: &Inventory, member: &Member, store: &Store) -> Result<Node, Failure> {
    let Some(dir) = &member.process else {
        return Err(Failure::no("no-host", format!("{}: the inventory does not say where it runs", member.name))
            .hint("members on hosts reached by ssh are not migrated by this version; `process = DIR` names a rehearsal's"));
    };
    let host = ProcessHost::open(&member.name, dir)
        .map_err(|error| Failure::no("no-host", format!("{}: {error}", member.name)))?;
    let service = Box::new(host.service());
    let ssl_dir = member.ssl_dir.clone().or_else(|| inventory.cluster.ssl_dir.clone());
    let pair = match store.pair(&member.name)? {
        None => None,
        Some(pair) => Some(Pair { cert_pem: pair.cert_pem, key_pem: pair.key_pem, ca_pem: store.ca_pem()? }),
    };
    let node = Node::new(
        &member.name,
        Arc::new(host),
        service,
        ssl_dir.unwrap_or_else(|| PathBuf::from(SSL_DIR)),
        pair,
    );
    node.map_err(|error| Failure::no(error.code(), error.to_string()).hint(error.hint()))
}
