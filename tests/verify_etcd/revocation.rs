//! Revocation lists: what each release does with one, where it checks none, and what a revoked client sees.

use std::path::Path;

use etcd_pki::host::command::command;
use etcd_pki::verify::{Code, CrlFile, GoVersion, Request, Role, Verdict, judge};
use serde_json::Value;

use super::catalogue::is_shown;
use super::scenes::Member;
use super::verify_support::{Etcd, etcd, etcdctl, fixture, free_port, output_of, with_etcd};
use super::{demanding, dial, go, pair, path, start, support};

fn tool(words: &[&str]) -> Value {
    let output = command(env!("CARGO_BIN_EXE_etcd-pki")).args(words).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{words:?}: {text}"))
}

fn list(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name, "crl.pem")).unwrap()
}

fn der(name: &str) -> Vec<u8> {
    let mut openssl = command("openssl");
    openssl.args(["crl", "-outform", "DER", "-in"]).arg(fixture(name, "crl.pem"));
    openssl.output().unwrap().stdout
}

/// The release of the etcd in use, such as 3.4.23.
fn release() -> String {
    let text = String::from_utf8(etcd().arg("--version").output().unwrap().stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("etcd Version: ")).unwrap().to_owned()
}

/// Only the serials of the first list of a file count; not its dates, not who signed it.
#[test]
fn a_list_is_used_as_verify_reads_it() {
    if go().is_none() {
        return;
    }
    the_etcd_in_use_reads_them_so();
    for version in ["3.3.25", "3.5.30"] {
        if !with_etcd(version, the_etcd_in_use_reads_them_so) {
            support::skipped(&format!("etcd {version} is not at hand: tests/etcd-versions.sh fetches it"));
        }
    }
}

fn the_etcd_in_use_reads_them_so() {
    let release = release();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("list");
    let option = format!("--client-crl-file={}", file.display());
    let place = |bytes: &[u8]| {
        std::fs::write(dir.path().join("new"), bytes).unwrap();
        std::fs::rename(dir.path().join("new"), &file).unwrap();
    };
    place(&list("listed"));
    let etcd = start(&[pair("good", ""), demanding("good", ""), vec![option]].concat());
    let (chain, ca) = (std::fs::read(fixture("good", "cert.pem")).unwrap(), fixture("good", "ca.pem"));
    let ca = std::fs::read(ca).unwrap();
    let cases = [
        ("in PEM", list("listed"), Verdict::Accept),
        ("in DER", der("listed"), Verdict::Accept),
        ("in PEM, of the client", list("revoked"), Verdict::Reject),
        ("in DER, of the client", der("revoked"), Verdict::Reject),
        ("out of date", list("stale-crl"), Verdict::Accept),
        ("out of date, of the client", list("stale-revoked"), Verdict::Reject),
        ("another CA's", list("foreign-crl"), Verdict::Accept),
        ("another CA's, of the client's serial", list("foreign-revoked"), Verdict::Reject),
        ("two, the second of the client", [list("listed"), list("revoked")].concat(), Verdict::Accept),
        ("two, the first of the client", [list("revoked"), list("listed")].concat(), Verdict::Reject),
        ("two in DER", [der("listed"), der("listed")].concat(), Verdict::Reject),
    ];
    for (what, bytes, expected) in cases {
        place(&bytes);
        let crl = CrlFile::found("list", Some(&bytes), release.parse().ok());
        let request = Request { crl: Some(&crl), ..Request::new(&chain, &ca, Role::Client) };
        let judgement = judge(&request);
        assert_eq!(judgement.verdict, expected, "{release}, {what}: {:?}", judgement.findings);
        let before = etcd.log().len();
        let answered = dial("good", etcd.client_port, "127.0.0.1").contains("etcdserver");
        assert_eq!(answered, expected == Verdict::Accept, "{release}, {what}: {}", etcd.log());
        if !answered {
            let words = judgement.findings[0].etcd_says.clone().unwrap();
            says_after(&etcd, before, &words);
        }
    }
}

