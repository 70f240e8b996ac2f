//! What a command asks of the file system grows at most as the number of certificates does.
//!
//! Each command of the command line runs under strace in a directory with 100 pairs and in one with 400. Calls on files
//! and the bytes read (of files and of directory listings) are counted; processor time is measured by
//! `cargo bench --bench growth`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory;

use crate::batch::cluster_toml;
use crate::common::skipped;
use crate::support::{Bench, text};

const SMALL: usize = 100;
const LARGE: usize = 4 * SMALL;

/// Calls that do not come from more certificates: a second `getdents64` for a longer listing, a longer ledger.
const SLACK: usize = 16;

/// Commands that have no scenario, and why.
const WITHOUT: [(&str, &str); 6] = [
    ("explain", "reads a log, no PKI directory"),
    ("import-ca", "works in a directory that has no certificates yet"),
    ("man", "reads nothing"),
    ("migrate", "reads the pairs of a cluster's members one by one; it needs a cluster"),
    ("rehearse", "makes a cluster and a PKI directory of its own"),
    ("supervise", "runs one etcd"),
];

/// The most that calls may grow by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growth {
    /// As many calls in a large directory as in a small one.
    Constant,
    /// In proportion to the number of certificates.
    Linear,
}

/// A run of a command in a directory of a given size.
struct Scenario {
    /// The arguments, the command first; `NAMES` stands for every tenth name.
    line: &'static str,
    growth: Growth,
    /// What is done to the directory first, in words.
    after: &'static str,
    prepare: fn(&Bench, usize),
    env: &'static [(&'static str, &'static str)],
}

fn constant(line: &'static str) -> Scenario {
    Scenario { line, growth: Growth::Constant, after: "", prepare: |_, _| (), env: &[] }
}

fn linear(line: &'static str) -> Scenario {
    Scenario { growth: Growth::Linear, ..constant(line) }
}

impl Scenario {
    fn after(self, after: &'static str, prepare: fn(&Bench, usize)) -> Self {
        Self { after, prepare, ..self }
    }

    fn title(&self) -> String {
        if self.after.is_empty() { self.line.into() } else { format!("{} (after {})", self.line, self.after) }
    }

    fn command(&self) -> &'static str {
        if self.env.is_empty() { self.line.split(' ').next().unwrap() } else { "completions" }
    }

    fn args(&self, pairs: usize) -> Vec<String> {
        let names = (1..pairs).step_by(10).map(|at| format!("c{at}"));
        let names: Vec<String> = names.collect();
        let words = self.line.split(' ');
        words.flat_map(|word| if word == "NAMES" { names.clone() } else { vec![word.to_owned()] }).collect()
    }
}

/// What bash sends when the user presses Tab after `etcd-pki install c`.
const BASH: &[(&str, &str)] = &[
    ("ETCDPKI_COMPLETE", "bash"),
    ("_CLAP_COMPLETE_INDEX", "2"),
    ("_CLAP_COMPLETE_COMP_TYPE", "9"),
    ("_CLAP_COMPLETE_SPACE", "false"),
    ("_CLAP_IFS", "\n"),
];

