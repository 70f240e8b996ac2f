//! Every pitfall of a certificate has a fixture that triggers it, as the command prints it; what a certificate cannot
//! show is shown by a real etcd in `tests/verify_etcd`.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stdout)]

mod verify_cures;
mod verify_support;

use std::sync::{Mutex, PoisonError};

use etcd_pki::host::command::command;
use etcd_pki::verify::Code;
use serde_json::Value;
use verify_support::fixtures;
use verify_support::triggers::TRIGGERS;

/// Only root can give a file away.
fn needs_root(name: &str) -> bool {
    name == "other-owner" && !rustix::process::getuid().is_root()
}

/// Runs `verify --json` on a fixture: exit code and document.
fn verify(name: &str, options: &[&str]) -> (i32, Value) {
    let dir = fixtures().join(name);
    let mut tool = command(env!("CARGO_BIN_EXE_etcd-pki"));
    tool.arg("verify").arg(dir.join("cert.pem")).arg("--ca").arg(dir.join("ca.pem")).args(options);
    if dir.join("crl.pem").exists() {
        tool.arg("--crl").arg(dir.join("crl.pem"));
    }
    place_key(name);
    let output = tool.arg("--json").output().unwrap();
    let document = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{name}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), document)
}

/// Places a fixture's key next to its certificate, under the name that the tool looks for; the made-up RSA key has none. Tests
/// share the fixtures: it is written once.
fn place_key(name: &str) {
    static WRITING: Mutex<()> = Mutex::new(());
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = fixtures().join(name);
    let (from, to) = (dir.join("key.pem"), dir.join("cert-key.pem"));
    if name == "rsa8208" || to.exists() {
        return;
    }
    std::fs::copy(&from, &to).unwrap();
    if rustix::process::getuid().is_root() {
        use std::os::unix::fs::MetadataExt;
        let mode = std::fs::metadata(&from).unwrap();
        std::os::unix::fs::chown(&to, Some(mode.uid()), Some(mode.gid())).unwrap();
    }
}

#[test]
fn each_fixture_triggers_its_pitfall() {
    for &(name, options, code, verdict) in TRIGGERS {
        if needs_root(name) {
            println!("SKIPPED {name}: only root can give a file to another user");
            continue;
        }
        let (exit, document) = verify(name, options);
        assert_eq!(document["verdict"], verdict, "{name} {options:?}: {document}");
        let findings: Vec<&Value> = document["results"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|result| result["findings"].as_array().unwrap())
            .collect();
        let found = findings.iter().find(|finding| finding["code"] == code.to_string());
        let found = found.unwrap_or_else(|| panic!("{name} {options:?}: no {code} in {document}"));
        assert_eq!(found["name"], code.name());
        let failing = verdict == "reject" || found["severity"] == "error";
        assert_eq!(exit, i32::from(failing), "{name} {options:?}");
        // What etcd refuses has its words, and everything has its cure.
        let refused = found["severity"] == "error" && code != Code::ExpiresSoon;
        assert!(!refused || found["etcd_says"].is_string(), "{name}: {found}");
        assert!(found["fix"].is_string() && found["message"].is_string(), "{name}: {found}");
    }
}

#[test]
fn what_is_sound_is_accepted_without_a_word() {
    for (name, options) in [
        (
            "good",
            &[
                "--role",
                "peer",
                "--host",
                "127.0.0.1",
                "--host",
                "m1.etcd.test",
                "--source-ip",
                "172.16.0.101",
            ][..],
        ),
        ("chain", &["--role", "server", "--client-cert-auth", "--fail-on", "warning"][..]),
        ("missing-inter", &["--chain", "INTER"][..]),
        ("listed", &["--role", "client", "--etcd-version", "3.5", "--fail-on", "warning"]),
    ] {
        let inter = fixtures().join("missing-inter/inter.pem").display().to_string();
        let options: Vec<&str> =
            options.iter().map(|&one| if one == "INTER" { &inter } else { one }).collect();
        let (exit, document) = verify(name, &options);
        assert_eq!((exit, &document["verdict"]), (0, &Value::from("accept")), "{name}: {document}");
        for result in document["results"].as_array().unwrap() {
            assert_eq!(result["findings"], Value::Array(Vec::new()), "{name}");
        }
    }
}

