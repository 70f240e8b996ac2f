//! Clients that keep writing while the cluster migrates, and one that watches.
//!
//! The load is open-loop: each write is due at a fixed time whatever became of the one before, and its latency
//! counts from then, so that a stall is seen in full. As etcd's own clients do, a writer fails over to another
//! endpoint and sends the same write again: a key and value of its own make that harmless.

mod record;
mod targets;
mod watcher;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Figures;
use crate::etcd::client::{Api, KeyValue};
use crate::etcd::tls::Tls;
use record::Record;
pub use targets::Speak;
use targets::{Circle, Targets};

/// What the load writes under.
pub const PREFIX: &str = "rehearsal/";

/// How many writers there are.
pub const WRITERS: u64 = 4;
/// How often each of them writes, where nothing else is said.
pub const PERIOD: Duration = Duration::from_millis(40);
/// How long one endpoint may take to answer. A write that was under way when the leader changed is answered by nobody
/// (etcd gives up on it after seven seconds), so this is what such a write costs.
const ATTEMPT: Duration = Duration::from_secs(1);
/// How long a write is tried. It counts from when it was due, or from when its writer came to it: on a machine where a write
/// takes longer than the period a writer falls behind, and a write that nobody has tried yet has not failed. How far it fell
/// behind is told as the slowest write.
const DEADLINE: Duration = Duration::from_secs(15);
/// How long a writer waits when no endpoint answered at all.
const PAUSE: Duration = Duration::from_millis(20);
/// How long all of the load may take to move to other endpoints, and the watcher to catch up.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the threads share.
struct Shared {
    targets: Targets,
    record: Mutex<Record>,
    /// What the watcher was told: keys and values.
    seen: Mutex<BTreeMap<String, String>>,
    /// The last that went wrong, to explain why nothing goes.
    trouble: Mutex<String>,
    stop_writing: AtomicBool,
    stop_watching: AtomicBool,
    /// Which generation of the targets each thread was last served by.
    served: Vec<AtomicU64>,
}

