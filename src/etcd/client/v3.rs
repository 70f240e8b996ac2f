//! The v3 API as the JSON gateway has it: 64-bit numbers are strings, bytes are base64, what is zero is left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use ureq::http::Method;

use super::http::Http;
use super::reply::Reply;
use super::{Alarm, Api, KeyValue, Member, MemberList, Result, Status};
use crate::etcd::error::Fault;
use crate::etcd::types::{MemberId, PeerUrl};
use crate::host::limits;

/// Newest first; 3.3 and 3.4 serve two of them.
const PREFIXES: [&str; 3] = ["/v3", "/v3beta", "/v3alpha"];

/// How long a probe's lease lives if it could not be revoked, in seconds; etcd rounds it up to its own minimum.
const PROBE_TTL: u32 = 10;

/// The gateway's path, or `None` when there is no gateway.
pub(super) fn detect(http: &Http) -> Result<Option<Api>> {
    for prefix in PREFIXES {
        // Needs neither a leader nor a user.
        let reply = http.post(&format!("{prefix}/maintenance/status"), &json!({}))?;
        if !reply.is_unserved() {
            return Ok(Some(Api::V3 { prefix }));
        }
    }
    Ok(None)
}

pub(super) fn members(http: &Http, prefix: &str) -> Result<MemberList> {
    let reply = call(http, &format!("{prefix}/cluster/member/list"), &json!({}))?;
    MemberList::from(reply.json::<MembersWire>()?).checked().map_err(|fault| reply.fault(fault))
}

pub(super) fn update_peer_urls(http: &Http, prefix: &str, id: MemberId, urls: &[PeerUrl]) -> Result<()> {
    let urls: Vec<_> = urls.iter().map(ToString::to_string).collect();
    let body = json!({ "ID": id.0.to_string(), "peerURLs": urls });
    call(http, &format!("{prefix}/cluster/member/update"), &body).map(drop)
}

pub(super) fn status(http: &Http, prefix: &str) -> Result<Status> {
    let wire: StatusWire = call(http, &format!("{prefix}/maintenance/status"), &json!({}))?.json()?;
    Ok(wire.into())
}

pub(super) fn move_leader(http: &Http, prefix: &str, to: MemberId) -> Result<()> {
    let body = json!({ "targetID": to.0.to_string() });
    call(http, &format!("{prefix}/maintenance/transfer-leadership"), &body).map(drop)
}

/// Grants a lease and revokes it.
pub(super) fn lease_probe(http: &Http, prefix: &str) -> Result<()> {
    let lease: LeaseWire =
        call(http, &format!("{prefix}/lease/grant"), &json!({ "TTL": PROBE_TTL }))?.json()?;
    let body = json!({ "ID": lease.id.to_string() });
    // 3.3 has only the longer path, 3.4 both.
    let reply = http.post(&format!("{prefix}/lease/revoke"), &body)?;
    if reply.is_unserved() {
        return call(http, &format!("{prefix}/kv/lease/revoke"), &body).map(drop);
    }
    reply.ok().map(drop)
}

/// Reads a key that need not exist, linearizably.
pub(super) fn read_probe(http: &Http, prefix: &str) -> Result<()> {
    let body = json!({ "key": STANDARD.encode("health"), "count_only": true });
    call(http, &format!("{prefix}/kv/range"), &body).map(drop)
}

pub(super) fn users(http: &Http, prefix: &str) -> Result<Vec<String>> {
    Ok(call(http, &format!("{prefix}/auth/user/list"), &json!({}))?.json::<UsersWire>()?.users)
}

/// The users, in the gateway's JSON and in etcdctl's.
#[derive(Deserialize)]
pub(in crate::etcd) struct UsersWire {
    #[serde(default)]
    pub(in crate::etcd) users: Vec<String>,
}

pub(super) fn alarms(http: &Http, prefix: &str) -> Result<Vec<Alarm>> {
    let wire: AlarmsWire =
        call(http, &format!("{prefix}/maintenance/alarm"), &json!({ "action": "GET" }))?.json()?;
    Ok(wire.into())
}

pub(super) fn put(http: &Http, prefix: &str, key: &str, value: &str) -> Result<u64> {
    let body = json!({ "key": STANDARD.encode(key), "value": STANDARD.encode(value) });
    let wire: PutWire = call(http, &format!("{prefix}/kv/put"), &body)?.json()?;
    Ok(wire.header.revision)
}

pub(super) fn get_prefix(http: &Http, prefix: &str, key_prefix: &str) -> Result<Vec<KeyValue>> {
    let (key, range_end) = range(key_prefix);
    let body = json!({ "key": key, "range_end": range_end });
    let body = Some(("application/json", body.to_string()));
    let reply = http.send_for(Method::POST, &format!("{prefix}/kv/range"), body, limits::KEYS)?.ok()?;
    let wire: RangeWire = reply.json()?;
    wire.kvs
        .into_iter()
        .map(|kv| kv.decode().ok_or_else(|| reply.fault(Fault::malformed("a key or value is not base64"))))
        .collect()
}

/// First key and end of the range of all keys with a prefix, in base64: the end is the prefix with its last byte that
/// can grow, grown by one; all keys are a zero byte to a zero byte (etcd's `clientv3.GetPrefixRangeEnd`).
pub(super) fn range(prefix: &str) -> (String, String) {
    let mut end = prefix.as_bytes().to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            break;
        }
    }
    if end.is_empty() {
        end.push(0);
    }
    let first = if prefix.is_empty() { "\0" } else { prefix };
    (STANDARD.encode(first), STANDARD.encode(end))
}

