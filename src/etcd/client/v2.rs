//! The v2 API: plain JSON over HTTP, identifiers in hexadecimal, the cluster and the raft state in headers.

use serde::Deserialize;
use serde_json::json;
use ureq::http::Method;

use super::http::Http;
use super::reply::Reply;
use super::{Api, KeyValue, Member, MemberList, Result, Status};
use crate::etcd::error::{EtcdError, Fault};
use crate::etcd::types::{MemberId, PeerUrl};
use crate::host::limits;

/// v2's code for a key that does not exist.
const KEY_NOT_FOUND: i64 = 100;

/// Whether v2 is served; an error when it is not.
pub(super) fn detect(http: &Http) -> Result<Api> {
    let reply = http.get("/v2/members")?;
    if reply.is_unserved() {
        return Err(reply.fault(Fault::NotFound));
    }
    Ok(Api::V2)
}

pub(super) fn members(http: &Http) -> Result<MemberList> {
    let reply = http.get("/v2/members")?.ok()?;
    let wire: MembersWire = reply.json()?;
    let members = wire.members.into_iter().map(|member| {
        Ok(Member {
            id: identifier(&reply, &member.id)?,
            name: member.name,
            peer_urls: member.peer_urls,
            client_urls: member.client_urls,
            learner: false,
        })
    });
    let members = members.collect::<Result<_>>()?;
    listed(&reply, members)
}

/// `GET /members` of a peer port, which proxies and joining members ask: identifiers as numbers.
pub(super) fn peer_members(http: &Http) -> Result<MemberList> {
    let reply = http.get("/members")?.ok()?;
    let wire: Vec<PeerMemberWire> = reply.json()?;
    let members = wire.into_iter().map(|member| Member {
        id: MemberId(member.id),
        name: member.name,
        peer_urls: member.peer_urls,
        client_urls: member.client_urls,
        learner: member.learner,
    });
    listed(&reply, members.collect())
}

fn listed(reply: &Reply, members: Vec<Member>) -> Result<MemberList> {
    let list = MemberList { cluster_id: reply.header("X-Etcd-Cluster-Id", 16), answered_by: None, members };
    list.checked().map_err(|fault| reply.fault(fault))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PeerMemberWire {
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(default, rename = "clientURLs")]
    client_urls: Vec<String>,
    #[serde(default, rename = "isLearner")]
    learner: bool,
}

/// `PUT /v2/members/<hex>`: 204; 400 for a bad URL, 404 no such member, 409 the URL exists, 500 no quorum.
pub(super) fn update_peer_urls(http: &Http, id: MemberId, urls: &[PeerUrl]) -> Result<()> {
    let urls: Vec<_> = urls.iter().map(ToString::to_string).collect();
    let body = json!({ "peerURLs": urls }).to_string();
    let path = format!("/v2/members/{id}");
    http.send(Method::PUT, &path, Some(("application/json", body)))?.ok().map(drop)
}

/// `GET /v2/auth/users`: names alone in 2.2 and older, objects later.
pub(super) fn users(http: &Http) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct UsersWire {
        #[serde(default)]
        users: Vec<serde_json::Value>,
    }
    let wire: UsersWire = http.get("/v2/auth/users")?.ok()?.json()?;
    let name = |user: &serde_json::Value| Some(user.as_str().or_else(|| user["user"].as_str())?.to_owned());
    Ok(wire.users.iter().filter_map(name).collect())
}

/// Whether the root directory holds anything; not where v2 is not served.
pub(super) fn has_data(http: &Http) -> Result<bool> {
    #[derive(Deserialize)]
    struct RootWire {
        node: DirWire,
    }
    #[derive(Deserialize)]
    struct DirWire {
        #[serde(default)]
        nodes: Vec<serde::de::IgnoredAny>,
    }
    let reply = match http.get("/v2/keys/") {
        // Too many to read are some.
        Err(EtcdError { fault: Fault::TooLarge { .. }, .. }) => return Ok(true),
        reply => reply?,
    };
    if reply.is_unserved() {
        return Ok(false);
    }
    Ok(!reply.ok()?.json::<RootWire>()?.node.nodes.is_empty())
}

