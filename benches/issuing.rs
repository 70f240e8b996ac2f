//! What a pair costs, beside other tools and beside the physical work in it, all in the same run:
//! `cargo bench --bench issuing [-- RUNS BATCH] [--update]`; 15 runs and a batch of 100 when no numbers are given.
//!
//! `--update` puts the tables into docs/performance.md. etcd-pki syncs every file before it says that it is done; no
//! other tool does, so their files and directory are synced here, and their cost is shown without that and with it.
#![allow(clippy::disallowed_methods, reason = "a benchmark's own files and processes")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "figures are what it is for")]

#[path = "../tests/support/batch.rs"]
mod batch;
mod support;

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rayon::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};

use batch::cluster_toml;
use support::peers::{PEERS, Peer, pair};
use support::{Cost, LIMIT, machine, measured, numbers, publish, run};

/// How many pairs are compared with the physical work.
const MANY: usize = 1_000;

/// How often a batch is made.
const BATCH_RUNS: usize = 3;

fn main() {
    let given = numbers();
    let runs = given.first().copied().unwrap_or(15);
    let batch = given.get(1).copied().unwrap_or(100);
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    run(tool(dir, "pki").arg("init-ca"), LIMIT).unwrap();
    let peers: Vec<&Peer> = PEERS.iter().filter(|peer| peer.prepare(dir)).collect();
    let mut text = format!(
        "Medians of {runs} runs of each tool in turn ({BATCH_RUNS} for batches), {}, processor time and wall time of \
         the whole processes:\n\n",
        machine()
    );
    table(&mut text, &peers, "one pair of P-256", &measure(dir, &peers, runs, 1));
    table(&mut text, &peers, &format!("{batch} pairs"), &measure(dir, &peers, BATCH_RUNS, batch));
    for peer in PEERS.iter().filter(|peer| !peers.iter().any(|known| known.name == peer.name)) {
        writeln!(text, "{}: not installed.\n", peer.name).unwrap();
    }
    physical(&mut text, dir);
    syncs(&mut text, dir);
    publish("issuing", text.trim_end());
}

fn tool(dir: &Path, pki: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_etcd-pki"));
    command.arg("--pki-dir").arg(dir.join(pki)).current_dir(dir);
    command
}

/// What one tool used for the same number of pairs: its processes, and these with its files synced.
#[derive(Clone, Copy)]
struct Row {
    plain: Option<Cost>,
    synced: Cost,
}

/// The rows of etcd-pki and of each peer, medians of several runs in turn.
fn measure(dir: &Path, peers: &[&Peer], runs: usize, pairs: usize) -> Vec<Row> {
    let mut all: Vec<Vec<Row>> = vec![Vec::new(); 1 + peers.len()];
    for number in 0..runs {
        all[0].push(Row { plain: None, synced: issue(dir, number, pairs) });
        for (at, peer) in peers.iter().enumerate() {
            let numbers = number * pairs..(number + 1) * pairs;
            let plain =
                numbers.clone().map(|one| peer.make(dir, one)).fold(Cost::default(), std::ops::Add::add);
            let files: Vec<PathBuf> = numbers.flat_map(|one| pair(dir, one)).collect();
            let syncing = measured(|| {
                files.iter().for_each(|file| sync(file));
                sync(dir);
            });
            files.iter().for_each(|file| std::fs::remove_file(file).unwrap());
            all[1 + at].push(Row { plain: Some(plain), synced: plain + syncing });
        }
    }
    let median = |rows: &Vec<Row>| {
        let plain: Vec<Cost> = rows.iter().filter_map(|row| row.plain).collect();
        let synced: Vec<Cost> = rows.iter().map(|row| row.synced).collect();
        Row { plain: (!plain.is_empty()).then(|| Cost::median(&plain)), synced: Cost::median(&synced) }
    };
    all.iter().map(median).collect()
}

/// One pair by name, several by a `cluster.toml` in a directory of their own.
fn issue(dir: &Path, number: usize, pairs: usize) -> Cost {
    if pairs == 1 {
        return run(tool(dir, "pki").args(["issue", &format!("s{number}")]), LIMIT).unwrap();
    }
    let pki = format!("batch-{pairs}-{number}");
    run(tool(dir, &pki).arg("init-ca"), LIMIT).unwrap();
    std::fs::write(dir.join("cluster.toml"), cluster_toml(pairs)).unwrap();
    run(tool(dir, &pki).args(["issue", "--from", "cluster.toml"]), 10 * LIMIT).unwrap()
}

fn sync(path: &Path) {
    File::open(path).and_then(|file| file.sync_all()).unwrap();
}

