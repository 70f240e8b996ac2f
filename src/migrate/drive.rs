//! The loop: observe, plan, one step, gate, observe again.

mod going_down;
mod step;
mod telling;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crate::etcd::quorum::can_spare_one_more;
use crate::files::{self, DirLock, FileMode, Meta};

use super::around::{Moved, Surroundings};
use super::clients::{InTheWay, in_the_way};
use super::error::MigrateError;
use super::event::{Event, Report};
use super::journal::Journal;
use super::node::Node;
use super::observe::{Observed, clocks, is_plain_by_itself, observe};
use super::plan::{Down, Goal, Next, Refusal, Step, next, plan};
use super::preflight;
use super::recipe::Wishes;
use super::snapshot;
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
        self.has_a_way_back(&observed)?;
        let (steps, refusal) = plan(&observed.standings(), self.options.goal, self.options.down);
        let refusal = refusal.map(|refusal| self.refused(refusal));
        let notes = self.preflight(&observed, &steps)?;
        let cutting = steps.iter().map(|step| step.stage).find(|&stage| cuts(self.options.goal, stage));
        let clients = match cutting {
            Some(stage) => {
                let outside = self.outside_proxies(stage, &observed)?;
                with(self.in_the_way(&observed, stage)?, outside)
            }
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
        let mut notes = auth::check(self.nodes, observed)?;
        preflight::check(self.nodes, observed, steps, self.options.wishes)?;
        notes.extend(self.around_notes());
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
        let _locks = self.locks()?;
        clocks(self.nodes)?;
        let observed = self.observe()?;
        self.has_a_way_back(&observed)?;
        let journal = Journal::open(&self.options.pki_dir, &observed.cluster())?;
        journal.write(None, "begin", &format!("{:?} by {}", self.options.goal, self.options.operator))?;
        let ending = self.go(start, observed, &journal, changed);
        if let Err(error) = &ending {
            journal.stopped(error);
        }
        ending
    }

    fn go(
        &self,
        start: Instant,
        mut observed: Observed,
        journal: &Journal,
        changed: &mut bool,
    ) -> Result<Ending, MigrateError> {
        let state = self.state_dir();
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
            self.around_first(goal, &observed, journal, changed)?;
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
                    self.around_first(goal, &observed, journal, changed)?;
                    continue;
                }
                Next::Step(step) => step,
            };
            let waits = cuts(goal, step.stage) && !self.options.cut_clients;
            // A proxy that is given certificates listens on the loopback address alone from then on.
            if waits && let Some(clients) = with(None, self.outside_proxies(step.stage, &observed)?) {
                return self.waiting(journal, clients);
            }
            self.around_before(goal, &step, &observed, journal, changed)?;
            if waits && let Some(clients) = self.in_the_way(&observed, step.stage)? {
                return self.waiting(journal, clients);
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
            self.proxies_before(&step, &observed, journal, changed)?;
            self.clients_before(&step, &observed)?;
            steps += 1;
            if steps > most {
                return Err(MigrateError::WrongCluster(
                    "the cluster changes while it is being migrated".to_owned(),
                ));
            }
            let done = self.step(&observed, &step, (steps, foreseen.len().max(steps)), journal, changed);
            if let Err(error) = &done {
                journal.write(Some(&self.nodes[step.member].name), "failed", &error.to_string())?;
            }
            observed = match done? {
                Some(seen) => self.without_drift(seen)?,
                None => self.observe()?,
            };
            since = SystemTime::now();
        }
        if steps > 0 {
            self.around_after(goal, &observed, journal, changed)?;
        }
        journal.write(None, "end", "done")?;
        if self.options.goal != Goal::Http {
            let checks = closing::look(self.nodes, &observed, since);
            self.report.event(&Event::Closing { checks });
        }
        self.report.event(&Event::Done { steps, ms: ms(start) });
        Ok(Ending::Done { steps })
    }

    /// Plain HTTP is what every member would speak by itself, where it is to go there.
    fn has_a_way_back(&self, observed: &Observed) -> Result<(), MigrateError> {
        if self.options.goal != Goal::Http {
            return Ok(());
        }
        let mut members = self.nodes.iter().zip(&observed.members);
        members.try_for_each(|(node, sight)| is_plain_by_itself(node, &sight.base))
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
        let found = in_the_way(self.nodes, to, &self.follows(observed))?;
        let past = if to == Stage::Plain { Vec::new() } else { self.past_proxies(observed)? };
        Ok(with(found, past))
    }

    fn waiting(&self, journal: &Journal, clients: InTheWay) -> Result<Ending, MigrateError> {
        journal.write(None, "end", "waiting for clients to move")?;
        self.report.event(&Event::Clients { speak: clients.speak, clients: clients.clients.clone() });
        Ok(Ending::Waiting(clients))
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
}

/// Those in the way, and more who speak plain text.
fn with(found: Option<InTheWay>, more: Vec<String>) -> Option<InTheWay> {
    if more.is_empty() {
        return found;
    }
    let mut found = found.unwrap_or(InTheWay { speak: "plain-text", clients: Vec::new() });
    found.clients.extend(more);
    Some(found)
}

/// Whether a step to this stage takes listeners away that clients may use.
fn cuts(goal: Goal, stage: Stage) -> bool {
    match goal {
        Goal::Http => stage == Stage::Plain,
        Goal::Https | Goal::Sealed => stage >= Stage::Tls,
    }
}

pub(super) fn ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
