//! What can stop a migration, and what to do then.

use crate::advice::Advice;
use crate::etcd::{EtcdError, Fault, UrlError};
use crate::files::{FileError, LockError};
use crate::host::HostError;

use super::trouble::{self, Kind, Trouble};

/// Why a migration stops. Whatever it is, the next run carries on from what it then sees.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// A unit around the members does not work.
    #[error("{host}: {unit}: {what}")]
    Around {
        /// The machine.
        host: String,
        /// The unit.
        unit: String,
        /// What is wrong.
        what: String,
    },
    /// etcd's authentication is on, and refuses us.
    #[error("{member}: etcd's authentication is on: {what}")]
    Auth {
        /// The member that was asked.
        member: String,
        /// What it said, or what we may not.
        what: String,
    },
    /// A member's certificate would be refused.
    #[error("{member}: its certificate would be refused: {why}")]
    Certificate {
        /// The member.
        member: String,
        /// What verify found.
        why: String,
        /// What to do about it, where there is a cure.
        fix: Option<Advice>,
    },
    /// What a host keeps of what was there before cannot be read.
    #[error("{member}: {path} is no record of a migration: {why}")]
    BadRecord {
        /// The member.
        member: String,
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
    /// A file of ours was changed by somebody else since.
    #[error("{member}: {path} was changed since it was placed; it is left as it is")]
    Changed {
        /// The member.
        member: String,
        /// The file.
        path: String,
    },
    /// The same, and etcd has been started with it.
    #[error("{member}: {path} was changed since it was placed, and etcd was started with it")]
    ChangedInForce {
        /// The member.
        member: String,
        /// The file.
        path: String,
    },
    /// A file is in the way that this tool did not place.
    #[error("{member}: {path} is there already and is not what would be placed")]
    InTheWay {
        /// The member.
        member: String,
        /// The file.
        path: String,
    },
    /// The cluster that answers is not the one that was begun with, or not the inventory's.
    #[error("{0}")]
    WrongCluster(String),
    /// The clocks of two hosts are too far apart.
    #[error("{member}: its clock is {seconds} s away from this machine's")]
    Clock {
        /// The member.
        member: String,
        /// How far, in seconds.
        seconds: u64,
    },
    /// The running process and the disk disagree, and neither is a stage of ours.
    #[error("{member}: {what}")]
    Drift {
        /// The member.
        member: String,
        /// Which settings, and their values.
        what: String,
    },
    /// The members API or a listener refused.
    #[error("{member}: {source}")]
    Etcd {
        /// The member that was asked.
        member: String,
        /// What it said.
        source: Box<EtcdError>,
    },
    /// A file on this machine.
    #[error(transparent)]
    File(#[from] FileError),
    /// A gate did not hold in time.
    #[error("{member}: the gate {when} did not hold within {seconds} s: {}", saw.join("; "))]
    Gate {
        /// The member whose turn it is.
        member: String,
        /// Before or after its restart.
        when: &'static str,
        /// How long it was waited for.
        seconds: u64,
        /// What was seen last.
        saw: Vec<String>,
        /// Whether an alarm is raised.
        alarm: bool,
    },
    /// A host refused.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Another run is at work.
    #[error("another run is at work: {0}")]
    Locked(#[from] LockError),
    /// A member's pair or the CA is missing in the PKI directory.
    #[error("{member}: {what}")]
    NoPair {
        /// The member.
        member: String,
        /// What is missing.
        what: String,
    },
    /// No member answers.
    #[error("no member of the cluster answers: {}", trouble::words(.0).join("; "))]
    NoAnswer(Vec<Trouble>),
    /// No snapshot could be taken.
    #[error("no snapshot could be taken: {why}")]
    NoSnapshot {
        /// Why.
        why: String,
    },
    /// Members that were to be left as they are.
    #[error("{} down and left so; all others are done", list(members))]
    Left {
        /// Them.
        members: Vec<String>,
    },
    /// A member speaks TLS by settings that this tool did not place.
    #[error("{member}: its own settings speak TLS already ({flag}={value}); this tool did not place them")]
    OwnTls {
        /// The member.
        member: String,
        /// The flag, without dashes.
        flag: String,
        /// Its value.
        value: String,
    },
    /// Other members are down.
    #[error("{} down; no other member is restarted meanwhile", list(members))]
    OthersDown {
        /// Them.
        members: Vec<String>,
        /// Whether a quorum stays while one more restarts.
        can_go_on: bool,
    },
    /// The member runs with other settings than were placed: something overrides them.
    #[error("{member}: it runs with {flag}={actual:?} though {wanted:?} was placed")]
    Overridden {
        /// The member.
        member: String,
        /// The setting.
        flag: String,
        /// What was placed.
        wanted: String,
        /// What it runs with.
        actual: String,
    },
    /// Units on the hosts still need the plain-text loopback port.
    #[error("the loopback port is still needed by {}", units.join(", "))]
    StillPlain {
        /// Them, as `unit of host`.
        units: Vec<String>,
    },
    /// The unit gave up.
    #[error("{member}: {unit}: {what}{}", log.iter().map(|line| format!("; its log: {line}")).collect::<String>())]
    UnitFailed {
        /// The member.
        member: String,
        /// The unit.
        unit: String,
        /// In systemd's words.
        what: String,
        /// What it said last.
        log: Vec<String>,
        /// Whether the others have a quorum without it.
        serves_on: bool,
    },
    /// A URL in a member's configuration or in the members list is malformed.
    #[error("{member}: {source}")]
    Url {
        /// The member.
        member: String,
        /// The URL.
        source: UrlError,
    },
}

impl MigrateError {
    /// What a member answered, or why it did not.
    pub(super) fn of(member: &str, error: EtcdError) -> Self {
        let member = member.to_owned();
        match error.fault {
            Fault::Auth { message } => Self::Auth { member, what: message },
            _ => Self::Etcd { member, source: Box::new(error) },
        }
    }

    /// That a file was changed, of a member that has been started since.
    pub(super) fn and_started(self) -> Self {
        match self {
            Self::Changed { member, path } => Self::ChangedInForce { member, path },
            error => error,
        }
    }

    /// A stable word for scripts.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Around { .. } => "unit-around",
            Self::Auth { .. } => "auth",
            Self::BadRecord { .. } => "bad-record",
            Self::Certificate { .. } => "certificate-refused",
            Self::Changed { .. } | Self::ChangedInForce { .. } => "file-changed",
            Self::Clock { .. } => "clock-skew",
            Self::Drift { .. } => "drift",
            Self::Etcd { .. } => "etcd",
            Self::File(_) => "file",
            Self::Gate { .. } => "gate",
            Self::Host(HostError::Locked { .. }) | Self::Locked(_) => "locked",
            Self::Host(HostError::Ssh(error)) => error.code(),
            Self::Host(_) => "host",
            Self::InTheWay { .. } => "file-in-the-way",
            Self::NoAnswer(_) => "no-answer",
            Self::NoPair { .. } => "no-pair",
            Self::NoSnapshot { .. } => "no-snapshot",
            Self::Left { .. } => "members-left",
            Self::OthersDown { .. } => "members-down",
            Self::OwnTls { .. } => "own-tls",
            Self::Overridden { .. } => "overridden",
            Self::StillPlain { .. } => "loopback-in-use",
            Self::UnitFailed { .. } => "unit-failed",
            Self::Url { .. } => "malformed-url",
            Self::WrongCluster(_) => "wrong-cluster",
        }
    }

    /// What to do.
    pub fn hint(&self) -> Advice {
        match self {
            Self::Certificate { fix: Some(fix), .. } => fix.clone(),
            other => other.hint_text().into(),
        }
    }

    fn hint_text(&self) -> String {
        match self {
            Self::Around { unit, .. } => format!(
                "see `journalctl -u {unit}` there; mend it, then run this again: it carries on from what it finds"
            ),
            Self::Auth { .. } => {
                "give a user with the role root: --user-file FILE, whose first line is USER:PASSWORD (0600)".into()
            }
            Self::Certificate { member, .. } => format!(
                "see `etcd-pki verify`, then issue it again with `etcd-pki issue {member} --ip ADDRESS --force`, or where it was \
                 made"
            ),
            Self::BadRecord { path, .. } => format!(
                "put {path} back from a backup of that host; without it nothing can be put back as it was: once the cluster is as \
                 you want it, move the file away"
            ),
            Self::Changed { path, .. } => {
                format!(
                    "look at {path}: put back what was there, or place the pair that is to be there with `etcd-pki install NAME`, then run \
                     this again"
                )
            }
            Self::ChangedInForce { path, .. } => {
                format!("put back what was placed as {path}, restart etcd there, then run this again")
            }
            Self::Clock { .. } => "set the clocks right (NTP) first: certificates are dated".into(),
            Self::Drift { .. } => {
                "bring the file and the process together (restart the member, or undo the edit), or pass --accept-drift"
                    .into()
            }
            Self::Host(HostError::Ssh(error)) => {
                format!("{}; then run the same command again: it carries on from what it finds", error.hint())
            }
            Self::Host(HostError::Locked { .. }) => {
                "wait for it to end; a run whose connection broke off holds it for half a minute".into()
            }
            Self::Host(HostError::File { .. }) => {
                "mend what is named above (room, permissions), then run the same command again: it carries on from what it finds"
                    .into()
            }
            // Some pass by themselves, such as a boot.
            Self::Host(HostError::Command { .. }) => {
                "see to what is said above, if it stands; then run the same command again: it carries on from what it finds"
                    .into()
            }
            Self::Etcd { source, .. } if source.fault.is_foreign() => {
                format!("see what listens at {}: an etcd does not answer so", source.url)
            }
            Self::Etcd { .. } | Self::Host(_) => "run the same command again: it carries on from what it finds".into(),
            Self::File(_) => "mend the path named above, then run this again".into(),
            Self::Gate { alarm: true, .. } => {
                "nothing is restarted while an alarm stands: free space (compact, defragment, a larger quota), then `etcdctl \
                 alarm disarm`, then run this again"
                    .into()
            }
            Self::Gate { member, .. } => format!(
                "the cluster goes on without a further step. Retry: run this again. Go back: `etcd-pki migrate rollback`. \
                 By hand: `etcd-pki migrate members` prints the commands; see the log of {member}, and `etcd-pki explain TEXT` on what it \
                 says"
            ),
            Self::InTheWay { path, .. } => {
                format!("move {path} away, or name another directory with ssl-dir in the inventory")
            }
            Self::Locked(_) => "wait for it to end; it may be another operator".into(),
            Self::NoAnswer(refused) if trouble::any(refused, Kind::Tls) => {
                "`etcd-pki verify --cluster` says why. A pair that has expired: `etcd-pki renew NAME`, then `etcd-pki install --from \
                 cluster.toml`; etcd needs no restart for it"
                    .into()
            }
            Self::NoAnswer(refused) if trouble::any(refused, Kind::Foreign) => {
                "see what listens there (`ss -ltnp`): an etcd does not answer so".into()
            }
            Self::NoAnswer(_) => "start etcd first, or correct the inventory".into(),
            Self::NoPair { .. } => "make it: `etcd-pki issue --from cluster.toml`".into(),
            Self::NoSnapshot { .. } => "mend that, or take a backup of your own and pass --no-snapshot".into(),
            Self::Left { .. } => "start it, then run this again: it carries on with it".into(),
            Self::OthersDown { can_go_on: true, .. } => {
                "start it first, then run this again; or pass --allow-degraded, which leaves it as it is while a quorum stays"
                    .into()
            }
            Self::OthersDown { .. } => {
                "start it first, then run this again: one more restart would cost the quorum".into()
            }
            Self::OwnTls { .. } => {
                "migrate takes members from plain HTTP and back to it: there is nothing for it to do here. Judge what is in force \
                 with `etcd-pki verify --node HOST`"
                    .into()
            }
            Self::Overridden { .. } => "look for a later file that sets it, remove it there, then run this again".into(),
            Self::StillPlain { .. } => "move them to https with `etcd-pki migrate clients`, then run this again".into(),
            Self::UnitFailed { member, unit, serves_on, .. } => {
                let meanwhile = if *serves_on { "goes on without" } else { "is down without" };
                format!(
                    "the cluster {meanwhile} {member}. See `journalctl -u {unit}` there and mend what it says, then run this \
                     again: it starts it; or go back: `etcd-pki migrate rollback`"
                )
            }
            Self::Url { .. } => "correct the URL in the member's configuration first".into(),
            Self::WrongCluster(_) => "check the inventory's addresses".into(),
        }
    }
}

fn list(names: &[String]) -> String {
    match names {
        [one] => format!("{one} is"),
        many => format!("{} are", many.join(", ")),
    }
}
