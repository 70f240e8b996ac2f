//! `explain` as a command. What a real etcd and its clients print is explained in `tests/verify_etcd`.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::io::Write;
use std::process::Stdio;

use etcd_pki::host::command::command;

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
