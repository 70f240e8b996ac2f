//! Standard output that cannot be written, for every command that clap knows.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use clap::CommandFactory as _;

use crate::TOOL;
use crate::migration_support::Ground;

/// A command's words, what follows them, and the exit code when its output is lost: 1 when nothing was changed, else 3.
type Scenario = (&'static str, &'static str, i32);

/// In a directory with `pki` (a CA and the pair s1), `other` (another CA) and `node/n1.csr`.
const ALONE: &[Scenario] = &[
    ("init-ca", "--pki-dir new", 3),
    ("import-ca", "--pki-dir new --cert other/ca.pem --key other/ca-key.pem", 3),
    ("issue", "s2", 3),
    ("issue", "s2 --dry-run", 1),
    ("csr", "n2 --pki-dir node", 3),
    ("sign", "node/n1.csr --trust-csr-names", 3),
    ("renew", "s1", 3),
    ("renew", "--all --within 1d", 1),
    ("revoke", "s1", 3),
    ("crl", "", 3),
    ("export", "s1 --format pem-bundle --force", 3),
    ("export", "s1 --format fingerprint", 1),
    ("list", "", 1),
    ("list", "--rebuild", 3),
    ("inspect", "pki/s1.pem", 1),
    ("verify", "pki/s1.pem", 1),
    ("verify", "pki/s1.pem --format sarif", 1),
    ("verify", "pki/s1.pem --format junit", 1),
    ("explain", "EP001", 1),
    ("env", "s1 --endpoints https://127.0.0.1:2379", 1),
    ("install", "s1 --to {dir}/ssl --owner 0:0", 3),
    ("install", "s1 --to {dir}/ssl --owner 0:0 --dry-run", 1),
    ("rehearse", "--members 1 --base 127.191.0.1", 1),
    ("completions", "bash", 1),
    ("man", "", 1),
];

/// With a running cluster of one member, in this order.
const CLUSTER: &[Scenario] = &[
    ("migrate plan", "--inventory cluster.toml", 1),
    ("migrate plan", "--inventory cluster.toml --print-inventory", 1),
    ("migrate members", "--inventory cluster.toml", 1),
    ("migrate status", "--inventory cluster.toml", 1),
    ("migrate apply", "--inventory cluster.toml --yes", 3),
    ("migrate clients", "--inventory cluster.toml --dry-run --json", 1),
    ("migrate seal", "--inventory cluster.toml --yes", 3),
    ("migrate report", "", 1),
    ("migrate rollback", "--inventory cluster.toml --yes", 3),
];

/// Runs the tool in `dir`, with its PKI directory `pki`.
fn tool(dir: &Path, words: &str, stdout: Stdio) -> Output {
    let mut command = Command::new(TOOL);
    let words = words.replace("{dir}", dir.to_str().unwrap());
    command.args(words.split_whitespace()).current_dir(dir).env("ETCDPKI_DIR", "pki");
    command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
    command.spawn().unwrap().wait_with_output().unwrap()
}

fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

/// A pipe that nobody reads any more.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn reports_the_loss(dir: &Path, words: &str, exit: i32) {
    let lost = tool(dir, words, full());
    let stderr = String::from_utf8_lossy(&lost.stderr);
    assert!(
        stderr.contains("error: cannot write to standard output: No space left on device"),
        "etcd-pki {words}: {stderr}"
    );
    assert!(stderr.contains("\nhint: "), "etcd-pki {words}: {stderr}");
    assert_eq!(lost.status.code(), Some(exit), "etcd-pki {words}: {stderr}");
}

/// A fresh copy of the directory that the scenarios without a cluster start from.
fn copy_of(prepared: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-a").arg(prepared.join(".")).arg(copy.path()).status().unwrap();
    assert!(copied.success());
    copy
}

fn prepared() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for words in ["init-ca", "issue s1", "init-ca --pki-dir other", "csr n1 --pki-dir node"] {
        assert!(tool(dir.path(), words, Stdio::null()).status.success(), "etcd-pki {words}");
    }
    dir
}

