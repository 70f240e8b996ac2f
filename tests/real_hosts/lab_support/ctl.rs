//! Writers that have only etcdctl, as on a cluster that serves neither the gateway nor v2.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a write is tried: as long as the rehearsal's load does.
const DEADLINE: Duration = Duration::from_secs(15);
const PREFIX: &str = "ctl/";

/// What became of the writes.
#[derive(Debug, Default)]
pub struct CtlFigures {
    pub writes: usize,
    pub failed: u64,
    pub lost: usize,
    pub longest_gap: Duration,
}

#[derive(Default)]
struct Shared {
    /// The endpoints and pair, as etcdctl takes them, and how often they changed.
    words: Mutex<(u64, Vec<String>)>,
    /// The change that each writer was last served after.
    served: [AtomicU64; 2],
    acknowledged: Mutex<BTreeMap<String, String>>,
    /// When the last write was acknowledged, the longest time between two, and how many failed.
    record: Mutex<(Option<Instant>, Duration, u64)>,
    stop: AtomicBool,
}

/// Two writers, and a watch that stays connected. Dropping it stops them.
pub struct CtlLoad {
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<()>>,
    watch: Child,
}

impl CtlLoad {
    /// Begins; `words` name the endpoints and the pair.
    pub fn start(words: &[String]) -> Self {
        let shared = Arc::new(Shared { words: Mutex::new((0, words.to_vec())), ..Shared::default() });
        let writers = (0..2)
            .map(|writer| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || write(&shared, writer))
            })
            .collect();
        Self { shared, writers, watch: watch(words) }
    }

    /// Other endpoints from now on; returns when each writer has been served there.
    pub fn move_to(&mut self, words: &[String]) {
        let change = {
            let mut now = self.shared.words.lock().unwrap();
            *now = (now.0 + 1, words.to_vec());
            now.0
        };
        self.end_watch();
        self.watch = watch(words);
        let end = Instant::now() + 2 * DEADLINE;
        while self.shared.served.iter().any(|served| served.load(Ordering::Acquire) < change) {
            assert!(Instant::now() < end, "the writers are not served at {words:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops, and holds what `each` of the members has against what was acknowledged.
    pub fn finish(mut self, each: &[Vec<String>]) -> CtlFigures {
        self.end();
        let acknowledged = std::mem::take(&mut *self.shared.acknowledged.lock().unwrap());
        let mut lost = std::collections::BTreeSet::new();
        for words in each {
            let output = etcdctl(words).args(["get", "--prefix", PREFIX]).output().unwrap();
            assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8(output.stdout).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            let there: BTreeMap<&str, &str> = lines.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            let is_lost =
                |(key, value): &(&String, &String)| there.get(key.as_str()) != Some(&value.as_str());
            lost.extend(acknowledged.iter().filter(is_lost).map(|(key, _)| key.clone()));
        }
        let (_, longest_gap, failed) = *self.shared.record.lock().unwrap();
        CtlFigures { writes: acknowledged.len(), failed, lost: lost.len(), longest_gap }
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.writers.drain(..).for_each(|writer| drop(writer.join()));
        self.end_watch();
    }

    fn end_watch(&mut self) {
        let _ = self.watch.kill();
        let _ = self.watch.wait();
    }
}

impl Drop for CtlLoad {
    fn drop(&mut self) {
        self.end();
    }
}

fn etcdctl(words: &[String]) -> Command {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").args(words).stdin(Stdio::null());
    command
}

fn watch(words: &[String]) -> Child {
    let mut command = etcdctl(words);
    command.args(["watch", "--prefix", PREFIX]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn write(shared: &Shared, writer: usize) {
    for number in 0.. {
        let (key, value) = (format!("{PREFIX}{writer}-{number:06}"), format!("{writer} wrote {number}"));
        let end = Instant::now() + DEADLINE;
        loop {
            if shared.stop.load(Ordering::Relaxed) {
                return;
            }
            let (change, words) = shared.words.lock().unwrap().clone();
            let put =
                etcdctl(&words).args(["--command-timeout", "3s", "put", &key, &value]).output().unwrap();
            let mut record = shared.record.lock().unwrap();
            if put.status.success() {
                shared.served[writer].store(change, Ordering::Release);
                let now = Instant::now();
                record.1 = record.1.max(record.0.map_or(Duration::ZERO, |last| now - last));
                record.0 = Some(now);
                shared.acknowledged.lock().unwrap().insert(key, value);
                break;
            }
            if Instant::now() >= end {
                record.2 += 1;
                break;
            }
        }
    }
}
