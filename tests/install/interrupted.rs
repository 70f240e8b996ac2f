//! Killed at any moment, and many at once.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use super::common::skipped;
use super::support::{Scene, TOOL, authority, issue, me, stderr, stdout};

#[test]
fn killed_at_any_moment_the_node_is_whole_and_the_next_run_finishes() {
    let traced = Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success());
    if !traced {
        return skipped("strace is not installed");
    }
    let scene = Scene::new();
    let ca = authority(&scene.pki(), "etcd CA");
    issue(&scene.pki(), &ca, "server1");
    scene.install("server1", &[]);
    let mut kills = 0;
    for call in ["openat", "fchmod", "fchown", "write", "fsync", "renameat2"] {
        for nth in 1..=40 {
            issue(&scene.pki(), &ca, "server1");
            let node = scene.node();
            let before = std::fs::read(node.join("server1.pem")).unwrap();
            let status = Command::new("strace")
                .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")])
                .args(["-e", &format!("inject={call}:signal=KILL:when={nth}"), "--", TOOL, "--pki-dir"])
                .arg(scene.pki())
                .args(["install", "server1", "--owner", &me(), "--to"])
                .arg(&node)
                .output()
                .unwrap()
                .status;
            if status.success() {
                break;
            }
            kills += 1;
            // Whole files, old or new, and no key that others can read, under whatever name.
            let here = std::fs::read(scene.pki().join("server1.pem")).unwrap();
            let there = std::fs::read(node.join("server1.pem")).unwrap();
            assert!(there == before || there == here, "{call} {nth}");
            for entry in std::fs::read_dir(&node).unwrap() {
                let path = entry.unwrap().path();
                let holds_key =
                    String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains("PRIVATE KEY");
                let mode = path.metadata().unwrap().mode() & 0o7777;
                assert!(!holds_key || mode == 0o600, "{call} {nth}: {} {mode:o}", path.display());
            }
            let again = scene.install("server1", &[]);
            assert_eq!(again.status.code(), Some(0), "{call} {nth}: {}", stderr(&again));
            assert_eq!(scene.placed().len(), 3, "{call} {nth}: {:?}", scene.placed());
            assert!(stdout(&scene.install("server1", &[])).starts_with("nothing to do"), "{call} {nth}");
        }
    }
    assert!(kills >= 20, "only {kills} kills: strace did not do its work");
}

#[test]
fn many_at_once_leave_one_whole_pair() {
    let scene = Scene::new();
    let ca = authority(&scene.pki(), "etcd CA");
    issue(&scene.pki(), &ca, "server1");
    scene.install("server1", &[]);
    issue(&scene.pki(), &ca, "server1");
    let ends: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..16).map(|_| scope.spawn(|| scene.install("server1", &[]))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for end in ends {
        assert_eq!(end.status.code(), Some(0), "{}", stderr(&end));
    }
    assert_eq!(scene.placed().len(), 3, "{:?}", scene.placed());
    for name in ["server1-key.pem", "server1.pem"] {
        let (there, here) = (std::fs::read(scene.node().join(name)), std::fs::read(scene.pki().join(name)));
        assert_eq!(there.unwrap(), here.unwrap(), "{name}");
    }
}
