//! The options that say what a certificate is valid for, and what it is for.

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::Failure;
use crate::advice::CommandLine;
use crate::ca::{Profile, Profiles, San, Store};

/// The profile when none is given.
pub(super) const DEFAULT_PROFILE: &str = "server";

/// The names that a certificate is valid for.
#[derive(Debug, Clone, Args)]
pub(super) struct SanArgs {
    /// An address that it is valid for; repeatable.
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<String>,
    /// A DNS name that it is valid for; repeatable.
    #[arg(long, value_name = "HOST")]
    dns: Vec<String>,
    /// A URI that stands for it; repeatable.
    #[arg(long, value_name = "URI")]
    uri: Vec<String>,
    /// An e-mail address; repeatable.
    #[arg(long, value_name = "ADDRESS")]
    email: Vec<String>,
}

impl SanArgs {
    /// Whether none was given.
    pub(super) const fn is_empty(&self) -> bool {
        self.ip.is_empty() && self.dns.is_empty() && self.uri.is_empty() && self.email.is_empty()
    }

    /// All that were given, checked.
    pub(super) fn sans(&self) -> Result<Vec<San>, Failure> {
        let names = self.dns.iter().map(|text| San::dns(text));
        let addresses = self.ip.iter().map(|text| San::ip(text));
        let others =
            self.uri.iter().map(|text| San::uri(text)).chain(self.email.iter().map(|text| San::email(text)));
        Ok(names.chain(addresses).chain(others).collect::<Result<_, _>>()?)
    }
}

/// What a certificate is for.
#[derive(Debug, Clone, Args)]
pub(super) struct ProfileArgs {
    /// server (when absent), peer, client, proxy, or a template of your own in the PKI directory.
    #[arg(long, value_name = "PROFILE", add = ArgValueCompleter::new(super::completions::profiles))]
    profile: Option<String>,
    /// A template file, instead of a profile.
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    template: Option<PathBuf>,
}

impl ProfileArgs {
    /// A command line with the same options.
    pub(super) fn repeated(&self, line: CommandLine) -> CommandLine {
        match (&self.template, &self.profile) {
            (Some(path), _) => line.option("--template", path.display()),
            (None, Some(profile)) => line.option("--profile", profile),
            (None, None) => line,
        }
    }

    /// The profile, or `default`.
    pub(super) fn load(&self, store: &Store, default: &str) -> Result<Profile, Failure> {
        if let Some(path) = &self.template {
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            return Ok(Profiles::read(&name, path)?);
        }
        Ok(store.profiles()?.get(self.profile.as_deref().unwrap_or(default))?.clone())
    }
}
