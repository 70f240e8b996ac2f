//! What a member answers.

use super::super::error::Fault;
use super::super::types::MemberId;
use crate::host::limits;

/// What `/version` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// The member's own, such as `3.4.23`.
    pub server: String,
    /// The one the cluster has agreed on, such as `3.4.0`; `not_decided` before there was a leader.
    pub cluster: String,
}

/// What `/health` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Status 200 and `"health":"true"`.
    pub healthy: bool,
    /// The HTTP status.
    pub status: u16,
    /// Why not (3.5 and later).
    pub reason: Option<String>,
    /// The body as it came.
    pub body: String,
}

/// The members as one of them knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberList {
    /// The cluster; v2 before 2.1 did not say.
    pub cluster_id: Option<u64>,
    /// Who answered; v2 does not say.
    pub answered_by: Option<MemberId>,
    /// The members, in the answer's order.
    pub members: Vec<Member>,
}

impl MemberList {
    /// The list, if it can be a cluster's.
    pub(in crate::etcd) fn checked(self) -> Result<Self, Fault> {
        let count = self.members.len();
        if count > limits::MEMBERS {
            return Err(Fault::malformed(format!(
                "it lists {count} members; {} are read at most",
                limits::MEMBERS
            )));
        }
        for member in &self.members {
            let texts = [&member.name].into_iter().chain(&member.peer_urls).chain(&member.client_urls);
            if let Some(long) = texts.into_iter().find(|text| text.len() > limits::NAME) {
                let (id, size) = (member.id, limits::size(limits::NAME as u64));
                let what =
                    format!("a name or URL of member {id} has {} bytes; {size} are read at most", long.len());
                return Err(Fault::malformed(what));
            }
        }
        Ok(self)
    }
}

/// A member as the cluster knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its identifier.
    pub id: MemberId,
    /// Its `--name`; empty before it was first started.
    pub name: String,
    /// Its peer URLs as the cluster has them: whatever someone once sent.
    pub peer_urls: Vec<String>,
    /// Its advertised client URLs.
    pub client_urls: Vec<String>,
    /// Whether it only learns (3.4 and later).
    pub learner: bool,
}

/// Where a member stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Who it is.
    pub member_id: MemberId,
    /// Its cluster.
    pub cluster_id: Option<u64>,
    /// Who leads, as far as it knows.
    pub leader: Option<MemberId>,
    /// The raft log's index (v3: what is committed).
    pub raft_index: u64,
    /// How far the log is applied (3.4 and later, v3).
    pub raft_applied: Option<u64>,
    /// The raft term.
    pub raft_term: u64,
    /// Its version.
    pub version: String,
    /// The database file's size in bytes (v3).
    pub db_size: Option<u64>,
    /// What it complains of (3.4 and later, v3): `etcdserver: no leader`, raised alarms.
    pub errors: Vec<String>,
}

/// A raised alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Whose.
    pub member: MemberId,
    /// `NOSPACE` or `CORRUPT`.
    pub kind: String,
}

/// A key and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key; v2's begin with a slash.
    pub key: String,
    /// The value.
    pub value: String,
    /// The revision (v3) or index (v2) of its last write.
    pub revision: u64,
}
