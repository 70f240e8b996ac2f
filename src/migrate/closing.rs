//! The last look, as the old guides end: the loopback port, https from inside and outside, and the logs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::etcd::client::{Client, Endpoint};
use crate::etcd::ports;
use crate::etcd::{ClientUrl, Direct, Fault, Scheme};

use super::event::Check;
use super::gate::complaints;
use super::node::Node;
use super::observe::{Observed, Sight};
use super::settings::Settings;

/// How long this machine tries to reach a member: it may be behind a jump host.
const FROM_HERE: Duration = Duration::from_secs(2);

/// Looks at every member once more, all at once.
pub(super) fn look(nodes: &[Node], observed: &Observed, since: SystemTime) -> Vec<Check> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = nodes
            .iter()
            .zip(&observed.members)
            .enumerate()
            .map(|(i, (node, sight))| scope.spawn(move || member(nodes, i, node, sight, since)))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    })
}

fn member(nodes: &[Node], i: usize, node: &Node, sight: &Sight, since: SystemTime) -> Vec<Check> {
    let check =
        |what: String, ok: Option<bool>, saw: String| Check { member: node.name.clone(), what, ok, saw };
    let mut checks = Vec::new();
    let Some(running) = &sight.running else {
        return vec![check("etcd".to_owned(), Some(false), "it is down".to_owned())];
    };
    for url in node.client_urls(running) {
        let client = node.client(&url);
        let (ok, saw) = health(&client);
        if url.at().port() == ports::LEGACY && url.scheme() == Scheme::Http {
            checks.push(check(format!("health on {url}, from its host"), ok, saw));
            let (ok, saw) = seen(client.peer_streams().map(|_| "served".to_owned()));
            checks.push(check(format!("metrics on {url}, from its host"), ok, saw));
            let status = client.status().map(|status| match status.leader {
                Some(leader) => format!("etcd {}, leader {leader}", status.version),
                None => format!("etcd {}, no leader", status.version),
            });
            let (ok, saw) = seen(status);
            checks.push(check(format!("status on {url}, from its host"), ok, saw));
        } else {
            checks.push(check(format!("health on {url}, from its host"), ok, saw));
        }
    }
    for url in advertised(running) {
        if let Some(other) = nodes.iter().enumerate().find_map(|(j, other)| (j != i).then_some(other)) {
            let (ok, saw) = health(&other.client(&url));
            checks.push(check(format!("health on {url}, from {}", other.name), ok, saw));
        }
        let (ok, saw) = health(&Client::new(Endpoint {
            url: url.to_member_url(),
            tls: node.tls.clone(),
            dial: Arc::new(Direct),
            timeout: FROM_HERE,
        }));
        checks.push(check(format!("health on {url}, from here"), ok.filter(|ok| *ok), saw));
    }
    let log = complaints(node, since);
    let saw = if log.is_empty() { "nothing".to_owned() } else { log.join("; ") };
    checks.push(check("complaints in its log".to_owned(), Some(log.is_empty()), saw));
    checks
}

/// The https URLs that the member tells clients of, by what it runs with: the members list has them only once it has
/// published them, some moments after its restart (etcd's `EtcdServer.publish`), and what is not there is not looked at.
fn advertised(running: &Settings) -> Vec<ClientUrl> {
    let urls = running.get("advertise-client-urls").map_or("", String::as_str).split(',');
    let urls = urls.filter_map(|url| url.trim().parse::<ClientUrl>().ok());
    urls.filter(|url| url.scheme() == Scheme::Https).collect()
}

fn health(client: &Client) -> (Option<bool>, String) {
    match client.health() {
        Ok(health) if health.healthy => (Some(true), "healthy".to_owned()),
        Ok(health) => (Some(false), health.reason.unwrap_or(health.body)),
        Err(error) => refused(&error.fault),
    }
}

fn seen(answer: Result<String, crate::etcd::EtcdError>) -> (Option<bool>, String) {
    match answer {
        Ok(saw) => (Some(true), saw),
        Err(error) => refused(&error.fault),
    }
}

fn refused(fault: &Fault) -> (Option<bool>, String) {
    match fault {
        // Served elsewhere (--listen-metrics-urls), or switched off.
        Fault::NotFound => (None, "not served there".to_owned()),
        fault => (Some(false), fault.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_member_advertises_over_https_is_looked_at() {
        let running = |urls: &str| Settings::from([("advertise-client-urls".to_owned(), urls.to_owned())]);
        let text =
            |urls: &str| advertised(&running(urls)).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            text("https://172.16.0.101:2379, http://172.16.0.101:4001,https://etcd1.test:2379"),
            ["https://172.16.0.101:2379", "https://etcd1.test:2379"]
        );
        assert_eq!(text("http://localhost:2379"), [""; 0]);
        assert!(advertised(&Settings::new()).is_empty());
    }
}