fn says_after(etcd: &Etcd, before: usize, words: &str) {
    for _ in 0..200 {
        if etcd.log()[before..].contains(words) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{words:?} is not in the log:\n{}", &etcd.log()[before..]);
}

/// GHSA-3wh4-j44w-pg92: beside HTTP ports of its own, a client port lets a revoked client in.
pub fn a_grpc_only_port_checks_no_list() {
    // The etcd before has no such option.
    if go().is_none_or(|go| go < GoVersion::new(24, 0)) {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let pki = top.path().join("pki");
    let in_pki = |words: &[&str]| {
        let mut tool = command(env!("CARGO_BIN_EXE_etcd-pki"));
        let output = tool.args(words).arg("--pki-dir").arg(&pki).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
    };
    for words in [
        &["init-ca"][..],
        &["issue", "m1"],
        &["issue", "bad", "--profile", "client"],
        &["revoke", "bad"],
        &["crl"],
    ] {
        in_pki(words);
    }
    let at = |file: &str| pki.join(file);
    let http = free_port();
    let files = [at("m1.pem"), at("m1-key.pem"), at("ca.pem")];
    let settings = [
        ("ETCD_CLIENT_CERT_AUTH", "true".to_owned()),
        ("ETCD_CLIENT_CRL_FILE", at("crl.pem").display().to_string()),
        ("ETCD_LISTEN_CLIENT_HTTP_URLS", format!("https://127.0.0.1:{http}")),
    ];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let member = Member::start(top.path(), &files.each_ref().map(|file| file.as_path()), &settings);
    let with_bad = |mut client: std::process::Command, names: [&str; 3]| {
        for (option, file) in names.iter().zip(["ca.pem", "bad.pem", "bad-key.pem"]) {
            client.arg(option).arg(at(file));
        }
        client
    };
    let mut client = with_bad(etcdctl(), ["--cacert", "--cert", "--key"]);
    client.env("ETCDCTL_API", "3").args(["--endpoints", &member.client, "put", "a", "b"]);
    let said = output_of(client);
    assert!(said.contains("OK"), "the revoked client is let in over gRPC: {said}");
    let mut client = with_bad(command("curl"), ["--cacert", "--cert", "--key"]);
    client.args(["-sS", "--max-time", "5", &format!("https://127.0.0.1:{http}/version")]);
    let said = output_of(client);
    assert!(!said.contains("etcdserver"), "over HTTP it is not: {said}");

    let document = member.judged();
    let results = document["results"].as_array().unwrap();
    let configuration = results.iter().find(|one| one["role"] == "configuration").unwrap();
    let findings = configuration["findings"].as_array().unwrap();
    let finding = findings.iter().find(|one| one["code"] == Code::CrlNotChecked.to_string());
    let finding = finding.unwrap_or_else(|| panic!("{document}"));
    let message = finding["message"].as_str().unwrap();
    assert!(message.contains("GHSA-3wh4-j44w-pg92") && message.contains(&release()), "{finding}");
    // The list works here, and not after an upgrade.
    let pem = findings.iter().find(|one| one["code"] == Code::BrokenCrl.to_string());
    let pem = pem.unwrap_or_else(|| panic!("{document}"));
    assert_eq!((&pem["severity"], &configuration["verdict"]), (&"warning".into(), &"accept".into()), "{pem}");
    // `verify --connect` sees it as a client does.
    let ca = at("ca.pem").display().to_string();
    let document = connect(&member.client, &ca, &at("bad.pem"), &["--crl", &path("listed", "crl.pem")]);
    assert_eq!(document["verdict"], "accept", "{document}");
    is_shown(Code::CrlNotChecked);
}

fn connect(address: &str, ca: &str, cert: &Path, more: &[&str]) -> Value {
    let cert = cert.display().to_string();
    let key = if cert.ends_with("/cert.pem") {
        cert.replace("cert.pem", "key.pem")
    } else {
        cert.replace(".pem", "-key.pem")
    };
    let words = ["verify", "--json", "--connect", address, "--ca", ca, "--cert", &cert, "--key", &key];
    tool(&[&words, more].concat())
}

/// A client that the server refuses after the handshake sees a close, and no reason.
pub fn a_close_without_an_alert() {
    if go().is_none() {
        return;
    }
    let option = format!("--client-crl-file={}", path("revoked", "crl.pem"));
    let etcd = start(&[pair("good", ""), demanding("good", ""), vec![option]].concat());
    let address = format!("127.0.0.1:{}", etcd.client_port);
    let refused = |more: &[&str]| {
        let document = connect(&address, &path("good", "ca.pem"), &fixture("good", "cert.pem"), more);
        let findings = document["results"][0]["findings"].as_array().unwrap().clone();
        let about = |one: &&Value| one["message"].as_str().unwrap().contains("asks its clients");
        findings.iter().find(about).unwrap_or_else(|| panic!("{document}")).clone()
    };
    let said = refused(&[]);
    assert_eq!(said["code"], Code::ClosedWithoutAlert.to_string(), "{said}");
    assert!(said["message"].as_str().unwrap().contains("revocation list"), "{said}");
    assert!(etcd.log_says("revoked"), "{}", etcd.log());
    // Who knows the list knows why.
    let said = refused(&["--crl", &path("revoked", "crl.pem"), "--etcd-version", "3.5"]);
    assert_eq!(said["code"], Code::Revoked.to_string(), "{said}");
    is_shown(Code::ClosedWithoutAlert);
}
