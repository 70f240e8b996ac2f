//! How often a command waits for the disk: each time costs milliseconds, and the promises need few.

use std::process::Command;

use crate::common::skipped;
use crate::support::{Bench, can_trace, text};

/// The calls of fsync and fdatasync in a run.
fn syncs(bench: &Bench, args: &[&str]) -> usize {
    let log = bench.root().join("syncs");
    let mut command = Command::new("strace");
    bench.prepare(&mut command).args(["-f", "-qq", "-o", text(&log), "-e", "trace=fsync,fdatasync"]);
    let ran = command.arg(env!("CARGO_BIN_EXE_etcd-pki")).args(args).output().unwrap();
    assert!(ran.status.success(), "{args:?}: {ran:?}");
    std::fs::read_to_string(log).unwrap().lines().filter(|line| line.contains("sync(")).count()
}

#[test]
fn a_new_pair_costs_six_syncs() {
    if !can_trace() {
        return skipped("strace cannot trace here");
    }
    let bench = Bench::empty();
    // The directory above, the directory twice more than for a pair: it and the lock are new.
    assert!(syncs(&bench, &["init-ca"]) <= 10);
    // Two files, the transaction, the directory, the ledger, and the directory again.
    assert_eq!(syncs(&bench, &["issue", "server1"]), 6);
    // Once more between the old files' new names and the new files.
    assert_eq!(syncs(&bench, &["renew", "server1"]), 7);
    assert_eq!(syncs(&bench, &["issue", "server1", "--force"]), 7);
    // Of many pairs only the files are more.
    assert_eq!(syncs(&bench, &["issue", "a", "b", "c", "d"]), 8 + 4);
    assert_eq!(syncs(&bench, &["revoke", "a"]), 1);
    assert_eq!(syncs(&bench, &["crl"]), 6);
}
