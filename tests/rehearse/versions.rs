//! The rehearsal, forward and back, on every etcd at hand beside the installed one: `tests/etcd-versions.sh` fetches
//! them. `ETCDPKI_TEST_ALL=1` rehearses the v2 API on each of them too.

use std::path::Path;
use std::process::Command;

use crate::etcd_support::binaries;
use crate::rehearsal_support::{EXE, own_base};
use crate::support;

fn forward_and_back(version: &str, etcd: &Path, more: &[&str]) {
    let _seat = crate::seat();
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
    let all = std::env::var_os("ETCDPKI_TEST_ALL").is_some();
    let apis: &[_] = if all { &["v3", "v2"] } else { &["v3"] };
    // In the short form the oldest and the newest: those between are migrated on real hosts.
    let last = versions.len().saturating_sub(1);
    let versions: Vec<_> = versions
        .into_iter()
        .enumerate()
        .filter(|(at, _)| all || *at == 0 || *at == last)
        .map(|(_, one)| one)
        .collect();
    let mut runs: Vec<(&String, &Path, Vec<&str>)> = Vec::new();
    for api in apis {
        runs.extend(versions.iter().map(|(version, path)| (version, path.as_path(), vec!["--api", *api])));
    }
    // Strictly: the installed one is what `migration` takes.
    let strictly = versions.iter().filter(|(version, _)| all || version == "3.5.30");
    runs.extend(strictly.map(|(version, path)| (version, path.as_path(), vec!["--strict"])));
    std::thread::scope(|scope| {
        for (version, path, more) in &runs {
            scope.spawn(move || forward_and_back(version, path, more));
        }
    });
}
