//! What `install` prints of a node.

use serde::Serialize;

use super::super::Context;
use super::super::output::Style;
use super::place::Placed;
use crate::files::Owner;
use crate::host::install::{Action, Change};
use crate::host::trust::{TrustPlan, TrustStore};

/// What `--json` prints.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    name: &'a str,
    host: &'a str,
    directory: String,
    owner: Owner,
    dry_run: bool,
    changed: bool,
    changes: &'a [Change],
    kept: &'a [std::path::PathBuf],
    #[serde(skip_serializing_if = "Option::is_none")]
    trust: Option<Trust<'a>>,
    warnings: &'a [String],
}

/// The part of the system's trust store.
#[derive(Serialize)]
struct Trust<'a> {
    store: TrustStore,
    files: Vec<&'a std::path::Path>,
    create: Vec<&'a std::path::Path>,
    update: Option<&'static str>,
}

impl<'a> Document<'a> {
    pub(super) fn of(placed: &'a Placed, dry_run: bool) -> Self {
        let trust = |trust: &'a TrustPlan| Trust {
            store: trust.store,
            files: trust.files().collect(),
            create: trust.to_place().collect(),
            update: trust.updates().then(|| trust.store.update()),
        };
        Self {
            name: &placed.name,
            host: &placed.host,
            directory: placed.target.dir.display().to_string(),
            owner: placed.target.owner,
            dry_run,
            changed: !dry_run && !placed.is_empty(),
            changes: &placed.plan.changes,
            kept: &placed.plan.kept,
            trust: placed.trust.as_ref().map(trust),
            warnings: &placed.plan.warnings,
        }
    }
}

/// One node, at length.
pub(super) fn single(context: &Context, placed: &Placed, dry_run: bool) {
    let out = &context.out;
    if out.json {
        out.json(&Document::of(placed, dry_run));
        return;
    }
    let dir = placed.target.dir.display();
    if placed.is_empty() {
        out.line(format_args!("nothing to do: {dir} holds {} and its CA as they should be", placed.name));
        return;
    }
    for change in &placed.plan.changes {
        let owner = if change.owner.is_some() { placed.owner.as_str() } else { "" };
        let path = change.path.display();
        match change.action {
            Action::RemoveLeftover => out.line(format_args!("  {:<14} {path}", change.action.describe())),
            action => out.line(format_args!("  {:<14} {path}  {} {owner}", action.describe(), change.mode)),
        }
    }
    if let Some(trust) = &placed.trust {
        for path in trust.to_place() {
            out.line(format_args!("  {:<14} {}", Action::Create.describe(), path.display()));
        }
        if trust.updates() {
            out.line(format_args!("  {:<14} {}", "run", trust.store.update()));
        }
    }
    if dry_run {
        let changes = steps(placed);
        out.line(format_args!("dry run: nothing was changed; {changes} would be"));
    } else {
        let installed = out.paint("installed", Style::Green);
        out.line(format_args!("{installed} {} in {dir}", placed.name));
    }
}

/// One node of many, in a line.
pub(super) fn line(context: &Context, placed: &Placed, dry_run: bool) {
    let out = &context.out;
    let what = match (placed.is_empty(), dry_run) {
        (true, _) => "as it should be".to_owned(),
        (false, true) => format!("{} changes would be made", steps(placed)),
        (false, false) => {
            let trust = placed.trust.as_ref().is_some_and(|trust| !trust.is_empty());
            let trust = if trust { ", CA in the system's trust store" } else { "" };
            format!("{} {} changes{trust}", out.paint("installed,", Style::Green), steps(placed))
        }
    };
    let name = out.paint(&placed.name, Style::Bold);
    out.line(format_args!("{name}: {}: {what}", placed.target.dir.display()));
}

fn steps(placed: &Placed) -> usize {
    let trust = placed.trust.as_ref();
    let trust = trust.map_or(0, |trust| trust.to_place().count() + usize::from(trust.updates()));
    placed.plan.changes.len() + trust
}
