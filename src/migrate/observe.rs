//! What is: every member's process, disk, API answers and traces, looked at anew before each step.

use std::time::{Duration, SystemTime};

use crate::etcd::types::with_scheme;
use crate::etcd::{Member, MemberId, PeerUrl, Scheme, Status};
use crate::host::RunningProcess;

use super::disk::{Disk, look, recipe, version_of_program};
use super::error::MigrateError;
use super::node::{Node, in_parallel};
use super::plan::Standing;
use super::recipe::{Recipe, Wishes, nearest, recognise};
use super::roster::{find, member_list};
use super::settings::{Settings, own_tls};
use super::speak::Speaker;
use super::stage::Stage;

/// Clocks further apart than this make a fresh certificate invalid: it is backdated by five minutes.
const CLOCK_LIMIT: Duration = Duration::from_secs(240);

/// The cluster as it is.
#[derive(Debug)]
pub struct Observed {
    /// Its identifier; 0 when nobody is up who could tell it.
    pub cluster_id: u64,
    /// Its members, in the inventory's order.
    pub members: Vec<Sight>,
}

/// A member as it is.
#[derive(Debug)]
pub struct Sight {
    /// What the planner needs to know.
    pub standing: Standing,
    /// Its identifier.
    pub id: MemberId,
    /// Its peer URLs in the members list.
    pub peer_urls: Vec<PeerUrl>,
    /// The client URLs the members list shows.
    pub client_urls: Vec<String>,
    /// Its process; none when it is down.
    pub process: Option<RunningProcess>,
    /// What the process runs with.
    pub running: Option<Settings>,
    /// What it would run with if this tool had never been there.
    pub base: Settings,
    /// Whether it runs in Container Linux' container.
    pub contained: bool,
    /// Its version.
    pub version: String,
    /// What it says of itself; none when it does not answer.
    pub status: Option<Status>,
    /// What the process and the disk disagree about, where that is no stage of ours.
    pub drift: Option<String>,
}

impl Observed {
    /// Its identifier in hexadecimal, as etcd writes it.
    pub fn cluster(&self) -> String {
        if self.cluster_id == 0 { "unknown".to_owned() } else { format!("{:x}", self.cluster_id) }
    }

    /// What the planner needs to know.
    pub fn standings(&self) -> Vec<Standing> {
        self.members.iter().map(|member| member.standing.clone()).collect()
    }
}

impl Sight {
    /// Its peer URLs with a scheme.
    pub fn peer_urls_with(&self, scheme: Scheme) -> Vec<PeerUrl> {
        with_scheme(&self.peer_urls, scheme)
    }

    /// What this member's stages are made from.
    pub fn recipe<'a>(&'a self, node: &'a Node, wishes: Wishes) -> Recipe<'a> {
        recipe(&self.base, self.contained, node, &self.version, wishes)
    }
}

/// Looks at every member.
///
/// # Errors
/// [`MigrateError`] when a host cannot be looked at, when no member answers, or when the cluster that answers is not
/// the inventory's.
pub fn observe(nodes: &[Node], wishes: Wishes) -> Result<Observed, MigrateError> {
    let disks = in_parallel(nodes, |_, node| look(node, wishes))?;
    let (list, asked) = member_list(nodes, &disks)?;
    let cluster_id = list.cluster_id.unwrap_or_default();
    if list.members.len() != nodes.len() {
        let known: Vec<_> = list.members.iter().map(|member| member.name.as_str()).collect();
        return Err(MigrateError::WrongCluster(format!(
            "the cluster has {} members ({}), the inventory names {}",
            list.members.len(),
            known.join(", "),
            nodes.len()
        )));
    }
    let statuses = std::thread::scope(|scope| {
        let ask = |(node, disk): (&'_ Node, &'_ Disk)| {
            disk.running.as_ref().and_then(|running| Speaker::to(node, running).status().ok())
        };
        let threads: Vec<_> = nodes.iter().zip(&disks).map(|pair| scope.spawn(move || ask(pair))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_default()).collect::<Vec<_>>()
    });
    let known = statuses.iter().flatten().map(|status| status.version.clone()).max();
    let mut members = Vec::with_capacity(nodes.len());
    for ((node, disk), status) in nodes.iter().zip(disks).zip(statuses) {
        let member = find(&list, node, &disk).ok_or_else(|| {
            MigrateError::WrongCluster(format!(
                "{} is not a member of the cluster that {asked} answers for",
                node.name
            ))
        })?;
        let version = match (&status, &known) {
            (Some(status), _) => status.version.clone(),
            (None, Some(known)) => known.clone(),
            (None, None) => version_of_program(node, &disk.launch),
        };
        members.push(sight(node, disk, member, status, version, wishes)?);
    }
    let leader = members.iter().find_map(|member| member.status.as_ref()?.leader);
    for member in &mut members {
        member.standing.leader = Some(member.id) == leader;
    }
    Ok(Observed { cluster_id, members })
}

