//! How a command reaches other machines: by the user's own ssh.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::address::refusal;
use super::{Context, Failure};
use crate::host::process::ProcessHost;
use crate::host::ssh::{Ssh, SshOptions};
use crate::host::{Host, HostError, Service};
use crate::inventory::{Inventory, Member};
use crate::systemd::SystemdService;

/// How ssh is used.
#[derive(Debug, Clone, Args)]
pub(super) struct ReachArgs {
    /// Become root by `sudo -n` on hosts where ssh does not log in as root.
    #[arg(long = "become")]
    become_root: bool,
    /// Another configuration file for ssh than your own.
    #[arg(long, value_name = "FILE", env = "ETCDPKI_SSH_CONFIG")]
    ssh_config: Option<PathBuf>,
}

impl ReachArgs {
    /// With what an inventory says of sudo.
    pub(super) fn options(&self, become_root: bool) -> SshOptions {
        SshOptions { config: self.ssh_config.clone(), become_root: self.become_root || become_root }
    }

    /// Whether sudo was asked for.
    pub(super) const fn becomes_root(&self) -> bool {
        self.become_root
    }
}

/// Connects to the machine that ssh knows as `destination`, under the name that people are told.
pub(super) fn connect(name: &str, destination: &str, options: &SshOptions) -> Result<Ssh, Failure> {
    Ssh::connect(name, destination, options.clone())
        .map_err(|error| Failure::no(error.code(), error.to_string()).hint(error.hint()))
}

/// A member's machine, and the unit that runs etcd there.
pub(super) type Reached = (Arc<dyn Host>, Box<dyn Service>);

/// Connects to an inventory's member: its machine and its unit, or the directory of a rehearsal's.
pub(super) fn member(
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
    let destination = with_user(ssh, inventory.cluster.ssh_user.as_deref());
    let unit = member.unit.as_deref().or(inventory.cluster.unit.as_deref());
    connected(context, &member.name, &destination, options, unit)
}

/// Connects to a machine, and finds the unit that runs etcd there.
pub(super) fn connected(
    context: &Context,
    name: &str,
    destination: &str,
    options: &SshOptions,
    unit: Option<&str>,
) -> Result<Reached, Failure> {
    let host = connect(name, destination, options)?;
    if host.dials_by_shell() {
        let what = "its sshd forwards no connections; etcd is reached through a shell there instead";
        context.out.warning(format_args!("{name}: {what}"));
    }
    with_unit(Arc::new(host), unit)
}

/// The unit that runs etcd on a machine.
pub(super) fn with_unit(host: Arc<dyn Host>, unit: Option<&str>) -> Result<Reached, Failure> {
    let service = SystemdService::find(Arc::clone(&host), unit).map_err(|error| match error {
        HostError::Ssh(error) => Failure::no(error.code(), error.to_string()).hint(error.hint()),
        error => Failure::no("no-unit", error.to_string())
            .hint("name it with --unit, or with unit = \"…\" in the inventory"),
    })?;
    Ok((host, Box::new(service)))
}

/// A destination as typed: what ssh would take for an option is none, and neither is an address of etcd.
pub(super) fn destination(text: &str) -> Result<String, String> {
    let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.chars().any(|c| c.is_whitespace() || c.is_control())
    };
    let has_port = host.matches(':').count() == 1 || host.starts_with('[');
    let is_url = text.contains("://") && !text.starts_with("ssh://");
    if plain(text) && plain(host) && !is_url && (!has_port || text.starts_with("ssh://")) {
        return Ok(text.to_owned());
    }
    Err(refusal("that is no host for ssh", "give [USER@]HOST without scheme and port, such as root@10.0.0.1"))
}

/// A destination with the user that holds for all, where it names none.
pub(super) fn with_user(destination: &str, user: Option<&str>) -> String {
    match user {
        Some(user) if !destination.contains('@') => format!("{user}@{destination}"),
        _ => destination.to_owned(),
    }
}

/// What others are told of us who find a machine's lock taken.
pub(super) fn operator() -> String {
    let user =
        std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "somebody".to_owned());
    let machine = rustix::system::uname();
    let machine = machine.nodename().to_string_lossy().into_owned();
    format!("{user}@{machine}, process {}, since {}", std::process::id(), crate::migrate::now())
}