#[test]
fn a_release_of_etcd_has_the_rules_of_its_go() {
    // 3.6.4 is built with Go 1.23, 3.6.5 with 1.24, which refuses RSA below 1024 bits; 3.5.22 and 3.5.23 likewise.
    for (release, exit) in
        [("3.6.4", 0), ("3.6.5", 1), ("3.5.22", 0), ("3.5.23", 1), ("3.4.37", 0), ("3.4.38", 1)]
    {
        let (code, document) = verify("rsa768", &["--role", "client", "--etcd-version", release]);
        assert_eq!(code, exit, "{release}: {document}");
    }
    // An extension that is there twice is read by Go 1.16, which goes on to the signature, and refused by 1.19.
    for (release, duplicate) in [("3.4.22", false), ("3.5.6", false), ("3.5.8", true), ("3.7.1", true)] {
        let (_, document) = verify("duplicate", &["--role", "client", "--etcd-version", release]);
        let named = document.to_string().contains(&Code::DuplicateExtension.to_string());
        assert_eq!(named, duplicate, "{release}: {document}");
    }
}

#[test]
fn whether_etcds_user_can_read_the_files_is_judged_when_he_is_named() {
    if !rustix::process::getuid().is_root() {
        println!("SKIPPED whether_etcds_user_can_read_the_files: only root can give files to others");
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let dir = top.path().join("ssl");
    std::fs::create_dir(&dir).unwrap();
    for (from, to) in [("cert.pem", "m1.pem"), ("key.pem", "m1-key.pem"), ("ca.pem", "ca.pem")] {
        std::fs::copy(fixtures().join("good").join(from), dir.join(to)).unwrap();
    }
    let mode = |path: &std::path::Path, bits: u32| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(bits)).unwrap();
    };
    let owner = |path: &std::path::Path, uid: u32, gid: u32| {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap();
    };
    let key = dir.join("m1-key.pem");
    mode(top.path(), 0o755);
    mode(&dir, 0o755);
    mode(&key, 0o600);
    let judged = |user: &str| {
        let mut tool = command(env!("CARGO_BIN_EXE_etcd-pki"));
        tool.args(["verify", "--json", "--role", "server", "--owner", user, "--ca"]).arg(dir.join("ca.pem"));
        let output = tool.arg(dir.join("m1.pem")).output().unwrap();
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let said = document["results"][0]["findings"].to_string();
        // What the kernel says, asked as that user.
        let mut cat = command("setpriv");
        cat.args([&format!("--reuid={user}"), "--regid=65534", "--clear-groups", "cat"]).arg(&key);
        assert_eq!(cat.output().unwrap().status.success(), output.status.success(), "{said}");
        (output.status.code().unwrap(), said)
    };
    let (exit, said) = judged("65534");
    assert!(exit == 1 && said.contains("EP049") && said.contains("m1-key.pem has mode 0600"), "{said}");
    assert_eq!(judged("0"), (0, "[]".to_owned()));
    owner(&key, 65534, 0);
    assert_eq!(judged("65534"), (0, "[]".to_owned()));
    // Group-readable, for a group of his.
    owner(&key, 0, 65534);
    mode(&key, 0o640);
    assert_eq!(judged("65534"), (0, "[]".to_owned()));
    // A directory on the way that he may not enter.
    mode(&dir, 0o700);
    let (exit, said) = judged("65534");
    assert!(exit == 1 && said.contains("/ssl has mode 0700"), "{said}");
}

#[test]
fn openssl_refuses_what_every_client_refuses() {
    for name in [
        "expired",
        "not-yet",
        "ca-expired",
        "foreign-ca",
        "twin-ca",
        "missing-inter",
        "no-ca",
        "path-length",
        "constrained",
        "critical",
        "no-cert-sign",
    ] {
        let dir = fixtures().join(name);
        let output = command("openssl")
            .args(["verify", "-x509_strict", "-CAfile"])
            .arg(dir.join("ca.pem"))
            .arg("-untrusted")
            .arg(dir.join("cert.pem"))
            .arg(dir.join("cert.pem"))
            .output()
            .unwrap();
        assert!(!output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
    }
}
