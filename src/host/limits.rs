//! How much, and for how long, is read from a host or an etcd before it is given up.
//!
//! A host may be broken or in another's hands. Whatever it sends, this program stays small (below 100 MiB) and comes to
//! an end: every answer has a length and a time within which the whole of it must have come, not only its next byte.

use std::time::Duration;

pub use crate::limits::size;

/// What a command may print on each of its streams, in bytes.
pub const OUTPUT: usize = 16 << 20;

/// The largest file that is read from a host, in bytes. The files of etcd that matter here have some kilobytes.
pub const FILE: u64 = (OUTPUT / 2) as u64;

/// What the shells of a host may print at login, before the answer begins, in bytes.
pub const LOGIN: u64 = 1 << 20;

/// A line that a host answers with where one line is the whole answer, in bytes.
pub const LINE: u64 = 4 << 10;

/// An etcd's whole answer, in bytes: its own limit for a request is 1.5 MiB, a list of members has some kilobytes.
pub const ANSWER: u64 = 16 << 20;

/// The keys under one prefix, in bytes of the answer: of our own rehearsals, which write many.
pub const KEYS: u64 = 256 << 20;

/// The headers of an etcd's answer, in bytes.
pub const HEADERS: usize = 64 << 10;

/// A line of an answer that comes in parts (a watch, a snapshot), in bytes. etcd sends snapshots in parts of 32 KiB, and the
/// events of one transaction together.
pub const PART: usize = 16 << 20;

/// How long a line of such an answer may take from its first byte to its last.
pub const PART_TIME: Duration = Duration::from_secs(60);

/// What a snapshot may have beyond the size that its member reported, in bytes: the database grows while it is sent.
pub const SNAPSHOT_GROWTH: u64 = 64 << 20;

/// The slowest that a snapshot may come, in bytes a second, a minute left aside.
pub const SNAPSHOT_SPEED: u64 = 256 << 10;

/// How many members a cluster may be said to have: etcd's own advice is seven.
pub const MEMBERS: usize = 1000;

/// A name or URL in an etcd's answer, in bytes.
pub const NAME: usize = 4 << 10;
