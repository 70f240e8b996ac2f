//! Cures name what is at fault: the certificate of the chain, the CA that is trusted, the file that is in the wrong place.

use std::path::Path;
use std::process::Output;

use etcd_pki::host::command::command;
use serde_json::Value;

use super::command_lines::{filled, in_prose};
use crate::verify;

const TOOL: &str = env!("CARGO_BIN_EXE_etcd-pki");

fn tool(dir: &Path, args: &[&str]) -> Output {
    command(TOOL).current_dir(dir).args(args).output().unwrap()
}

fn done(dir: &Path, args: &[&str]) -> String {
    let output = tool(dir, args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {said}");
    said
}

/// The finding of a code, where there is one.
fn finding(document: &Value, code: &str) -> Option<(String, String)> {
    let results = document["results"].as_array().unwrap().iter();
    let mut findings = results.flat_map(|result| result["findings"].as_array().unwrap());
    let found = findings.find(|finding| finding["code"] == code)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Some((text("message"), text("fix")))
}

fn found(dir: &Path, args: &[&str], code: &str) -> (String, String) {
    let output = tool(dir, args);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    finding(&document, code).unwrap_or_else(|| panic!("{args:?}: no {code} in {document}"))
}

#[test]
fn an_intermediate_that_leaves_a_usage_out_is_named_and_the_leaf_is_not_issued_again() {
    for (role, code) in [("client", "EP001"), ("server", "EP002")] {
        let (_, document) = verify("eku-inter", &["--role", role]);
        let (message, fix) = finding(&document, code).unwrap();
        assert!(message.contains("CN=Intermediate eku-inter, an intermediate"), "{message}");
        assert!(message.contains("clientAuth"), "{message}");
        assert!(fix.contains("make O=Fixtures, CN=Intermediate eku-inter again"), "{fix}");
        assert!(in_prose(&fix).is_empty() && !fix.contains("--force"), "{fix}");
    }
    // What the catalogue says of a whole log, where no chain is at hand.
    for code in ["EP001", "EP002", "EP003"] {
        let output = tool(Path::new("."), &["explain", code, "--json"]);
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let fix = document["causes"][0]["fix"].as_str().unwrap();
        assert!(fix.contains("No certificate of the chain may leave"), "{fix}");
    }
}

#[test]
fn a_ca_that_leaves_a_usage_out_is_adopted_with_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let authorities = crate::verify_support::fixtures().join("authorities");
    let import = |name: &str, pki: &str| {
        let (cert, key) = (authorities.join(format!("{name}.pem")), authorities.join(format!("{name}.key")));
        let paths = [cert, key].map(|path| path.display().to_string());
        done(dir.path(), &["import-ca", "--pki-dir", pki, "--cert", &paths[0], "--key", &paths[1]])
    };
    let said = import("eku-ca", "narrow");
    assert!(said.contains("CN=Server CA leave out clientAuth"), "{said}");
    assert_eq!(import("ca", "sound"), "");
}

#[test]
fn a_cure_does_not_issue_from_the_pki_directory_of_another_ca() {
    let dir = tempfile::tempdir().unwrap();
    for pki in ["mine", "other"] {
        done(dir.path(), &["--pki-dir", pki, "init-ca"]);
    }
    done(dir.path(), &["--pki-dir", "mine", "issue", "m1", "--ip", "10.0.0.1"]);
    let args = |pki| {
        ["--json", "--pki-dir", pki, "verify", "mine/m1.pem", "--ca", "mine/ca.pem", "--host", "10.0.0.2"]
    };
    let (_, fix) = found(dir.path(), &args("mine"), "EP005");
    assert_eq!(fix, "etcd-pki --pki-dir mine issue m1 --ip 10.0.0.1 --ip 10.0.0.2 --force");
    let (_, fix) = found(dir.path(), &args("other"), "EP005");
    assert_eq!(fix, "etcd-pki --pki-dir DIR issue m1 --ip 10.0.0.1 --ip 10.0.0.2 --force");
    let (_, fix) = found(
        dir.path(),
        &[
            "--json",
            "--pki-dir",
            "other",
            "verify",
            "mine/m1.pem",
            "--ca",
            "mine/ca.pem",
            "--expires-within",
            "2y",
        ],
        "EP101",
    );
    assert!(fix.starts_with("etcd-pki --pki-dir DIR renew m1"), "{fix}");
}

