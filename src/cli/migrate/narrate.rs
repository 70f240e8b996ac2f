//! What a migration says while it goes, for people or as NDJSON.

use super::super::output::Style;
use super::super::table::{Column, Fit, Table};
use super::super::{Context, Output};
use super::consent::ask;
use crate::migrate::around::Moved;
use crate::migrate::plan::{Action, Goal};
use crate::migrate::stage::Stage;
use crate::migrate::{Check, Event, Report, StepLine};

/// Prints events.
pub(super) struct Narrator {
    out: Output,
    asks: bool,
}

impl Narrator {
    pub(super) fn new(context: &Context) -> Self {
        Self { out: context.out, asks: false }
    }

    /// One that asks between members, on the terminal.
    pub(super) const fn asking(self, asks: bool) -> Self {
        Self { asks, ..self }
    }

    /// The last look.
    fn closing(&self, checks: &[Check]) {
        self.out.note("The last look");
        for check in checks {
            let (word, style) = match check.ok {
                Some(true) => ("ok", Style::Green),
                Some(false) => ("no", Style::Red),
                None => ("--", Style::Dim),
            };
            let (member, what) = (&check.member, &check.what);
            self.out.note(format_args!("  {} {member}: {what}: {}", self.out.err(word, style), check.saw));
        }
    }

    /// Where the cluster stands, as data.
    pub(super) fn standing(&self, event: &Event<'_>) {
        let Event::Observed { cluster, members } = event else { return };
        const COLUMNS: [Column; 5] = [
            Column::text("MEMBER", Fit::Whole),
            Column::text("ETCD", Fit::Whole),
            Column::text("STATE", Fit::Wrap(16)),
            Column::text("PEER URL", Fit::Wrap(24)),
            Column::text("ID", Fit::Optional),
        ];
        self.out.line(format_args!("Cluster {cluster}"));
        let mut table = Table::new(&COLUMNS);
        for member in members {
            let leader = if member.leader { " (leader)" } else { "" };
            let cells = [
                format!("{}{leader}", member.name),
                member.version.to_string(),
                member.stage.map_or("down", Stage::describe).to_owned(),
                member.peer_urls.join(" "),
                member.id.to_string(),
            ];
            table.row(cells, None);
        }
        table.print(&self.out);
    }

    /// What stands around the members, as data.
    pub(super) fn stations(&self, stations: &[Moved]) {
        if stations.is_empty() {
            return;
        }
        self.out.line("Around the members");
        for station in stations {
            let (kind, stance) = (station.kind.describe(), station.describe());
            self.out.line(format_args!("  {} of {}: {kind}; {stance}", station.unit, station.host));
        }
    }

    /// What would be done, as data.
    pub(super) fn steps(&self, steps: &[StepLine]) {
        if steps.is_empty() {
            self.out.line("Nothing to do.");
            return;
        }
        const COLUMNS: [Column; 3] = [
            Column::number("STEP"),
            Column::text("MEMBER", Fit::Whole),
            Column::text("ACTIONS → STATE", Fit::Wrap(24)),
        ];
        let mut table = Table::new(&COLUMNS);
        for (i, step) in steps.iter().enumerate() {
            let actions: Vec<_> = step.actions.iter().map(|&action| word(action)).collect();
            let what = format!("{} → {}", actions.join(", "), step.stage.describe());
            table.row([(i + 1).to_string(), step.member.to_string(), what], None);
        }
        self.out.line("");
        table.print(&self.out);
    }

    /// Who would be cut off, as data.
    pub(super) fn clients(&self, speak: &str, clients: &[String]) {
        self.out.line(format_args!("{speak} clients that must move before the roll that cuts them off:"));
        for client in clients {
            self.out.line(format_args!("  {client}"));
        }
    }

    /// The last word.
    pub(super) fn finished(&self, goal: Goal, steps: usize) {
        let what = match goal {
            Goal::Http => "The cluster speaks HTTP as before.",
            Goal::Https => "The cluster speaks HTTPS; plain HTTP is left on the loopback port 4001 only.",
            Goal::Sealed => "The cluster speaks HTTPS alone.",
        };
        let nothing = if steps == 0 { " Nothing had to be done." } else { "" };
        self.out.line(format_args!("{} {what}{nothing}", self.out.paint("done:", Style::Green)));
    }
}

const fn word(action: Action) -> &'static str {
    match action {
        Action::Install => "place certificates",
        Action::UpdatePeerUrl => "update peer URL",
        Action::Configure => "settings",
        Action::Restart => "restart",
        Action::Restore => "put back what was there",
    }
}

impl Report for Narrator {
    fn event(&self, event: &Event<'_>) {
        if self.out.json {
            self.out.json(event);
            return;
        }
        match event {
            Event::Step { n, of, member, stage, state: "start", .. } => self.out.note(format_args!(
                "[{n}/{of}] {} → {}",
                self.out.err(member, Style::Bold),
                stage.describe()
            )),
            Event::Step { ms: Some(ms), .. } => {
                self.out.note(format_args!("      {} in {ms} ms", self.out.err("done", Style::Green)));
            }
            Event::Action { what, state: "start", .. } => self.out.note(format_args!("      {what}")),
            Event::Stopped { closed, ms, .. } if *closed > 0 => self.out.note(format_args!(
                "      etcd stopped in {ms} ms; connections of clients that were closed for it: {closed}"
            )),
            Event::Leadership { what, .. } => self.out.note(format_args!("      {what}")),
            Event::Gate { when, ms, checks, .. } => {
                self.out.note(format_args!("      gate {when}: {} ({ms} ms)", checks.join(", ")));
            }
            Event::Around(station) => self.out.note(format_args!(
                "{} of {} ({}) → {}{}",
                station.unit,
                self.out.err(&station.host, Style::Bold),
                station.kind.describe(),
                station.describe(),
                if station.restarted { ", restarted" } else { "" }
            )),
            Event::Waiting { when, ms, saw, .. } => {
                self.out.note(format_args!(
                    "      waiting for the gate {when}, {} s: {}",
                    ms / 1000,
                    saw.join("; ")
                ));
            }
            Event::Snapshot { path, bytes } => {
                self.out.note(format_args!("snapshot: {bytes} bytes in {path}"));
            }
            Event::V2Backup { member, path } => {
                self.out.note(format_args!("backup of v2 data: {path} on {member}"));
            }
            Event::Closing { checks } => self.closing(checks),
            Event::Note { what } => self.out.warning(what),
            _ => {}
        }
    }

    fn pauses(&self) -> bool {
        self.asks
    }

    fn go_on(&self, member: &str, stage: Stage) -> bool {
        ask(&self.out, &format!("Go on with {member} → {}? [y/N]", stage.describe()))
    }
}
