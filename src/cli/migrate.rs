//! `etcd-pki migrate`: the live migration, its way back, and where it stands.

mod apply;
mod consent;
mod inventory;
mod look;
mod members;
mod narrate;
mod pairs;
mod report;
mod user;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::reach::{ReachArgs, destination};
use super::{Context, Failure, Outcome};
use crate::migrate::plan::{Down, Goal};
use crate::migrate::{Node, Options, Wishes, discover};

/// Takes a running cluster from HTTP to mutual TLS, and back.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    #[command(subcommand)]
    command: MigrateCommand,
}

#[derive(Debug, Subcommand)]
enum MigrateCommand {
    /// Look at the cluster and say what would be done; change nothing.
    Plan(look::PlanArgs),
    /// Take the cluster to HTTPS with client certificates; run again, it carries on.
    Apply(apply::ApplyArgs),
    /// Say where the cluster stands; exit 1 while it is not all HTTPS.
    Status(ClusterArgs),
    /// Take the cluster back to HTTP, byte for byte.
    Rollback(apply::ApplyArgs),
    /// Move units on the members' hosts that use the plain-text loopback port (flannel, fleet, etcdctl) to https.
    Clients(apply::ApplyArgs),
    /// Close the plain-text loopback port as well.
    Seal(apply::ApplyArgs),
    /// Print the commands that move each member by hand.
    Members(members::MembersArgs),
    /// Say what was done when, and how long it took, from the journal in the PKI directory.
    Report(report::ReportArgs),
}

/// Which cluster, and how its stages are made.
#[derive(Debug, Args)]
struct ClusterArgs {
    /// Any one member's host, as ssh knows it: the others are found through its members list. Without it, an inventory
    /// says who they are.
    #[arg(value_name = "[USER@]HOST", value_parser = destination, conflicts_with = "inventory")]
    host: Option<String>,
    /// The file that names the members and where they are. [default: cluster.toml]
    #[arg(long, value_name = "FILE")]
    inventory: Option<PathBuf>,
    /// The unit that runs etcd, where nothing else names it.
    #[arg(long, value_name = "UNIT")]
    unit: Option<String>,
    /// Where certificates go on the members, where the inventory does not say. [default: /etc/ssl/etcd]
    #[arg(long, value_name = "DIR")]
    ssl_dir: Option<PathBuf>,
    /// A directory with pairs that were made elsewhere, instead of the PKI directory: NAME.pem and NAME-key.pem, or
    /// NAME.crt and NAME.key, and ca.pem or ca.crt.
    #[arg(long, value_name = "DIR")]
    certs: Option<PathBuf>,
    /// Where etcd's own authentication is on: a file, 0600, whose first line is USER:PASSWORD of a user with the role
    /// root.
    #[arg(long, value_name = "FILE")]
    user_file: Option<PathBuf>,
    /// Whether clients must show a certificate. [default: on, or as a migration that was begun has it in force]
    #[arg(long, value_enum, value_name = "on|off")]
    client_auth: Option<Switch>,
    /// Serve https on the same client port as http while the migration lasts, where the etcd version can, instead
    /// of on port 2378: who speaks what cannot then be told apart. What was begun on either port goes on there.
    #[arg(long)]
    shared_port: bool,
    /// Go on although the running process and the files on disk disagree.
    #[arg(long)]
    accept_drift: bool,
    #[command(flatten)]
    reach: ReachArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl MigrateArgs {
    /// The inventory that it works through.
    pub(super) fn inventory(&self) -> Option<&Path> {
        match &self.command {
            MigrateCommand::Plan(look::PlanArgs { cluster, .. })
            | MigrateCommand::Apply(apply::ApplyArgs { cluster, .. })
            | MigrateCommand::Rollback(apply::ApplyArgs { cluster, .. })
            | MigrateCommand::Clients(apply::ApplyArgs { cluster, .. })
            | MigrateCommand::Seal(apply::ApplyArgs { cluster, .. })
            | MigrateCommand::Members(members::MembersArgs { cluster, .. })
            | MigrateCommand::Status(cluster) => cluster.inventory.as_deref(),
            MigrateCommand::Report(_) => None,
        }
    }
}

/// Runs `etcd-pki migrate`.
pub fn run(context: &Context, args: &MigrateArgs) -> Outcome {
    match &args.command {
        MigrateCommand::Plan(args) => look::plan(context, args),
        MigrateCommand::Apply(args) => apply::run(context, args, Goal::Https),
        MigrateCommand::Rollback(args) => apply::run(context, args, Goal::Http),
        MigrateCommand::Clients(args) => apply::clients(context, args),
        MigrateCommand::Seal(args) => apply::run(context, args, Goal::Sealed),
        MigrateCommand::Status(args) => look::status(context, args),
        MigrateCommand::Members(args) => members::run(context, args),
        MigrateCommand::Report(args) => report::run(context, args),
    }
}

fn options(context: &Context, cluster: &ClusterArgs, nodes: &[Node], goal: Goal) -> Result<Options, Failure> {
    let begun = discover::begun(nodes)
        .map_err(|error| Failure::no(error.code(), error.to_string()).hint(error.hint()))?;
    let client_auth = cluster.client_auth.map(|switch| switch == Switch::On);
    let client_auth = client_auth.or(begun.map(|begun| begun.client_auth)).unwrap_or(true);
    let shared_port = begun.and_then(|begun| begun.shared_port).unwrap_or(cluster.shared_port);
    Ok(Options {
        goal,
        wishes: Wishes { client_auth, shared_port },
        cut_clients: false,
        accept_drift: cluster.accept_drift,
        down: Down::Refused,
        snapshot: true,
        step_timeout: Duration::from_secs(60),
        pki_dir: context.global.pki_dir.clone(),
        operator: super::reach::operator(),
    })
}
