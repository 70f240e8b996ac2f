//! The loop: observe, plan, one step, gate, observe again.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crate::etcd::types::join;
use crate::etcd::{EtcdError, PeerUrl};
use crate::files::{self, DirLock, FileMode, Meta};

use super::around::{Moved, Surroundings};
use super::clients::{InTheWay, in_the_way};
use super::error::MigrateError;
use super::event::{Event, MemberLine, Report, StepLine};
use super::gate::{After, Gate};
use super::journal::Journal;
use super::node::Node;
use super::observe::{Observed, Sight, Wishes, clocks, observe};
use super::place;
use super::plan::{Action, Down, Goal, Next, Refusal, Step, can_spare_one_more, next, plan};
use super::preflight;
use super::snapshot;
use super::speak::Speaker;
use super::stage::Stage;
use super::{auth, closing, v2_backup};

/// How a migration is to go.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is wanted.
    pub goal: Goal,
    /// How the stages are made.
    pub wishes: Wishes,
    /// Go on although clients would be cut off.
    pub cut_clients: bool,
    /// Go on although process and disk disagree.
    pub accept_drift: bool,
    /// What becomes of members that are down.
    pub down: Down,
    /// Take a snapshot before the first change.
    pub snapshot: bool,
    /// How long a gate is waited for.
    pub step_timeout: Duration,
    /// Where the journal goes.
    pub pki_dir: PathBuf,
    /// What other runs are told of this one.
    pub operator: String,
}

/// A migration of a cluster.
pub struct Migration<'a> {
    pub(super) nodes: &'a [Node],
    pub(super) options: &'a Options,
    pub(super) report: &'a dyn Report,
    pub(super) around: Option<&'a Surroundings>,
}

/// What would be done.
#[derive(Debug)]
pub struct Planned {
    /// Where the cluster stands.
    pub observed: Observed,
    /// The steps.
    pub steps: Vec<Step>,
    /// Who would be cut off by the next roll that cuts anybody.
    pub clients: Option<InTheWay>,
    /// Why all of it cannot be done now, where it cannot.
    pub refusal: Option<MigrateError>,
    /// What the operator should know.
    pub notes: Vec<String>,
    /// What stands around the members, where it stands now.
    pub around: Vec<Moved>,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ending {
    /// Everything is as wanted.
    Done {
        /// How many steps this run took.
        steps: usize,
    },
    /// The operator was asked, and does not want to go on yet.
    Paused {
        /// How many steps this run took.
        steps: usize,
        /// Whose turn it is.
        next: String,
    },
    /// The next roll waits for clients to move.
    Waiting(InTheWay),
}

/// A run that was stopped.
#[derive(Debug)]
pub struct Stopped {
    /// Why.
    pub error: MigrateError,
    /// Whether something had been changed.
    pub changed: bool,
}

impl<'a> Migration<'a> {
    /// A migration; nothing is looked at yet.
    pub fn new(nodes: &'a [Node], options: &'a Options, report: &'a dyn Report) -> Self {
        Self { nodes, options, report, around: None }
    }

    /// The same, with what stands around the members.
    #[must_use]
    pub fn among(self, around: &'a Surroundings) -> Self {
        Self { around: Some(around), ..self }
    }

    /// Looks at the cluster and says what would be done; changes nothing.
    ///
    /// # Errors
    /// [`MigrateError`]
    pub fn plan(&self) -> Result<Planned, MigrateError> {
        clocks(self.nodes)?;
        let observed = self.observe()?;
        let (steps, refusal) = plan(&observed.standings(), self.options.goal, self.options.down);
        let refusal = refusal.map(|refusal| self.refused(refusal));
        let notes = self.preflight(&observed, &steps)?;
        let cutting = steps.iter().map(|step| step.stage).find(|&stage| cuts(self.options.goal, stage));
        let clients = match cutting {
            Some(stage) => self.in_the_way(&observed, stage)?,
            None => None,
        };
        let around = if cutting.is_some() { self.around(&observed)? } else { Vec::new() };
        Ok(Planned { observed, steps, refusal, clients, notes, around })
    }

