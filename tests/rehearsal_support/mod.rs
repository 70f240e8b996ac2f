//! What the rehearsal's tests share.
#![allow(dead_code, unreachable_pub, reason = "not every test file needs all of it")]

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// This program, as `cargo test` built it.
pub const EXE: &str = env!("CARGO_BIN_EXE_etcd-pki");

/// A first address for a few members that nobody else uses: not another test, not another test process.
pub fn own_base() -> Ipv4Addr {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let block = TAKEN.fetch_add(1, Ordering::Relaxed);
    // 8 addresses a cluster, 32 of them a process, nearly 2^14 processes, above all other tests' addresses.
    let process = std::process::id() % ((1 << 14) - 1);
    Ipv4Addr::from((127 << 24) + (192 << 16) + (process << 8) + block % 32 * 8 + 1)
}

/// Waits until something is so, for at most half a minute.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process has ended.
pub fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}