fn table(text: &mut String, peers: &[&Peer], what: &str, rows: &[Row]) {
    writeln!(text, "| {what} | CPU | wall | CPU, files synced | wall, files synced |").unwrap();
    writeln!(text, "|---|---:|---:|---:|---:|").unwrap();
    let names = std::iter::once("etcd-pki").chain(peers.iter().map(|peer| peer.name));
    for (name, row) in names.zip(rows) {
        let plain =
            row.plain.map_or_else(|| "| |".into(), |cost| format!("{} | {} |", cpu(cost), wall(cost)));
        writeln!(text, "| {name} | {plain} {} | {} |", cpu(row.synced), wall(row.synced)).unwrap();
    }
    text.push('\n');
}

fn cpu(cost: Cost) -> String {
    milliseconds(cost.cpu)
}

fn wall(cost: Cost) -> String {
    milliseconds(cost.wall)
}

fn milliseconds(time: std::time::Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 100.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

/// A large batch beside what cannot be avoided in it: keys and signatures, and the same files written and synced.
fn physical(text: &mut String, dir: &Path) {
    let made = issue(dir, BATCH_RUNS, MANY);
    let crypto = measured(|| keys_and_signatures(MANY));
    let files = files(dir, MANY);
    writeln!(text, "| {MANY} pairs | CPU | wall |\n|---|---:|---:|").unwrap();
    for (name, cost) in [
        ("`etcd-pki issue --from cluster.toml`", made),
        ("keys and signatures by ring, all cores", crypto),
        ("the same files written and synced, sixteen at a time", files),
    ] {
        writeln!(text, "| {name} | {} | {} |", cpu(cost), wall(cost)).unwrap();
    }
    let ratio = made.wall.as_secs_f64() / (crypto + files).wall.as_secs_f64();
    writeln!(text, "\netcd-pki took {ratio:.2} times as long as the other two together.\n").unwrap();
}

/// A new key and one signature for each certificate.
fn keys_and_signatures(count: usize) {
    let random = SystemRandom::new();
    let new = || EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let ca = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, new().as_ref(), &random).unwrap();
    let body = [7u8; 500];
    (0..count).into_par_iter().for_each(|_| {
        let key = new();
        std::hint::black_box((key, ca.sign(&random, &body).unwrap()));
    });
}

/// The batch's files once more: each written and synced, sixteen at a time, and the directory synced at the end.
fn files(dir: &Path, count: usize) -> Cost {
    let pki = dir.join(format!("batch-{count}-{BATCH_RUNS}"));
    let contents: Vec<Vec<u8>> = (1..count)
        .flat_map(|at| [format!("c{at}.pem"), format!("c{at}-key.pem")])
        .map(|name| std::fs::read(pki.join(name)).unwrap())
        .collect();
    let copy = dir.join("copy");
    std::fs::create_dir(&copy).unwrap();
    measured(|| {
        std::thread::scope(|scope| {
            for (part, chunk) in contents.chunks(contents.len().div_ceil(16)).enumerate() {
                let copy = &copy;
                scope.spawn(move || {
                    for (at, bytes) in chunk.iter().enumerate() {
                        let mut file = File::create(copy.join(format!("{part}-{at}"))).unwrap();
                        file.write_all(bytes).and_then(|()| file.sync_all()).unwrap();
                    }
                });
            }
        });
        sync(&copy);
    })
}

/// How often each command waits for the disk, counted by strace.
fn syncs(text: &mut String, dir: &Path) {
    if Command::new("strace").arg("--version").output().is_err() {
        return writeln!(text, "fsyncs: not counted, strace is not installed.").unwrap();
    }
    writeln!(text, "| command | fsync and fdatasync |\n|---|---:|").unwrap();
    let log = dir.join("calls");
    for args in ["init-ca", "issue s1", "renew s1", "issue --from cluster.toml"] {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-e", "signal=none", "-e", "trace=fsync,fdatasync", "-o"]).arg(&log);
        command.arg(env!("CARGO_BIN_EXE_etcd-pki")).arg("--pki-dir").arg(dir.join("syncs")).current_dir(dir);
        std::fs::write(dir.join("cluster.toml"), cluster_toml(100)).unwrap();
        run(command.args(args.split(' ')), LIMIT).unwrap();
        let count = std::fs::read_to_string(&log).unwrap().matches("sync(").count();
        let pairs = if args.contains("--from") { ", 100 pairs" } else { "" };
        writeln!(text, "| `{args}`{pairs} | {count} |").unwrap();
    }
}
