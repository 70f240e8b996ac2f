//! The gate before and after every restart: nothing goes on unless the cluster could lose this member now.
//!
//! What is looked at is what fails in the field: etcd's own word on its health, one leader, logs that keep up, *new*
//! TLS connections with the real pairs from host to host (status stays green over old ones for a while), a commit
//! through the member that was restarted, and its log.

mod checks;
mod heard;

use std::time::{Duration, Instant, SystemTime};

use crate::etcd::quorum::has_quorum;
use crate::host::Absence;

use super::disk::settings;
use super::error::MigrateError;
use super::event::{Event, Report};
use super::node::Node;
use super::observe::{Observed, clocks, observe};
use super::place::{not_as_issued, not_as_placed};
use super::preflight::unfit;
use super::recipe::Wishes;
use super::settings::{Settings, differences};
use super::stage::Stage;
use super::trouble::{Kind, Trouble, any, words};

use checks::is_told_of;
pub(super) use heard::Heard;

/// The pause after the first look.
const PAUSE: Duration = Duration::from_millis(150);

/// The longest pause between two looks. Each looks at every host; what takes long is not seen much later for a longer one.
const LONGEST: Duration = Duration::from_millis(400);

/// How long nothing is said about a wait, and between two words about it.
const QUIET: Duration = Duration::from_secs(2);

/// How long an alarm is waited for that was disarmed a moment ago.
const ALARM: Duration = Duration::from_secs(3);

/// How far back a failed unit's log is shown.
const RECENT: Duration = Duration::from_secs(60);

/// What held, or what did not.
type Looked = Result<Vec<String>, Vec<Trouble>>;

/// The same, with the cluster as it was when it held.
type Passed = Result<(Vec<String>, Observed), Vec<Trouble>>;

/// A gate to be passed.
pub(super) struct Gate<'a> {
    pub(super) nodes: &'a [Node],
    pub(super) wishes: Wishes,
    /// Whose turn it is.
    pub(super) member: usize,
    /// How long to wait for it.
    pub(super) deadline: Duration,
    /// Members that are down and are left so: nothing is asked of them.
    pub(super) away: &'a [usize],
    /// The certificates that are in force are those that were issued: so it is on the way there. On the way back others may
    /// have been issued since, and those that were placed are in force.
    pub(super) certified: bool,
    /// What members were heard to send to others.
    pub(super) heard: &'a Heard,
    /// Who is told what is waited for.
    pub(super) report: &'a dyn Report,
}

/// What the member must have become.
pub(super) struct After<'a> {
    /// Its process before the restart; none when it was down or is not restarted.
    pub(super) identity: Option<&'a str>,
    /// What it must run with.
    pub(super) settings: &'a Settings,
    /// When the restart was asked for.
    pub(super) since: SystemTime,
}

/// A gate that held.
pub(super) struct Held {
    pub(super) ms: u64,
    pub(super) checks: Vec<String>,
    /// The cluster as it was then.
    pub(super) observed: Observed,
}

