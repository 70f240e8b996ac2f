//! The live migration on real etcd: every stage, what is in its way, and who must move first.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a test")]

use std::process::{Command, Stdio};
use std::time::Duration;

use etcd_pki::etcd::Scheme;
use etcd_pki::etcd::client::Api;
use etcd_pki::rehearse::load::{Load, Speak};
use etcd_pki::rehearse::proof;

mod migration_support;
mod rehearsal_support;
use migration_support::{Ground, refusal};

#[test]
fn forward_seal_and_back_on_one_cluster_with_status_at_every_stage() {
    let ground = Ground::new(3);
    let status = |exit| {
        let output = ground.migrate(&["status"]);
        assert_eq!(output.status.code(), Some(exit), "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(status(1).matches("  plain HTTP  http://").count(), 3);

    // A plan and a dry run change nothing.
    let plan = String::from_utf8(ground.migrate(&["plan"]).stdout).unwrap();
    assert!(plan.contains("\n   6  server"), "{plan}");
    assert!(ground.migrate(&["apply", "--dry-run"]).status.success());
    assert!(!ground.file("server1", "etcd.env.d/30-certs.env").exists());

    assert!(ground.migrate(&["apply", "--yes"]).status.success());
    assert_eq!(status(0).matches("HTTPS, plain HTTP on the loopback port only").count(), 3);
    let key = ground.file("server1", "ssl/server1-key.pem");
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(key).unwrap()) & 0o777, 0o600);

    // The data as it was before the first change, which etcdctl can restore.
    let snapshot = ground.snapshot();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&snapshot).unwrap()) & 0o777, 0o600);
    let mut etcdctl = Command::new("etcdctl");
    etcdctl.env("ETCDCTL_API", "3").args(["snapshot", "status"]).arg(&snapshot);
    assert!(etcdctl.output().unwrap().status.success());

    // Nothing is left to do, and that is said.
    let again = ground.migrate(&["apply", "--yes"]);
    assert!(again.status.success());
    assert!(String::from_utf8_lossy(&again.stdout).contains("Nothing had to be done"));

    assert!(ground.migrate(&["seal", "--yes"]).status.success());
    assert_eq!(status(0).matches("HTTPS only").count(), 3);
    assert!(ground.migrate(&["apply", "--yes"]).status.success(), "the loopback port opens again");
    assert!(ground.migrate(&["rollback", "--yes"]).status.success());
    assert_eq!(status(1).matches("  plain HTTP  http://").count(), 3);
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
    // With the PKI directory of the call, so that it can be pasted.
    assert!(hint.contains("`etcd-pki --pki-dir ") && hint.contains("/pki issue --from "), "{hint}");
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
    assert!(message.contains("on port 2379 of server"), "{message}"); // wherever they fled to
    assert!(hint.contains("--cut-plaintext"), "{hint}");
    load.move_to(Speak::Https, Some(ground.tls())).unwrap();
    assert!(ground.migrate(&["apply", "--yes"]).status.success());
    let tls = ground.tls();
    let figures = load.finish(|| {
        proof::keys(&ground.cluster, Scheme::Https, Some(&tls), Api::V3 { prefix: "/v3" }).unwrap()
    });
    assert_eq!((figures.failed, figures.lost, figures.missed), (0, 0, 0), "{figures:?}");
}

#[test]
fn a_member_that_serves_neither_gateway_nor_v2_is_spoken_to_by_etcdctl() {
    // As 3.4 is with a --config-file: gRPC is all that is left.
    let ground = Ground::with(3, &[("ETCD_ENABLE_GRPC_GATEWAY", "false")]);
    let plan = ground.migrate(&["plan"]);
    assert!(plan.status.success(), "{}", String::from_utf8_lossy(&plan.stderr));
    let apply = ground.migrate(&["apply", "--yes"]);
    assert!(apply.status.success(), "{}", String::from_utf8_lossy(&apply.stderr));
    assert!(ground.migrate(&["status"]).status.success());
    assert!(ground.snapshot().exists());
    assert!(ground.migrate(&["rollback", "--yes"]).status.success());
}
