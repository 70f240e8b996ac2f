//! What became of the writes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::rehearse::{Figures, milliseconds};

/// What became of the writes so far.
#[derive(Debug)]
pub(super) struct Record {
    /// Acknowledged keys and their values.
    pub(super) acknowledged: BTreeMap<String, String>,
    /// Writes that were not acknowledged in time.
    pub(super) failed: u64,
    writes: u64,
    last: Instant,
    longest_gap: Duration,
    slowest: Duration,
    ended: bool,
}

impl Record {
    pub(super) fn new() -> Self {
        Self {
            acknowledged: BTreeMap::new(),
            failed: 0,
            writes: 0,
            last: Instant::now(),
            longest_gap: Duration::ZERO,
            slowest: Duration::ZERO,
            ended: false,
        }
    }

    /// Notes a write that was due at `due` and has just been acknowledged.
    pub(super) fn acknowledge(&mut self, key: String, value: String, due: Instant) {
        let now = Instant::now();
        self.acknowledged.insert(key, value);
        self.writes += 1;
        self.slowest = self.slowest.max(now.saturating_duration_since(due));
        self.longest_gap = self.longest_gap.max(now.saturating_duration_since(self.last));
        self.last = now;
    }

    /// The writers have ended: a gap that was open then counts too.
    pub(super) fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            self.longest_gap = self.longest_gap.max(self.last.elapsed());
        }
    }

    /// What it was so far; the gap and the slowest write are measured anew from here on.
    pub(super) fn lap(&mut self) -> Figures {
        self.longest_gap = self.longest_gap.max(self.last.elapsed());
        let figures = self.figures();
        (self.longest_gap, self.slowest) = (Duration::ZERO, Duration::ZERO);
        figures
    }

    pub(super) fn figures(&self) -> Figures {
        Figures {
            writes: self.writes,
            failed: self.failed,
            longest_gap_ms: milliseconds(self.longest_gap),
            slowest_ms: milliseconds(self.slowest),
            ..Figures::default()
        }
    }
}
