//! `rehearse` as a command: what it refuses, and that it leaves nothing behind however it ends.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

use crate::rehearsal_support::{EXE, own_base, until};

fn rehearse(base: Ipv4Addr, more: &[&str]) -> Command {
    let mut command = Command::new(EXE);
    command.args(["rehearse", "--base", &base.to_string()]).args(more);
    command
}

fn refused(mut command: Command) -> (Option<i32>, Value, Output) {
    let output = command.arg("--json").output().unwrap();
    let last = String::from_utf8_lossy(&output.stdout).lines().last().map(ToOwned::to_owned);
    let error = serde_json::from_str(&last.unwrap_or_default()).unwrap_or(Value::Null);
    (output.status.code(), error, output)
}

/// The processes that have a directory in their command line or environment.
fn processes_of(dir: &Path) -> Vec<u32> {
    let needle = dir.to_str().unwrap().as_bytes();
    let mentions = |path: String| {
        std::fs::read(path).is_ok_and(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
    };
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| mentions(format!("/proc/{pid}/cmdline")) || mentions(format!("/proc/{pid}/environ")))
        .collect()
}

#[test]
fn bad_surroundings_are_refused_with_a_hint_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let taken = own_base();
    let _listener = TcpListener::bind((taken, 2380)).unwrap();
    std::fs::write(dir.path().join("mine"), "x").unwrap();
    let mut no_etcd = rehearse(own_base(), &[]);
    no_etcd.env("PATH", dir.path());
    let full = dir.path().to_str().unwrap().to_owned();
    let cases = [
        (no_etcd, 1, "no-etcd", "there is no etcd in PATH", true),
        (rehearse(own_base(), &["--etcd", "/bin/true"]), 2, "not-etcd", "/bin/true is no etcd", true),
        (rehearse(own_base(), &["--etcd", "/no/etcd"]), 2, "not-etcd", "No such file", true),
        (rehearse(taken, &[]), 1, "port-in-use", "2380 is in use", true),
        (rehearse(Ipv4Addr::new(10, 0, 0, 1), &[]), 2, "bad-base", "127.0.0.0/8", true),
        (rehearse(own_base(), &["--dir", &full]), 1, "directory", "is not empty", false),
        (Command::new(EXE), 1, "directory", "is not the directory of a rehearsal", false),
    ];
    for (mut command, exit, code, words, has_hint) in cases {
        if command.get_args().next().is_none() {
            command.args(["rehearse", "--stop", &full]);
        }
        let (status, said, output) = refused(command);
        assert_eq!((status, said["error"]["code"].as_str()), (Some(exit), Some(code)), "{output:?}");
        assert!(said["error"]["message"].as_str().unwrap().contains(words), "{said}");
        assert_eq!(said["error"]["hint"].is_string(), has_hint, "{said}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let (status, ..) = refused(rehearse(own_base(), &["--members", "0"]));
    assert_eq!(status, Some(2));
}

/// A rehearsal in a process group of its own that has come as far as its load.
fn under_way(temporary: &Path) -> (Child, Pid) {
    let mut child = rehearse(own_base(), &["--json"])
        .env("TMPDIR", temporary)
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("all healthy")), "it did not come up");
    // What else it prints is read away, so that it is not held up.
    std::thread::spawn(move || lines.for_each(drop));
    assert!(processes_of(temporary).len() >= 6, "three members and their supervisors");
    let pid = Pid::from_child(&child);
    (child, pid)
}

#[test]
fn ctrl_c_leaves_no_process_and_no_directory() {
    let temporary = tempfile::tempdir().unwrap();
    let (mut child, pid) = under_way(temporary.path());
    // As a terminal does it: to the whole foreground group.
    kill_process_group(pid, Signal::INT).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(1));
    assert_eq!(processes_of(temporary.path()), Vec::<u32>::new());
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn even_kill_9_leaves_no_process() {
    let temporary = tempfile::tempdir().unwrap();
    let (mut child, pid) = under_way(temporary.path());
    kill_process(pid, Signal::KILL).unwrap();
    child.wait().unwrap();
    until("all are gone", || processes_of(temporary.path()).is_empty());
}