fn scenarios() -> Vec<Scenario> {
    vec![
        linear("list"),
        linear("list --all --json").after("revocations", revoke_some),
        linear("list --rebuild"),
        linear("list --rebuild").after("the ledger was lost", |bench, _| {
            std::fs::remove_file(bench.file("ledger.jsonl")).unwrap()
        }),
        linear("verify"),
        constant("verify c1"),
        constant("env c1 --endpoints https://127.0.0.1:2379"),
        linear("inspect pki"),
        constant("inspect pki/c1.pem"),
        constant("export c1 --format fingerprint"),
        constant("export c1 --format pem-bundle"),
        linear("renew --all --dry-run"),
        linear("renew NAMES --dry-run"),
        linear("renew NAMES"),
        constant("renew c1 --dry-run"),
        constant("renew c1"),
        linear("renew c1").after("as many renewals", |bench, pairs| {
            for (at, file) in (1..pairs).flat_map(|at| [(at, "c1.pem"), (at, "c1-key.pem")]) {
                std::fs::copy(bench.file(file), bench.file(&format!("{file}.{at}"))).unwrap();
            }
        }),
        linear("revoke NAMES"),
        constant("revoke c1"),
        constant("crl"),
        constant("crl").after("revocations", revoke_some),
        linear("issue --from cluster.toml"),
        linear("issue --from cluster.toml")
            .after("a new client", |bench, pairs| write_cluster(bench, pairs + 1)),
        constant("issue new --profile client"),
        constant("issue c1 --force"),
        constant("csr new"),
        constant("sign new.csr --trust-csr-names").after("csr elsewhere", |bench, _| {
            let node = Bench::empty();
            node.run(&["csr", "new"]).ok();
            std::fs::copy(node.file("new.csr"), bench.root().join("new.csr")).unwrap();
        }),
        constant("install c1 --dry-run --root image --owner 0:0")
            .after("mkdir image", |bench, _| std::fs::create_dir(bench.root().join("image")).unwrap()),
        constant("init-ca --intermediate --renew"),
        Scenario { env: BASH, ..constant("-- etcd-pki install c") },
    ]
}

fn revoke_some(bench: &Bench, pairs: usize) {
    let revoke = linear("revoke NAMES").args(pairs);
    bench.run(&revoke.iter().map(String::as_str).collect::<Vec<_>>()).ok();
}

fn write_cluster(bench: &Bench, pairs: usize) {
    std::fs::write(bench.root().join("cluster.toml"), cluster_toml(pairs)).unwrap();
}

/// A PKI directory with so many pairs, and their `cluster.toml` beside it.
fn directory(pairs: usize) -> Bench {
    let bench = Bench::empty();
    bench.run(&["init-ca", "--path-len", "1"]).ok();
    write_cluster(&bench, pairs);
    bench.run(&["issue", "--from", "cluster.toml"]).ok();
    bench
}

fn copy(of: &Bench) -> Bench {
    let bench = Bench::empty();
    let made = Command::new("cp").arg("-a").arg(of.root().join(".")).arg(bench.root()).status().unwrap();
    assert!(made.success());
    bench
}

/// What a run asked of the file system.
#[derive(Debug, Clone, Copy)]
struct Work {
    calls: usize,
    bytes: usize,
}

fn work(of: &Bench, scenario: &Scenario, pairs: usize) -> Work {
    let bench = copy(of);
    (scenario.prepare)(&bench, pairs);
    let log = bench.root().join("calls");
    let mut command = Command::new("strace");
    bench.prepare(&mut command).envs(scenario.env.iter().copied());
    command.args([
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-s",
        "0",
        "-e",
        "signal=none",
        "-e",
        "trace=%file,%desc",
        "-o",
        text(&log),
    ]);
    let output = command.arg(env!("CARGO_BIN_EXE_etcd-pki")).args(scenario.args(pairs)).output().unwrap();
    assert!(
        output.status.success(),
        "{} with {pairs} pairs: {}",
        scenario.title(),
        String::from_utf8_lossy(&output.stderr)
    );
    count(&log)
}

/// Counts the lines of strace's log: `PID name(arguments) = result`, in two parts where threads ran meanwhile.
fn count(log: &Path) -> Work {
    let mut work = Work { calls: 0, bytes: 0 };
    for line in std::fs::read_to_string(log).unwrap().lines() {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let (name, is_second_part) = match call.strip_prefix("<... ") {
            Some(rest) => (rest.split(' ').next().unwrap(), true),
            None => (call.split('(').next().unwrap(), false),
        };
        // Memory, not files.
        if matches!(name, "mmap" | "mmap2") {
            continue;
        }
        if !is_second_part {
            work.calls += 1;
        }
        if matches!(name, "read" | "pread64" | "readv" | "preadv" | "getdents64")
            && let Some((_, result)) = call.rsplit_once("= ")
        {
            work.bytes += result.trim().parse::<usize>().unwrap_or(0);
        }
    }
    work
}

