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

/// A destination as typed: what ssh would take for an option is none. Of an etcd URL, or of HOST:PORT with a port of etcd's,
/// the host is what ssh is given.
pub(super) fn destination(text: &str) -> Result<String, String> {
    let text = host_of(text)?;
    let text = text.as_str();
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

/// Ports of etcd that people type behind a host: clients, peers, and their ports before etcd 2.
const ETCD_PORTS: [&str; 5] = ["2378", "2379", "2380", "4001", "7001"];

/// The `[USER@]HOST` of what may be an etcd URL.
fn host_of(text: &str) -> Result<String, String> {
    if let Some((first, _)) = text.split_once(',') {
        let first = host_of(first).unwrap_or_else(|_| first.to_owned());
        let hint = format!("give {first}");
        return Err(refusal("one host is enough, the others are found through it", &hint));
    }
    // ssh has URLs of its own.
    if text.starts_with("ssh://") {
        return Ok(text.to_owned());
    }
    let (url, rest) = match text.split_once("://") {
        Some(("http" | "https", rest)) => (true, rest.trim_end_matches('/')),
        _ => (false, text),
    };
    let (user, host) = rest.rsplit_once('@').map_or((None, rest), |(user, host)| (Some(user), host));
    let with_user = |host: &str| user.map_or_else(|| host.to_owned(), |user| format!("{user}@{host}"));
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => (address, rest.strip_prefix(':')),
        // A bare IPv6 address has more than one colon.
        None => match host.split_once(':') {
            Some((name, port)) if !port.contains(':') => (name, Some(port)),
            _ => (host, None),
        },
    };
    match port {
        Some(port) if url || ETCD_PORTS.contains(&port) => Ok(with_user(name)),
        Some(port) if port.parse::<u16>().is_ok() => {
            let name = with_user(name);
            let hint = format!("give {name}, and `Port {port}` for it in ~/.ssh/config");
            Err(refusal("a port of ssh is not given here", &hint))
        }
        _ if url && name.contains('/') => {
            let name = with_user(name.split('/').next().unwrap_or_default());
            Err(refusal("that is a URL with a path", &format!("give {name}")))
        }
        _ if url => Ok(with_user(name)),
        _ => Ok(text.to_owned()),
    }
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

#[cfg(test)]
mod tests {
    use super::destination;

    #[test]
    fn the_host_of_an_etcd_url_is_what_ssh_is_given() {
        for (typed, host) in [
            ("root@172.16.0.101", "root@172.16.0.101"),
            ("etcd1", "etcd1"),
            ("http://10.0.0.1:2379", "10.0.0.1"),
            ("https://etcd1.example.com:2379/", "etcd1.example.com"),
            ("https://core@10.0.0.1", "core@10.0.0.1"),
            ("core@10.0.0.1:2380", "core@10.0.0.1"),
            ("http://[fd00::1]:2379", "fd00::1"),
            ("[fd00::1]:2379", "fd00::1"),
            ("fd00::1", "fd00::1"),
            ("ssh://core@10.0.0.1:22", "ssh://core@10.0.0.1:22"),
        ] {
            assert_eq!(destination(typed).as_deref(), Ok(host), "{typed}");
        }
        for (typed, instead) in [
            ("http://10.0.0.1:2379,http://10.0.0.2:2379", "give 10.0.0.1"),
            ("root@10.0.0.1,root@10.0.0.2", "give root@10.0.0.1"),
            ("10.0.0.1:2222", "give 10.0.0.1, and `Port 2222`"),
            ("http://10.0.0.1/v2/members", "give 10.0.0.1"),
            ("http://", "give [USER@]HOST"),
            ("-oProxyCommand=x", "give [USER@]HOST"),
            ("https://-oProxyCommand=x:2379", "give [USER@]HOST"),
            ("a b", "give [USER@]HOST"),
        ] {
            let refused = destination(typed).unwrap_err();
            assert!(refused.contains(instead), "{typed}: {refused}");
        }
    }
}
