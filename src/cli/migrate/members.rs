//! `migrate members`: what is typed for each member by those who do it by hand.

use clap::{Args, ValueEnum};

use super::super::{Context, Exit, Outcome};
use super::look::planned;
use super::{ClusterArgs, inventory, options};
use crate::etcd::Scheme;
use crate::etcd::ports;
use crate::migrate::around::Surroundings;
use crate::migrate::members::{Mover, Style, commands};
use crate::migrate::plan::Goal;
use crate::migrate::stage::Stage;

#[derive(Debug, Args)]
pub(super) struct MembersArgs {
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
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

/// Runs it.
pub(super) fn run(context: &Context, args: &MembersArgs) -> Outcome {
    let nodes = inventory::nodes(context, &args.cluster)?;
    let mut options = options(context, &args.cluster, &nodes, Goal::Https)?;
    options.accept_drift = true;
    let planned = planned(context, &nodes, &options, &Surroundings::default())?;
    let mut pairs: Vec<_> = nodes.iter().zip(&planned.observed.members).collect();
    pairs.sort_by_key(|(_, sight)| sight.standing.leader);
    pairs.retain(|(_, sight)| sight.standing.peer_url != Scheme::Https);
    let list: Vec<_> = pairs
        .iter()
        .map(|&(node, sight)| {
            let style = match args.client {
                Some(ClientProgram::V2) => Style::EtcdctlV2,
                Some(ClientProgram::V3) => Style::EtcdctlV3,
                Some(ClientProgram::Curl) => Style::Curl,
                None => Style::for_version(&sight.version),
            };
            let running = sight.running.clone().unwrap_or_default();
            let urls = node.client_urls(&running);
            let legacy = urls.iter().find(|url| url.at().port() == ports::LEGACY);
            let settings = sight.recipe(node, options.wishes).settings(Stage::Tls).unwrap_or_default();
            let mover = Mover {
                name: node.name.clone(),
                id: sight.id.to_string(),
                peer_urls: sight.peer_urls_with(Scheme::Https),
                listen: settings.get("listen-peer-urls").cloned().unwrap_or_default(),
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
        out.line("");
        out.line(format_args!(
            "# {}, to be restarted with listen-peer-urls {}",
            member.member, member.listen
        ));
        out.line(&member.update);
        out.line(&member.restart);
        out.line(format_args!("{}    # must succeed before the next member", member.check));
    }
    Ok(Exit::Done)
}