    /// What would go wrong later; returns what the operator should know.
    fn preflight(&self, observed: &Observed, steps: &[Step]) -> Result<Vec<String>, MigrateError> {
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let notes = auth::check(self.nodes, observed)?;
        preflight::check(self.nodes, observed, steps, self.options.wishes)?;
        Ok(notes)
    }

    /// Takes the cluster there, one step at a time.
    ///
    /// # Errors
    /// [`Stopped`]: the cluster serves on, and the next run carries on from what it finds.
    pub fn apply(&self) -> Result<Ending, Stopped> {
        let mut changed = false;
        self.run(&mut changed).map_err(|error| Stopped { error, changed })
    }

    fn run(&self, changed: &mut bool) -> Result<Ending, MigrateError> {
        let start = Instant::now();
        let state = self.state_dir();
        let _locks = self.locks()?;
        clocks(self.nodes)?;
        let mut observed = self.observe()?;
        let journal = Journal::open(&self.options.pki_dir, &format!("{:x}", observed.cluster_id))?;
        journal.write(None, "begin", &format!("{:?} by {}", self.options.goal, self.options.operator))?;
        self.announce(&observed);
        let (foreseen, refusal) = plan(&observed.standings(), self.options.goal, self.options.down);
        if let Some(refusal) = refusal.filter(|_| foreseen.is_empty()) {
            return Err(self.refused(refusal));
        }
        for what in self.preflight(&observed, &foreseen)? {
            self.report.event(&Event::Note { what });
        }
        if self.options.snapshot && !foreseen.is_empty() && snapshot::is_first_change(&observed) {
            let taken = snapshot::take(self.nodes, &observed, &state)?;
            let path = taken.path.display().to_string();
            journal.write(None, "done", &format!("snapshot of {} bytes in {path}", taken.bytes))?;
            self.report.event(&Event::Snapshot { path, bytes: taken.bytes });
            if let Some(made) = v2_backup::take(self.nodes, &observed)? {
                let (member, path) = (made.member, made.path.display().to_string());
                journal.write(Some(&member), "done", &format!("backup of v2 data in {path}"))?;
                self.report.event(&Event::V2Backup { member, path });
            }
        }
        // Units that were moved to https lose it on the way back: first the loopback port is opened again, if it was
        // closed, then they move there.
        let rises = self.options.goal != Goal::Http;
        let mut goals = vec![self.options.goal];
        if !rises && self.unseals_first(&observed)? {
            goals.insert(0, Goal::Https);
        }
        let mut goal = goals.remove(0);
        if goals.is_empty() {
            self.around_first(goal, &observed, &journal, changed)?;
        }
        let mut steps = 0;
        let mut asked = false;
        let mut since = SystemTime::now();
        // Every member passes each stage at most once in a run that succeeds.
        let most = self.nodes.len() * Stage::ALL.len() * 2;
        loop {
            let step = match next(&observed.standings(), goal, self.options.down) {
                Next::Done if goals.is_empty() => break,
                Next::Refused(refusal @ Refusal::OthersDown(_)) => return Err(self.refused(refusal)),
                Next::Refused(refusal) if goals.is_empty() => return Err(self.refused(refusal)),
                Next::Done | Next::Refused(_) => {
                    goal = goals.remove(0);
                    self.around_first(goal, &observed, &journal, changed)?;
                    continue;
                }
                Next::Step(step) => step,
            };
            self.around_before(goal, &step, &observed, &journal, changed)?;
            if cuts(goal, step.stage)
                && !self.options.cut_clients
                && let Some(clients) = self.in_the_way(&observed, step.stage)?
            {
                journal.write(None, "end", "waiting for clients to move")?;
                self.report.event(&Event::Clients { speak: clients.speak, clients: clients.clients.clone() });
                return Ok(Ending::Waiting(clients));
            }
            if steps > 0 && self.report.pauses() && !asked {
                let next = self.nodes[step.member].name.as_str();
                if !self.report.go_on(next, step.stage) {
                    journal.write(None, "end", &format!("paused before {next}"))?;
                    return Ok(Ending::Paused { steps, next: next.to_owned() });
                }
                // Whoever was asked may have taken long.
                observed = self.observe()?;
                asked = true;
                continue;
            }
            asked = false;
            self.proxies_before(&step, &observed)?;
            steps += 1;
            if steps > most {
                return Err(MigrateError::WrongCluster(
                    "the cluster changes while it is being migrated".to_owned(),
                ));
            }
            let done = self.step(&observed, &step, (steps, foreseen.len().max(steps)), &journal, changed);
            if let Err(error) = &done {
                journal.write(Some(&self.nodes[step.member].name), "failed", &error.to_string())?;
            }
            observed = match done? {
                Some(seen) => self.without_drift(seen)?,
                None => self.observe()?,
            };
            since = SystemTime::now();
        }
        journal.write(None, "end", "done")?;
        if self.options.goal != Goal::Http {
            let checks = closing::look(self.nodes, &observed, since);
            self.report.event(&Event::Closing { checks });
        }
        self.report.event(&Event::Done { steps, ms: ms(start) });
        Ok(Ending::Done { steps })
    }

