//! `migrate plan` and `status`: what is, and what would be done.

use clap::{Args, ValueEnum};

use super::super::{Context, Exit, Failure, Outcome};
use super::narrate::Narrator;
use super::{ClusterArgs, inventory, options};
use crate::migrate::around::Surroundings;
use crate::migrate::plan::Goal;
use crate::migrate::{MigrateError, Migration, Node, Options, Planned};
use crate::text;

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
    /// Where to.
    #[arg(long, value_enum, default_value_t = To::Https)]
    to: To,
    /// Print the cluster as a cluster.toml instead, for `issue --from` and `migrate`.
    #[arg(long)]
    print_inventory: bool,
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

/// Looks and plans; whatever is in the way is a refusal.
pub(super) fn planned(
    context: &Context,
    nodes: &[Node],
    options: &Options,
    around: &Surroundings,
) -> Result<Planned, Failure> {
    let mut planned = looked(context, nodes, options, around)?;
    match planned.refusal.take() {
        Some(error) if planned.steps.is_empty() => return Err(failure(&error)),
        Some(error) => planned.notes.push(error.to_string()),
        None => {}
    }
    Ok(planned)
}

/// Looks and plans, as far as that can be done now.
fn looked(
    context: &Context,
    nodes: &[Node],
    options: &Options,
    around: &Surroundings,
) -> Result<Planned, Failure> {
    let narrator = Narrator::new(context);
    Migration::new(nodes, options, &narrator).among(around).plan().map_err(|error| failure(&error))
}

fn failure(error: &MigrateError) -> Failure {
    Failure::no(error.code(), error.to_string()).hint(error.hint())
}

/// Runs `plan`.
pub(super) fn plan(context: &Context, args: &PlanArgs) -> Outcome {
    let goal = match args.to {
        To::Http => Goal::Http,
        To::Https => Goal::Https,
        To::Sealed => Goal::Sealed,
    };
    if args.print_inventory {
        let inventory = inventory::Known::of(context, &args.cluster)?.describe(context)?;
        if context.global.json {
            context.out.json(&inventory);
        } else {
            let text = toml::to_string(&inventory).expect("an inventory is TOML");
            context.out.document(text::escaped_lines(&text).as_bytes());
        }
        return Ok(Exit::Done);
    }
    let nodes = inventory::nodes(context, &args.cluster)?;
    let around = inventory::surroundings(context, &args.cluster, &nodes)?;
    let options = options(context, &args.cluster, &nodes, goal)?;
    let planned = planned(context, &nodes, &options, &around)?;
    show_plan(context, &nodes, &options, &planned);
    Ok(Exit::Done)
}

/// Prints a plan as data.
pub(super) fn show_plan(context: &Context, nodes: &[Node], options: &Options, planned: &Planned) {
    let narrator = Narrator::new(context);
    let migration = Migration::new(nodes, options, &narrator);
    if context.global.json {
        context.out.json(&serde_json::json!({
            "observed": migration.observed_event(&planned.observed),
            "steps": migration.step_lines(&planned.steps),
            "notes": planned.notes,
            "around": planned.around,
            "clients": planned.clients.as_ref().map(|clients| serde_json::json!({
                "speak": clients.speak, "clients": clients.clients,
            })),
        }));
        return;
    }
    narrator.standing(&migration.observed_event(&planned.observed));
    narrator.steps(&migration.step_lines(&planned.steps));
    narrator.stations(&planned.around);
    if let Some(clients) = &planned.clients {
        narrator.clients(clients.speak, &clients.clients);
    }
    for note in &planned.notes {
        context.out.warning(note);
    }
    if nodes.len() < 3 && !planned.steps.is_empty() {
        context.out.line("The cluster will be down while a member restarts: it has no quorum to spare.");
    }
}

/// Runs `status`.
pub(super) fn status(context: &Context, cluster: &ClusterArgs) -> Outcome {
    let nodes = inventory::nodes(context, cluster)?;
    let mut options = options(context, cluster, &nodes, Goal::Https)?;
    options.accept_drift = true;
    let planned = looked(context, &nodes, &options, &Surroundings::default())?;
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