impl Gate<'_> {
    /// Before a restart: the others are well and reach each other, so that the cluster can spare this one. The first
    /// gate of a run is `thorough`: nobody may have waited for the gate after the last restart, so what that one asks of
    /// the member that was restarted is asked of all the others.
    pub(super) fn before(&self, thorough: bool) -> Result<Held, MigrateError> {
        self.wait("before", None, |gate| {
            clocks(gate.nodes)?;
            let observed = observe(gate.nodes, gate.wishes)?;
            let others = |i: usize| i != gate.member && gate.counts(i);
            if gate.is_missed(&observed) {
                return Ok(Ok((vec!["there is no quorum without it".to_owned()], observed)));
            }
            for i in (0..gate.nodes.len()).filter(|&i| others(i)) {
                gate.as_placed(&observed, i)?;
            }
            // A cut between two of them is often the reason why one of them is not well.
            let well = both(gate.cluster_is_well(&observed, others), gate.mesh(&observed, others));
            let well = well.and_then(|mut checks| {
                for member in (0..gate.nodes.len()).filter(|&i| thorough && others(i)) {
                    let works = Gate { member, ..*gate }.works(&observed, others)?;
                    checks
                        .extend(works.into_iter().map(|what| format!("{}: {what}", gate.nodes[member].name)));
                }
                Ok(checks)
            });
            let well = well.map_err(|saw| gate.with_cuts_from_it(&observed, saw, others));
            Ok(well.map(|checks| (checks, observed)))
        })
    }

    /// After it: the member is back with what was meant, and everything works through it and to it.
    pub(super) fn after(&self, after: &After<'_>) -> Result<Held, MigrateError> {
        self.wait("after", after.identity.map(|_| after.since), |gate| {
            let node = &gate.nodes[gate.member];
            let Some(process) = node.service.running()? else {
                return gate.absent();
            };
            if after.identity.is_some_and(|identity| identity == process.identity) {
                let doing = doing(&node.service.absence()?);
                return Ok(Err(vec![format!("{} still runs its old process{doing}", node.name).into()]));
            }
            let actual = settings(node, &process.launch)?;
            if let Some((flag, wanted, actual)) = differences(after.settings, &actual).into_iter().next() {
                let member = node.name.clone();
                return Err(MigrateError::Overridden { member, flag, wanted, actual });
            }
            let observed = observe(gate.nodes, gate.wishes)?;
            gate.as_placed(&observed, gate.member).map_err(MigrateError::and_started)?;
            let counts = |i: usize| gate.counts(i);
            let well = gate.cluster_is_well(&observed, counts);
            let well = match well {
                Ok(_) => both(well, gate.works(&observed, counts)),
                Err(_) => both(well, gate.mesh(&observed, counts)),
            };
            let well = both(well, is_told_of(&observed.members[gate.member]));
            Ok(well.map(|checks| (checks, observed)))
        })
    }

    /// The member is down, and the others have no quorum without it: nothing can be well before it is up.
    fn is_missed(&self, observed: &Observed) -> bool {
        let is_down = |i: &usize| observed.members[*i].standing.running.is_none();
        let down = (0..self.nodes.len()).filter(is_down).count();
        is_down(&self.member) && !has_quorum(self.nodes.len(), down)
    }

    fn counts(&self, i: usize) -> bool {
        !self.away.contains(&i)
    }

    /// Nobody has put other certificates in the place of a member's since: it reads the pair at each handshake, and all
    /// of it at its next start.
    fn as_placed(&self, observed: &Observed, i: usize) -> Result<(), MigrateError> {
        let standing = &observed.members[i].standing;
        if standing.installed || standing.running < Some(Stage::Certs) {
            return Ok(());
        }
        self.is_as_placed(i)
    }

    /// The same of one that is about to be started with them.
    pub(super) fn is_as_placed(&self, i: usize) -> Result<(), MigrateError> {
        let node = &self.nodes[i];
        let changed = if self.certified { not_as_issued(node)? } else { not_as_placed(node)? };
        match changed {
            Some(path) => Err(MigrateError::Changed { member: node.name.clone(), path }),
            None => Ok(()),
        }
    }

    /// The member has no process: that may change, unless its unit has given up.
    fn absent(&self) -> Result<Passed, MigrateError> {
        let node = &self.nodes[self.member];
        let absence = node.service.absence()?;
        if let Some(what) = absence.failed {
            let log = last_lines(node);
            let (member, unit) = (node.name.clone(), node.service.name().to_owned());
            let serves_on = self.nodes.len() > 2;
            return Err(MigrateError::UnitFailed { member, unit, what, log, serves_on });
        }
        Ok(Err(vec![format!("{} has no etcd process{}", node.name, doing(&absence)).into()]))
    }

    /// Who cannot reach the member, and whom it cannot reach: one that leads and is cut off takes long to stop.
    fn cuts(&self) -> Vec<Trouble> {
        let others = |i: usize| i != self.member && self.counts(i);
        let observed = observe(self.nodes, self.wishes);
        observed.map(|observed| self.with_cuts_from_it(&observed, Vec::new(), others)).unwrap_or_default()
    }

    /// How long to wait for what was seen to pass. An alarm does not: somebody has to see to it, and etcd takes no writes
    /// meanwhile.
    fn patience(&self, saw: &[Trouble]) -> Duration {
        if any(saw, Kind::Alarm) { self.deadline.min(ALARM) } else { self.deadline }
    }

    /// Tells what is waited for, when that is news and the wait is long.
    fn tell(
        &self,
        when: &'static str,
        start: Instant,
        told: &mut (Option<Instant>, Vec<Trouble>),
        saw: &[Trouble],
    ) {
        let (last, what) = &mut *told;
        let due = last.unwrap_or(start) + QUIET;
        if Instant::now() >= due && what != saw {
            let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            let member = self.nodes[self.member].name.as_str();
            self.report.event(&Event::Waiting { member, when, ms, saw: words(saw) });
            *told = (Some(Instant::now()), saw.to_vec());
        }
    }

    fn wait(
        &self,
        when: &'static str,
        log_since: Option<SystemTime>,
        look: impl Fn(&Self) -> Result<Passed, MigrateError>,
    ) -> Result<Held, MigrateError> {
        let start = Instant::now();
        self.heard.forget();
        let mut told = (None, Vec::new());
        let mut pause = PAUSE;
        loop {
            let saw = match look(self) {
                Ok(Ok((checks, observed))) => {
                    let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
                    return Ok(Held { ms, checks, observed });
                }
                Ok(Err(saw)) => saw,
                // Nobody answers, or a host hiccups: that may pass. Everything else will not.
                Err(MigrateError::NoAnswer(refused)) => refused,
                Err(error @ MigrateError::Host(_)) => vec![error.to_string().into()],
                Err(error) => return Err(error),
            };
            let patience = self.patience(&saw);
            if start.elapsed() > patience {
                let node = &self.nodes[self.member];
                let mut saw = saw;
                let alarm = any(&saw, Kind::Alarm);
                if any(&saw, Kind::Tls) {
                    saw.extend(unfit(self.nodes).into_iter().map(Trouble::from));
                }
                if let Some(since) = log_since {
                    let cuts = self.cuts();
                    saw.extend(cuts.into_iter().filter(|cut| !saw.contains(cut)).collect::<Vec<_>>());
                    saw.extend(complaints(node, since).into_iter().map(Trouble::from));
                }
                let (member, seconds) = (node.name.clone(), patience.as_secs());
                return Err(MigrateError::Gate { member, when, seconds, saw: words(&saw), alarm });
            }
            self.tell(when, start, &mut told, &saw);
            std::thread::sleep(pause);
            pause = LONGEST.min(pause * 5 / 4);
        }
    }
}

