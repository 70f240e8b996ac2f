//! How processor time grows with the number of certificates:
//! `cargo bench --bench growth [-- SIZE… [--update]]`; 1,000 and 10,000 when no size is given.
//!
//! `--update` puts the table into docs/performance.md. A command that takes longer than [`support::LIMIT`] is killed, and the
//! table says so.
#![allow(clippy::disallowed_methods, reason = "a benchmark's own files and processes")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "figures are what it is for")]

#[path = "../tests/support/batch.rs"]
mod batch;
mod support;

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use batch::cluster_toml;
use support::{Cost, LIMIT, machine, numbers, publish, run};

/// The goals: ten times the certificates take at most twelve times as long, and 10,000 at most three seconds.
const RATIO: f64 = 12.0;
const SECONDS: f64 = 3.0;

/// How many certificates are revoked at once.
const REVOKED: usize = 100;

/// The commands, in the order in which they run in one directory.
const COMMANDS: [&str; 8] = [
    "issue --from, all of them",
    "issue --from again",
    "list",
    "verify",
    "renew --all --dry-run",
    "issue one",
    "revoke 100 names",
    "crl",
];

fn main() {
    let mut sizes = numbers();
    if sizes.is_empty() {
        sizes = vec![1_000, 10_000];
    }
    sizes.sort_unstable();
    let columns: Vec<Vec<Option<Cost>>> = sizes.iter().map(|&size| column(size)).collect();
    let mut text = format!("Processor time (user and system), {}:\n\n| command |", machine());
    for size in &sizes {
        write!(text, " {size} |").unwrap();
    }
    text.push_str(" × | goal |\n|---|");
    text.push_str(&"---:|".repeat(sizes.len() + 1));
    text.push_str("---|\n");
    for (at, command) in COMMANDS.iter().enumerate() {
        write!(text, "| `{command}` |").unwrap();
        for column in &columns {
            match column[at] {
                Some(cost) => write!(text, " {:.3} s |", cost.cpu.as_secs_f64()).unwrap(),
                None => write!(text, " over {} s |", LIMIT.as_secs()).unwrap(),
            }
        }
        let of = |at_size: usize| columns.get(at_size).and_then(|column| column[at]);
        let (first, last) = (of(0), of(columns.len() - 1));
        let (ratio, met) = verdict(sizes[0], sizes[sizes.len() - 1], first, last);
        writeln!(text, " {ratio} | {} |", if has_goal(command) { met } else { "" }).unwrap();
    }
    publish("growth", &text);
}

/// Making keys and judging chains cost more than reading files; these have no goal.
fn has_goal(command: &str) -> bool {
    !matches!(command, "issue --from, all of them" | "verify")
}

/// How many times as long the largest directory took as the smallest, and whether that is within the goal (which is for
/// 1,000 and 10,000, and in proportion for others).
fn verdict(small: usize, large: usize, first: Option<Cost>, last: Option<Cost>) -> (String, &'static str) {
    let (Some(first), Some(last)) = (first, last) else { return ("-".into(), "missed") };
    let ratio = last.cpu.as_secs_f64() / first.cpu.as_secs_f64();
    let times = large as f64 / small as f64;
    let in_time = last.cpu.as_secs_f64() <= SECONDS * (large as f64 / 10_000.0).max(1.0);
    let met = ratio <= RATIO / 10.0 * times && in_time;
    (format!("{ratio:.1}"), if met { "met" } else { "missed" })
}

/// What each command took in a directory of that size.
fn column(size: usize) -> Vec<Option<Cost>> {
    let dir = tempfile::tempdir().unwrap();
    let tool = |args: &[&str]| command(dir.path(), args);
    run(&mut tool(&["init-ca"]), LIMIT).unwrap();
    std::fs::write(dir.path().join("cluster.toml"), cluster_toml(size)).unwrap();
    let from = ["issue", "--from", "cluster.toml"];
    let names: Vec<String> = (1..=REVOKED.min(size - 1)).map(|at| format!("c{at}")).collect();
    let revoke: Vec<&str> = std::iter::once("revoke").chain(names.iter().map(String::as_str)).collect();
    let made = run(&mut tool(&from), 10 * LIMIT).expect("a directory to measure in");
    let args: [&[&str]; 7] = [
        &from,
        &["list"],
        &["verify"],
        &["renew", "--all", "--dry-run"],
        &["issue", "new", "--profile", "client"],
        &revoke,
        &["crl"],
    ];
    let rest = args.iter().map(|args| run(&mut tool(args), LIMIT));
    std::iter::once(Some(made)).chain(rest).collect()
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_etcd-pki"));
    command.env_remove("ETCDPKI_DIR").current_dir(dir).args(args);
    command
}
