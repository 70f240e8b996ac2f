//! A throw-away cluster of real etcd processes, and a load that watches it migrate.
//!
//! The migration is driven as a user would: by this same executable, with command lines that can be typed. Only the
//! cluster, the load and the proof at the end are the rehearsal's own.

pub mod cluster;
pub mod load;
pub mod proof;
mod run;
mod scratch;
mod tool;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use run::{Kept, Rehearsal, Settings};
pub use scratch::stop;

/// The figures of a load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Figures {
    /// Writes that were acknowledged.
    pub writes: u64,
    /// Writes that no member acknowledged before their deadline.
    pub failed: u64,
    /// Writes that were acknowledged and are not there, or not as they were written.
    pub lost: u64,
    /// Changes that the watcher should have been told of and was not.
    pub missed: u64,
    /// The longest time between two acknowledged writes, over all writers, in milliseconds.
    pub longest_gap_ms: u64,
    /// The longest time from when a write was due until it was acknowledged, in milliseconds.
    pub slowest_ms: u64,
}

/// Something that happened, for the timeline.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Moment {
    /// What kind of thing: `phase`, or what the migration calls it.
    pub event: String,
    /// When, in milliseconds after the rehearsal began.
    pub at_ms: u64,
    /// What it is about, where it is about one member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// In words.
    pub what: String,
    /// Whatever else the migration said of it.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

/// Where moments go.
pub struct Timeline<'a> {
    started: Instant,
    tell: &'a (dyn Fn(&Moment) + Sync),
}

impl std::fmt::Debug for Timeline<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timeline").field("started", &self.started).finish_non_exhaustive()
    }
}

impl<'a> Timeline<'a> {
    /// A timeline that begins now.
    pub fn new(tell: &'a (dyn Fn(&Moment) + Sync)) -> Self {
        Self { started: Instant::now(), tell }
    }

    /// Tells of something that the rehearsal itself does.
    pub fn phase(&self, what: impl Into<String>) {
        self.moment("phase", None, what.into(), serde_json::Map::new());
    }

    fn moment(
        &self,
        event: &str,
        member: Option<String>,
        what: String,
        more: serde_json::Map<String, serde_json::Value>,
    ) {
        let at_ms = milliseconds(self.started.elapsed());
        (self.tell)(&Moment { event: event.to_owned(), at_ms, member, what, more });
    }

    /// Passes on an event of the migration's.
    fn event(&self, line: &str) {
        let Ok(serde_json::Value::Object(mut fields)) = serde_json::from_str(line) else { return };
        let mut text = |name: &str| match fields.remove(name) {
            Some(serde_json::Value::String(text)) => Some(text),
            Some(other) => Some(other.to_string()),
            None => None,
        };
        let (event, member, what) = (text("event"), text("member"), text("what"));
        let Some(event) = event else { return };
        let what = what.unwrap_or_else(|| event.clone());
        self.moment(&event, member, what, fields);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Why a rehearsal did not come to its end, or not to a good one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RehearseError {
    /// The cluster could not be started.
    #[error(transparent)]
    Cluster(#[from] cluster::ClusterError),
    /// The directory is not free to be used.
    #[error("{path} {what}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] crate::files::FileError),
    /// A signal came.
    #[error("interrupted")]
    Interrupted,
    /// The load did not get through.
    #[error("{0}")]
    Load(String),
    /// The end is not what it should be.
    #[error("not proved: {}", .0.join("; "))]
    Proof(Vec<String>),
    /// A command of ours failed.
    #[error("`{command}` ended with {exit}: {message}")]
    Tool {
        /// The command line.
        command: String,
        /// Its exit code, in words.
        exit: String,
        /// What it said.
        message: String,
    },
}
