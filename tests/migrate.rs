//! The live migration on real etcd: interrupted at any moment it carries on, and what is in its way is said.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use etcd_pki::etcd::client::Api;
use etcd_pki::etcd::{Scheme, Tls};
use etcd_pki::rehearse::cluster::{self, Cluster};
use etcd_pki::rehearse::load::{Load, Speak};
use etcd_pki::rehearse::proof;

mod rehearsal_support;
use rehearsal_support::{EXE, own_base};

/// A cluster on plain HTTP with a PKI directory that holds all it needs, and its addresses.
struct Ground {
    cluster: Cluster,
    dir: tempfile::TempDir,
    addresses: Vec<std::net::Ipv4Addr>,
}

impl Ground {
    fn new(members: u8) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let etcd = cluster::find_etcd(None).unwrap();
        let addresses = cluster::addresses(own_base(), members).unwrap();
        let stop = AtomicBool::new(false);
        let cluster = Cluster::start(Path::new(EXE), dir.path(), &etcd, &addresses, false, &stop).unwrap();
        cluster.write_inventory(&dir.path().join("cluster.toml"), "client").unwrap();
        let ground = Self { cluster, dir, addresses };
        assert!(ground.tool(&["init-ca"]).status.success());
        assert!(ground.tool(&["issue", "--from", &ground.inventory()]).status.success());
        ground
    }

    fn inventory(&self) -> String {
        self.dir.path().join("cluster.toml").display().to_string()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(EXE);
        command.args(words).arg("--pki-dir").arg(self.dir.path().join("pki")).stdin(Stdio::null());
        command
    }

    fn tool(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// `migrate WHAT …` of this cluster.
    fn migrate(&self, words: &[&str]) -> Output {
        self.tool(&self.migrate_words(words).iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn migrate_words(&self, words: &[&str]) -> Vec<String> {
        let mut all = vec!["migrate".to_owned()];
        all.extend(words.iter().map(|&word| word.to_owned()));
        all.extend(["--inventory".to_owned(), self.inventory()]);
        all
    }

    fn tls(&self) -> Arc<Tls> {
        let read = |name: &str| std::fs::read(self.dir.path().join("pki").join(name)).unwrap();
        Arc::new(Tls::with_pair(&read("ca.pem"), &read("client.pem"), &read("client-key.pem")).unwrap())
    }

    fn file(&self, member: &str, name: &str) -> PathBuf {
        self.dir.path().join(member).join(name)
    }
}

/// A failure's exit code, and its JSON error's code, message and hint.
fn refusal(output: &Output) -> (i32, String, String, String) {
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    let error = serde_json::from_str::<serde_json::Value>(last).unwrap_or_default()["error"].clone();
    let field = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    (output.status.code().unwrap_or(-1), field("code"), field("message"), field("hint"))
}

/// The next of a fixed sequence of pseudo-random numbers below a bound.
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// Migrates forward and back in turn, killing each run once at a random moment, then letting the next one finish.
fn killed_and_resumed(seed: u64, rounds: u32) {
    let ground = Ground::new(3);
    let load = Load::start(&ground.addresses, Api::V3 { prefix: "/v3" }).unwrap();
    load.move_to(Speak::Both, Some(ground.tls())).unwrap();
    let mut state = seed;
    let mut killed = 0;
    for round in 0..rounds {
        let way = if round % 2 == 0 { "apply" } else { "rollback" };
        let words = ground.migrate_words(&[way, "--yes", "--cut-plaintext", "--json"]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let leash = Duration::from_millis(random(&mut state, 9000));
        let mut child = ground.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let end = Instant::now() + leash;
        while Instant::now() < end && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        killed += u32::from(child.wait().unwrap().code().is_none());
        let output = ground.tool(&words);
        assert!(
            output.status.success(),
            "round {round} ({way}, killed after {leash:?}): {}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    // An even number of rounds ends on plain HTTP, as it began.
    let figures =
        load.finish(|| proof::keys(&ground.cluster, Scheme::Http, None, Api::V3 { prefix: "/v3" }).unwrap());
    println!("seed {seed}: {killed} of {rounds} runs killed, all finished by the next; {figures:?}");
    assert!(killed * 2 > rounds, "most runs are killed before they end");
    assert_eq!((figures.lost, figures.missed), (0, 0), "{figures:?}");
    for member in &ground.cluster.members {
        let layers: Vec<_> = std::fs::read_dir(member.dir.path().join("etcd.env.d")).unwrap().collect();
        assert!(layers.is_empty(), "nothing of ours is left: {layers:?}");
    }
}

#[test]
fn thirty_runs_killed_at_random_moments_are_finished_by_the_next() {
    std::thread::scope(|scope| {
        for seed in [1, 2, 3] {
            scope.spawn(move || killed_and_resumed(seed, 10));
        }
    });
}

#[test]
fn forward_seal_and_back_on_one_cluster_with_status_at_every_stage() {
    let ground = Ground::new(3);
    let status = |exit| {
        let output = ground.migrate(&["status"]);
        assert_eq!(output.status.code(), Some(exit), "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(status(1).matches("plain HTTP ·").count(), 3);

    // A plan and a dry run change nothing.
    let plan = String::from_utf8(ground.migrate(&["plan"]).stdout).unwrap();
    assert!(plan.contains("6. "), "{plan}");
    assert!(ground.migrate(&["apply", "--dry-run"]).status.success());
    assert!(!ground.file("server1", "etcd.env.d/30-certs.env").exists());

    assert!(ground.migrate(&["apply", "--yes"]).status.success());
    assert_eq!(status(0).matches("HTTPS, plain HTTP on the loopback port only").count(), 3);
    let key = ground.file("server1", "ssl/server1-key.pem");
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(key).unwrap()) & 0o777, 0o600);

    // Nothing is left to do, and that is said.
    let again = ground.migrate(&["apply", "--yes"]);
    assert!(again.status.success());
    assert!(String::from_utf8_lossy(&again.stdout).contains("Nothing had to be done"));

    assert!(ground.migrate(&["seal", "--yes"]).status.success());
    assert_eq!(status(0).matches("HTTPS only").count(), 3);
    assert!(ground.migrate(&["apply", "--yes"]).status.success(), "the loopback port opens again");
    assert!(ground.migrate(&["rollback", "--yes"]).status.success());
    assert_eq!(status(1).matches("plain HTTP ·").count(), 3);
    for file in ["etcd.env.d/30-certs.env", "ssl/server1-key.pem", "ssl/ca.pem", "state/pre-images.json"] {
        assert!(!ground.file("server1", file).exists(), "{file} is gone");
    }
}

#[test]
fn what_is_in_the_way_is_said_and_nothing_is_changed() {
    let ground = Ground::new(1);
    let apply = || refusal(&ground.migrate(&["apply", "--yes", "--json"]));

    // Somebody's own file of that name.
    let layer = ground.file("server1", "etcd.env.d/30-certs.env");
    std::fs::write(&layer, "ETCD_LOG_LEVEL=debug\n").unwrap();
    let (exit, code, message, hint) = apply();
    assert_eq!((exit, code.as_str()), (1, "file-in-the-way"), "{message}");
    assert!(message.contains("30-certs.env") && hint.contains("move"), "{message} {hint}");
    std::fs::remove_file(&layer).unwrap();

    // Somebody's own certificate where ours would go.
    let cert = ground.file("server1", "ssl/server1.pem");
    std::fs::write(&cert, "theirs").unwrap();
    let (exit, code, message, _) = apply();
    assert_eq!((exit, code.as_str()), (1, "file-in-the-way"), "{message}");
    assert_eq!(std::fs::read_to_string(&cert).unwrap(), "theirs");
    std::fs::remove_file(&cert).unwrap();

    // A setting on disk that the running process does not have.
    let base = ground.file("server1", "etcd.env");
    let before = std::fs::read_to_string(&base).unwrap();
    std::fs::write(&base, before.replace(":2379", ":2377")).unwrap();
    let (exit, code, message, hint) = apply();
    assert_eq!((exit, code.as_str()), (1, "drift"), "{message}");
    assert!(message.contains("2377") && hint.contains("--accept-drift"), "{message} {hint}");
    std::fs::write(&base, before).unwrap();

    // A member without a pair.
    let pair = ground.dir.path().join("pki/server1.pem");
    std::fs::rename(&pair, pair.with_extension("away")).unwrap();
    let (exit, code, message, hint) = apply();
    assert_eq!((exit, code.as_str()), (1, "no-pair"), "{message}");
    assert!(hint.contains("etcd-pki issue"), "{hint}");
    std::fs::rename(pair.with_extension("away"), &pair).unwrap();

    // Nobody to ask.
    let output = ground.migrate(&["apply", "--json"]);
    assert_eq!(refusal(&output).0, 2);

    // No such inventory.
    let output = ground.tool(&["migrate", "plan", "--inventory", "/nowhere/cluster.toml"]);
    assert_eq!(output.status.code(), Some(2));

    assert!(!ground.file("server1", "ssl/server1-key.pem").exists(), "nothing was placed all the while");
    assert!(
        ground.migrate(&["apply", "--yes"]).status.success(),
        "and with all that put right it goes through"
    );
}

#[test]
fn a_second_run_at_the_same_time_is_stopped_and_told_who_is_first() {
    let ground = Ground::new(3);
    let words = ground.migrate_words(&["apply", "--yes", "--json"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut first = ground.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let (exit, code, message, _) = refusal(&ground.migrate(&["apply", "--yes", "--json"]));
    assert_eq!((exit, code.as_str()), (1, "locked"), "{message}");
    assert!(message.contains(&format!("process {}", first.id())), "{message}");
    assert!(first.wait().unwrap().success());
}

#[test]
fn plain_text_clients_are_waited_for() {
    let ground = Ground::new(3);
    let load = Load::start(&ground.addresses, Api::V3 { prefix: "/v3" }).unwrap();
    let (exit, code, message, hint) = refusal(&ground.migrate(&["apply", "--yes", "--json"]));
    assert_eq!((exit, code.as_str()), (1, "plaintext-clients"), "{message}");
    assert!(message.contains("on port 2379 of server1"), "{message}");
    assert!(hint.contains("--cut-plaintext"), "{hint}");
    load.move_to(Speak::Https, Some(ground.tls())).unwrap();
    assert!(ground.migrate(&["apply", "--yes"]).status.success());
    let tls = ground.tls();
    let figures = load.finish(|| {
        proof::keys(&ground.cluster, Scheme::Https, Some(&tls), Api::V3 { prefix: "/v3" }).unwrap()
    });
    assert_eq!((figures.failed, figures.lost, figures.missed), (0, 0, 0), "{figures:?}");
}