/// What a unit is at, where that can be said.
fn doing(absence: &Absence) -> String {
    if absence.doing.is_empty() { String::new() } else { format!(": {}", absence.doing) }
}

/// Both hold, or all that does not.
fn both(one: Looked, other: Looked) -> Looked {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok([one, other].concat()),
        (Err(one), Err(other)) => Err([one, other].concat()),
        (Err(wrong), Ok(_)) | (Ok(_), Err(wrong)) => Err(wrong),
    }
}

/// What the unit said last, for the operator to read.
fn last_lines(node: &Node) -> Vec<String> {
    let mut lines = node.service.log_since(SystemTime::now() - RECENT).unwrap_or_default();
    let from = lines.len().saturating_sub(5);
    lines.split_off(from)
}

/// What the member's log says of certificates, for the operator to read.
pub(super) fn complaints(node: &Node, since: SystemTime) -> Vec<String> {
    let lines = node.service.log_since(since).unwrap_or_default();
    let telling = |line: &&String| {
        [
            "x509",
            "bad certificate",
            "unknown authority",
            "cannot listen",
            "permission denied",
            "panic",
            "fatal",
        ]
        .iter()
        .any(|word| line.contains(word))
    };
    let mut told: Vec<String> = lines.iter().filter(telling).map(|line| format!("its log: {line}")).collect();
    told.dedup();
    told.truncate(5);
    told
}
