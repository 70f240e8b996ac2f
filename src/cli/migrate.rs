//! `etcd-pki migrate`: the live migration, its way back, and where it stands.

mod inventory;
mod narrate;

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::output::Style as Paint;
use super::{Context, Exit, Failure, Outcome};
use crate::etcd::Scheme;
use crate::migrate::members::{Mover, Style, commands};
use crate::migrate::plan::Goal;
use crate::migrate::stage::LEGACY_PORT;
use crate::migrate::{Ending, Migration, Node, Options, Planned, Stopped, Wishes};
use narrate::Narrator;

/// Takes a running cluster from HTTP to mutual TLS, and back.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    #[command(subcommand)]
    command: MigrateCommand,
}

#[derive(Debug, Subcommand)]
enum MigrateCommand {
    /// Look at the cluster and say what would be done; change nothing.
    Plan(PlanArgs),
    /// Take the cluster to HTTPS with client certificates; run again, it carries on.
    Apply(ApplyArgs),
    /// Say where the cluster stands; exit 1 while it is not all HTTPS.
    Status(ClusterArgs),
    /// Take the cluster back to HTTP, byte for byte.
    Rollback(ApplyArgs),
    /// Close the plain-text loopback port as well.
    Seal(ApplyArgs),
    /// Print the commands that move each member by hand.
    Members(MembersArgs),
}

/// Which cluster, and how its stages are made.
#[derive(Debug, Args)]
struct ClusterArgs {
    /// The file that names the members and where they are.
    #[arg(long, value_name = "FILE", default_value = "cluster.toml")]
    inventory: PathBuf,
    /// Whether clients must show a certificate.
    #[arg(long, value_enum, default_value_t = Switch::On, value_name = "on|off")]
    client_auth: Switch,
    /// Serve https on the same client port as http while the migration lasts, where the etcd version can, instead
    /// of on port 2378: who speaks what cannot then be told apart.
    #[arg(long)]
    shared_port: bool,
    /// Go on although the running process and the files on disk disagree.
    #[arg(long)]
    accept_drift: bool,
    /// Become root by `sudo -n` on hosts where ssh does not log in as root.
    #[arg(long = "become")]
    become_root: bool,
    /// Another configuration file for ssh than your own.
    #[arg(long, value_name = "FILE", env = "ETCDPKI_SSH_CONFIG")]
    ssh_config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Debug, Args)]
struct PlanArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Where to.
    #[arg(long, value_enum, default_value_t = To::Https)]
    to: To,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum To {
    /// Plain HTTP, as before.
    Http,
    /// HTTPS, plain HTTP on the loopback port only.
    Https,
    /// HTTPS alone.
    Sealed,
}

#[derive(Debug, Args)]
struct ApplyArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
    /// Say what would be done and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Go on although clients would be cut off.
    #[arg(long, visible_alias = "cut-clients")]
    cut_plaintext: bool,
    /// Take no snapshot of the data before the first change.
    #[arg(long)]
    no_snapshot: bool,
    /// How many seconds a gate is waited for.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    step_timeout: u64,
}

#[derive(Debug, Args)]
struct MembersArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The program the commands are for; by the cluster's version when not given.
    #[arg(long, value_enum)]
    client: Option<ClientProgram>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ClientProgram {
    /// etcdctl of the v2 API.
    V2,
    /// etcdctl of the v3 API.
    V3,
    /// curl, for etcd 2.1 and older.
    Curl,
}

/// Runs `etcd-pki migrate`.
pub fn run(context: &Context, args: &MigrateArgs) -> Outcome {
    match &args.command {
        MigrateCommand::Plan(args) => {
            let goal = match args.to {
                To::Http => Goal::Http,
                To::Https => Goal::Https,
                To::Sealed => Goal::Sealed,
            };
            plan(context, &args.cluster, goal)
        }
        MigrateCommand::Apply(args) => apply(context, args, Goal::Https),
        MigrateCommand::Rollback(args) => apply(context, args, Goal::Http),
        MigrateCommand::Seal(args) => apply(context, args, Goal::Sealed),
        MigrateCommand::Status(args) => status(context, args),
        MigrateCommand::Members(args) => members(context, args),
    }
}