fn call(http: &Http, path: &str, body: &serde_json::Value) -> Result<Reply> {
    http.post(path, body)?.ok()
}

/// A 64-bit number, which the gateway writes as a string.
fn number<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Text(String),
        Bare(u64),
    }
    match Number::deserialize(from)? {
        Number::Text(text) => text.parse().map_err(serde::de::Error::custom),
        Number::Bare(number) => Ok(number),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Header {
    #[serde(deserialize_with = "number")]
    cluster_id: u64,
    #[serde(deserialize_with = "number")]
    member_id: u64,
    #[serde(deserialize_with = "number")]
    pub(super) revision: u64,
    #[serde(deserialize_with = "number")]
    raft_term: u64,
}

impl From<MembersWire> for MemberList {
    fn from(wire: MembersWire) -> Self {
        let members = wire.members.into_iter().map(|member| Member {
            id: MemberId(member.id),
            name: member.name,
            peer_urls: member.peer_urls,
            client_urls: member.client_urls,
            learner: member.is_learner,
        });
        Self {
            cluster_id: Some(wire.header.cluster_id).filter(|&id| id != 0),
            answered_by: Some(wire.header.member_id).filter(|&id| id != 0).map(MemberId),
            members: members.collect(),
        }
    }
}

impl From<StatusWire> for Status {
    fn from(wire: StatusWire) -> Self {
        Self {
            member_id: MemberId(wire.header.member_id),
            cluster_id: Some(wire.header.cluster_id).filter(|&id| id != 0),
            leader: Some(wire.leader).filter(|&id| id != 0).map(MemberId),
            raft_index: wire.raft_index,
            raft_applied: Some(wire.raft_applied_index).filter(|&index| index != 0),
            raft_term: if wire.raft_term == 0 { wire.header.raft_term } else { wire.raft_term },
            version: wire.version,
            db_size: Some(wire.db_size),
            errors: wire.errors,
        }
    }
}

impl From<AlarmsWire> for Vec<Alarm> {
    fn from(wire: AlarmsWire) -> Self {
        let alarms = wire.alarms.into_iter();
        alarms.map(|alarm| Alarm { member: MemberId(alarm.member_id), kind: alarm.alarm.into() }).collect()
    }
}

#[derive(Debug, Deserialize)]
pub(in crate::etcd) struct MembersWire {
    header: Header,
    #[serde(default)]
    members: Vec<MemberWire>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MemberWire {
    #[serde(rename = "ID", deserialize_with = "number")]
    id: u64,
    name: String,
    #[serde(rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(rename = "clientURLs")]
    client_urls: Vec<String>,
    is_learner: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::etcd) struct StatusWire {
    header: Header,
    #[serde(default)]
    version: String,
    #[serde(default, deserialize_with = "number")]
    db_size: u64,
    #[serde(default, deserialize_with = "number")]
    leader: u64,
    #[serde(default, deserialize_with = "number")]
    raft_index: u64,
    #[serde(default, deserialize_with = "number")]
    raft_term: u64,
    #[serde(default, deserialize_with = "number")]
    raft_applied_index: u64,
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(in crate::etcd) struct LeaseWire {
    // An int64, never negative as etcd makes them.
    #[serde(rename = "ID", deserialize_with = "number")]
    pub(in crate::etcd) id: u64,
}

#[derive(Debug, Deserialize)]
pub(in crate::etcd) struct AlarmsWire {
    #[serde(default)]
    alarms: Vec<AlarmWire>,
}

#[derive(Debug, Deserialize)]
struct AlarmWire {
    #[serde(rename = "memberID", default, deserialize_with = "number")]
    member_id: u64,
    #[serde(default)]
    alarm: AlarmKind,
}

/// The gateway writes the name, etcdctl the number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum AlarmKind {
    Name(String),
    Number(u8),
}

impl Default for AlarmKind {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl From<AlarmKind> for String {
    fn from(kind: AlarmKind) -> Self {
        match kind {
            AlarmKind::Name(name) => name,
            AlarmKind::Number(0) => "NONE".to_owned(),
            AlarmKind::Number(1) => "NOSPACE".to_owned(),
            AlarmKind::Number(2) => "CORRUPT".to_owned(),
            AlarmKind::Number(other) => format!("alarm {other}"),
        }
    }
}

#[derive(Debug, Deserialize)]
struct PutWire {
    header: Header,
}

#[derive(Debug, Deserialize)]
struct RangeWire {
    #[serde(default)]
    kvs: Vec<KeyValueWire>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct KeyValueWire {
    key: String,
    value: String,
    #[serde(deserialize_with = "number")]
    mod_revision: u64,
}

impl KeyValueWire {
    pub(super) fn decode(self) -> Option<KeyValue> {
        let text = |base64: &str| {
            STANDARD.decode(base64).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        Some(KeyValue { key: text(&self.key)?, value: text(&self.value)?, revision: self.mod_revision })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_a_prefix_ends_where_its_last_byte_grows() {
        assert_eq!(range("load/"), (STANDARD.encode("load/"), STANDARD.encode("load0")));
        assert_eq!(range(""), (STANDARD.encode([0]), STANDARD.encode([0])));
    }
}
