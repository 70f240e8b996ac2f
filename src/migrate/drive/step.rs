//! One step: its actions, each written down before and after, between two gates.

use std::time::{Instant, SystemTime};

use crate::etcd::EtcdError;
use crate::etcd::types::join;

use super::super::error::MigrateError;
use super::super::event::Event;
use super::super::gate::{After, Gate, Heard, Held};
use super::super::journal::Journal;
use super::super::node::Node;
use super::super::observe::{Observed, Sight};
use super::super::plan::{Action, Down, Goal, Step};
use super::super::speak::Speaker;
use super::super::stage::Stage;
use super::super::{place, preflight};
use super::{Migration, ms};

impl Migration<'_> {
    /// Returns the cluster as the step left it, if the step looked at it when all was done.
    pub(super) fn step(
        &self,
        observed: &Observed,
        step: &Step,
        (n, of): (usize, usize),
        journal: &Journal,
        changed: &mut bool,
    ) -> Result<Option<Observed>, MigrateError> {
        let start = Instant::now();
        let node = &self.nodes[step.member];
        let member = node.name.as_str();
        let sight = &observed.members[step.member];
        let stage = step.stage;
        self.report.event(&Event::Step { n, of, member, stage, state: "start", ms: None });
        let down = (0..self.nodes.len())
            .filter(|&i| i != step.member && observed.members[i].standing.running.is_none());
        let away: Vec<usize> = down.filter(|_| self.options.down == Down::Left).collect();
        let heard = Heard::default();
        let gate = Gate {
            nodes: self.nodes,
            wishes: self.options.wishes,
            member: step.member,
            deadline: self.options.step_timeout,
            away: &away,
            certified: self.options.goal != Goal::Http,
            heard: &heard,
            report: self.report,
        };
        let told = |when, held: Held| {
            self.report.event(&Event::Gate { member, when, ms: held.ms, checks: held.checks });
            held.observed
        };
        let moves = |action: &Action| matches!(action, Action::UpdatePeerUrl | Action::Restart);
        if step.actions.iter().any(moves) {
            let held = gate.before(n == 1)?;
            self.sources_fit(observed, stage, &away)?;
            told("before", held);
            self.leave_leadership(observed, step, &away, journal)?;
        }
        let settings = sight
            .recipe(node, self.options.wishes)
            .settings(stage)
            .map_err(|source| MigrateError::Url { member: member.to_owned(), source })?;
        let restart = step.actions.iter().position(|&action| action == Action::Restart);
        let last_move = step.actions.iter().rposition(moves);
        let mut old = None;
        let since = SystemTime::now();
        let mut seen = None;
        let alone = self.proxies_of_one(observed, stage)?;
        for (i, &action) in step.actions.iter().enumerate() {
            // What was looked at before other actions may have changed since.
            if restart == Some(i) && i > 0 {
                gate.before(false)?;
                self.sources_fit(observed, stage, &away)?;
                if stage >= Stage::Certs {
                    gate.is_as_placed(step.member)?;
                }
            }
            if action == Action::Restart {
                alone.are_told()?;
                // Asked now: a host that was rebooted since it was looked at runs another process, and not by our doing.
                old = node.service.running()?;
            }
            let what = self.describe(sight, stage, action);
            journal.write(Some(member), "intent", &what)?;
            *changed = true;
            self.report.event(&Event::Action { member, action, what: what.clone(), state: "start" });
            self.act(node, observed, sight, stage, action)?;
            if action == Action::Restart
                && let Some(process) = &old
            {
                self.close_streams(node, sight, process)?;
            }
            seen = None;
            journal.write(Some(member), "done", &what)?;
            self.report.event(&Event::Action { member, action, what, state: "done" });
            if restart == Some(i) || last_move == Some(i) {
                let identity = old.as_ref().map(|process| process.identity.as_str());
                let held = gate.after(&After { identity, settings: &settings, since })?;
                alone.ask_anew()?;
                journal.write(Some(member), "gate", &held.checks.join(", "))?;
                seen = Some(told("after", held));
            }
        }
        self.report.event(&Event::Step { n, of, member, stage, state: "done", ms: Some(ms(start)) });
        Ok(seen)
    }

    /// On the way there: members still dial from addresses that their certificates hold. A restart would show it too late.
    fn sources_fit(&self, observed: &Observed, stage: Stage, away: &[usize]) -> Result<(), MigrateError> {
        if self.options.goal == Goal::Http || stage < Stage::Certs {
            return Ok(());
        }
        preflight::sources_fit(self.nodes, observed, away, self.options.wishes)
    }

    fn describe(&self, sight: &Sight, stage: Stage, action: Action) -> String {
        match action {
            Action::Install => "place the certificates".to_owned(),
            Action::UpdatePeerUrl => {
                format!("member update {} {}", sight.id, join(&sight.peer_urls_with(stage.scheme())))
            }
            Action::Configure => format!("settings: {}", stage.describe()),
            Action::Restart => "restart etcd".to_owned(),
            Action::Restore => "put back what was there before".to_owned(),
        }
    }

    fn act(
        &self,
        node: &Node,
        observed: &Observed,
        sight: &Sight,
        stage: Stage,
        action: Action,
    ) -> Result<(), MigrateError> {
        match action {
            Action::Install => {
                place::install(node, sight.process.as_ref().map(|process| process.uid))?;
            }
            Action::Configure => {
                let layers = preflight::layers(node, sight, self.options.wishes, stage)?;
                place::configure(node, &layers)?;
            }
            Action::Restart => node.service.restart()?,
            Action::Restore => place::restore(node)?,
            Action::UpdatePeerUrl => self.update_peer_url(observed, sight, stage)?,
        }
        Ok(())
    }

    /// Asks each member in turn to change a peer URL, until one has done it.
    fn update_peer_url(&self, observed: &Observed, sight: &Sight, stage: Stage) -> Result<(), MigrateError> {
        let urls = sight.peer_urls_with(stage.scheme());
        let mut last: Option<(String, EtcdError)> = None;
        for (node, other) in self.nodes.iter().zip(&observed.members) {
            let Some(running) = &other.running else { continue };
            match Speaker::to(node, running).update_peer_urls(sight.id, &urls) {
                Ok(()) => return Ok(()),
                Err(source) => last = Some((node.name.clone(), source)),
            }
        }
        Err(match last {
            Some((member, source)) => MigrateError::of(&member, source),
            None => MigrateError::NoAnswer(vec!["no member serves clients".into()]),
        })
    }
}
