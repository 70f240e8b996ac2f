//! Revocation lists: a real etcd honours them, and `verify` says beforehand what it will do.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::skipped;
use crate::members::{Etcd, curl, curl_port, is_healthy, start_with};
use crate::support::{Bench, text};

#[test]
fn a_revoked_client_is_refused_once_the_member_has_the_list() {
    if Command::new("etcd").arg("--version").output().is_err() {
        return skipped("etcd is not installed");
    }
    for list in ["crl.pem", "crl.der"] {
        let bench = Bench::new();
        bench.run(&["issue", "server1", "--ip", "127.0.0.1"]).ok();
        bench.run(&["issue", "good", "bad", "--profile", "client"]).ok();
        bench.run(&["crl"]).ok();
        let etcd = start_with(&bench, "server1", &["--client-crl-file", text(&bench.file(list))]);
        assert!(is_healthy(&bench, &etcd, "good") && is_healthy(&bench, &etcd, "bad"), "{list}");
        // etcd reads the list at every handshake: the running member knows at once.
        bench.run(&["revoke", "bad", "--reason", "key-compromise"]).ok();
        bench.run(&["crl"]).ok();
        assert_ne!(curl(&bench, &etcd, "bad", "/health", &[]).code, Some(0), "{list}");
        curl(&bench, &etcd, "good", "/health", &[]).ok();
        // A renewal is a new serial: it is let in again.
        bench.run(&["renew", "bad"]).ok();
        curl(&bench, &etcd, "bad", "/health", &[]).ok();
    }
}

/// What `verify` says of a pair and a list: the verdict, and etcd's words when it is no.
fn verdict(bench: &Bench, pair: &str, role: &str, list: &str) -> Result<(), String> {
    let (cert, list) = (bench.file(&format!("{pair}.pem")), bench.file(list));
    let ran = bench.run(&["verify", text(&cert), "--role", role, "--crl", text(&list), "--json"]);
    let document = ran.json();
    if document["verdict"] == "accept" {
        return Ok(());
    }
    assert_eq!(ran.code, Some(1), "{ran:?}");
    Err(document["results"][0]["findings"][0]["etcd_says"].as_str().unwrap().to_owned())
}

