//! What a gate looks at: health, leader, logs and alarms; new connections, a commit, the peers' own word.

use std::collections::BTreeSet;

use crate::etcd::{ClientUrl, PeerUrl, Status};

use super::super::node::Node;
use super::super::observe::{Observed, Sight};
use super::super::speak::Speaker;
use super::super::trouble::Trouble;
use super::{Gate, Looked};

impl Gate<'_> {
    /// The members that `counts` takes are healthy, agree on one leader, keep up with each other, and no alarm is
    /// raised.
    pub(super) fn cluster_is_well(
        &self,
        observed: &Observed,
        counts: impl Fn(usize) -> bool + Sync,
    ) -> Looked {
        let mut wrong = Vec::new();
        let counted: Vec<usize> = (0..self.nodes.len()).filter(|&i| counts(i)).collect();
        let healths: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = counted
                .iter()
                .map(|&i| scope.spawn(move || health(&self.nodes[i], &observed.members[i])))
                .collect();
            threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err("no answer".into()))).collect()
        });
        let mut leaders = Vec::new();
        for (&i, health) in counted.iter().zip(healths) {
            let name = &self.nodes[i].name;
            match (&observed.members[i].status, health) {
                (_, Err(why)) => wrong.push(why.of(name)),
                (None, _) => wrong.push(format!("{name} does not answer").into()),
                (Some(status), Ok(())) => match status.leader {
                    None => wrong.push(format!("{name} knows no leader").into()),
                    Some(leader) => leaders.push(leader),
                },
            }
        }
        leaders.dedup();
        if leaders.len() > 1 {
            wrong.push("the members do not agree on a leader".into());
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
    fn lagging(&self, observed: &Observed, counted: &[usize]) -> Vec<Trouble> {
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
                (behind > 0).then(|| format!("{} is {behind} log entries behind", node.name).into())
            })
            .collect()
    }

    /// Everything works through the member, and to it from those that `counts` takes.
    pub(super) fn works(&self, observed: &Observed, counts: impl Fn(usize) -> bool) -> Looked {
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
                Err(error) => wrong.push(error.into()),
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
    pub(super) fn mesh(&self, observed: &Observed, counts: impl Fn(usize) -> bool) -> Looked {
        let counted: Vec<usize> = (0..self.nodes.len()).filter(|&i| counts(i)).collect();
        let pairs = counted.iter().flat_map(|&from| counted.iter().map(move |&to| (from, to)));
        self.dial(observed, pairs.filter(|(from, to)| from != to))
    }

    /// What is wrong with the others, and where the cause may lie: one of them may not be well because it cannot reach
    /// this member, which often leads.
    pub(super) fn with_cuts_from_it(
        &self,
        observed: &Observed,
        mut saw: Vec<Trouble>,
        counts: impl Fn(usize) -> bool,
    ) -> Vec<Trouble> {
        if observed.members[self.member].running.is_some() {
            let others = (0..self.nodes.len()).filter(|&i| counts(i));
            let pairs = others.flat_map(|i| [(self.member, i), (i, self.member)]);
            saw.extend(self.dial(observed, pairs).err().unwrap_or_default());
        }
        saw
    }

    /// New connections from members' machines to others' peer URLs, with the real pairs. A URL that its member does not
    /// serve yet, or no more, is left out: the plan sees to that member first.
    fn dial(&self, observed: &Observed, pairs: impl Iterator<Item = (usize, usize)>) -> Looked {
        let dials: Vec<(&Node, &PeerUrl)> = pairs
            .filter(|&(_, to)| serves_its_url(&observed.members[to]))
            .flat_map(|(from, to)| {
                observed.members[to].peer_urls.iter().map(move |url| (&self.nodes[from], url))
            })
            .collect();
        match dialled(&dials)? {
            0 => Ok(Vec::new()),
            count => Ok(vec![format!("{count} new peer connections")]),
        }
    }

    /// A commit goes through the member.
    fn commits(&self, sight: &Sight) -> Looked {
        let node = &self.nodes[self.member];
        let running = sight.running.as_ref().ok_or_else(|| vec![format!("{} is down", node.name).into()])?;
        match Speaker::to(node, running).commit() {
            Ok(()) => Ok(vec!["a commit goes through it".to_owned()]),
            Err(error) => Err(vec![error.into()]),
        }
    }

    /// The others hold streams with it, where they tell: by etcd's own word, or because what they send to it grows.
    fn seen_by_peers(&self, observed: &Observed, others: &[usize]) -> Looked {
        if !serves_its_url(&observed.members[self.member]) {
            // Only it can dial, until its URL follows; that commits go through is asked elsewhere.
            return Ok(Vec::new());
        }
        let id = observed.members[self.member].id;
        let mut wrong = Vec::new();
        let mut told = 0;
        for &i in others {
            let (node, sight) = (&self.nodes[i], &observed.members[i]);
            let Some(running) = &sight.running else { continue };
            let Some(streams) = Speaker::to(node, running).peer_streams() else { continue };
            let stream = streams.get(&id).copied().unwrap_or_default();
            if stream.active || self.heard.grew(i, id, stream.sent) {
                told += 1;
            } else {
                let with = &self.nodes[self.member].name;
                wrong.push(format!("{} holds no stream with {with}", node.name).into());
            }
        }
        match (wrong.is_empty(), told) {
            (false, _) => Err(wrong),
            (true, 0) => Ok(Vec::new()),
            (true, told) => Ok(vec![format!("active for {told} peers")]),
        }
    }
}

