//! kill -9 at every system call that changes something, then the same command again.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

use crate::common::skipped;
use crate::support::{Bench, belong_together, mode};

/// The calls at which a run is killed: everything that changes a file or tells the user.
const CALLS: &str = "write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,fchmod,ftruncate,openat";

fn can_trace() -> bool {
    let tried = Command::new("strace").args(["-qq", "-o", "/dev/null", "/bin/true"]).output();
    tried.is_ok_and(|output| output.status.success())
}

/// Runs `args` and kills it as it enters its `nth` call; returns whether it lived to its end.
fn killed_at(bench: &Bench, args: &[&str], nth: usize) -> bool {
    let mut command = Command::new("strace");
    bench.prepare(&mut command);
    let inject = format!("inject={CALLS}:signal=KILL:when={nth}");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={CALLS}"), "-e", &inject]);
    command.arg(env!("CARGO_BIN_EXE_etcd-pki")).args(args);
    command.output().unwrap().status.success()
}

/// What must hold whenever a process may die: no key is open to others, no visible pair is torn.
fn is_whole(bench: &Bench, when: &str) {
    for (path, bytes) in bench.snapshot() {
        if bytes.windows(11).any(|part| part == b"PRIVATE KEY") {
            assert_eq!(mode(&path) & 0o077, 0, "{when}: {}", path.display());
        }
    }
    for entry in std::fs::read_dir(bench.pki()).into_iter().flatten() {
        let cert = entry.unwrap().path();
        let name = cert.file_name().unwrap().to_str().unwrap().to_owned();
        let Some((stem, rest)) = name.split_once(".pem") else { continue };
        if stem.ends_with("-key") {
            continue;
        }
        let key = cert.with_file_name(format!("{stem}-key.pem{rest}"));
        if key.exists() && Path::new(&cert).exists() {
            assert!(belong_together(&cert, &key), "{when}: {name} and its key do not belong together");
        }
    }
}

/// Kills `args` at every call, from the state that `prepare` makes, and runs it again each time.
fn survives(prepare: impl Fn() -> Bench, args: &[&str], check: impl Fn(&Bench, &str)) {
    if !can_trace() {
        return skipped("strace cannot trace here");
    }
    let mut nth = 0;
    loop {
        nth += 1;
        assert!(nth < 400, "it never came to its end");
        let bench = prepare();
        let lived = killed_at(&bench, args, nth);
        let when = format!("{args:?} killed at call {nth}");
        is_whole(&bench, &when);
        let again = bench.run(args);
        if lived {
            break;
        }
        assert_eq!(again.code, Some(0), "{when}, then run again: {again:?}");
        is_whole(&bench, &when);
        assert!(!bench.file(".pending").exists(), "{when}");
        let ledger = bench.ledger();
        let serials: HashSet<String> = ledger.iter().map(|line| line["serial"].to_string()).collect();
        assert_eq!(serials.len(), ledger.len(), "{when}: a serial was used twice");
        check(&bench, &when);
    }
    assert!(nth > 10, "only {nth} calls were seen");
}

fn recorded(bench: &Bench, name: &str, when: &str) {
    let cert = bench.file(&format!("{name}.pem"));
    let seen = crate::support::openssl(&["x509", "-in", crate::support::text(&cert), "-noout", "-serial"]);
    let serial = seen.trim().trim_start_matches("serial=").to_lowercase();
    let found = bench.ledger().iter().any(|line| line["serial"] == serial.as_str());
    assert!(found, "{when}: {name}'s serial is not in the ledger");
}

#[test]
fn init_ca() {
    survives(Bench::empty, &["init-ca"], |bench, when| {
        recorded(bench, "ca", when);
        bench.run(&["issue", "server1"]).ok();
    });
}

#[test]
fn issue_of_two() {
    survives(Bench::new, &["issue", "server1", "server2"], |bench, when| {
        recorded(bench, "server1", when);
        recorded(bench, "server2", when);
    });
}

#[test]
fn issue_with_force() {
    let prepare = || {
        let bench = Bench::new();
        bench.run(&["issue", "server1"]).ok();
        bench
    };
    survives(prepare, &["issue", "server1", "--force"], |bench, when| {
        recorded(bench, "server1", when);
        assert!(bench.file("server1.pem.1").exists(), "{when}: the old certificate was not kept");
        assert!(bench.file("server1-key.pem.1").exists(), "{when}: the old key was not kept");
        assert!(!bench.file("server1.pem.3").exists(), "{when}");
    });
}

#[test]
fn renew() {
    let prepare = || {
        let bench = Bench::new();
        bench.run(&["issue", "server1"]).ok();
        bench
    };
    survives(prepare, &["renew", "server1"], |bench, when| {
        recorded(bench, "server1", when);
        assert!(bench.file("server1.pem.1").exists(), "{when}: the old certificate was not kept");
        assert!(bench.file("server1-key.pem.1").exists(), "{when}: the old key was not kept");
    });
}

#[test]
fn init_ca_with_an_intermediate() {
    survives(Bench::empty, &["init-ca", "--intermediate"], |bench, when| {
        recorded(bench, "ca", when);
        recorded(bench, "issuing-ca", when);
        bench.run(&["issue", "server1"]).ok();
    });
}

#[test]
fn revoke_and_crl() {
    if !can_trace() {
        return skipped("strace cannot trace here");
    }
    for args in [&["revoke", "server1"][..], &["crl"]] {
        for nth in 1..60 {
            let bench = Bench::new();
            bench.run(&["issue", "server1"]).ok();
            let lived = killed_at(&bench, args, nth);
            bench.run(args).ok();
            bench.run(&["revoke", "server1"]).ok();
            let events: Vec<String> = bench.ledger().iter().map(|line| line["event"].to_string()).collect();
            assert_eq!(
                events.iter().filter(|event| *event == "\"revoke\"").count(),
                1,
                "{args:?} at {nth}: {events:?}"
            );
            bench.run(&["crl"]).ok();
            let list =
                bench.run(&["inspect", crate::support::text(&bench.file("crl.pem")), "--json"]).ok().json();
            assert_eq!(
                list["files"][0]["items"][0]["revoked"].as_array().unwrap().len(),
                1,
                "{args:?} at {nth}"
            );
            if lived {
                break;
            }
        }
    }
}

#[test]
fn another_command_finishes_what_was_left_and_the_serial_stays_its_own() {
    if !can_trace() {
        return skipped("strace cannot trace here");
    }
    for nth in [20, 25, 30, 35, 40] {
        let bench = Bench::new();
        let lived = killed_at(&bench, &["issue", "server1"], nth);
        bench.run(&["issue", "server2"]).ok();
        is_whole(&bench, "after another command");
        recorded(&bench, "server2", "after another command");
        if bench.file("server1.pem").exists() {
            recorded(&bench, "server1", "after another command");
        }
        let again = bench.run(&["issue", "server1"]);
        assert!(lived || again.code == Some(0) || again.err.contains("already exists"), "{again:?}");
        assert!(bench.file("server1.pem").exists());
    }
}