/// etcd lets a pair in at a port, or logs words as it refuses it.
fn agrees(bench: &Bench, etcd: &Etcd, port: u16, pair: &str, said: &Result<(), String>, what: &str) {
    let path = if port == etcd.port { "/health" } else { "/version" };
    // On the peer port etcd does not speak the HTTP/2 that it offers.
    let ran = curl_port(bench, port, pair, path, &["--http1.1"]);
    assert_eq!(ran.code == Some(0), said.is_ok(), "{what}: verify says {said:?}, etcd {ran:?}");
    let Err(words) = said else { return };
    let log = || std::fs::read_to_string(bench.root().join("etcd.log")).unwrap().replace('\\', "");
    let end = Instant::now() + Duration::from_secs(5);
    while !log().contains(words) {
        assert!(Instant::now() < end, "{what}: {words:?} is not in etcd's log:\n{}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn verify_and_etcd_agree_on_every_list_at_the_client_and_at_the_peer_port() {
    if Command::new("etcd").arg("--version").output().is_err() {
        return skipped("etcd is not installed");
    }
    let (bench, other) = (Bench::new(), Bench::new());
    bench.run(&["issue", "server1", "good", "bad", "--ip", "127.0.0.1"]).refused(2, "several names");
    for name in ["server1", "good", "bad"] {
        bench.run(&["issue", name, "--ip", "127.0.0.1"]).ok();
    }
    bench.run(&["crl"]).ok();
    let (client, peer) = (bench.file("client.crl"), bench.file("peer.crl"));
    let place = |bytes: &[u8]| {
        std::fs::write(&client, bytes).unwrap();
        std::fs::write(&peer, bytes).unwrap();
    };
    place(&std::fs::read(bench.file("crl.pem")).unwrap());
    let options = ["--client-crl-file", text(&client), "--peer-crl-file", text(&peer)];
    let etcd = start_with(&bench, "server1", &options);
    assert!(is_healthy(&bench, &etcd, "good"));
    let both = |what: &str| {
        for pair in ["good", "bad"] {
            let at_client = verdict(&bench, pair, "client", "client.crl");
            agrees(&bench, &etcd, etcd.port, pair, &at_client, &format!("{what}: {pair}, client port"));
            let at_peer = verdict(&bench, pair, "peer", "peer.crl");
            agrees(&bench, &etcd, etcd.peer, pair, &at_peer, &format!("{what}: {pair}, peer port"));
        }
        [verdict(&bench, "good", "client", "client.crl"), verdict(&bench, "bad", "client", "client.crl")]
            .map(|said| said.is_ok())
    };
    assert_eq!(both("nobody is revoked"), [true, true]);

    bench.run(&["revoke", "bad"]).ok();
    bench.run(&["crl"]).ok();
    for list in ["crl.pem", "crl.der"] {
        place(&std::fs::read(bench.file(list)).unwrap());
        assert_eq!(both(list), [true, false]);
    }
    let der = std::fs::read(bench.file("crl.der")).unwrap();
    for (bytes, what) in [(&b""[..], "empty"), (b"garbage", "garbage"), (&der[..der.len() / 2], "torn")] {
        place(bytes);
        assert_eq!(both(what), [false, false]);
    }
    // Nobody asks who made the list.
    other.run(&["issue", "server1"]).ok();
    other.run(&["revoke", "server1"]).ok();
    other.run(&["crl"]).ok();
    place(&std::fs::read(other.file("crl.der")).unwrap());
    assert_eq!(both("another CA's"), [true, true]);
    std::fs::remove_file(&client).unwrap();
    std::fs::remove_file(&peer).unwrap();
    assert_eq!(both("not there"), [false, false]);
}

#[test]
fn verify_takes_the_list_of_the_pki_directory_and_says_what_is_odd_about_one() {
    let (bench, other) = (Bench::new(), Bench::new());
    bench.run(&["issue", "good", "bad", "--profile", "client"]).ok();
    bench.run(&["verify"]).ok();
    bench.run(&["revoke", "bad"]).ok();
    bench.run(&["verify"]).ok();
    bench.run(&["crl"]).ok();
    let ran = bench.run(&["verify", "bad"]);
    assert!(ran.code == Some(1) && ran.out.contains("EP054 revoked"), "{ran:?}");
    bench.run(&["verify", "good", "--fail-on", "warning"]).ok();
    // With another CA file the directory's own list is none of its business.
    let ca = bench.root().join("copy.pem");
    std::fs::copy(bench.file("ca.pem"), &ca).unwrap();
    bench.run(&["verify", "bad", "--ca", text(&ca)]).ok();

    let list = bench.file("crl.pem");
    let with = |more: &[&str]| {
        let mut args = vec!["verify", "good", "--crl", text(&list)];
        args.extend(more);
        bench.run(&args)
    };
    with(&["--etcd-version", "3.5", "--fail-on", "warning"]).ok();
    let ran = with(&["--etcd-version", "3.6"]);
    assert!(ran.code == Some(1) && ran.out.contains("reads only DER from 3.6 on"), "{ran:?}");
    let ran = with(&[]).ok();
    assert!(ran.out.contains("warning EP053"), "{ran:?}");
    let later = (time::OffsetDateTime::now_utc() + time::Duration::days(60)).date();
    let later = with(&["--etcd-version", "3.5", "--at", &format!("{later}T00:00:00Z")]).ok();
    assert!(later.out.contains("warning EP115 stale-crl"), "{later:?}");
    other.run(&["crl"]).ok();
    let ran = bench.run(&["verify", "good", "--crl", text(&other.file("crl.der"))]).ok();
    assert!(ran.out.contains("warning EP116 foreign-crl"), "{ran:?}");
}

#[test]
fn crl_and_revoke_say_what_a_list_does_not_do() {
    let bench = Bench::new();
    bench.run(&["issue", "server1"]).ok();
    bench.run(&["issue", "client1", "--profile", "client"]).ok();
    let advisory =
        "with --listen-client-http-urls, etcd before 3.5.32 and 3.6.13 does not check it over gRPC";
    let ran = bench.run(&["revoke", "client1"]).ok();
    assert!(ran.err.contains("place crl.der where --client-crl-file"), "{ran:?}");
    assert!(ran.err.contains(advisory) && ran.err.contains("GHSA-3wh4-j44w-pg92"), "{ran:?}");
    assert!(ran.err.contains("or replace the CA: `etcd-pki explain EP078`"), "{ran:?}");
    assert!(!ran.err.contains("member remove"), "{ran:?}");
    // A list keeps no member out of the cluster.
    let ran = bench.run(&["revoke", "server1"]).ok();
    assert!(
        ran.err.contains("a list does not keep server1 out") && ran.err.contains("etcdctl member remove"),
        "{ran:?}"
    );
    let ran = bench.run(&["crl"]).ok();
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[0].contains("crl.der  number 1, 2 revoked") && lines[1].contains("crl.pem"), "{ran:?}");
    assert!(ran.err.contains("it does not read crl.pem and refuses every client with it"), "{ran:?}");
    assert!(ran.err.contains(advisory), "{ran:?}");
    assert_eq!(bench.run(&["revoke", "client1", "-q"]).ok().err, "");
    for page in ["EP054", "EP078"] {
        assert!(bench.run(&["explain", page]).ok().out.contains("GHSA-3wh4-j44w-pg92"), "{page}");
    }
}