#[test]
fn a_cure_proposes_no_name_that_the_cas_constraints_forbid() {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), &["init-ca", "--permit-ip", "10.0.0.0/8", "--permit-dns", "etcd.test"]);
    done(dir.path(), &["issue", "m1", "--ip", "10.0.0.1"]);
    let fix_for =
        |host| found(dir.path(), &["--json", "verify", "m1", "--role", "server", "--host", host], "EP005").1;
    assert_eq!(fix_for("10.0.0.2"), "etcd-pki issue m1 --ip 10.0.0.1 --ip 10.0.0.2 --force");
    assert_eq!(fix_for("m1.etcd.test"), "etcd-pki issue m1 --ip 10.0.0.1 --dns m1.etcd.test --force");
    for host in ["172.16.0.1", "m1.example.com"] {
        let fix = fix_for(host);
        assert!(fix.starts_with(&format!("the CA's name constraints forbid {host}: ")), "{fix}");
        // What is proposed is another CA, in another directory.
        let line = in_prose(&fix)[0];
        assert!(line.matches("--pki-dir ./pki-new").count() == 2 && !line.contains("--force"), "{fix}");
    }
    let pem = |name: &str| dir.path().join("pki").join(name);
    // The same where the names are in the certificate already, signed by a CA without constraints.
    done(dir.path(), &["--pki-dir", "wide", "init-ca"]);
    done(dir.path(), &["--pki-dir", "wide", "issue", "m2", "--ip", "172.16.0.1", "--ip", "10.0.0.2"]);
    for file in ["m2.pem", "m2-key.pem"] {
        std::fs::copy(dir.path().join("wide").join(file), pem(file)).unwrap();
    }
    let (_, fix) = found(dir.path(), &["--json", "verify", "m2", "--role", "server"], "EP017");
    assert_eq!(in_prose(&fix), ["etcd-pki issue m2 --ip 10.0.0.2 --force"], "{fix}");
}

#[test]
fn a_ca_that_has_ended_is_replaced_before_anything_is_issued_again() {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), &["init-ca", "--intermediate", "--days", "3650"]);
    done(dir.path(), &["issue", "m1", "--ip", "10.0.0.1"]);
    let after = |years: i64| {
        let time = time::OffsetDateTime::now_utc() + time::Duration::days(365 * years);
        let at = time.format(&time::format_description::well_known::Rfc3339).unwrap();
        found(dir.path(), &["--json", "verify", "m1", "--role", "server", "--at", &at], "EP012").1
    };
    // A year on, the pair; six years on, the intermediate too; eleven years on, everything.
    assert_eq!(after(2), "etcd-pki renew m1");
    let fix = after(6);
    assert_eq!(
        in_prose(&fix),
        ["etcd-pki init-ca --intermediate --renew && etcd-pki issue m1 --ip 10.0.0.1 --force"],
        "{fix}"
    );
    let fix = after(11);
    assert_eq!(
        in_prose(&fix),
        ["etcd-pki --pki-dir ./pki-new init-ca && etcd-pki --pki-dir ./pki-new issue m1 --ip 10.0.0.1"],
        "{fix}"
    );
    assert!(fix.contains("`cat ./pki-new/ca.pem ./pki/ca.pem`"), "{fix}");
}

#[test]
fn a_key_in_another_pairs_place_is_named() {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), &["init-ca"]);
    done(dir.path(), &["issue", "m1", "m2"]);
    let file = |name: &str| dir.path().join("pki").join(name);
    std::fs::copy(file("m1-key.pem"), file("kept-key.pem")).unwrap();
    std::fs::copy(file("m2-key.pem"), file("m1-key.pem")).unwrap();
    let (message, fix) = found(dir.path(), &["--json", "verify", "m1", "--role", "server"], "EP008");
    assert!(message.ends_with("; it is the key of ./pki/m2.pem"), "{message}");
    assert!(fix.ends_with("or issue a new pair: `etcd-pki issue m1 --force`"), "{fix}");
    // Where both keys are in each other's place, the right one is named too.
    std::fs::rename(file("kept-key.pem"), file("m2-key.pem")).unwrap();
    let (message, fix) = found(dir.path(), &["--json", "verify", "m1", "--role", "server"], "EP008");
    assert!(message.ends_with("; this certificate's key is ./pki/m2-key.pem"), "{message}");
    assert_eq!(fix, "put ./pki/m2-key.pem in its place");
}

