//! `verify --connect`: what a real etcd serves is judged, plain ports are recognised.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod support;
mod verify_support;

use etcd_pki::host::command::command;
use serde_json::Value;
use verify_support::{Etcd, etcd_go, fixture, free_port, with_etcd};

fn connect(port: u16, ca: &str, more: &[&str]) -> (i32, Value) {
    let mut tool = command(env!("CARGO_BIN_EXE_etcd-pki"));
    tool.args(["verify", "--json", "--connect", &format!("127.0.0.1:{port}"), "--ca"]);
    let output = tool.arg(fixture(ca, "ca.pem")).args(more).output().unwrap();
    let document = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code().unwrap(), document)
}

fn codes(document: &Value) -> Vec<&str> {
    let findings = document["results"][0]["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

#[test]
fn what_is_served_is_judged_as_a_client_would() {
    if etcd_go().is_none() {
        support::skipped("there is no etcd in PATH");
        return;
    }
    let pair = |name: &str, more: &[String]| {
        let mut options = vec![
            format!("--cert-file={}", fixture(name, "cert.pem").display()),
            format!("--key-file={}", fixture(name, "key.pem").display()),
        ];
        options.extend_from_slice(more);
        Etcd::start(&options).unwrap_or_else(|log| panic!("{log}"))
    };
    let open = pair("good", &[]);
    let (exit, document) = connect(open.client_port, "good", &[]);
    assert_eq!((exit, document["verdict"].as_str()), (0, Some("accept")), "{document}");
    assert!(codes(&document).is_empty(), "{document}");
    let (exit, document) = connect(open.client_port, "twin-ca", &["--host", "m9.etcd.test"]);
    assert_eq!(exit, 1);
    assert!(codes(&document).contains(&"EP005"), "{document}");
    // The peer port is plain here, and is told from a TLS one.
    let (exit, document) = connect(open.peer_port, "good", &[]);
    assert_eq!((exit, codes(&document)), (1, vec!["EP041"]), "{document}");
    let strict = pair(
        "chain",
        &[
            "--client-cert-auth".to_owned(),
            format!("--trusted-ca-file={}", fixture("good", "ca.pem").display()),
        ],
    );
    let (exit, document) = connect(strict.client_port, "chain", &[]);
    assert_eq!(exit, 0, "{document}");
    assert_eq!(codes(&document), ["EP035"], "a certificate is asked for: {document}");
    let expired = pair("expired", &[]);
    let (exit, document) = connect(expired.client_port, "good", &[]);
    assert_eq!((exit, codes(&document)[0]), (1, "EP012"), "{document}");
}

#[test]
fn a_pair_is_shown_and_what_is_said_to_it_is_told() {
    if etcd_go().is_none() {
        support::skipped("there is no etcd in PATH");
        return;
    }
    let at = |name: &str, file: &str| fixture(name, file).display().to_string();
    let ca = at("good", "ca.pem");
    let mut options = Vec::new();
    for half in ["", "peer-"] {
        options.push(format!("--{half}cert-file={}", at("good", "cert.pem")));
        options.push(format!("--{half}key-file={}", at("good", "key.pem")));
        options.push(format!("--{half}trusted-ca-file={ca}"));
        options.push(format!("--{half}client-cert-auth"));
    }
    let etcd = Etcd::start(&options).unwrap_or_else(|log| panic!("{log}"));
    let show = |port: u16, name: &str, more: &[&str]| {
        let (cert, key) = (at(name, "cert.pem"), at(name, "key.pem"));
        let (exit, document) = connect(port, "good", &[&["--cert", &cert, "--key", &key], more].concat());
        let findings = document["results"][0]["findings"].as_array().unwrap().clone();
        let about =
            findings.into_iter().find(|one| one["message"].as_str().unwrap().contains("asks its clients"));
        (exit, about.unwrap_or_else(|| panic!("{document}")))
    };
    // As its client: the CA that is wanted is named, and the pair is accepted or refused.
    let (exit, said) = show(etcd.client_port, "client-only", &[]);
    let message = said["message"].as_str().unwrap();
    assert_eq!(exit, 0, "{said}");
    assert!(message.contains("a certificate signed by ") && message.contains(", and accepts "), "{said}");
    for (name, code) in [("server-only", "EP001"), ("expired", "EP012"), ("foreign-ca", "EP017")] {
        let (exit, said) = show(etcd.client_port, name, &[]);
        let expected = if name == "foreign-ca" { vec!["EP016", "EP017"] } else { vec![code] };
        assert!(exit == 1 && expected.contains(&said["code"].as_str().unwrap()), "{name}: {said}");
        assert_eq!(said["etcd_says"], "remote error: tls: bad certificate", "{name}");
    }
    // As its peer: an address that its certificate lacks is met with a close.
    let (exit, said) = show(etcd.peer_port, "good", &["--role", "peer"]);
    assert!(exit == 0 && said["message"].as_str().unwrap().contains("accepts"), "{said}");
    let (exit, said) = show(etcd.peer_port, "wrong-ip", &["--role", "peer"]);
    assert_eq!((exit, said["code"].as_str()), (1, Some("EP034")), "{said}");
    assert!(etcd.log_says("certificate is valid for"), "{}", etcd.log());
}

/// etcd serves no HTTP/1 on its client ports where HTTP has ports of its own.
#[test]
fn a_port_that_serves_grpc_only_accepts_and_refuses_as_others_do() {
    for version in ["3.5.16", "3.5.30"] {
        if !with_etcd(version, a_grpc_only_port) {
            support::skipped(&format!("etcd {version} is not at hand: tests/etcd-versions.sh fetches it"));
        }
    }
}

fn a_grpc_only_port() {
    let at = |name: &str, file: &str| fixture(name, file).display().to_string();
    let options = [
        format!("--cert-file={}", at("good", "cert.pem")),
        format!("--key-file={}", at("good", "key.pem")),
        format!("--trusted-ca-file={}", at("good", "ca.pem")),
        "--client-cert-auth".to_owned(),
        format!("--listen-client-http-urls=https://127.0.0.1:{}", free_port()),
    ];
    let etcd = Etcd::start(&options).unwrap_or_else(|log| panic!("{log}"));
    let show = |name: &str| {
        let (cert, key) = (at(name, "cert.pem"), at(name, "key.pem"));
        connect(etcd.client_port, "good", &["--cert", &cert, "--key", &key])
    };
    let (exit, document) = show("client-only");
    assert_eq!((exit, document["verdict"].as_str()), (0, Some("accept")), "{document}");
    for (name, code) in [("server-only", "EP001"), ("expired", "EP012")] {
        let (exit, document) = show(name);
        assert_eq!((exit, codes(&document)[0]), (1, code), "{name}: {document}");
    }
    // Without TLS it is told from one with.
    let (plain, http) = (free_port(), free_port());
    let options = [
        format!("--listen-client-urls=http://127.0.0.1:{plain}"),
        format!("--advertise-client-urls=http://127.0.0.1:{plain}"),
        format!("--listen-client-http-urls=http://127.0.0.1:{http}"),
    ];
    let _etcd = Etcd::start(&options).unwrap_or_else(|log| panic!("{log}"));
    let (exit, document) = connect(plain, "good", &[]);
    assert_eq!((exit, codes(&document)), (1, vec!["EP041"]), "{document}");
}

#[test]
fn what_is_served_is_compared_with_what_is_on_the_disk() {
    if etcd_go().is_none() {
        support::skipped("there is no etcd in PATH");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let pki = dir.path().join("pki").display().to_string();
    let tool = |words: &[&str]| {
        command(env!("CARGO_BIN_EXE_etcd-pki")).args(words).args(["--pki-dir", &pki]).output().unwrap()
    };
    assert!(tool(&["init-ca"]).status.success());
    assert!(tool(&["issue", "m1", "--days", "30"]).status.success());
    let installed = |file: &str| dir.path().join(file).display().to_string();
    for file in ["m1.pem", "m1-key.pem"] {
        std::fs::copy(dir.path().join("pki").join(file), dir.path().join(file)).unwrap();
    }
    let pair =
        [format!("--cert-file={}", installed("m1.pem")), format!("--key-file={}", installed("m1-key.pem"))];
    let etcd = Etcd::start(&pair).unwrap_or_else(|log| panic!("{log}"));
    let port = format!("127.0.0.1:{}", etcd.client_port);
    let judged = || {
        let output = tool(&["verify", "--json", "--connect", &port]);
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    assert!(codes(&judged()).is_empty(), "it serves what lies here");
    // Renewed here, and not installed there.
    // Certificates count in seconds: one of the same second is not older.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert!(tool(&["renew", "m1"]).status.success());
    let document = judged();
    assert_eq!(codes(&document), ["EP121"], "{document}");
    let message = document["results"][0]["findings"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("serves an older certificate than the one on disk: serial "), "{message}");
    // etcd reads its pair again at the next handshake.
    for file in ["m1-key.pem", "m1.pem"] {
        std::fs::copy(dir.path().join("pki").join(file), dir.path().join(file)).unwrap();
    }
    assert!(codes(&judged()).is_empty(), "it serves the new one");
}

#[test]
fn nobody_there_is_a_clear_line() {
    let output = command(env!("CARGO_BIN_EXE_etcd-pki"))
        .args(["verify", "--json", "--connect", &format!("127.0.0.1:{}", free_port())])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["error"]["code"], "unreachable");
}
