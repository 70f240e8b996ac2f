//! How a command reaches other machines: by the user's own ssh.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::host::ssh::{Ssh, SshOptions};

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

/// A destination as typed: what ssh would take for an option is none.
pub(super) fn destination(text: &str) -> Result<String, String> {
    let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.chars().any(|c| c.is_whitespace() || c.is_control())
    };
    if plain(text) && plain(host) { Ok(text.to_owned()) } else { Err("give [USER@]HOST".to_owned()) }
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