#[test]
fn an_empty_key_is_called_empty_and_one_of_auto_tls_is_made_by_etcd() {
    let dir = tempfile::tempdir().unwrap();
    let run = |program: &str, args: &[&str]| {
        assert!(command(program).current_dir(dir.path()).args(args).output().unwrap().status.success());
    };
    // As etcd makes it: signed by itself, with the organization "etcd".
    run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
            "-subj",
            "/O=etcd",
            "-addext",
            "extendedKeyUsage=serverAuth,clientAuth",
        ],
    );
    std::fs::write(dir.path().join("key.pem"), "").unwrap();
    let args = ["--json", "verify", "cert.pem", "--key", "key.pem", "--ca", "cert.pem", "--role", "server"];
    let (message, fix) = found(dir.path(), &args, "EP010");
    assert!(message.starts_with("the key file is empty") && message.contains("--auto-tls"), "{message}");
    assert_eq!(in_prose(&fix), [""; 0]);
    assert!(fix.ends_with("`rm cert.pem key.pem`"), "{fix}");
    done(dir.path(), &["init-ca"]);
    done(dir.path(), &["issue", "m1"]);
    std::fs::write(dir.path().join("pki/m1-key.pem"), "").unwrap();
    let (message, fix) = found(dir.path(), &["--json", "verify", "m1", "--role", "server"], "EP010");
    assert_eq!((message.as_str(), fix.as_str()), ("the key file is empty", "etcd-pki issue m1 --force"));
}

#[test]
fn the_command_that_csr_names_signs_what_it_wrote() {
    let dir = tempfile::tempdir().unwrap();
    for (pki, more) in
        [("a ca's dir", &[][..]), ("a ca's dir", &["--profile", "client"]), ("node", &["--profile", "proxy"])]
    {
        if pki != "node" && more.is_empty() {
            done(dir.path(), &["--pki-dir", pki, "init-ca"]);
        }
        let name = format!("m{}", more.len() + pki.len());
        let mut args = vec!["--pki-dir", pki, "csr", &name, "--ip", "10.0.0.1", "--dns", "m.etcd.test"];
        args.extend(more);
        let said = done(dir.path(), &args);
        // And nothing of a run that was interrupted.
        assert_eq!(said.lines().count(), 1, "{said}");
        let line = said.trim().rsplit_once("sign it").unwrap().1.split_once(": ").unwrap().1;
        assert!(
            line.contains(&format!("{name}.csr")) && line.contains(pki.split('\'').next().unwrap()),
            "{said}"
        );
        let path = Path::new(TOOL).parent().unwrap().display().to_string();
        let line = filled(line).replace("--pki-dir DIR", "--pki-dir \"a ca's dir\"");
        let pasted = command("bash")
            .env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap()))
            .current_dir(dir.path())
            .args(["-c", &line])
            .output()
            .unwrap();
        assert!(pasted.status.success(), "{line}: {}", String::from_utf8_lossy(&pasted.stderr));
        let signed = dir.path().join("a ca's dir").join(format!("{name}.pem"));
        assert!(signed.exists(), "{line}");
    }
}

#[test]
fn the_check_of_peers_addresses_is_left_out_under_the_name_of_each_release() {
    let (_, document) = verify("far-peer", &["--role", "peer", "--source-ip", "10.9.9.9"]);
    let (_, fix) = finding(&document, "EP034").unwrap();
    assert!(fix.contains("--ip 10.9.9.9") && !fix.contains("skip-client-san"), "{fix}");
    let page = String::from_utf8(tool(Path::new("."), &["explain", "EP034"]).stdout).unwrap();
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains("3.7 does not start with that name"), "{page}");
}