/// Clients are told where the member is reached now: it says so itself some moments after its start, by way of the leader.
pub(super) fn is_told_of(sight: &Sight) -> Looked {
    let urls = |list: &str| ClientUrl::list(list).ok().map(|urls| urls.into_iter().collect::<BTreeSet<_>>());
    let advertised = sight.running.as_ref().and_then(|running| running.get("advertise-client-urls"));
    let (Some(advertised), told) = (advertised.and_then(|list| urls(list)), sight.client_urls.join(","))
    else {
        return Ok(Vec::new());
    };
    if urls(&told).is_some_and(|told| told == advertised) {
        return Ok(vec!["its client URLs are told".to_owned()]);
    }
    let at = if told.is_empty() { "nowhere" } else { told.as_str() };
    Err(vec![format!("the members list still has its client URLs at {at}").into()])
}

/// Whether a member listens as its peer URL says; one that is down is taken to.
fn serves_its_url(sight: &Sight) -> bool {
    let standing = &sight.standing;
    standing.running.is_none_or(|stage| stage.scheme() == standing.peer_url)
}

fn health(node: &Node, sight: &Sight) -> Result<(), Trouble> {
    match &sight.running {
        None => Err("it is down".into()),
        Some(running) => Speaker::to(node, running).health(),
    }
}

fn alarms(node: &Node, sight: &Sight) -> Vec<Trouble> {
    let raised = sight.running.as_ref().and_then(|running| Speaker::to(node, running).alarms().ok());
    raised
        .unwrap_or_default()
        .iter()
        .map(|alarm| Trouble::alarm(format!("an alarm is raised: {} of member {}", alarm.kind, alarm.member)))
        .collect()
}

/// Dials peer URLs from members' machines, all at once, each by a new connection; returns how many there were.
fn dialled(dials: &[(&Node, &PeerUrl)]) -> Result<usize, Vec<Trouble>> {
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            dials.iter().map(|(from, url)| scope.spawn(move || from.client(url).version())).collect();
        threads.into_iter().map(|thread| thread.join().expect("a dial does not panic")).collect()
    });
    let refused = dials.iter().zip(answers);
    let wrong: Vec<Trouble> = refused
        .filter_map(|((from, _), answer)| {
            Some(Trouble::from(answer.err()?).of(&format!("from {}", from.name)))
        })
        .collect();
    if wrong.is_empty() { Ok(dials.len()) } else { Err(wrong) }
}
