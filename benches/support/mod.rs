//! Running a program and what it cost; tables for docs/performance.md.
#![allow(dead_code, reason = "each benchmark uses its part")]

pub(crate) mod peers;

use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// What a program used: it and the processes that it waited for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// User and system time.
    pub(crate) cpu: Duration,
    /// From the start of the process to its end.
    pub(crate) wall: Duration,
}

impl std::ops::Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, wall: self.wall + other.wall }
    }
}

impl Cost {
    /// The middle of several, processor time and wall time each by itself.
    pub(crate) fn median(of: &[Self]) -> Self {
        let middle = |pick: fn(&Self) -> Duration| {
            let mut all: Vec<_> = of.iter().map(pick).collect();
            all.sort();
            all[all.len() / 2]
        };
        Self { cpu: middle(|cost| cost.cpu), wall: middle(|cost| cost.wall) }
    }
}

/// How long one command may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Runs a program to its end; `None` when it was killed because it took longer than `limit`.
///
/// # Panics
/// When the program fails.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Option<Cost> {
    spawn(command.stdout(Stdio::null()), limit)
}

/// The same with what it printed.
///
/// # Panics
/// When the program fails or takes longer than `limit`.
pub(crate) fn captured(command: &mut Command, limit: Duration) -> (Cost, Vec<u8>) {
    let mut file = tempfile::tempfile().unwrap();
    let cost = spawn(command.stdout(file.try_clone().unwrap()), limit).expect("it ends in time");
    let mut printed = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut printed)).unwrap();
    (cost, printed)
}

fn spawn(command: &mut Command, limit: Duration) -> Option<Cost> {
    let mut errors = tempfile::tempfile().unwrap();
    command.stdin(Stdio::null()).stderr(errors.try_clone().unwrap());
    let (before, start) = (used(UsageWho::RUSAGE_CHILDREN), Instant::now());
    let mut child = command.spawn().unwrap();
    let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
    let limit = Timespec { tv_sec: limit.as_secs().try_into().unwrap(), tv_nsec: 0 };
    let has_ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)).unwrap() == 1;
    if !has_ended {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    let cost = Cost { cpu: used(UsageWho::RUSAGE_CHILDREN) - before, wall: start.elapsed() };
    if has_ended && !status.success() {
        let mut said = Vec::new();
        errors.rewind().and_then(|()| errors.read_to_end(&mut said)).unwrap();
        panic!("{command:?}: {status}: {}", String::from_utf8_lossy(&said));
    }
    has_ended.then_some(cost)
}

/// What some work of this process cost.
pub(crate) fn measured(work: impl FnOnce()) -> Cost {
    let (before, start) = (used(UsageWho::RUSAGE_SELF), Instant::now());
    work();
    Cost { cpu: used(UsageWho::RUSAGE_SELF) - before, wall: start.elapsed() }
}

fn used(by: UsageWho) -> Duration {
    let usage = getrusage(by).unwrap();
    let duration = |time: TimeVal| {
        Duration::from_secs(time.tv_sec().try_into().unwrap())
            + Duration::from_micros(time.tv_usec().try_into().unwrap())
    };
    duration(usage.user_time()) + duration(usage.system_time())
}

/// The processors, and how busy they were before.
pub(crate) fn machine() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?");
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{cores} cores, load {load} at the start")
}

/// The numbers among the arguments.
pub(crate) fn numbers() -> Vec<usize> {
    std::env::args().filter_map(|arg| arg.parse().ok()).collect()
}

/// Prints a part of docs/performance.md, and with `--update` puts it in its place there.
///
/// # Panics
/// When the page has no such place.
pub(crate) fn publish(bench: &str, text: &str) {
    println!("{text}");
    if !std::env::args().any(|arg| arg == "--update") {
        return;
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/performance.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (begin, end) = (format!("<!-- begin {bench} -->\n"), format!("<!-- end {bench} -->\n"));
    let start = page.find(&begin).expect("the page has the place") + begin.len();
    let stop = start + page[start..].find(&end).expect("the place has an end");
    std::fs::write(path, format!("{}\n{text}\n{}", &page[..start], &page[stop..])).unwrap();
    println!("written to {path}");
}
