//! kill -9 at every system call that changes something, then the same command again.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

use crate::common::skipped;
use crate::support::{Bench, Ran, belong_together, mode, openssl, text};

/// The calls at which a run is killed: everything that changes a file or tells the user. (A file that is opened to be
/// made is changed by the very next call.)
const CALLS: &str = "write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,fchmod,ftruncate";

pub(crate) fn can_trace() -> bool {
    let tried = Command::new("strace").args(["-qq", "-o", "/dev/null", "/bin/true"]).output();
    tried.is_ok_and(|output| output.status.success())
}

/// A call at which a run can be stopped: its name, and which of its kind. strace counts each kind by itself.
type Point = (String, usize);

/// Every point of a run of `args`, in a directory of its own.
fn points(bench: &Bench, args: &[&str]) -> Vec<Point> {
    let log = bench.root().join("calls");
    let mut command = Command::new("strace");
    bench.prepare(&mut command).args(["-f", "-qq", "-o", text(&log), "-e", &format!("trace={CALLS}")]);
    command.arg(env!("CARGO_BIN_EXE_etcd-pki")).args(args);
    assert!(command.output().unwrap().status.success(), "{args:?}");
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    let mut points = Vec::new();
    for line in std::fs::read_to_string(log).unwrap().lines() {
        let Some((call, _)) = line.split_once('(') else { continue };
        let call = call.rsplit(' ').next().unwrap().to_owned();
        let count = counts.entry(call.clone()).or_default();
        *count += 1;
        points.push((call, *count));
    }
    points
}

/// Runs `args` under strace with a fault at a point.
fn run_with(bench: &Bench, args: &[&str], (call, nth): &Point, fault: &str) -> Ran {
    let mut command = Command::new("strace");
    let inject = format!("inject={call}:{fault}:when={nth}");
    bench.prepare(&mut command);
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject]);
    command.arg(env!("CARGO_BIN_EXE_etcd-pki")).args(args).output().unwrap().into()
}

/// Kills a run of `args` as it enters a call; it must have died of it.
fn kill_at(bench: &Bench, args: &[&str], point: &Point) {
    let ran = run_with(bench, args, point, "signal=KILL");
    assert_eq!(ran.code, None, "{args:?} was not killed at {point:?}: {ran:?}");
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
        let Some((stem, rest)) = name.split_once(".pem").filter(|_| !name.starts_with('.')) else { continue };
        if stem.ends_with("-key") {
            continue;
        }
        let key = cert.with_file_name(format!("{stem}-key.pem{rest}"));
        if key.exists() && Path::new(&cert).exists() {
            assert!(belong_together(&cert, &key), "{when}: {name} and its key do not belong together");
        }
    }
}

/// Kills `args` at every call (in the short form at one of three), from the state that `prepare` makes, and runs it again
/// each time.
fn survives(prepare: impl Fn() -> Bench, args: &[&str], check: impl Fn(&Bench, &str)) {
    if !can_trace() {
        return skipped("strace cannot trace here");
    }
    let points = points(&prepare(), args);
    assert!(points.len() > 20, "only {} calls were seen", points.len());
    let all = std::env::var_os("ETCDPKI_TEST_ALL").is_some();
    let chosen: Vec<&Point> = points.iter().step_by(if all { 1 } else { 3 }).collect();
    for &point in &chosen {
        let bench = prepare();
        kill_at(&bench, args, point);
        let when = format!("{args:?} killed at {point:?}");
        is_whole(&bench, &when);
        let again = bench.run(args);
        assert_eq!(again.code, Some(0), "{when}, then run again: {again:?}");
        is_whole(&bench, &when);
        assert!(!bench.file(".transaction.json").exists(), "{when}");
        let ledger = bench.ledger();
        let serials: HashSet<String> = ledger.iter().map(|line| line["serial"].to_string()).collect();
        assert_eq!(serials.len(), ledger.len(), "{when}: a serial was used twice");
        check(&bench, &when);
    }
    println!("{args:?}: killed at {} of {} calls", chosen.len(), points.len());
}