/// Whether every member's clock is near enough to this machine's.
///
/// # Errors
/// [`MigrateError::Clock`]
pub(super) fn clocks(nodes: &[Node]) -> Result<(), MigrateError> {
    in_parallel(nodes, |_, node| {
        let before = SystemTime::now();
        let clock = node.host.clock()?;
        let after = SystemTime::now();
        let apart = clock.duration_since(after).or_else(|_| before.duration_since(clock)).unwrap_or_default();
        if apart > CLOCK_LIMIT {
            return Err(MigrateError::Clock { member: node.name.clone(), seconds: apart.as_secs() });
        }
        Ok(())
    })?;
    Ok(())
}

fn sight(
    node: &Node,
    disk: Disk,
    member: &Member,
    status: Option<Status>,
    version: String,
    wishes: Wishes,
) -> Result<Sight, MigrateError> {
    let malformed = |source| MigrateError::Url { member: node.name.clone(), source };
    let peer_urls = member
        .peer_urls
        .iter()
        .map(|url| url.parse())
        .collect::<Result<Vec<PeerUrl>, _>>()
        .map_err(malformed)?;
    let recipe = recipe(&disk.base, disk.contained, node, &version, wishes);
    let stage_of = |settings: &Settings| recognise(&recipe, settings).map_err(malformed);
    let on_disk = stage_of(&disk.next)?;
    let in_force = disk.running.as_ref().map(stage_of).transpose()?;
    let mut drift = None;
    let mut unknown = |what: &str, actual: &Settings| -> Result<Stage, MigrateError> {
        let (stage, apart) = nearest(&recipe, actual).map_err(malformed)?;
        drift = Some(format!("{what} {apart}"));
        Ok(stage)
    };
    let running = match (&disk.running, in_force) {
        (Some(actual), Some(None)) => Some(unknown("the process runs with", actual)?),
        (_, stage) => stage.flatten(),
    };
    let on_disk = match on_disk {
        Some(stage) => stage,
        None => unknown("the next start would run with", &disk.next)?,
    };
    if on_disk.min(running.unwrap_or(on_disk)) < Stage::Tls {
        is_plain_by_itself(node, &disk.base)?;
    }
    // A process that does not answer yet is there, but not up.
    let standing = Standing {
        running,
        disk: on_disk,
        // Mixed ones are moved together.
        peer_url: if peer_urls.iter().all(|url| url.scheme() == Scheme::Https) {
            Scheme::Https
        } else {
            Scheme::Http
        },
        leader: false,
        installed: disk.installed,
        traces: disk.traces,
    };
    Ok(Sight {
        standing,
        id: member.id,
        peer_urls,
        client_urls: member.client_urls.clone(),
        process: disk.process,
        running: disk.running,
        base: disk.base,
        contained: disk.contained,
        version,
        status,
        drift,
    })
}

/// Makes sure that a member would speak plain HTTP without this tool's settings.
///
/// # Errors
/// [`MigrateError::OwnTls`]
pub(super) fn is_plain_by_itself(node: &Node, base: &Settings) -> Result<(), MigrateError> {
    own_tls(base).map_or(Ok(()), |(flag, value)| {
        let (member, flag, value) = (node.name.clone(), flag.to_owned(), value.to_owned());
        Err(MigrateError::OwnTls { member, flag, value })
    })
}
