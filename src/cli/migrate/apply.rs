//! `migrate apply`, `rollback` and `seal`: the plan is shown, the operator is asked, then it goes.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;

use super::super::{Context, Exit, Failure, Outcome};
use super::consent::confirm;
use super::look::{planned, show_plan};
use super::narrate::Narrator;
use super::{ClusterArgs, inventory, options};
use crate::migrate::plan::{Down, Goal};
use crate::migrate::{Ending, Migration, Stopped};

#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
    /// Say what would be done and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Ask before every member but the first.
    #[arg(long)]
    step: bool,
    /// Go on although clients would be cut off.
    #[arg(long, visible_alias = "cut-clients")]
    cut_plaintext: bool,
    /// Go on although members are down, as long as a quorum stays while another restarts: they are left as they are.
    #[arg(long)]
    allow_degraded: bool,
    /// Take no snapshot of the data before the first change.
    #[arg(long)]
    no_snapshot: bool,
    /// How many seconds a gate is waited for.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    step_timeout: u64,
}

/// Runs it.
pub(super) fn run(context: &Context, args: &ApplyArgs, goal: Goal) -> Outcome {
    let nodes = inventory::nodes(context, &args.cluster)?;
    let around = inventory::surroundings(context, &args.cluster, &nodes)?;
    let mut options = options(context, &args.cluster, &nodes, goal)?;
    options.cut_clients = args.cut_plaintext;
    if args.allow_degraded {
        options.down = Down::Left;
    }
    options.snapshot = !args.no_snapshot;
    options.step_timeout = Duration::from_secs(args.step_timeout);
    if args.step && !args.dry_run && !std::io::stdin().is_terminal() {
        return Err(Failure::usage("no-terminal", "--step asks between members, and there is no terminal to ask on")
            .hint("run it on a terminal, or without --step; `etcd-pki migrate members` prints what is done for each"));
    }
    let narrator = Narrator::new(context).asking(args.step);
    if args.dry_run || !args.yes {
        let planned = planned(context, &nodes, &options, &around)?;
        if args.dry_run || !context.global.json {
            show_plan(context, &nodes, &options, &planned);
            context.out.check_unchanged()?;
        }
        if args.dry_run || planned.steps.is_empty() {
            return Ok(Exit::Done);
        }
        confirm(context)?;
    }
    let migration = Migration::new(&nodes, &options, &narrator).among(&around);
    match migration.apply() {
        Ok(Ending::Done { steps }) => {
            narrator.finished(goal, steps);
            if steps > 0 {
                context.out.check()?;
            }
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
        Ok(Ending::Paused { steps, next }) => {
            let message =
                format!("stopped before {next}, as asked; {steps} steps are done, and the cluster serves on");
            Err(Failure::no("paused", message)
                .hint("run the same command again to go on, or `etcd-pki migrate rollback` to go back"))
        }
        Err(Stopped { error, changed }) => {
            let exit = if changed { Exit::Failed } else { Exit::No };
            Err(Failure::new(exit, error.code(), error.to_string()).hint(error.hint()))
        }
    }
}

/// Runs `clients`: what stands around the members moves on to https.
pub(super) fn clients(context: &Context, args: &ApplyArgs) -> Outcome {
    let nodes = inventory::nodes(context, &args.cluster)?;
    let around = inventory::surroundings(context, &args.cluster, &nodes)?;
    let mut options = options(context, &args.cluster, &nodes, Goal::Https)?;
    options.step_timeout = Duration::from_secs(args.step_timeout);
    let narrator = Narrator::new(context);
    let migration = Migration::new(&nodes, &options, &narrator).among(&around);
    let refused =
        |error: crate::migrate::MigrateError| Failure::no(error.code(), error.to_string()).hint(error.hint());
    if args.dry_run || !args.yes {
        let stations = migration.stations().map_err(refused)?;
        if context.global.json {
            context.out.json(&serde_json::json!({ "stations": stations }));
        } else {
            narrator.stations(&stations);
        }
        context.out.check_unchanged()?;
        if args.dry_run || stations.is_empty() {
            return Ok(Exit::Done);
        }
        confirm(context)?;
    }
    match migration.move_clients() {
        Ok(moved) => {
            context.out.note(format_args!("{moved} units moved to https."));
            if moved > 0 {
                context.out.check()?;
            }
            Ok(Exit::Done)
        }
        Err(error) => Err(Failure::new(Exit::Failed, error.code(), error.to_string()).hint(error.hint())),
    }
}