fn recorded(bench: &Bench, name: &str, when: &str) {
    let cert = bench.file(&format!("{name}.pem"));
    let seen = openssl(&["x509", "-in", text(&cert), "-noout", "-serial"]);
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
    let prepare = || {
        let bench = Bench::new();
        bench.run(&["issue", "server1"]).ok();
        bench
    };
    for args in [&["revoke", "server1"][..], &["crl"]] {
        for point in points(&prepare(), args) {
            let bench = prepare();
            kill_at(&bench, args, &point);
            bench.run(args).ok();
            bench.run(&["revoke", "server1"]).ok();
            let events: Vec<String> = bench.ledger().iter().map(|line| line["event"].to_string()).collect();
            let revocations = events.iter().filter(|event| *event == "\"revoke\"").count();
            assert_eq!(revocations, 1, "{args:?} at {point:?}: {events:?}");
            bench.run(&["crl"]).ok();
            let list = bench.run(&["inspect", text(&bench.file("crl.pem")), "--json"]).ok().json();
            let revoked = list["files"][0]["items"][0]["revoked"].as_array().unwrap().len();
            assert_eq!(revoked, 1, "{args:?} at {point:?}");
        }
    }
}

/// A disk that is full at one call and has room again afterwards.
#[test]
fn a_full_disk_is_a_clear_error_and_leaves_everything_whole() {
    if !can_trace() {
        return skipped("strace cannot trace here");
    }
    let args = ["issue", "server1"];
    let mut refused = 0;
    let can_fail = |call: &str| !matches!(call, "unlink" | "unlinkat" | "rmdir" | "fchmod" | "ftruncate");
    for point in points(&Bench::new(), &args).into_iter().filter(|(call, _)| can_fail(call)) {
        let bench = Bench::new();
        let ran = run_with(&bench, &args, &point, "error=ENOSPC");
        let when = format!("no space at {point:?}");
        is_whole(&bench, &when);
        if ran.code != Some(0) {
            refused += 1;
            assert!(matches!(ran.code, Some(1 | 3)), "{when}: {ran:?}");
            assert!(
                ran.err.contains("No space left on device") && ran.err.contains("hint: "),
                "{when}: {ran:?}"
            );
        }
        if ran.code == Some(1) {
            assert_eq!(bench.ledger().len(), 1, "{when}: refused, but the ledger has changed");
            assert!(!bench.file("server1.pem").exists() && !bench.file("server1-key.pem").exists(), "{when}");
        }
        if ran.code != Some(0) {
            bench.run(&args).ok();
        }
        recorded(&bench, "server1", &when);
        assert_eq!(bench.ledger().len(), 2, "{when}");
    }
    assert!(refused > 10, "only {refused} calls were refused");
}

#[test]
fn another_command_finishes_what_was_left_and_the_serial_stays_its_own() {
    if !can_trace() {
        return skipped("strace cannot trace here");
    }
    for point in points(&Bench::new(), &["issue", "server1"]).iter().step_by(5) {
        let bench = Bench::new();
        kill_at(&bench, &["issue", "server1"], point);
        bench.run(&["issue", "server2"]).ok();
        let when = format!("issue server1 killed at {point:?}, then issue server2");
        is_whole(&bench, &when);
        recorded(&bench, "server2", &when);
        let is_there = bench.file("server1.pem").exists();
        if is_there {
            recorded(&bench, "server1", &when);
        }
        assert_eq!(bench.run(&["issue", "server1"]).code, Some(i32::from(is_there)), "{when}");
    }
}

#[test]
fn a_new_issuing_ca_below_the_same_root() {
    let prepare = || {
        let bench = Bench::empty();
        bench.run(&["init-ca", "--intermediate"]).ok();
        bench.run(&["issue", "before"]).ok();
        bench
    };
    survives(prepare, &["init-ca", "--intermediate", "--renew"], |bench, when| {
        recorded(bench, "issuing-ca", when);
        assert!(bench.file("issuing-ca.pem.1").exists(), "{when}: the old one was not kept");
        assert!(!bench.file("issuing-ca.pem.2").exists(), "{when}");
        bench.run(&["issue", "after"]).ok();
    });
}

#[test]
fn an_issuer_finishes_a_new_issuing_ca_that_was_left_halfway() {
    if !can_trace() {
        return skipped("strace cannot trace here");
    }
    let prepare = || {
        let bench = Bench::empty();
        bench.run(&["init-ca", "--intermediate"]).ok();
        bench
    };
    let renew = ["init-ca", "--intermediate", "--renew"];
    for point in points(&prepare(), &renew).iter().filter(|(call, _)| call.starts_with("rename")) {
        let bench = prepare();
        kill_at(&bench, &renew, point);
        bench.run(&["issue", "server1"]).ok();
        let file = std::fs::read_to_string(bench.file("server1.pem")).unwrap();
        assert_eq!(
            file.matches("BEGIN CERTIFICATE").count(),
            2,
            "killed at {point:?}: not from the issuing CA"
        );
    }
}
