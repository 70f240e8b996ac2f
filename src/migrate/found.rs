//! Before the last member changes what it speaks, clients must have found those that changed before it.
//!
//! A gRPC client keeps a connection to each of its endpoints, and tries one that does not answer less and less often: after
//! 1 s, then 1.6 times as long each time, up to two minutes (gRPC's connection backoff; etcd's `clientv3` since 3.4 leaves
//! it as it is). One that was given both https ports hours ago would find the second one minutes after the first has gone.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::etcd::{PeerUrl, Scheme};
use crate::host::{Connection, proc};

use super::clients::{BETWEEN, Follows, LOOKS};
use super::disk::settings;
use super::drive::{Migration, ms};
use super::error::MigrateError;
use super::event::Event;
use super::node::{Node, in_parallel};
use super::observe::{Observed, Sight};
use super::plan::Step;

/// gRPC's longest pause between two tries, its jitter of a fifth included.
const LONGEST: Duration = Duration::from_secs(144);

/// A moment to connect.
const MARGIN: Duration = Duration::from_secs(3);

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Nothing is said of a shorter wait.
const QUIET: Duration = Duration::from_secs(2);

/// Whether a step changes what a member speaks to clients, when all others that are up have changed already.
pub(super) fn is_last(step: &Step, observed: &Observed) -> bool {
    let scheme = step.stage.client_scheme();
    let not_yet =
        |sight: &Sight| sight.standing.running.is_some_and(|running| running.client_scheme() != scheme);
    observed.members.len() > 1
        && not_yet(&observed.members[step.member])
        && observed.members.iter().filter(|sight| not_yet(sight)).count() == 1
}

impl Migration<'_> {
    /// Waits, before the last member's turn, until whoever speaks TLS to it has been seen at another member too, or would have
    /// come by now: others are pinned to the last member, and go to another when that one goes.
    pub(super) fn clients_before(&self, step: &Step, observed: &Observed) -> Result<(), MigrateError> {
        if !is_last(step, observed) {
            return Ok(());
        }
        let follows = self.follows(observed);
        let (start, mut told) = (Instant::now(), BTreeSet::new());
        let mut elsewhere = BTreeSet::new();
        let mut patience = None;
        loop {
            let here = seen(self.nodes, step.member, &follows, &mut elsewhere)?;
            let alone: BTreeSet<IpAddr> = here.difference(&elsewhere).copied().collect();
            if alone.is_empty() {
                return Ok(());
            }
            let patience = match patience {
                Some(patience) => patience,
                None => *patience.insert(self.patience(step.member)?),
            };
            if start.elapsed() >= patience {
                return Ok(());
            }
            if start.elapsed() > QUIET && told != alone {
                let member = self.nodes[step.member].name.as_str();
                let saw = alone.iter().map(|ip| {
                    format!(
                        "{ip} speaks TLS to {member} alone: gRPC clients may take two minutes to find the others' new port"
                    )
                });
                self.report.event(&Event::Waiting {
                    member,
                    when: "before",
                    ms: ms(start),
                    saw: saw.collect(),
                });
                told = alone;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// How long it may take yet until every gRPC client has tried a member that changed.
    fn patience(&self, last: usize) -> Result<Duration, MigrateError> {
        let ages = in_parallel(self.nodes, |_, node| age(node))?;
        let first = ages.iter().enumerate().filter(|(i, _)| *i != last).filter_map(|(_, age)| *age).max();
        Ok(match (ages[last], first) {
            (Some(last), Some(first)) => left(last.saturating_sub(first), first),
            _ => LONGEST + MARGIN,
        })
    }
}

/// How much is left of gRPC's pause for one that has dialled in vain for so long when the first member changed, so long ago.
/// Each pause is 1.6 times the one before, and so 1 s and six tenths of all that were before it; a fifth is jitter.
fn left(dialled: Duration, since: Duration) -> Duration {
    let pause = (Duration::from_secs(1) + dialled * 6 / 10) * 12 / 10;
    (pause.min(LONGEST) + MARGIN).saturating_sub(since)
}

/// How long a member's process has run.
fn age(node: &Node) -> Result<Option<Duration>, MigrateError> {
    let Some(process) = node.service.running()? else { return Ok(None) };
    let stat = format!("/proc/{}/stat", process.pid);
    let output = node.host.run(&["cat", "/proc/uptime", &stat], Duration::from_secs(20))?;
    Ok(proc::age(&String::from_utf8_lossy(&output.stdout)))
}

/// Who speaks TLS to the last member; who is connected to the others is added to `elsewhere`. Programs on the loopback address
/// reach their own member only.
fn seen(
    nodes: &[Node],
    last: usize,
    follows: Follows<'_>,
    elsewhere: &mut BTreeSet<IpAddr>,
) -> Result<BTreeSet<IpAddr>, MigrateError> {
    let mut here = BTreeSet::new();
    let looks = in_parallel(nodes, |i, node| {
        let Some(process) = node.service.running()? else { return Ok(BTreeSet::new()) };
        let running = settings(node, &process.launch)?;
        let urls =
            PeerUrl::list(running.get("listen-client-urls").map_or("", String::as_str)).unwrap_or_default();
        let ports: Vec<u16> = urls
            .iter()
            .filter(|url| i != last || url.scheme() == Scheme::Https)
            .map(|url| url.at().port())
            .collect();
        let is_client = |connection: &&Connection| {
            let itself = connection.process.as_ref().is_some_and(|client| client.pid == process.pid);
            !itself && !follows(node, connection) && !connection.remote.ip().to_canonical().is_loopback()
        };
        let mut ips = BTreeSet::new();
        for look in 0..LOOKS {
            if look > 0 {
                std::thread::sleep(BETWEEN);
            }
            let connections = node.host.connections(&ports)?;
            ips.extend(connections.iter().filter(is_client).map(|client| client.remote.ip().to_canonical()));
        }
        Ok(ips)
    })?;
    for (i, ips) in looks.into_iter().enumerate() {
        if i == last { here = ips } else { elsewhere.extend(ips) }
    }
    Ok(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_pause_makes_a_longer_wait_up_to_two_minutes_and_a_fifth() {
        let seconds = Duration::from_secs;
        // Who moved ten seconds before the first member changed tries again within 8.4 s.
        assert_eq!(left(seconds(10), seconds(0)), Duration::from_millis(8400) + MARGIN);
        assert_eq!(left(seconds(10), seconds(20)), Duration::ZERO);
        assert_eq!(left(seconds(86_400), seconds(0)), LONGEST + MARGIN);
        assert_eq!(left(seconds(86_400), seconds(47)), seconds(100));
    }
}
