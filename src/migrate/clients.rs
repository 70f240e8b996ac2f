//! Who is connected to listeners that are about to go: they must move first.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::etcd::{PeerUrl, Scheme};
use crate::host::{ClientProcess, Connection};

use super::error::MigrateError;
use super::node::Node;
use super::observe::{in_parallel, settings};
use super::stage::{LEGACY_PORT, Settings, Stage};

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

/// Who would be cut off when the members go to `to`; none when nobody is. Those at the addresses of `followers` are v2
/// proxies, which follow the members by themselves.
///
/// # Errors
/// [`MigrateError::Host`]
pub(super) fn in_the_way(
    nodes: &[Node],
    to: Stage,
    followers: &BTreeSet<IpAddr>,
) -> Result<Option<InTheWay>, MigrateError> {
    let speak = if to == Stage::Plain { "tls" } else { "plain-text" };
    let lists = in_parallel(nodes, |_, node| look(node, to, followers))?;
    let clients: Vec<String> = lists.concat();
    Ok((!clients.is_empty()).then_some(InTheWay { speak, clients }))
}

/// The ports that a stage closes to those who use them now. A port that http and https share cannot tell who speaks
/// which: all of its clients count.
fn doomed(running: &Settings, to: Stage) -> Vec<u16> {
    let urls =
        PeerUrl::list(running.get("listen-client-urls").map_or("", String::as_str)).unwrap_or_default();
    let of = |scheme| urls.iter().filter(move |url| url.scheme() == scheme).map(|url| url.at().port());
    let mut ports: Vec<u16> = match to {
        Stage::Plain => of(Scheme::Https).filter(|port| of(Scheme::Http).all(|http| http != *port)).collect(),
        Stage::Loopback | Stage::Certs => Vec::new(),
        Stage::Tls => of(Scheme::Http).filter(|&port| port != LEGACY_PORT).collect(),
        Stage::Sealed => of(Scheme::Http).collect(),
    };
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn look(node: &Node, to: Stage, followers: &BTreeSet<IpAddr>) -> Result<Vec<String>, MigrateError> {
    let mut seen: BTreeMap<(String, u16), usize> = BTreeMap::new();
    let mut before = node.service.running()?;
    for look in 0..LOOKS {
        if look > 0 {
            std::thread::sleep(BETWEEN);
        }
        let ports = match &before {
            Some(process) => doomed(&settings(node, &process.launch)?, to),
            None => Vec::new(),
        };
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
            let follows =
                |c: &Connection| c.process.is_none() && followers.contains(&c.remote.ip().to_canonical());
            for connection in
                connections.iter().filter(|c| !c.process.as_ref().is_some_and(itself) && !follows(c))
            {
                *now.entry((who(connection), connection.local.port())).or_default() += 1;
            }
            for (client, count) in now {
                let most = seen.entry(client).or_default();
                *most = count.max(*most);
            }
        }
        before = after;
    }
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
        assert_eq!(doomed(&running, Stage::Plain), [2378]);
        assert_eq!(doomed(&running, Stage::Tls), [2379]);
        assert_eq!(doomed(&running, Stage::Sealed), [2379, 4001]);
    }
}