fn options(context: &Context, cluster: &ClusterArgs, goal: Goal) -> Options {
    Options {
        goal,
        wishes: Wishes { client_auth: cluster.client_auth == Switch::On, shared_port: cluster.shared_port },
        cut_clients: false,
        accept_drift: cluster.accept_drift,
        snapshot: true,
        step_timeout: Duration::from_secs(60),
        pki_dir: context.global.pki_dir.clone(),
        operator: operator(),
    }
}

fn operator() -> String {
    let user =
        std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "somebody".to_owned());
    let machine = rustix::system::uname();
    let machine = machine.nodename().to_string_lossy().into_owned();
    format!("{user}@{machine}, process {}, since {}", std::process::id(), crate::migrate::now())
}

fn planned(context: &Context, nodes: &[Node], options: &Options) -> Result<Planned, Failure> {
    let narrator = Narrator::new(context);
    let planned = Migration::new(nodes, options, &narrator).plan();
    planned.map_err(|error| Failure::no(error.code(), error.to_string()).hint(error.hint()))
}

fn plan(context: &Context, cluster: &ClusterArgs, goal: Goal) -> Outcome {
    let nodes = inventory::nodes(context, cluster)?;
    let options = options(context, cluster, goal);
    let planned = planned(context, &nodes, &options)?;
    show_plan(context, &nodes, &options, &planned);
    Ok(Exit::Done)
}

fn show_plan(context: &Context, nodes: &[Node], options: &Options, planned: &Planned) {
    let narrator = Narrator::new(context);
    let migration = Migration::new(nodes, options, &narrator);
    if context.global.json {
        context.out.json(&serde_json::json!({
            "observed": migration.observed_event(&planned.observed),
            "steps": migration.step_lines(&planned.steps),
            "clients": planned.clients.as_ref().map(|clients| serde_json::json!({
                "speak": clients.speak, "clients": clients.clients,
            })),
        }));
        return;
    }
    narrator.standing(&migration.observed_event(&planned.observed));
    narrator.steps(&migration.step_lines(&planned.steps));
    if let Some(clients) = &planned.clients {
        narrator.clients(clients.speak, &clients.clients);
    }
    if nodes.len() < 3 && !planned.steps.is_empty() {
        context.out.line("The cluster will be down while a member restarts: it has no quorum to spare.");
    }
}

fn apply(context: &Context, args: &ApplyArgs, goal: Goal) -> Outcome {
    let nodes = inventory::nodes(context, &args.cluster)?;
    let mut options = options(context, &args.cluster, goal);
    options.cut_clients = args.cut_plaintext;
    options.snapshot = !args.no_snapshot;
    options.step_timeout = Duration::from_secs(args.step_timeout);
    let narrator = Narrator::new(context);
    if args.dry_run || !args.yes {
        let planned = planned(context, &nodes, &options)?;
        if args.dry_run || !context.global.json {
            show_plan(context, &nodes, &options, &planned);
        }
        if args.dry_run || planned.steps.is_empty() {
            return Ok(Exit::Done);
        }
        confirm(context)?;
    }
    let migration = Migration::new(&nodes, &options, &narrator);
    match migration.apply() {
        Ok(Ending::Done { steps }) => {
            narrator.finished(goal, steps);
            Ok(Exit::Done)
        }
        Ok(Ending::Waiting(clients)) => {
            let hint = match clients.speak {
                "tls" => "move them to http, then run this again; or pass --cut-clients",
                _ => {
                    "move them to https (certificates: `etcd-pki issue NAME --profile client`), then run this again; \
                      or pass --cut-plaintext"
                }
            };
            let code = if clients.speak == "tls" { "tls-clients" } else { "plaintext-clients" };
            let message =
                format!("clients would be cut off by the next roll: {}", clients.clients.join("; "));
            Err(Failure::no(code, message).hint(hint))
        }
        Err(Stopped { error, changed }) => {
            let exit = if changed { Exit::Failed } else { Exit::No };
            Err(Failure::new(exit, error.code(), error.to_string()).hint(error.hint()))
        }
    }
}

