//! The list of the members, from the first of them that answers, and whose entry is whose.

use crate::etcd::types::PeerSide;
use crate::etcd::{Fault, Member, MemberId, MemberList, PeerUrl, Scheme};

use super::disk::{Disk, config_by};
use super::error::MigrateError;
use super::node::Node;
use super::speak::Speaker;
use super::trouble::Trouble;

pub(super) fn find<'a>(list: &'a MemberList, node: &Node, disk: &Disk) -> Option<&'a Member> {
    let own = disk.base.get("initial-advertise-peer-urls").map_or("", String::as_str);
    let own = PeerUrl::list(own).unwrap_or_default();
    let same_place = |member: &&Member| {
        let urls: Vec<_> = member.peer_urls.iter().filter_map(|url| url.parse::<PeerUrl>().ok()).collect();
        urls.iter().any(|url| own.iter().any(|own| own.at() == url.at()))
    };
    list.members
        .iter()
        .find(|member| member.name == node.name)
        .or_else(|| list.members.iter().find(same_place))
}

pub(super) fn member_list(nodes: &[Node], disks: &[Disk]) -> Result<(MemberList, String), MigrateError> {
    if let ([node], [disk]) = (nodes, disks)
        && disk.process.is_none()
        && disk.traces
    {
        return Ok((alone(node, disk)?, node.name.clone()));
    }
    let mut refused = Vec::new();
    for (node, disk) in nodes.iter().zip(disks) {
        let Some(running) = &disk.running else {
            refused.push(Trouble::from(format!("{} is down", node.name)));
            continue;
        };
        match Speaker::to(node, running).members() {
            Ok(list) => return Ok((list, node.name.clone())),
            Err(error) if matches!(error.fault, Fault::Auth { .. }) => {
                return Err(MigrateError::of(&node.name, error));
            }
            Err(error) => refused.push(Trouble::from(error).of(&node.name)),
        }
    }
    Err(MigrateError::NoAnswer(refused))
}

/// The only member of a cluster went down on our way: nobody is left to ask, and it has to be started all the same, or to
/// be led back. Its peer URL is taken to be what the disk would listen with; nobody else looks for it there, and the next
/// look, once it runs, says what it really is.
fn alone(node: &Node, disk: &Disk) -> Result<MemberList, MigrateError> {
    let config = config_by(&node.name, &disk.launch, |path| Ok(node.host.read(path)?))?;
    let urls = config.urls::<PeerSide>("initial-advertise-peer-urls");
    let urls = urls.map_err(|source| MigrateError::Url { member: node.name.clone(), source })?;
    let listens = PeerUrl::list(disk.next.get("listen-peer-urls").map_or("", String::as_str));
    let listens = listens.map_err(|source| MigrateError::Url { member: node.name.clone(), source })?;
    let scheme = listens.first().map_or(Scheme::Http, PeerUrl::scheme);
    let member = Member {
        id: MemberId::UNKNOWN,
        name: node.name.clone(),
        peer_urls: urls.iter().map(|url| url.with_scheme(scheme).to_string()).collect(),
        client_urls: Vec::new(),
        learner: false,
    };
    Ok(MemberList { cluster_id: None, answered_by: None, members: vec![member] })
}