/// The commands that do something by themselves, such as `migrate plan`; hidden ones are for the tool's own use.
fn leaves(command: &clap::Command, before: &str, found: &mut BTreeSet<String>) {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let words = format!("{before} {}", sub.get_name()).trim().to_owned();
        if sub.has_subcommands() {
            leaves(sub, &words, found);
        } else {
            found.insert(words);
        }
    }
}

#[test]
fn every_command_has_a_scenario() {
    let mut commands = BTreeSet::new();
    leaves(&etcd_pki::cli::Cli::command(), "", &mut commands);
    let covered: BTreeSet<String> =
        ALONE.iter().chain(CLUSTER).map(|(words, ..)| (*words).to_owned()).collect();
    assert_eq!(covered, commands);
}

#[test]
fn a_full_disk_is_an_error_and_the_next_run_reports_what_was_done() {
    let prepared = prepared();
    for &(command, args, exit) in ALONE {
        let dir = copy_of(prepared.path());
        let words = format!("{command} {args}");
        reports_the_loss(dir.path(), &words, exit);
        if !words.contains("--format sarif") && !words.contains("--format junit") {
            let dir = copy_of(prepared.path());
            reports_the_loss(dir.path(), &format!("{words} --json"), exit);
        }
        if command != "rehearse" {
            let again = tool(dir.path(), &words, Stdio::piped());
            assert_eq!(again.status.code(), Some(0), "etcd-pki {words}, again: {again:?}");
            assert!(!again.stdout.is_empty(), "etcd-pki {words}, again: {again:?}");
        }
    }
    for words in
        ["--help", "--version", "help issue", "migrate --help", "export s1 --format pem-bundle --out -"]
    {
        reports_the_loss(prepared.path(), words, 1);
    }
}

#[test]
fn a_full_disk_is_an_error_of_a_migration_too() {
    let ground = Ground::new(1);
    for &(command, args, exit) in CLUSTER {
        let words = format!("{command} {args}");
        reports_the_loss(ground.dir.path(), &words, exit);
        // What changes the cluster has nothing left to change now.
        let words = if words.contains("--json") { words } else { format!("{words} --json") };
        reports_the_loss(ground.dir.path(), &words, 1);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let prepared = prepared();
    let more = [("--help", "", 0), ("--version", "", 0), ("help", "issue", 0)];
    for &(command, args, _) in ALONE.iter().chain(&more).filter(|(command, ..)| *command != "rehearse") {
        let dir = copy_of(prepared.path());
        let words = format!("{command} {args}");
        let left = tool(dir.path(), &words, closed());
        assert_eq!(left.status.code(), Some(0), "etcd-pki {words}: {left:?}");
        assert!(!String::from_utf8_lossy(&left.stderr).contains("error:"), "etcd-pki {words}: {left:?}");
    }
}

#[test]
fn messages_that_cannot_be_written_change_nothing() {
    let prepared = prepared();
    for (words, exit) in
        [("issue s2 -v", 0), ("issue s1", 1), ("--no-such-option", 2), ("issue s3 --json", 0)]
    {
        for stderr in [full(), closed()] {
            let dir = copy_of(prepared.path());
            let mut command = Command::new(TOOL);
            command.args(words.split_whitespace()).current_dir(dir.path()).env("ETCDPKI_DIR", "pki");
            let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).status().unwrap();
            assert_eq!(status.code(), Some(exit), "etcd-pki {words}");
        }
    }
}

#[test]
fn a_path_that_is_not_utf_8_has_its_place_in_json() {
    use std::os::unix::ffi::OsStrExt;
    let dir = prepared();
    let name = std::ffi::OsStr::from_bytes(b"\xff.pem");
    std::fs::copy(dir.path().join("pki/s1.pem"), dir.path().join(name)).unwrap();
    let shown =
        Command::new(TOOL).args(["inspect", "--json"]).arg(name).current_dir(dir.path()).output().unwrap();
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["files"][0]["file"], "\u{fffd}.pem");
}