pub(super) fn status(http: &Http, version: String) -> Result<Status> {
    let reply = http.get("/v2/stats/self")?.ok()?;
    let own: SelfWire = reply.json()?;
    let member_id = identifier(&reply, &own.id)?;
    let leader = if own.state == "StateLeader" {
        Some(member_id)
    } else {
        own.leader_info.leader.parse().ok().filter(|&MemberId(id)| id != 0)
    };
    // Only answers about keys carry the raft state; HEAD keeps a large root directory at home.
    let head = http.send(Method::HEAD, "/v2/keys/", None)?;
    if head.status != 200 {
        return Err(head.fault(head.refusal()));
    }
    let raft = |name| {
        head.header(name, 10).ok_or_else(|| head.fault(Fault::malformed(format!("it has no {name} header"))))
    };
    Ok(Status {
        member_id,
        cluster_id: head.header("X-Etcd-Cluster-Id", 16),
        leader,
        raft_index: raft("X-Raft-Index")?,
        raft_applied: None,
        raft_term: raft("X-Raft-Term")?,
        version,
        db_size: None,
        errors: if leader.is_none() { vec!["etcdserver: no leader".into()] } else { Vec::new() },
    })
}

/// Reads a key that need not exist through the raft log: a commit that leaves nothing behind.
pub(super) fn quorum_read(http: &Http) -> Result<()> {
    let reply = http.get("/v2/keys/etcd-pki-probe?quorum=true")?;
    match reply.refusal() {
        _ if reply.status == 200 => Ok(()),
        Fault::Server { code: Some(KEY_NOT_FOUND), .. } => Ok(()),
        fault => Err(reply.fault(fault)),
    }
}

pub(super) fn put(http: &Http, key: &str, value: &str) -> Result<u64> {
    let form = ("application/x-www-form-urlencoded", format!("value={}", escape(value, false)));
    let wire: KeysWire = http.send(Method::PUT, &path(key), Some(form))?.ok()?.json()?;
    Ok(wire.node.modified_index)
}

pub(super) fn get_prefix(http: &Http, directory: &str) -> Result<Vec<KeyValue>> {
    let from = format!("{}?recursive=true&quorum=true", path(directory));
    let reply = http.send_for(Method::GET, &from, None, limits::KEYS)?;
    if let Fault::Server { code: Some(KEY_NOT_FOUND), .. } = reply.refusal() {
        return Ok(Vec::new());
    }
    let wire: KeysWire = reply.ok()?.json()?;
    let mut found = Vec::new();
    let mut open = vec![wire.node];
    while let Some(node) = open.pop() {
        if node.dir {
            open.extend(node.nodes);
        } else {
            found.push(node.into());
        }
    }
    found.sort_by(|a: &KeyValue, b| a.key.cmp(&b.key));
    Ok(found)
}

/// The path of a key.
pub(super) fn path(key: &str) -> String {
    format!("/v2/keys/{}", escape(key.trim_start_matches('/'), true))
}

/// Percent-encodes everything but unreserved characters (RFC 3986 section 2.3), and slashes where they may stay.
fn escape(text: &str, keep_slash: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if plain || (keep_slash && byte == b'/') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn identifier(reply: &Reply, text: &str) -> Result<MemberId> {
    text.parse().map_err(|_| reply.fault(Fault::malformed(format!("{text:?} is not a member's identifier"))))
}

#[derive(Debug, Deserialize)]
struct MembersWire {
    #[serde(default)]
    members: Vec<MemberWire>,
}

#[derive(Debug, Deserialize)]
struct MemberWire {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(rename = "peerURLs", default)]
    peer_urls: Vec<String>,
    #[serde(rename = "clientURLs", default)]
    client_urls: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SelfWire {
    id: String,
    state: String,
    #[serde(default)]
    leader_info: LeaderWire,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LeaderWire {
    leader: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct KeysWire {
    #[serde(default)]
    pub(super) action: String,
    pub(super) node: NodeWire,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NodeWire {
    key: String,
    value: String,
    dir: bool,
    nodes: Vec<Self>,
    pub(super) modified_index: u64,
}

impl From<NodeWire> for KeyValue {
    fn from(node: NodeWire) -> Self {
        Self { key: node.key, value: node.value, revision: node.modified_index }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_escaped_for_their_place() {
        assert_eq!(path("/load/a b%"), "/v2/keys/load/a%20b%25");
        assert_eq!(escape("a&b=c/d é", false), "a%26b%3Dc%2Fd%20%C3%A9");
    }
}
