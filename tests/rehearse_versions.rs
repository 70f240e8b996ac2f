//! The rehearsal, forward and back, on every etcd at hand beside the installed one: `tests/etcd-versions.sh` fetches
//! them. `ETCDPKI_TEST_ALL=1` rehearses the v2 API on each of them too.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout, reason = "a test")]

use std::path::Path;
use std::process::Command;

mod etcd_support;
mod rehearsal_support;
mod support;
use etcd_support::binaries;
use rehearsal_support::{EXE, own_base};

fn forward_and_back(version: &str, etcd: &Path, more: &[&str]) {
    let base = own_base().to_string();
    let output = Command::new(EXE)
        .args(["rehearse", "--json", "--rollback", "--base", &base, "--etcd"])
        .arg(etcd)
        .args(more)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let result: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    println!("{version} {more:?}: {result}");
    assert_eq!(output.status.code(), Some(0), "{version} {more:?}: {text}");
    for figure in ["failed", "lost", "missed"] {
        assert_eq!(result[figure], 0, "{version} {more:?}: {result}");
    }
}

#[test]
fn every_version_at_hand_forward_and_back() {
    let installed = Path::new("/usr/bin/etcd");
    let versions: Vec<_> = binaries().into_iter().filter(|(_, path)| path != installed).collect();
    if versions.is_empty() {
        support::skipped("there is only the installed etcd: tests/etcd-versions.sh fetches others");
    }
    let apis: &[_] = if std::env::var_os("ETCDPKI_TEST_ALL").is_some() { &["v3", "v2"] } else { &["v3"] };
    for api in apis {
        // One after the other: the figures are those of a machine that does nothing else.
        for (version, path) in &versions {
            forward_and_back(version, path, &["--api", api]);
        }
    }
    // Strictly: the installed one is what `rehearse_migration` takes.
    let all = std::env::var_os("ETCDPKI_TEST_ALL").is_some();
    for (version, path) in versions.iter().filter(|(version, _)| all || version == "3.5.30") {
        forward_and_back(version, path, &["--strict"]);
    }
}