impl Shared {
    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_trouble(&self, what: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    fn trouble(&self) -> String {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running load. Dropping it stops it.
pub struct Load {
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<()>>,
    watcher: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Load").field("writers", &self.writers.len()).finish_non_exhaustive()
    }
}

impl Load {
    /// Starts writers and a watcher that speak plain HTTP to the members at these addresses.
    ///
    /// # Errors
    /// What the first write met, in words.
    pub fn start(addresses: &[Ipv4Addr], api: Api) -> Result<Self, String> {
        Self::start_every(PERIOD, addresses, api)
    }

    /// As [`Self::start`], each writer writing once a period.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_every(period: Duration, addresses: &[Ipv4Addr], api: Api) -> Result<Self, String> {
        let targets = Targets::new(addresses.to_vec(), api);
        let circle = Circle::new(&targets, 0, ATTEMPT);
        let first =
            circle.current().put(&format!("{PREFIX}start"), "0").map_err(|error| error.to_string())?;
        let threads = usize::try_from(WRITERS + 1).expect("a handful");
        let shared = Arc::new(Shared {
            targets,
            record: Mutex::new(Record::new()),
            seen: Mutex::new(BTreeMap::new()),
            trouble: Mutex::new(String::new()),
            stop_writing: AtomicBool::new(false),
            stop_watching: AtomicBool::new(false),
            served: (0..threads).map(|_| AtomicU64::new(0)).collect(),
        });
        let writers = (0..WRITERS).map(|writer| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || write(&shared, writer, period))
        });
        let writers = writers.collect();
        let watching = Arc::clone(&shared);
        let watcher = std::thread::spawn(move || watcher::watch(&watching, threads - 1, first + 1));
        Ok(Self { shared, writers, watcher: Some(watcher) })
    }

    /// Moves every client to other endpoints; returns when each of them has been served there.
    ///
    /// # Errors
    /// In words, when they are not served in time.
    pub fn move_to(&self, speak: Speak, tls: Option<Arc<Tls>>) -> Result<(), String> {
        let generation = self.shared.targets.change(speak, tls);
        let end = Instant::now() + PATIENCE;
        while self.shared.served.iter().any(|served| served.load(Ordering::Acquire) < generation) {
            if Instant::now() > end {
                let seconds = PATIENCE.as_secs();
                let trouble = self.shared.trouble();
                return Err(format!("the load was not served over {speak} within {seconds} s; {trouble}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// How it fares so far: what is lost or missed is known only at the end.
    pub fn so_far(&self) -> Figures {
        self.shared.record().figures()
    }

    /// As [`Self::so_far`]; the longest gap and the slowest write are measured anew from here on.
    pub fn lap(&self) -> Figures {
        self.shared.record().lap()
    }

    /// Stops the writers, lets the watcher catch up, and holds what is there (`found` of each member) against what
    /// was acknowledged.
    pub fn finish(mut self, found: impl FnOnce() -> Vec<Vec<KeyValue>>) -> Figures {
        self.stop_writers();
        let acknowledged = std::mem::take(&mut self.shared.record().acknowledged);
        let end = Instant::now() + PATIENCE;
        let missed = || {
            let seen = self.shared.seen();
            acknowledged.iter().filter(|(key, value)| seen.get(*key) != Some(value)).count()
        };
        while missed() > 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        let missed = missed();
        let mut figures = self.shared.record().figures();
        figures.missed = u64::try_from(missed).unwrap_or(u64::MAX);
        figures.lost = lost(&acknowledged, &found());
        figures
    }

    fn stop_writers(&mut self) {
        self.shared.stop_writing.store(true, Ordering::Relaxed);
        for writer in self.writers.drain(..) {
            let _ = writer.join();
        }
        self.shared.record().end();
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop_writers();
        self.shared.stop_watching.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }
}

/// How many acknowledged writes at least one member does not have as they were written.
fn lost(acknowledged: &BTreeMap<String, String>, found: &[Vec<KeyValue>]) -> u64 {
    let mut lost = std::collections::BTreeSet::new();
    for member in found {
        let there: BTreeMap<_, _> =
            member.iter().map(|kv| (kv.key.trim_start_matches('/'), kv.value.as_str())).collect();
        let gone =
            acknowledged.iter().filter(|(key, value)| there.get(key.as_str()) != Some(&value.as_str()));
        lost.extend(gone.map(|(key, _)| key.as_str()));
    }
    u64::try_from(lost.len()).unwrap_or(u64::MAX)
}

fn write(shared: &Shared, writer: u64, period: Duration) {
    let index = usize::try_from(writer).expect("a handful");
    let mut circle = Circle::new(&shared.targets, index, ATTEMPT);
    // Writers take turns within a period.
    let step = period / u32::try_from(WRITERS).expect("a handful");
    let mut due = Instant::now() + step * u32::try_from(writer).expect("a handful");
    for number in 0.. {
        let wait = due.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
        if shared.stop_writing.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("{PREFIX}{writer}-{number:06}");
        let value = format!("{writer} wrote {number}");
        if put(shared, &mut circle, &key, &value, Instant::now().max(due) + DEADLINE) {
            shared.served[index].store(circle.generation(), Ordering::Release);
            shared.record().acknowledge(key, value, due);
        } else {
            shared.record().failed += 1;
        }
        due += period;
    }
}

/// Writes, failing over until the deadline; whether it was acknowledged.
fn put(shared: &Shared, circle: &mut Circle, key: &str, value: &str, deadline: Instant) -> bool {
    let mut tried = 0;
    loop {
        circle.follow(&shared.targets);
        match circle.current().put(key, value) {
            Ok(_) => return true,
            Err(error) => shared.note_trouble(error.to_string()),
        }
        circle.advance();
        tried += 1;
        if Instant::now() >= deadline {
            return false;
        }
        if tried % circle.len() == 0 {
            if shared.stop_writing.load(Ordering::Relaxed) {
                return false;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_lost_when_any_member_lacks_it() {
        let acknowledged =
            BTreeMap::from([("rehearsal/a".to_owned(), "1".to_owned()), ("rehearsal/b".into(), "2".into())]);
        let kv = |key: &str, value: &str| KeyValue { key: key.into(), value: value.into(), revision: 1 };
        let whole = vec![kv("/rehearsal/a", "1"), kv("rehearsal/b", "2"), kv("rehearsal/c", "3")];
        assert_eq!(lost(&acknowledged, &[whole.clone(), whole.clone()]), 0);
        assert_eq!(lost(&acknowledged, &[whole.clone(), vec![kv("rehearsal/a", "1")]]), 1);
        assert_eq!(
            lost(&acknowledged, &[vec![kv("rehearsal/a", "1"), kv("rehearsal/b", "other")], whole]),
            1
        );
        assert_eq!(lost(&acknowledged, &[vec![]]), 2);
    }
}
