//! Every pitfall of a certificate has a fixture that triggers it, as the command prints it; what a certificate cannot
//! show is shown by a real etcd in `tests/verify_explain.rs`.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stdout)]

mod verify_support;

use std::collections::BTreeSet;

use etcd_pki::host::command::command;
use etcd_pki::verify::{Code, catalogue};
use serde_json::Value;
use verify_support::{captured, fixtures};

/// Fixture, further options, and the pitfall that must be found. `verdict` is `accept` where etcd would.
const TRIGGERS: &[(&str, &[&str], Code, &str)] = &[
    ("server-only", &["--role", "client"], Code::MissingClientAuth, "reject"),
    ("eku-ca", &["--role", "client"], Code::MissingClientAuth, "reject"),
    ("server-only", &["--role", "server"], Code::GatewayClientAuth, "accept"),
    ("server-only", &["--role", "server", "--client-cert-auth"], Code::GatewayClientAuth, "reject"),
    ("client-only", &["--role", "server"], Code::MissingServerAuth, "reject"),
    ("dns-only", &["--role", "server", "--host", "127.0.0.1"], Code::NoIpSan, "reject"),
    ("wrong-ip", &["--role", "server", "--host", "127.0.0.1"], Code::WrongSan, "reject"),
    ("good", &["--host", "m2.etcd.test"], Code::WrongSan, "reject"),
    ("ip-as-dns", &["--role", "server", "--host", "127.0.0.1"], Code::IpAsDnsSan, "reject"),
    ("cn-only", &["--role", "server", "--host", "localhost"], Code::CommonNameOnly, "reject"),
    ("mismatch", &[], Code::KeyMismatch, "reject"),
    ("encrypted", &[], Code::KeyEncrypted, "reject"),
    ("ed448", &[], Code::KeyUnusable, "reject"),
    ("inter-first", &["--role", "server"], Code::LeafNotFirst, "reject"),
    ("expired", &[], Code::Expired, "reject"),
    ("not-yet", &[], Code::NotYetValid, "reject"),
    ("ca-expired", &[], Code::CaExpired, "reject"),
    ("ca-not-yet", &[], Code::CaNotYetValid, "reject"),
    ("foreign-ca", &[], Code::UnknownAuthority, "reject"),
    ("twin-ca", &[], Code::SameNameOtherKey, "reject"),
    ("missing-inter", &[], Code::MissingIntermediate, "reject"),
    ("no-ca", &[], Code::NotACa, "reject"),
    ("no-cert-sign", &[], Code::NotACa, "reject"),
    ("path-length", &[], Code::PathLength, "reject"),
    ("constrained", &[], Code::NameConstraint, "reject"),
    ("sha1", &[], Code::WeakSignature, "reject"),
    ("rsa512", &[], Code::RsaTooSmall, "reject"),
    ("rsa8208", &["--go-version", "1.22"], Code::RsaTooLarge, "reject"),
    ("p224", &[], Code::UnsupportedCurve, "reject"),
    ("negative-serial", &[], Code::NegativeSerial, "reject"),
    ("negative-serial", &["--etcd-version", "3.5.16"], Code::OddSerial, "accept"),
    ("duplicate", &[], Code::DuplicateExtension, "reject"),
    ("critical", &[], Code::UnknownCriticalExtension, "reject"),
    ("truncated", &[], Code::MalformedCertificate, "reject"),
    ("der", &[], Code::NotPem, "reject"),
    ("request", &[], Code::NotACertificate, "reject"),
    ("empty-ca", &[], Code::EmptyCaFile, "reject"),
    ("key-in-ca", &[], Code::CaFileJunk, "reject"),
    ("far-peer", &["--role", "peer", "--source-ip", "10.9.9.9"], Code::PeerSourceAddress, "reject"),
    ("proxy-cn", &["--role", "proxy"], Code::ProxyCommonName, "reject"),
    ("good", &["--role", "server", "--host", "0.0.0.0"], Code::WildcardAdvertised, "reject"),
    ("root-user", &[], Code::CommonNameUser, "accept"),
    ("many-cas", &[], Code::SignatureLimit, "reject"),
    ("policy", &[], Code::CertificatePolicies, "reject"),
    ("revoked", &["--role", "client"], Code::Revoked, "reject"),
    ("revoked", &["--role", "server"], Code::Revoked, "accept"),
    ("revoked", &["--role", "server", "--client-cert-auth"], Code::Revoked, "reject"),
    ("broken-crl", &["--role", "client"], Code::BrokenCrl, "reject"),
    ("broken-crl", &["--role", "server"], Code::BrokenCrl, "reject"),
    ("listed", &["--role", "client", "--etcd-version", "3.6"], Code::BrokenCrl, "reject"),
    ("listed", &["--role", "client"], Code::BrokenCrl, "accept"),
    ("stale-crl", &["--role", "client", "--etcd-version", "3.5"], Code::StaleCrl, "accept"),
    ("foreign-crl", &["--role", "client", "--etcd-version", "3.4"], Code::ForeignCrl, "accept"),
    ("soon", &["--expires-within", "30d"], Code::ExpiresSoon, "accept"),
    ("long", &[], Code::LongValidity, "accept"),
    ("outlives", &[], Code::OutlivesCa, "accept"),
    ("sha1-root", &[], Code::WeakRootSignature, "accept"),
    ("zero-serial", &[], Code::OddSerial, "accept"),
    ("no-identifiers", &[], Code::NoKeyIdentifier, "accept"),
    ("no-loopback", &["--role", "server"], Code::NoLoopbackSan, "accept"),
    ("wildcard", &["--role", "peer"], Code::WildcardSan, "accept"),
    ("rsa1024", &[], Code::WeakRsa, "accept"),
    ("exposed", &[], Code::KeyExposed, "accept"),
    ("other-owner", &[], Code::KeyOwner, "accept"),
    ("ca-key", &[], Code::CaKeyOnNode, "accept"),
    ("ca-as-leaf", &["--role", "client"], Code::LeafIsCa, "accept"),
    ("no-eku", &[], Code::NoUsageLimit, "accept"),
];

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
    // The key lies beside it under another name than the tool looks for; the made-up RSA key has none.
    if name != "rsa8208" {
        std::fs::copy(dir.join("key.pem"), dir.join("cert-key.pem")).unwrap();
        let mode = std::fs::metadata(dir.join("key.pem")).unwrap();
        if rustix::process::getuid().is_root() {
            use std::os::unix::fs::MetadataExt;
            std::os::unix::fs::chown(dir.join("cert-key.pem"), Some(mode.uid()), Some(mode.gid())).unwrap();
        }
    }
    let output = tool.arg("--json").output().unwrap();
    let document = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{name}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), document)
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
fn every_pitfall_has_a_fixture_or_a_real_etcd_that_shows_it() {
    let shown: BTreeSet<Code> = TRIGGERS.iter().map(|trigger| trigger.2).chain(captured()).collect();
    let missing: Vec<_> =
        catalogue().map(|pitfall| pitfall.code).filter(|code| !shown.contains(code)).collect();
    assert!(missing.is_empty(), "pitfalls that nothing shows: {missing:?}");
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
