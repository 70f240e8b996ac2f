//! `migrate report`: what was done when.

use std::path::Path;

use clap::Args;
use serde_json::json;

use super::super::output::Style;
use super::super::{Context, Exit, Failure, Outcome};
use crate::files;
use crate::migrate::Journal;
use crate::migrate::report::{Item, Run, runs};

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The cluster's identifier in hexadecimal, where the PKI directory knows several.
    #[arg(long, value_name = "ID")]
    cluster: Option<String>,
}

/// Runs it.
pub(super) fn run(context: &Context, args: &ReportArgs) -> Outcome {
    let dir = context.global.pki_dir.join("migrate");
    let wrong = |error: files::FileError| Failure::usage("unreadable", error.to_string());
    let mut clusters: Vec<(String, Vec<Run>)> = Vec::new();
    for file in files::list(&dir).map_err(wrong)? {
        let Some(cluster) = file.strip_suffix(".jsonl") else { continue };
        if args.cluster.as_deref().is_none_or(|wanted| wanted == cluster) {
            let entries = Journal::read(&dir.join(&file)).map_err(wrong)?;
            clusters.push((cluster.to_owned(), runs(&entries)));
        }
    }
    if clusters.is_empty() {
        return Err(no_journal(&dir, args.cluster.as_deref()));
    }
    if context.global.json {
        let clusters: Vec<_> =
            clusters.iter().map(|(cluster, runs)| json!({ "cluster": cluster, "runs": runs })).collect();
        context.out.json(&json!({ "clusters": clusters }));
        return Ok(Exit::Done);
    }
    for (cluster, runs) in &clusters {
        context.out.line(format_args!("Cluster {cluster}"));
        runs.iter().for_each(|run| show(context, run));
    }
    Ok(Exit::Done)
}

fn no_journal(dir: &Path, cluster: Option<&str>) -> Failure {
    let whose = cluster.map_or_else(String::new, |cluster| format!(" of cluster {cluster}"));
    Failure::no("no-journal", format!("there is no journal{whose} in {}", dir.display()))
        .hint("it is kept in the PKI directory of whoever ran the migration: name that with --pki-dir")
}

fn show(context: &Context, run: &Run) {
    let out = &context.out;
    let what = out.paint(&run.what, Style::Bold);
    out.line(format_args!("  {} {what}: {} ({})", run.began, run.outcome, span(run.ms)));
    for Item { at, member, kind, what, ms } in &run.done {
        let member = member.as_deref().map_or_else(String::new, |member| format!("{member}: "));
        let kind = match *kind {
            "change" => String::new(),
            kind => format!("{kind}: "),
        };
        out.line(format_args!("    {at} {member}{kind}{what} ({})", span(*ms)));
    }
}

fn span(ms: Option<u64>) -> String {
    ms.map_or_else(|| "no end written".to_owned(), |ms| format!("{ms} ms"))
}