fn confirm(context: &Context) -> Result<(), Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::usage(
            "no-terminal",
            "this would change the cluster, and there is no terminal to ask on",
        )
        .hint("look at `etcd-pki migrate plan`, then pass --yes"));
    }
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{} ", context.out.err("Go on? [y/N]", Paint::Bold));
    let _ = stderr.flush();
    let mut answer = String::new();
    let _ = stdin.lock().read_line(&mut answer);
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::no("declined", "nothing was changed"))
    }
}

fn status(context: &Context, cluster: &ClusterArgs) -> Outcome {
    let nodes = inventory::nodes(context, cluster)?;
    let mut options = options(context, cluster, Goal::Https);
    options.accept_drift = true;
    let planned = planned(context, &nodes, &options)?;
    let narrator = Narrator::new(context);
    let migration = Migration::new(&nodes, &options, &narrator);
    let event = migration.observed_event(&planned.observed);
    let sealed = planned
        .observed
        .members
        .iter()
        .all(|m| m.standing.running >= Some(crate::migrate::stage::Stage::Tls));
    if context.global.json {
        context.out.json(&event);
    } else {
        narrator.standing(&event);
    }
    let drift: Vec<_> = planned.observed.members.iter().filter_map(|member| member.drift.as_ref()).collect();
    for what in &drift {
        context.out.warning(what);
    }
    Ok(if sealed && drift.is_empty() { Exit::Done } else { Exit::No })
}

fn members(context: &Context, args: &MembersArgs) -> Outcome {
    let nodes = inventory::nodes(context, &args.cluster)?;
    let mut options = options(context, &args.cluster, Goal::Https);
    options.accept_drift = true;
    let planned = planned(context, &nodes, &options)?;
    let mut pairs: Vec<_> = nodes.iter().zip(&planned.observed.members).collect();
    pairs.sort_by_key(|(_, sight)| sight.standing.leader);
    let list: Vec<_> = pairs
        .into_iter()
        .filter(|(_, sight)| sight.standing.peer_url == Scheme::Http)
        .map(|(node, sight)| {
            let style = match args.client {
                Some(ClientProgram::V2) => Style::EtcdctlV2,
                Some(ClientProgram::V3) => Style::EtcdctlV3,
                Some(ClientProgram::Curl) => Style::Curl,
                None => Style::for_version(&sight.version),
            };
            let running = sight.running.clone().unwrap_or_default();
            let urls = node.client_urls(&running);
            let legacy = urls.iter().find(|url| url.at().port() == LEGACY_PORT);
            let mover = Mover {
                name: node.name.clone(),
                id: sight.id.to_string(),
                peer_urls: sight.peer_urls.iter().map(|url| url.with_scheme(Scheme::Https)).collect(),
                endpoint: legacy.or(urls.first()).cloned().unwrap_or_else(|| {
                    "http://127.0.0.1:2379".parse().expect("a constant URL is well formed")
                }),
                unit: node.service.name().to_owned(),
                ssl_dir: node.ssl_dir.display().to_string(),
            };
            commands(&mover, style)
        })
        .collect();
    if context.global.json {
        context.out.json(&serde_json::json!({ "members": list }));
        return Ok(Exit::Done);
    }
    if list.is_empty() {
        context.out.line("Every peer URL is https already.");
        return Ok(Exit::Done);
    }
    let out = &context.out;
    out.line("# One member at a time, the leader last. Certificates must be in force on every member already (the first");
    out.line("# roll of `migrate apply`), and each member's settings must name its https listeners before its restart.");
    out.line("# Not all updates first and the restarts afterwards, as the old documents have it: that looks healthy while");
    out.line(
        "# old connections live, then the first restart isolates a member and the second breaks the quorum.",
    );
    for member in &list {
        out.line(format_args!("\n# {}", member.member));
        out.line(&member.update);
        out.line(&member.restart);
        out.line(format_args!("{}    # must succeed before the next member", member.check));
    }
    Ok(Exit::Done)
}
