//! Who is connected to listeners that are about to go: they must move first.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::etcd::ports;
use crate::etcd::{ClientUrl, Scheme};
use crate::host::{ClientProcess, Connection};

use super::disk::settings;
use super::error::MigrateError;
use super::node::Node;
use super::node::in_parallel;
use super::settings::Settings;
use super::stage::Stage;

/// How often the sockets are looked at: short connections are easily missed.
pub(super) const LOOKS: u32 = 4;
/// A pause between two looks.
pub(super) const BETWEEN: Duration = Duration::from_millis(150);

/// The clients that a step to `stage` would cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InTheWay {
    /// What they speak: `plain-text` or `tls`.
    pub speak: &'static str,
    /// Who they are: the member, its port, the address or process, and how many connections.
    pub clients: Vec<String>,
}

/// Tells of a connection to a member whether it goes on by itself when the member's listener goes.
pub(super) type Follows<'a> = &'a (dyn Fn(&Node, &Connection) -> bool + Sync);

/// Who would be cut off when the members go to `to`; none when nobody is.
///
/// # Errors
/// [`MigrateError::Host`]
pub(super) fn in_the_way(
    nodes: &[Node],
    to: Stage,
    follows: Follows<'_>,
) -> Result<Option<InTheWay>, MigrateError> {
    let speak = if to == Stage::Plain { "tls" } else { "plain-text" };
    let lists = in_parallel(nodes, |_, node| look(node, to, follows))?;
    let clients: Vec<String> = lists.concat();
    Ok((!clients.is_empty()).then_some(InTheWay { speak, clients }))
}

/// A listener that a stage closes to those who use it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Doomed {
    port: u16,
    /// To others only: it stays open on the loopback address.
    stays_local: bool,
}

impl Doomed {
    /// Whether it cuts a connection to this address of the member's.
    fn cuts(self, local: SocketAddr) -> bool {
        self.port == local.port() && !(self.stays_local && local.ip().to_canonical().is_loopback())
    }
}

/// The listeners that a stage closes to those who use them now. A port that http and https share cannot tell who speaks
/// which: all of its clients count.
fn doomed(running: &Settings, to: Stage) -> Vec<Doomed> {
    let urls =
        ClientUrl::list(running.get("listen-client-urls").map_or("", String::as_str)).unwrap_or_default();
    let of = |scheme| urls.iter().filter(move |url| url.scheme() == scheme).map(|url| url.at().port());
    let ports: Vec<u16> = match to {
        Stage::Plain => of(Scheme::Https).filter(|port| of(Scheme::Http).all(|http| http != *port)).collect(),
        Stage::Loopback | Stage::Certs => Vec::new(),
        Stage::Tls | Stage::Sealed => of(Scheme::Http).collect(),
    };
    let stays_local = |port| to == Stage::Tls && port == ports::LEGACY;
    let mut doomed: Vec<Doomed> =
        ports.into_iter().map(|port| Doomed { port, stays_local: stays_local(port) }).collect();
    doomed.sort_unstable();
    doomed.dedup();
    doomed
}

fn look(node: &Node, to: Stage, follows: Follows<'_>) -> Result<Vec<String>, MigrateError> {
    let mut seen: BTreeMap<(String, u16), usize> = BTreeMap::new();
    let mut halves: BTreeMap<(String, u16), usize> = BTreeMap::new();
    let mut before = node.service.running()?;
    for look in 0..LOOKS {
        if look > 0 {
            std::thread::sleep(BETWEEN);
        }
        let doomed = match &before {
            Some(process) => doomed(&settings(node, &process.launch)?, to),
            None => Vec::new(),
        };
        let ports: Vec<u16> = doomed.iter().map(|listener| listener.port).collect();
        let connections = if ports.is_empty() { Vec::new() } else { node.host.connections(&ports)? };
        // A restart that an earlier run asked for may still be under way: a look counts only if etcd was the same
        // process before and after it.
        let after = node.service.running()?;
        let same =
            before.as_ref().zip(after.as_ref()).filter(|(before, after)| before.identity == after.identity);
        if let Some((process, _)) = same {
            let mut now: BTreeMap<(String, u16), usize> = BTreeMap::new();
            // etcd's own gateway dials itself.
            let itself = |client: &ClientProcess| client.pid == process.pid;
            let cut = |c: &&Connection| doomed.iter().any(|listener| listener.cuts(c.local));
            for connection in connections
                .iter()
                .filter(cut)
                .filter(|c| !c.process.as_ref().is_some_and(itself) && !follows(node, c))
            {
                let client = (who(connection), connection.local.port());
                *halves.entry(client.clone()).or_default() += usize::from(connection.is_half());
                *now.entry(client).or_default() += 1;
            }
            for (client, count) in now {
                let most = seen.entry(client).or_default();
                *most = count.max(*most);
            }
        }
        before = after;
    }
    // Half a connection that was seen once was no client.
    seen.retain(|client, _| halves.get(client) != Some(&1));
    let line = |((who, port), count): (&(String, u16), &usize)| {
        format!(
            "{who} on port {port} of {} ({count} connection{})",
            node.name,
            if *count == 1 { "" } else { "s" }
        )
    };
    Ok(seen.iter().map(line).collect())
}

/// Who is at the other end.
pub(super) fn who(connection: &Connection) -> String {
    match &connection.process {
        Some(process) => format!("{}[{}]", process.name, process.pid),
        None => connection.remote.ip().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_roll_closes() {
        let running = Settings::from([(
            "listen-client-urls".to_owned(),
            "http://0.0.0.0:2379,https://0.0.0.0:2378,http://127.0.0.1:4001".to_owned(),
        )]);
        let ports = |to| doomed(&running, to).iter().map(|listener| listener.port).collect::<Vec<_>>();
        assert_eq!(ports(Stage::Plain), [2378]);
        assert_eq!(ports(Stage::Tls), [2379, 4001]);
        assert_eq!(ports(Stage::Sealed), [2379, 4001]);
        // The legacy port stays for those on its host.
        let cut = |to, local: &str| {
            doomed(&running, to).iter().any(|listener| listener.cuts(local.parse().unwrap()))
        };
        assert!(cut(Stage::Tls, "172.16.0.101:4001") && !cut(Stage::Tls, "127.0.0.1:4001"));
        assert!(cut(Stage::Tls, "127.0.0.1:2379") && cut(Stage::Sealed, "127.0.0.1:4001"));
    }
}
