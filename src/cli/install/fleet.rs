//! `install --from cluster.toml`: all nodes at once, each for itself.

use std::path::{Path, PathBuf};
use std::sync::mpsc;

use serde_json::{Value, json};

use super::super::reach::{connect, with_user};
use super::super::{Context, Exit, Failure, Outcome};
use super::place::{self, Job, Placed};
use super::report::{self, Document};
use super::{InstallArgs, SSL_DIR, place_remote};
use crate::inventory::Inventory;

/// A node of the inventory.
struct Node {
    job: Job,
    /// Where ssh reaches it.
    ssh: Option<String>,
}

/// Places everybody's pair, all nodes at once; one that fails is told, and the others go on.
pub(super) fn run(context: &Context, args: &InstallArgs, path: &Path) -> Outcome {
    let inventory = Inventory::load(path)?;
    let mut nodes = nodes(context, args, &inventory);
    if !args.names.is_empty() {
        if let Some(unknown) = args.names.iter().find(|name| nodes.iter().all(|node| node.job.name != **name))
        {
            return Err(Failure::usage("no-such-node", format!("{} has no {unknown}", path.display()))
                .hint("name members, proxies or clients of that file, or none of them for all"));
        }
        nodes.retain(|node| args.names.contains(&node.job.name));
    }
    if nodes.is_empty() {
        return Err(Failure::no("no-members", format!("{} names no node", path.display()))
            .hint("add a [[member]] with its name, ips and ssh"));
    }
    let options = args.reach.options(inventory.cluster.become_root);
    let one = |node: &Node| -> Result<Placed, Failure> {
        let job = &node.job;
        let bundle = place::bundle(context, &job.name)?;
        let ssh = node.ssh.as_ref().ok_or_else(|| {
            Failure::no("no-host", "the inventory does not say where it runs")
                .hint(format!("add ssh = \"user@host\" to {}", job.name))
        })?;
        let destination = with_user(ssh, inventory.cluster.ssh_user.as_deref());
        let host = connect(&job.name, &destination, &options)?;
        place_remote(context, args, &host, job, bundle)
    };
    let (tell, told) = mpsc::channel();
    let results = std::thread::scope(|scope| {
        for (at, node) in nodes.iter().enumerate() {
            let (tell, one) = (tell.clone(), &one);
            scope.spawn(move || tell.send((at, one(node))).expect("who is told waits for everybody"));
        }
        drop(tell);
        let mut results: Vec<Option<Result<Placed, Failure>>> = nodes.iter().map(|_| None).collect();
        for (at, result) in told {
            let result = result.map_err(|failure| failure.at(&context.invocation));
            show(context, args, &nodes[at], &result);
            results[at] = Some(result);
        }
        results
    });
    let results: Vec<_> = nodes.iter().zip(results.into_iter().flatten()).collect();
    finish(context, args, &results)
}

/// A line of a node, as soon as it is done.
fn show(context: &Context, args: &InstallArgs, node: &Node, result: &Result<Placed, Failure>) {
    match result {
        Ok(placed) => {
            for warning in &placed.plan.warnings {
                context.out.warning(format_args!("{}: {warning}", node.job.name));
            }
            report::line(context, placed, args.dry_run);
        }
        // With --json it stands in the one document.
        Err(_) if context.global.json => {}
        Err(failure) => {
            let message = told(&node.job.name, &failure.message);
            context.out.error(&message, failure.hint.as_ref());
        }
    }
}

/// A message with the node's name, once.
fn told(name: &str, message: &str) -> String {
    if message.starts_with(&format!("{name}: ")) { message.to_owned() } else { format!("{name}: {message}") }
}

fn finish(context: &Context, args: &InstallArgs, results: &[(&Node, Result<Placed, Failure>)]) -> Outcome {
    let failed: Vec<&str> = results
        .iter()
        .filter(|(_, result)| result.is_err())
        .map(|(node, _)| node.job.name.as_str())
        .collect();
    let changed = !args.dry_run
        && results.iter().any(|(_, result)| match result {
            Ok(placed) => !placed.is_empty(),
            Err(failure) => failure.exit == Exit::Failed,
        });
    let exit = match (failed.is_empty(), changed) {
        (true, _) => Exit::Done,
        (false, true) => Exit::Failed,
        (false, false) => Exit::No,
    };
    if context.global.json {
        let hosts: Vec<Value> = results
            .iter()
            .map(|(node, result)| match result {
                Ok(placed) => json!(Document::of(placed, args.dry_run)),
                Err(failure) => json!({ "name": node.job.name, "error": {
                    "code": failure.code, "message": failure.message, "hint": failure.hint,
                }}),
            })
            .collect();
        context.out.json(&json!({ "dry_run": args.dry_run, "changed": changed, "hosts": hosts }));
    }
    if changed {
        context.out.check()?;
    }
    if context.global.json {
        return Ok(exit);
    }
    if failed.is_empty() {
        return Ok(exit);
    }
    let message = format!("{} of {} nodes failed: {}", failed.len(), results.len(), failed.join(", "));
    Err(Failure::new(exit, "nodes-failed", message)
        .hint("mend what is said above, then run this again: what is in place stays as it is"))
}

/// The inventory's nodes: members, proxies, and the clients that it gives an ssh address.
fn nodes(context: &Context, args: &InstallArgs, inventory: &Inventory) -> Vec<Node> {
    let cluster = &inventory.cluster;
    let to = |own: Option<&PathBuf>| {
        let dir = args.to.as_ref().or(own).or(cluster.ssl_dir.as_ref());
        dir.cloned().unwrap_or_else(|| SSL_DIR.into())
    };
    let node = |name: &str, to, unit: Option<&String>, owner: Option<&str>, ssh: Option<&String>| Node {
        job: Job {
            name: name.to_owned(),
            to,
            owner: args.owner.clone().or_else(|| owner.map(str::to_owned)),
            unit: unit.cloned(),
            is_image: false,
        },
        ssh: ssh.cloned(),
    };
    let mut nodes: Vec<Node> = Vec::new();
    for member in &inventory.members {
        let unit = member.unit.as_ref().or(cluster.unit.as_ref());
        nodes.push(node(&member.name, to(member.ssl_dir.as_ref()), unit, None, member.ssh.as_ref()));
    }
    for proxy in &inventory.proxies {
        nodes.push(node(&proxy.name, to(None), None, None, proxy.ssh.as_ref()));
    }
    for client in &inventory.clients {
        if client.ssh.is_none() {
            context.out.detail(format_args!("{}: no ssh address: its pair is left where it is", client.name));
            continue;
        }
        // Whoever uses it there is not known: root, unless --owner says who.
        nodes.push(node(&client.name, to(None), None, Some("root"), client.ssh.as_ref()));
    }
    nodes
}
