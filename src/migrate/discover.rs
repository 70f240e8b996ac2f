//! Who the members of a cluster are, asked of one of them.

use std::net::IpAddr;
use std::path::Path;

use crate::etcd::ports;
use crate::etcd::{ClientUrl, MemberUrl, Scheme};
use crate::host::{Host, Service};

use super::disk::{config_by, settings};
use super::error::MigrateError;
use super::node::Node;
use super::node::in_parallel;
use super::recipe::CONTAINED_SSL_DIR;
use super::speak::Speaker;

/// What etcd calls a member that was given no name.
const DEFAULT_NAME: &str = "default";

/// A member as its cluster knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// The hosts of its peer URLs: where the other members reach it.
    pub peer_hosts: Vec<String>,
    /// Every address of its peer and client URLs that others can reach.
    pub ips: Vec<IpAddr>,
    /// Every DNS name of them.
    pub dns: Vec<String>,
}

/// The members as this one knows them.
///
/// # Errors
/// [`MigrateError::NoAnswer`] when it is down or does not say; [`MigrateError::WrongCluster`] when a member was never
/// started and so has no name; [`MigrateError::Url`].
pub fn members(node: &Node) -> Result<Vec<Found>, MigrateError> {
    let process = node.service.running()?;
    let process =
        process.ok_or_else(|| MigrateError::NoAnswer(vec![format!("{} is down", node.name).into()]))?;
    let running = settings(node, &process.launch)?;
    let list = Speaker::to(node, &running).members().map_err(|error| MigrateError::of(&node.name, error))?;
    list.members
        .iter()
        .map(|member| {
            if member.name.is_empty() {
                let what = format!("member {} has not been started yet, and so has no name", member.id);
                return Err(MigrateError::WrongCluster(what));
            }
            let urls = |urls: &[String]| -> Result<Vec<MemberUrl>, MigrateError> {
                let parsed: Result<_, _> = urls.iter().map(|url| url.parse()).collect();
                parsed.map_err(|source| MigrateError::Url { member: member.name.clone(), source })
            };
            let peers = urls(&member.peer_urls)?;
            let mut found = Found {
                name: member.name.clone(),
                peer_hosts: peers.iter().map(|url| url.at().host().to_owned()).collect(),
                ips: Vec::new(),
                dns: Vec::new(),
            };
            for url in peers.iter().chain(&urls(&member.client_urls)?) {
                match url.at().ip() {
                    Some(ip) if ip.is_loopback() || ip.is_unspecified() => {}
                    Some(ip) if found.ips.contains(&ip) => {}
                    Some(ip) => found.ips.push(ip),
                    None if url.at().host() == "localhost" => {}
                    None if found.dns.iter().any(|name| name == url.at().host()) => {}
                    None => found.dns.push(url.at().host().to_owned()),
                }
            }
            Ok(found)
        })
        .collect()
}

/// The `--name` of the etcd that runs on a machine, or would at the next start.
///
/// # Errors
/// [`MigrateError::Host`]; [`MigrateError::Drift`] where its configuration cannot be read.
pub fn etcd_name(host: &dyn Host, service: &dyn Service) -> Result<String, MigrateError> {
    let launch = match service.running()? {
        Some(process) => process.launch,
        None => service.next_start()?,
    };
    let config = config_by(host.name(), &launch, |path| Ok(host.read(path)?))?;
    Ok(config.get("name").unwrap_or(DEFAULT_NAME).to_owned())
}

/// How a migration was begun that others, or this operator on another day, left between its rolls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Clients must show a certificate.
    pub client_auth: bool,
    /// https shares the client port with http; none where nobody serves both.
    pub shared_port: Option<bool>,
}

/// How it was begun, as members that have our certificates in force, or would have at their next start, say; none where
/// nobody has.
///
/// # Errors
/// [`MigrateError`] when a host cannot be looked at.
pub fn begun(nodes: &[Node]) -> Result<Option<Begun>, MigrateError> {
    let seen = in_parallel(nodes, |_, node| {
        let look = node.service.look()?;
        let pair = format!("{}.pem", node.name);
        let ours = if look.contained { Path::new(CONTAINED_SSL_DIR) } else { &node.ssl_dir }.join(pair);
        let launches = look.running.iter().map(|process| &process.launch).chain([&look.next]);
        let mut all = Vec::new();
        for launch in launches {
            let settings = settings(node, launch)?;
            let is_on = |flag: &str| settings.get(flag).is_some_and(|value| value == "true");
            if settings.get("cert-file").is_some_and(|file| Path::new(file) == ours) {
                let listen = settings.get("listen-client-urls").map_or("", String::as_str);
                all.push(Begun { client_auth: is_on("client-cert-auth"), shared_port: shares_port(listen) });
            }
        }
        Ok(all)
    })?;
    let all: Vec<Begun> = seen.into_iter().flatten().collect();
    let shared_port = all.iter().find_map(|begun| begun.shared_port);
    Ok(all.first().map(|first| Begun { shared_port, ..*first }))
}

/// Whether https listens where http does too; none where only one of them is served, the loopback port apart.
fn shares_port(listen: &str) -> Option<bool> {
    let urls = ClientUrl::list(listen).ok()?;
    let of =
        |scheme| urls.iter().filter(move |url| url.scheme() == scheme && url.at().port() != ports::LEGACY);
    let (plain, https): (Vec<_>, Vec<_>) = (of(Scheme::Http).collect(), of(Scheme::Https).collect());
    let both = !plain.is_empty() && !https.is_empty();
    both.then(|| https.iter().any(|url| plain.iter().any(|plain| plain.at() == url.at())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_port_is_told_by_the_listeners_of_both() {
        assert_eq!(shares_port("http://0.0.0.0:2379,https://0.0.0.0:2379,http://127.0.0.1:4001"), Some(true));
        assert_eq!(
            shares_port("http://0.0.0.0:2379,https://0.0.0.0:2378,http://127.0.0.1:4001"),
            Some(false)
        );
        assert_eq!(shares_port("https://0.0.0.0:2379,http://127.0.0.1:4001"), None);
        assert_eq!(shares_port("http://0.0.0.0:2379"), None);
    }
}
