//! `verify --connect`: what a real etcd serves is judged, plain ports are recognised.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod support;
mod verify_support;

use etcd_pki::host::command::command;
use serde_json::Value;
use verify_support::{Etcd, etcd_go, fixture, free_port};

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
fn nobody_there_is_a_clear_line() {
    let output = command(env!("CARGO_BIN_EXE_etcd-pki"))
        .args(["verify", "--json", "--connect", &format!("127.0.0.1:{}", free_port())])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["error"]["code"], "unreachable");
}