/// Whether the work in a directory four times as large is more than it may be.
fn grows_too_much(growth: Growth, small: Work, large: Work) -> bool {
    let calls = match growth {
        Growth::Constant => small.calls + SLACK,
        Growth::Linear => small.calls * 44 / 10 + SLACK,
    };
    large.calls > calls || large.bytes > small.bytes * 44 / 10
}

#[test]
fn no_command_does_more_than_four_times_the_work_for_four_times_the_certificates() {
    if Command::new("strace").args(["-qq", "-o", "/dev/null", "/bin/true"]).status().is_err() {
        return skipped("strace is not installed");
    }
    let (small, large) = (directory(SMALL), directory(LARGE));
    let mut too_much = Vec::new();
    println!("{:50} {:>8} {:>8} {:>6} {:>10} {:>10}", "command", "calls", "", "x", "bytes", "");
    for scenario in scenarios() {
        let (few, many) = (work(&small, &scenario, SMALL), work(&large, &scenario, LARGE));
        let row = format!(
            "{:50} {:8} {:8} {:6.2} {:10} {:10}",
            scenario.title(),
            few.calls,
            many.calls,
            many.calls as f64 / few.calls as f64,
            few.bytes,
            many.bytes
        );
        println!("{row}");
        if grows_too_much(scenario.growth, few, many) {
            too_much.push(format!("{row}  {:?} at most", scenario.growth));
        }
    }
    assert!(too_much.is_empty(), "work grows faster than the directory:\n{}", too_much.join("\n"));
}

#[test]
fn every_command_has_a_scenario_or_a_reason() {
    let tool = etcd_pki::cli::Cli::command();
    let commands: BTreeSet<&str> = tool.get_subcommands().map(clap::Command::get_name).collect();
    let tried: BTreeSet<&str> = scenarios().iter().map(Scenario::command).collect();
    let without: BTreeSet<&str> = WITHOUT.iter().map(|(command, _)| *command).collect();
    let known: BTreeSet<&str> = tried.union(&without).copied().collect();
    assert_eq!(commands, known, "give a new command a scenario in scenarios(), or a reason in WITHOUT");
    assert!(tried.is_disjoint(&without));
}

#[test]
fn repeated_reads_and_listings_are_counted() {
    let work = |calls, bytes| Work { calls, bytes };
    assert!(!grows_too_much(Growth::Linear, work(400, 10_000), work(1_600, 40_000)));
    assert!(
        grows_too_much(Growth::Linear, work(400, 10_000), work(6_400, 40_000)),
        "one call more per pair of pairs"
    );
    assert!(
        grows_too_much(Growth::Linear, work(400, 10_000), work(1_600, 160_000)),
        "the ledger once per pair"
    );
    assert!(grows_too_much(Growth::Constant, work(200, 10_000), work(500, 40_000)), "one call more per pair");
    let bench = Bench::empty();
    let log = bench.root().join("calls");
    let lines = [
        r#"12 openat(AT_FDCWD, ""..., O_RDONLY) = 3"#,
        r#"12 read(3, ""..., 608)            = 607"#,
        r#"12 read(3,  <unfinished ...>"#,
        r#"13 mmap(NULL, 12288, PROT_READ, MAP_PRIVATE, 3, 0) = 0x7f28f867d000"#,
        r#"12 <... read resumed>""..., 10)   = 5"#,
        r#"12 getdents64(3, 0x55 /* 2 entries */, 32768) = 48"#,
        r#"12 newfstatat(AT_FDCWD, ""..., 0x7f, 0) = -1 ENOENT (No such file or directory)"#,
    ];
    std::fs::write(&log, lines.join("\n")).unwrap();
    let counted = count(&log);
    assert_eq!((counted.calls, counted.bytes), (5, 660));
}
