//! The rehearsal, forward and back, on every etcd at hand beside the installed one: `tests/etcd-versions.sh` fetches
//! them. `ETCDPKI_TEST_ALL=1` rehearses the v2 API on each of them too, and the installed one.

use std::path::Path;
use std::process::Command;

use crate::etcd_support::binaries;
use crate::rehearsal_support::{EXE, own_base};
use crate::rows::row;
use crate::support;

fn forward_and_back(version: &str, etcd: &Path, api: &str) {
    let _seats = crate::seats();
    let base = own_base().to_string();
    let output = Command::new(EXE)
        .args(["rehearse", "--json", "--rollback", "--base", &base, "--api", api, "--etcd"])
        .arg(etcd)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let result: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    println!("{version} {api}: {result}");
    assert_eq!(output.status.code(), Some(0), "{version} {api}: {text}");
    for figure in ["failed", "lost", "missed"] {
        assert_eq!(result[figure], 0, "{version} {api}: {result}");
    }
    let gap = format!("{} ms", result["longest_gap_ms"]);
    row("Rehearsals", &[version, "3", api], &["0", "0", "0", &gap]);
}

#[test]
fn every_version_at_hand_forward_and_back() {
    let all = std::env::var_os("ETCDPKI_TEST_ALL").is_some();
    let installed = Path::new("/usr/bin/etcd");
    // In the short form `migration` takes the installed one.
    let versions: Vec<_> = binaries().into_iter().filter(|(_, path)| all || path != installed).collect();
    if versions.is_empty() {
        support::skipped("there is only the installed etcd: tests/etcd-versions.sh fetches others");
    }
    let apis: &[_] = if all { &["v3", "v2"] } else { &["v3"] };
    // In the short form the oldest and the newest: those between are migrated on real hosts.
    let last = versions.len().saturating_sub(1);
    let versions: Vec<_> = versions
        .into_iter()
        .enumerate()
        .filter(|(at, _)| all || *at == 0 || *at == last)
        .map(|(_, one)| one)
        .collect();
    std::thread::scope(|scope| {
        for (version, path) in &versions {
            for api in apis {
                scope.spawn(move || forward_and_back(version, path, api));
            }
        }
    });
}
