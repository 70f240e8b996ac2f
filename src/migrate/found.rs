//! Before the last member changes the scheme of its client URLs, its clients must have connected to a member that changed
//! before it.
//!
//! A client that was given both https ports tries one that does not answer less and less often. Where it is connected to the
//! last member alone, it may fail when that one changes. Once it was connected to another member it has the new port.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::etcd::{ClientUrl, Scheme};
use crate::host::Connection;

use super::clients::{BETWEEN, Follows, LOOKS};
use super::disk::settings;
use super::drive::{Migration, ms};
use super::error::MigrateError;
use super::event::Event;
use super::node::{Node, in_parallel};
use super::observe::{Observed, Sight};
use super::plan::Step;

/// How long the last member waits for clients that are connected to it alone. gRPC's clients try an endpoint again within
/// 144 s (its connection backoff: at most 120 s and a fifth).
const LONGEST_WAIT: Duration = Duration::from_secs(150);

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Nothing is said of a shorter wait.
const QUIET: Duration = Duration::from_secs(2);

/// Whether a step changes what a member speaks to clients, when all others that are up have changed already.
pub(super) fn is_last(step: &Step, observed: &Observed) -> bool {
    let scheme = step.stage.scheme();
    let not_yet = |sight: &Sight| sight.standing.running.is_some_and(|running| running.scheme() != scheme);
    observed.members.len() > 1
        && not_yet(&observed.members[step.member])
        && observed.members.iter().filter(|sight| not_yet(sight)).count() == 1
}

impl Migration<'_> {
    /// Waits, before the last member's turn, until each client that has a TLS connection to it has been connected to another
    /// member too, at most [`LONGEST_WAIT`]: a client that knows no other member would wait for ever.
    pub(super) fn clients_before(&self, step: &Step, observed: &Observed) -> Result<(), MigrateError> {
        if !is_last(step, observed) {
            return Ok(());
        }
        let follows = self.follows(observed);
        let (start, mut told) = (Instant::now(), BTreeSet::new());
        let mut elsewhere = BTreeSet::new();
        loop {
            let here = seen(self.nodes, step.member, &follows, &mut elsewhere)?;
            let alone: BTreeSet<IpAddr> = here.difference(&elsewhere).copied().collect();
            if alone.is_empty() || start.elapsed() >= LONGEST_WAIT {
                return Ok(());
            }
            if start.elapsed() > QUIET && told != alone {
                let member = self.nodes[step.member].name.as_str();
                let saw = alone.iter().map(|ip| {
                    format!(
                        "{ip} has a TLS connection to {member} only; waiting up to {} s until it connects to another member",
                        LONGEST_WAIT.as_secs()
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
            ClientUrl::list(running.get("listen-client-urls").map_or("", String::as_str)).unwrap_or_default();
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