    fn state_dir(&self) -> PathBuf {
        self.options.pki_dir.join("migrate")
    }

    /// The lock here, and those on the machines that are to be changed.
    pub(super) fn locks(&self) -> Result<(DirLock, Vec<Box<dyn Send>>), MigrateError> {
        let state = self.state_dir();
        files::make_dir(&state, Meta::mode(FileMode::SECRET_DIR))?;
        let here = DirLock::take(&state.join("lock"), &self.options.operator, Duration::ZERO)?;
        let places = self.around.map_or(&[][..], |around| &around.places);
        let alone = places.iter().filter(|place| place.member_unit.is_none()).map(|place| &place.host);
        let hosts = self.nodes.iter().map(|node| &node.host).chain(alone);
        let there = hosts.map(|host| host.lock(&self.options.operator)).collect::<Result<_, _>>()?;
        Ok((here, there))
    }

    pub(super) fn observe(&self) -> Result<Observed, MigrateError> {
        self.without_drift(observe(self.nodes, self.options.wishes)?)
    }

    fn without_drift(&self, observed: Observed) -> Result<Observed, MigrateError> {
        if !self.options.accept_drift {
            for (node, sight) in self.nodes.iter().zip(&observed.members) {
                if let Some(what) = &sight.drift {
                    return Err(MigrateError::Drift { member: node.name.clone(), what: what.clone() });
                }
            }
        }
        Ok(observed)
    }

    /// Who would be cut off when the members go to a stage.
    fn in_the_way(&self, observed: &Observed, to: Stage) -> Result<Option<InTheWay>, MigrateError> {
        let mut found = in_the_way(self.nodes, to, &self.followers())?;
        let past = if to == Stage::Plain { Vec::new() } else { self.past_proxies(observed)? };
        if !past.is_empty() {
            found.get_or_insert(InTheWay { speak: "plain-text", clients: Vec::new() }).clients.extend(past);
        }
        Ok(found)
    }

    fn refused(&self, refusal: Refusal) -> MigrateError {
        let names = |down: &[usize]| down.iter().map(|&i| self.nodes[i].name.clone()).collect();
        match refusal {
            Refusal::OthersDown(down) => MigrateError::OthersDown {
                can_go_on: can_spare_one_more(self.nodes.len(), down.len()),
                members: names(&down),
            },
            Refusal::Left(down) => MigrateError::Left { members: names(&down) },
        }
    }

    fn announce(&self, observed: &Observed) {
        self.report.event(&self.observed_event(observed));
        let (steps, _) = plan(&observed.standings(), self.options.goal, self.options.down);
        self.report.event(&Event::Plan { steps: self.step_lines(&steps) });
        if let [_] | [_, _] = self.nodes {
            let what = "with one or two members the cluster is down while one of them restarts".to_owned();
            self.report.event(&Event::Note { what });
        }
    }

