//! `explain`: the corpus of messages and logs in `fixtures/explain`, and the command. What a real etcd and its clients print is explained in `tests/verify_etcd`.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use etcd_pki::host::command::command;
use etcd_pki::verify::explain::{Cause, explain};

/// A message of `fixtures/explain`, or a log, and the pitfall to be named first.
struct Example {
    class: String,
    source: String,
    expected: String,
    text: String,
}

/// Reads the examples of a file; a message `@FILE` is the content of that file.
fn examples(file: &str) -> Vec<Example> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/explain");
    let table = std::fs::read_to_string(dir.join(file)).unwrap();
    let rows = table.lines().map(|row| {
        let [class, source, expected, message] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{file}: four columns, but {row:?}")
        };
        let text = match message.strip_prefix('@') {
            Some(log) => std::fs::read_to_string(dir.join(log)).unwrap(),
            None => message.to_owned(),
        };
        Example { class: class.to_owned(), source: source.to_owned(), expected: expected.to_owned(), text }
    });
    rows.collect()
}

fn codes(causes: &[Cause]) -> Vec<String> {
    causes.iter().map(|cause| cause.pitfall.code.to_string()).collect()
}

#[test]
fn every_message_of_the_corpus_has_the_right_first_answer() {
    let mut classes: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for file in ["measured.tsv", "public.tsv", "holdout.tsv", "holdout-2.tsv", "logs.tsv"] {
        for example in examples(file) {
            let found = codes(&explain(&example.text));
            let first = found.first().map_or("none", String::as_str);
            let (right, all) = classes.entry(example.class).or_default();
            *all += 1;
            if first == example.expected {
                *right += 1;
            } else {
                let start: String = example.text.chars().take(200).collect();
                wrong.push(format!(
                    "{} expected, {found:?} found: {} ({})",
                    example.expected, start, example.source
                ));
            }
        }
    }
    for (class, (right, all)) in &classes {
        println!("{class}: {right} of {all}");
    }
    let (right, all) = classes.values().fold((0, 0), |sum, class| (sum.0 + class.0, sum.1 + class.1));
    println!("all: {right} of {all}");
    assert!(wrong.is_empty(), "{} of {all} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_reason_ranks_above_many_alerts() {
    let alert = "embed: rejected connection from \"10.0.0.2:4\" (error \"remote error: tls: bad certificate\", ServerName \"\")";
    let info =
        "embed: peerTLS: cert = a.pem, key = a-key.pem, trusted-ca = , client-cert-auth = false, crl-file = ";
    let reason =
        "rafthttp: health check for peer 1a could not connect: x509: certificate signed by unknown authority";
    let log = format!("{info}\n{}{reason}\n", format!("{alert}\n").repeat(143));
    let causes = explain(&log);
    assert_eq!(codes(&causes)[..2], ["EP016", "EP018"]);
    assert!(causes[0].note.is_some_and(|note| note.contains("--peer-trusted-ca-file")), "{:?}", causes[0]);
}

#[test]
fn a_member_that_dials_its_own_advertised_address_is_the_gateway() {
    let settings = r#"{"level":"info","msg":"starting an etcd server","advertise-client-urls":["https://10.0.0.1:2379"]}"#;
    let rejected = |address: &str| {
        format!(
            r#"{{"level":"warn","msg":"rejected connection on client endpoint","remote-addr":"{address}:1","server-name":"","error":"tls: failed to verify certificate: x509: certificate specifies an incompatible key usage"}}"#
        )
    };
    assert_eq!(codes(&explain(&format!("{settings}\n{}", rejected("10.0.0.1"))))[0], "EP002");
    assert_eq!(codes(&explain(&format!("{settings}\n{}", rejected("10.0.0.9"))))[0], "EP001");
}

#[test]
fn an_unreachable_peer_that_comes_back_is_no_failure() {
    let refused = "rafthttp: health check for peer 1a could not connect: dial tcp 10.0.0.2:2380: connect: connection refused\n";
    let serving = "embed: ready to serve client requests\n";
    let back = "rafthttp: peer 1a became active\n";
    assert_eq!(codes(&explain(refused))[0], "EP061");
    assert!(explain(&[serving, &refused.repeat(40), back, refused].concat()).is_empty());
    assert_eq!(codes(&explain(&[serving, back, &refused.repeat(40)].concat()))[0], "EP061");
}

#[test]
fn a_log_on_standard_input_becomes_json_with_the_likeliest_first() {
    let mut tool = command(env!("CARGO_BIN_EXE_etcd-pki"))
        .args(["explain", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let log = b"Nov 21 m1 etcd[1]: rejected connection from \"10.0.0.2:1\" (error \"tls: client didn't provide a certificate\", ServerName \"\")\nnoise \xff\n";
    tool.stdin.take().unwrap().write_all(log).unwrap();
    let output = tool.wait_with_output().unwrap();
    assert!(output.status.success());
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let first = &document["causes"][0];
    assert_eq!(first["code"], "EP035");
    assert!(first["title"].is_string() && first["fix"].is_string());
    assert_eq!(first["refusals"]["m1 refuses 10.0.0.2"], 1);
    let none =
        command(env!("CARGO_BIN_EXE_etcd-pki")).args(["explain", "all is well", "--json"]).output().unwrap();
    assert_eq!(none.status.code(), Some(1));
    assert_eq!(String::from_utf8(none.stdout).unwrap().trim(), "{\"causes\":[]}");
}
