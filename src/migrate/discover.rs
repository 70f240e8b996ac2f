//! Who the members of a cluster are, asked of one of them.

use std::net::IpAddr;

use crate::etcd::PeerUrl;
use crate::host::{Host, Service};

use super::disk::{config_by, settings};
use super::error::MigrateError;
use super::node::Node;
use super::node::in_parallel;
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
            let urls = |urls: &[String]| -> Result<Vec<PeerUrl>, MigrateError> {
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

/// Whether members that have our certificates in force already demand certificates of clients; none where nobody has.
///
/// # Errors
/// [`MigrateError`] when a host cannot be looked at.
pub fn client_auth_in_force(nodes: &[Node]) -> Result<Option<bool>, MigrateError> {
    let seen = in_parallel(nodes, |_, node| {
        let Some(process) = node.service.running()? else { return Ok(None) };
        let running = settings(node, &process.launch)?;
        let ours = node.ssl_dir.join(format!("{}.pem", node.name)).to_string_lossy().into_owned();
        if running.get("cert-file") != Some(&ours) {
            return Ok(None);
        }
        Ok(Some(running.get("client-cert-auth").is_some_and(|value| value == "true")))
    })?;
    Ok(seen.into_iter().flatten().next())
}
