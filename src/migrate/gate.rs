//! The gate before and after every restart: nothing goes on unless the cluster could lose this member now.
//!
//! What is looked at is what fails in the field: etcd's own word on its health, one leader, logs that keep up, *new*
//! TLS connections with the real pairs from host to host (status stays green over old ones for a while), a commit
//! through the member that was restarted, and its log.

use std::time::{Duration, Instant, SystemTime};

use crate::etcd::{PeerUrl, Status};

use super::error::MigrateError;
use super::event::{Event, Report};
use super::node::Node;
use super::observe::{Observed, Sight, Wishes, clocks, observe, settings};
use super::place::not_as_placed;
use super::speak::Speaker;
use super::stage::{Settings, Stage, differences};

/// A pause between two looks.
const PAUSE: Duration = Duration::from_millis(150);

/// How long nothing is said about a wait, and between two words about it.
const QUIET: Duration = Duration::from_secs(2);

/// How far back a failed unit's log is shown.
const RECENT: Duration = Duration::from_secs(60);

/// What held, or what did not.
type Looked = Result<Vec<String>, Vec<String>>;

/// The same, with the cluster as it was when it held.
type Passed = Result<(Vec<String>, Observed), Vec<String>>;

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
    /// The certificates that are in force are those that were issued: so it is on the way there.
    pub(super) certified: bool,
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
                return Ok(Err(vec![format!("{} still runs its old process", node.name)]));
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
            Ok(well.map(|checks| (checks, observed)))
        })
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
        if !self.certified {
            return Ok(());
        }
        match not_as_placed(&self.nodes[i])? {
            Some(path) => Err(MigrateError::Changed { member: self.nodes[i].name.clone(), path }),
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
            return Err(MigrateError::UnitFailed { member, unit, what, log });
        }
        let doing = if absence.doing.is_empty() { String::new() } else { format!(": {}", absence.doing) };
        Ok(Err(vec![format!("{} has no etcd process{doing}", node.name)]))
    }

    /// Tells what is waited for, when that is news and the wait is long.
    fn tell(
        &self,
        when: &'static str,
        start: Instant,
        told: &mut (Option<Instant>, Vec<String>),
        saw: &[String],
    ) {
        let (last, what) = &mut *told;
        let due = last.unwrap_or(start) + QUIET;
        if Instant::now() >= due && what != saw {
            let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            let member = self.nodes[self.member].name.as_str();
            self.report.event(&Event::Waiting { member, when, ms, saw: saw.to_vec() });
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
        let mut told = (None, Vec::new());
        loop {
            let saw = match look(self) {
                Ok(Ok((checks, observed))) => {
                    let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
                    return Ok(Held { ms, checks, observed });
                }
                Ok(Err(saw)) => saw,
                // Nobody answers, or a host hiccups: that may pass. Everything else will not.
                Err(error @ (MigrateError::NoAnswer(_) | MigrateError::Host(_))) => vec![error.to_string()],
                Err(error) => return Err(error),
            };
            if start.elapsed() > self.deadline {
                let node = &self.nodes[self.member];
                let mut saw = saw;
                if let Some(since) = log_since {
                    saw.extend(complaints(node, since));
                }
                let (member, seconds) = (node.name.clone(), self.deadline.as_secs());
                return Err(MigrateError::Gate { member, when, seconds, saw });
            }
            self.tell(when, start, &mut told, &saw);
            std::thread::sleep(PAUSE);
        }
    }

    /// The members that `counts` takes are healthy, agree on one leader, keep up with each other, and no alarm is
    /// raised.
    fn cluster_is_well(&self, observed: &Observed, counts: impl Fn(usize) -> bool + Sync) -> Looked {
        let mut wrong = Vec::new();
        let counted: Vec<usize> = (0..self.nodes.len()).filter(|&i| counts(i)).collect();
        let healths: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = counted
                .iter()
                .map(|&i| scope.spawn(move || health(&self.nodes[i], &observed.members[i])))
                .collect();
            threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err("no answer".to_owned()))).collect()
        });
        let mut leaders = Vec::new();
        for (&i, health) in counted.iter().zip(healths) {
            let name = &self.nodes[i].name;
            match (&observed.members[i].status, health) {
                (_, Err(why)) => wrong.push(format!("{name}: {why}")),
                (None, _) => wrong.push(format!("{name} does not answer")),
                (Some(status), Ok(())) => match status.leader {
                    None => wrong.push(format!("{name} knows no leader")),
                    Some(leader) => leaders.push(leader),
                },
            }
        }
        leaders.dedup();
        if leaders.len() > 1 {
            wrong.push("the members do not agree on a leader".to_owned());
        }
        wrong.extend(self.lagging(observed, &counted));
        if let Some(i) = counted.first() {
            wrong.extend(alarms(&self.nodes[*i], &observed.members[*i]));
        }
        if wrong.is_empty() {
            Ok(vec![
                format!("{} of {} healthy", counted.len(), self.nodes.len()),
                "one leader".to_owned(),
                "logs level".to_owned(),
                "no alarm".to_owned(),
            ])
        } else {
            Err(wrong)
        }
    }

    /// Members that have not yet applied what the others had when they were asked. They are asked one after the
    /// other under load, so a second look at those that seem behind is fair.
    fn lagging(&self, observed: &Observed, counted: &[usize]) -> Vec<String> {
        let statuses: Vec<(usize, &Status)> =
            counted.iter().filter_map(|&i| Some((i, observed.members[i].status.as_ref()?))).collect();
        let newest = statuses.iter().map(|(_, status)| status.raft_index).max().unwrap_or_default();
        let applied = |status: &Status| status.raft_applied.unwrap_or(status.raft_index);
        statuses
            .iter()
            .filter(|(_, status)| applied(status) < newest)
            .filter_map(|&(i, _)| {
                let node = &self.nodes[i];
                let running = observed.members[i].running.as_ref()?;
                let again = Speaker::to(node, running).status().ok();
                let behind = newest.saturating_sub(again.as_ref().map_or(0, applied));
                (behind > 0).then(|| format!("{} is {behind} log entries behind", node.name))
            })
            .collect()
    }

    /// Everything works through the member, and to it from those that `counts` takes.
    fn works(&self, observed: &Observed, counts: impl Fn(usize) -> bool) -> Looked {
        let others: Vec<usize> = (0..self.nodes.len()).filter(|&i| i != self.member && counts(i)).collect();
        let mut checks = self.connections(observed, &others)?;
        checks.extend(self.commits(&observed.members[self.member])?);
        checks.extend(self.seen_by_peers(observed, &others)?);
        Ok(checks)
    }

    /// New connections with the real pairs: to every https client listener of the member, and between its machine and
    /// every other member's, over the peer URLs, both ways.
    fn connections(&self, observed: &Observed, others: &[usize]) -> Looked {
        let node = &self.nodes[self.member];
        let sight = &observed.members[self.member];
        let mut checks = Vec::new();
        let mut wrong = Vec::new();
        for url in sight.running.as_ref().map(|running| node.https_urls(running)).unwrap_or_default() {
            match node.client(&url).version() {
                Ok(_) => checks.push(format!("{url} answers with a client certificate")),
                Err(error) => wrong.push(error.to_string()),
            }
        }
        let pairs = others.iter().flat_map(|&i| [(self.member, i), (i, self.member)]);
        match self.dial(observed, pairs) {
            Ok(dialled) => checks.extend(dialled),
            Err(trouble) => wrong.extend(trouble),
        }
        if wrong.is_empty() { Ok(checks) } else { Err(wrong) }
    }

    /// The members that `counts` takes reach each other, by new connections over their peer URLs: old ones hide what is
    /// cut or distrusted.
    fn mesh(&self, observed: &Observed, counts: impl Fn(usize) -> bool) -> Looked {
        let counted: Vec<usize> = (0..self.nodes.len()).filter(|&i| counts(i)).collect();
        let pairs = counted.iter().flat_map(|&from| counted.iter().map(move |&to| (from, to)));
        self.dial(observed, pairs.filter(|(from, to)| from != to))
    }

    /// New connections from members' machines to others' peer URLs, with the real pairs. A URL that its member does not
    /// serve yet, or no more, is left out: the plan sees to that member first.
    fn dial(&self, observed: &Observed, pairs: impl Iterator<Item = (usize, usize)>) -> Looked {
        let served = |to: usize| {
            let standing = &observed.members[to].standing;
            standing.running.is_none_or(|stage| stage.peer_scheme() == standing.peer_url)
        };
        let dials: Vec<(&Node, &PeerUrl)> = pairs
            .filter(|&(_, to)| served(to))
            .flat_map(|(from, to)| {
                observed.members[to].peer_urls.iter().map(move |url| (&self.nodes[from], url))
            })
            .collect();
        let mut wrong = Vec::new();
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                dials.iter().map(|(from, url)| scope.spawn(move || from.client(url).version())).collect();
            threads.into_iter().map(|thread| thread.join().expect("a dial does not panic")).collect()
        });
        for ((from, _), answer) in dials.iter().zip(answers) {
            if let Err(error) = answer {
                wrong.push(format!("from {}: {error}", from.name));
            }
        }
        match (wrong.is_empty(), dials.len()) {
            (false, _) => Err(wrong),
            (true, 0) => Ok(Vec::new()),
            (true, count) => Ok(vec![format!("{count} new peer connections")]),
        }
    }

    /// A commit goes through the member.
    fn commits(&self, sight: &Sight) -> Looked {
        let node = &self.nodes[self.member];
        let running = sight.running.as_ref().ok_or_else(|| vec![format!("{} is down", node.name)])?;
        match Speaker::to(node, running).commit() {
            Ok(()) => Ok(vec!["a commit goes through it".to_owned()]),
            Err(error) => Err(vec![error.to_string()]),
        }
    }

    /// The others hold streams with it, where they tell.
    fn seen_by_peers(&self, observed: &Observed, others: &[usize]) -> Looked {
        let id = observed.members[self.member].id;
        let mut wrong = Vec::new();
        let mut told = 0;
        for &i in others {
            let (node, sight) = (&self.nodes[i], &observed.members[i]);
            let Some(running) = &sight.running else { continue };
            let peers = Speaker::to(node, running).active_peers();
            match peers {
                Some(peers) if !peers.contains(&id) => {
                    wrong
                        .push(format!("{} holds no stream with {}", node.name, self.nodes[self.member].name));
                }
                Some(_) => told += 1,
                None => {}
            }
        }
        match (wrong.is_empty(), told) {
            (false, _) => Err(wrong),
            (true, 0) => Ok(Vec::new()),
            (true, told) => Ok(vec![format!("active for {told} peers")]),
        }
    }
}

/// Both hold, or all that does not.
fn both(one: Looked, other: Looked) -> Looked {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok([one, other].concat()),
        (Err(one), Err(other)) => Err([one, other].concat()),
        (Err(wrong), Ok(_)) | (Ok(_), Err(wrong)) => Err(wrong),
    }
}

fn health(node: &Node, sight: &Sight) -> Result<(), String> {
    match &sight.running {
        None => Err("it is down".to_owned()),
        Some(running) => Speaker::to(node, running).health(),
    }
}

fn alarms(node: &Node, sight: &Sight) -> Vec<String> {
    let raised = sight.running.as_ref().and_then(|running| Speaker::to(node, running).alarms().ok());
    raised
        .unwrap_or_default()
        .iter()
        .map(|alarm| format!("an alarm is raised: {} of member {}", alarm.kind, alarm.member))
        .collect()
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
