//! What a member gives up when it goes down: leadership before its peer URL changes or it restarts, and its clients' streams
//! while it stops.
//!
//! A follower renews leases by a request to the leader's peer URL. Between the update of that URL and the end of the restart
//! nobody can reach it there, and from 3.5 on a stop takes eight seconds while clients hold streams: leases of a few seconds
//! would expire. A transfer costs some milliseconds, an election after a lost leader about a second.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::super::error::MigrateError;
use super::super::event::Event;
use super::super::journal::Journal;
use super::super::node::Node;
use super::super::observe::{Observed, Sight};
use super::super::plan::Step;
use super::super::speak::Speaker;
use super::{Migration, ms};
use crate::etcd::{ClientUrl, MemberId, Status};
use crate::host::RunningProcess;
use crate::host::streams::close_streams;

/// How long the members may take to know the new leader.
const SETTLE_TIME: Duration = Duration::from_secs(5);
/// Between two questions.
const INTERVAL: Duration = Duration::from_millis(50);

impl Migration<'_> {
    /// Moves leadership to another member, if the member of the step has it. Where it cannot be moved (v2 alone, etcd before
    /// 3.3) the operator is told, and the restart costs an election.
    pub(super) fn leave_leadership(
        &self,
        observed: &Observed,
        step: &Step,
        away: &[usize],
        journal: &Journal,
    ) -> Result<(), MigrateError> {
        let own = observed.members[step.member].id;
        let leads = self.status(observed, step.member).is_some_and(|status| status.leader == Some(own));
        let Some(to) = self.successor(observed, step, away).filter(|_| leads) else { return Ok(()) };
        let (from, target) = (self.nodes[step.member].name.as_str(), &observed.members[to]);
        let Some(running) = &observed.members[step.member].running else { return Ok(()) };
        let moved = Speaker::to(&self.nodes[step.member], running).move_leader(target.id);
        let moved = moved.map(|()| self.is_leader(observed, to, target.id));
        let to = Some(self.nodes[to].name.as_str()).filter(|_| matches!(moved, Ok(true)));
        let what = match (to, moved) {
            (Some(to), _) => format!("leadership moved from {from} to {to}"),
            (None, Err(error)) => format!("{from} leads until it restarts: {error}"),
            (None, Ok(_)) => format!("{from} leads until it restarts: no member reports another leader"),
        };
        journal.write(Some(from), "done", &what)?;
        self.report.event(&Event::Leadership { from, to, what });
        Ok(())
    }

    /// While a process stops that waits for its clients' streams: closes them. Of no use before 3.5, which does not wait.
    pub(super) fn close_streams(
        &self,
        node: &Node,
        sight: &Sight,
        process: &RunningProcess,
    ) -> Result<(), MigrateError> {
        if !waits_for_streams(&sight.version) {
            return Ok(());
        }
        let start = Instant::now();
        let running = sight.running.as_ref().and_then(|running| running.get("listen-client-urls"));
        let urls = ClientUrl::list(running.map_or("", String::as_str)).unwrap_or_default();
        let ports: BTreeSet<u16> = urls.iter().map(|url| url.at().port()).collect();
        let stopped = close_streams(&*node.host, process.pid, &Vec::from_iter(ports))?;
        self.report.event(&Event::Stopped { member: &node.name, closed: stopped.closed, ms: ms(start) });
        Ok(())
    }

    /// The member that leads next: one that has done the phase already, whose log is longest.
    fn successor(&self, observed: &Observed, step: &Step, away: &[usize]) -> Option<usize> {
        let others = (0..self.nodes.len()).filter(|i| *i != step.member && !away.contains(i));
        let known = others.filter_map(|i| Some((i, observed.members[i].status.as_ref()?)));
        let is_done = |i: usize| observed.members[i].standing.running == Some(step.stage);
        known.max_by_key(|&(i, status)| (is_done(i), status.raft_index)).map(|(i, _)| i)
    }

    fn is_leader(&self, observed: &Observed, i: usize, id: MemberId) -> bool {
        let end = Instant::now() + SETTLE_TIME;
        while Instant::now() < end {
            if self.status(observed, i).is_some_and(|status| status.leader == Some(id)) {
                return true;
            }
            std::thread::sleep(INTERVAL);
        }
        false
    }

    fn status(&self, observed: &Observed, i: usize) -> Option<Status> {
        let running = observed.members[i].running.as_ref()?;
        Speaker::to(&self.nodes[i], running).status().ok()
    }
}

/// Whether etcd of this version waits for open streams when it stops: 3.5 and later (`embed.Etcd.Close`, seen on 3.5.30).
fn waits_for_streams(version: &str) -> bool {
    let mut parts = version.split('.').map(str::parse::<u32>);
    matches!((parts.next(), parts.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (3, 5))
}