    /// Where the cluster stands, as an event.
    pub fn observed_event(&self, observed: &Observed) -> Event<'static> {
        let line = |(node, sight): (&Node, &Sight)| MemberLine {
            name: node.name.clone(),
            id: sight.id.to_string(),
            stage: sight.standing.running,
            disk: sight.standing.disk,
            peer_urls: sight.peer_urls.iter().map(ToString::to_string).collect(),
            client_urls: sight.client_urls.clone(),
            version: sight.version.clone(),
            leader: sight.standing.leader,
        };
        Event::Observed {
            cluster: format!("{:x}", observed.cluster_id),
            members: self.nodes.iter().zip(&observed.members).map(line).collect(),
        }
    }

    /// Steps with their members' names.
    pub fn step_lines(&self, steps: &[Step]) -> Vec<StepLine> {
        let line = |step: &Step| StepLine {
            member: self.nodes[step.member].name.clone(),
            stage: step.stage,
            actions: step.actions.clone(),
        };
        steps.iter().map(line).collect()
    }

    /// Returns the cluster as the step left it, if the step looked at it when all was done.
    fn step(
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
        let gate = Gate {
            nodes: self.nodes,
            wishes: self.options.wishes,
            member: step.member,
            deadline: self.options.step_timeout,
            away: &away,
            certified: self.options.goal != Goal::Http,
            report: self.report,
        };
        let moves = |action: &Action| matches!(action, Action::UpdatePeerUrl | Action::Restart);
        if step.actions.iter().any(moves) {
            let held = gate.before(n == 1)?;
            self.report.event(&Event::Gate { member, when: "before", ms: held.ms, checks: held.checks });
        }
        // What was looked at before other actions may have changed since.
        let again = step.actions.iter().position(|&action| action == Action::Restart).filter(|&at| at > 0);
        let last_move = step.actions.iter().rposition(moves);
        let since = SystemTime::now();
        let mut seen = None;
        for (i, &action) in step.actions.iter().enumerate() {
            if again == Some(i) {
                gate.before(false)?;
                if stage >= Stage::Certs {
                    gate.is_as_placed(step.member)?;
                }
            }
            let what = self.describe(sight, stage, action);
            journal.write(Some(member), "intent", &what)?;
            *changed = true;
            self.report.event(&Event::Action { member, action, what: what.clone(), state: "start" });
            self.act(node, observed, sight, stage, action)?;
            seen = None;
            journal.write(Some(member), "done", &what)?;
            self.report.event(&Event::Action { member, action, what, state: "done" });
            if Some(i) == last_move {
                let settings = sight
                    .recipe(node, self.options.wishes)
                    .settings(stage)
                    .map_err(|source| MigrateError::Url { member: member.to_owned(), source })?;
                let restarted = step.actions.contains(&Action::Restart);
                let identity =
                    sight.process.as_ref().filter(|_| restarted).map(|process| process.identity.as_str());
                let held = gate.after(&After { identity, settings: &settings, since })?;
                journal.write(Some(member), "gate", &held.checks.join(", "))?;
                self.report.event(&Event::Gate { member, when: "after", ms: held.ms, checks: held.checks });
                seen = Some(held.observed);
            }
        }
        self.report.event(&Event::Step { n, of, member, stage, state: "done", ms: Some(ms(start)) });
        Ok(seen)
    }

    fn describe(&self, sight: &Sight, stage: Stage, action: Action) -> String {
        match action {
            Action::Install => "place the certificates".to_owned(),
            Action::UpdatePeerUrl => {
                format!("member update {} {}", sight.id, join(&peer_urls(sight, stage)))
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
        let urls = peer_urls(sight, stage);
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
            None => MigrateError::NoAnswer("no member serves clients".to_owned()),
        })
    }
}

/// Whether a step to this stage takes listeners away that clients may use.
fn cuts(goal: Goal, stage: Stage) -> bool {
    match goal {
        Goal::Http => stage == Stage::Plain,
        Goal::Https | Goal::Sealed => stage >= Stage::Tls,
    }
}

/// A member's peer URLs as a stage has them.
fn peer_urls(sight: &Sight, stage: Stage) -> Vec<PeerUrl> {
    sight.peer_urls.iter().map(|url| url.with_scheme(stage.peer_scheme())).collect()
}

fn ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
