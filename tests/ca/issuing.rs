//! init-ca and issue: the files, their modes, what is printed, what is never overwritten.

use crate::support::{Bench, belong_together, mode, openssl, text};

#[test]
fn init_ca_makes_three_files_in_a_directory_of_its_own() {
    let bench = Bench::empty();
    let ran = bench.run(&["init-ca", "--name", "prod etcd CA", "--json"]).ok();
    assert_eq!(ran.json()["name"], "prod etcd CA");
    assert_eq!(mode(&bench.pki()), 0o700);
    assert_eq!(mode(&bench.file("ca.pem")), 0o644);
    assert_eq!(mode(&bench.file("ca-key.pem")), 0o600);
    assert!(belong_together(&bench.file("ca.pem"), &bench.file("ca-key.pem")));
    assert_eq!((bench.ledger().len(), &bench.ledger()[0]["event"]), (1, &"init".into()));
    let seen = openssl(&["x509", "-in", text(&bench.file("ca.pem")), "-noout", "-text"]);
    for words in
        ["CA:TRUE, pathlen:0", "Key Usage: critical", "Certificate Sign, CRL Sign", "CN = prod etcd CA"]
    {
        assert!(seen.contains(words), "{words} is not in {seen}");
    }
}

#[test]
fn a_second_ca_is_refused_and_nothing_changes() {
    let bench = Bench::new();
    let before = bench.snapshot();
    bench.run(&["init-ca"]).refused(1, "ca-key.pem already exists".trim_start_matches("ca-key.pem "));
    assert_eq!(bench.snapshot(), before);
}

#[test]
fn one_pair_is_everything_a_member_needs_and_every_name_is_printed() {
    let bench = Bench::new();
    let ran = bench.run(&["issue", "server1", "--ip", "172.16.0.101", "--dns", "etcd1.example.com"]).ok();
    for name in
        ["IP:172.16.0.101", "DNS:etcd1.example.com", "DNS:server1", "DNS:localhost", "IP:127.0.0.1", "IP:::1"]
    {
        assert!(ran.out.lines().any(|line| line.trim() == name), "{name} is not in {ran:?}");
    }
    assert!(ran.out.contains("expires 20"), "{ran:?}");
    let (cert, key) = (bench.file("server1.pem"), bench.file("server1-key.pem"));
    assert_eq!((mode(&cert), mode(&key)), (0o644, 0o600));
    assert!(belong_together(&cert, &key));
    let seen = openssl(&["x509", "-in", text(&cert), "-noout", "-text"]);
    for words in [
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "Key Usage: critical\n                Digital Signature\n",
        "Basic Constraints: critical\n                CA:FALSE",
        "Subject Key Identifier",
        "Authority Key Identifier",
    ] {
        assert!(seen.contains(words), "{words} is not in {seen}");
    }
    assert!(!bench.file(".pending").exists());
}

#[test]
fn only_given_names_leaves_the_defaults_out() {
    let bench = Bench::new();
    let ran = bench.run(&["issue", "server1", "--ip", "172.16.0.101", "--only-given-names", "--json"]).ok();
    assert_eq!(ran.json()["issued"][0]["sans"], serde_json::json!(["IP:172.16.0.101"]));
}

#[test]
fn an_rsa_key_may_encipher_and_an_ec_key_may_not() {
    let bench = Bench::new();
    bench.run(&["issue", "a", "--key-type", "rsa2048"]).ok();
    bench.run(&["issue", "b", "--key-type", "p384"]).ok();
    let usage = |name: &str| openssl(&["x509", "-in", text(&bench.file(name)), "-noout", "-ext", "keyUsage"]);
    assert!(usage("a.pem").contains("Digital Signature, Key Encipherment"));
    assert!(!usage("b.pem").contains("Encipherment"));
}

#[test]
fn a_proxy_has_an_organization_and_no_common_name() {
    let bench = Bench::new();
    bench.run(&["issue", "proxy1", "--profile", "proxy", "--ip", "172.16.0.9"]).ok();
    let seen = openssl(&[
        "x509",
        "-in",
        text(&bench.file("proxy1.pem")),
        "-noout",
        "-subject",
        "-ext",
        "subjectAltName",
    ]);
    assert!(seen.contains("subject=O = proxy1") && !seen.contains("CN"), "{seen}");
    assert!(seen.contains("IP Address:172.16.0.9") && !seen.contains("127.0.0.1"), "{seen}");
}

#[test]
fn an_existing_name_is_left_alone_and_force_keeps_the_old_pair() {
    let bench = Bench::new();
    bench.run(&["issue", "server1"]).ok();
    let before = bench.snapshot();
    bench.run(&["issue", "server2", "server1"]).refused(1, "server1.pem already exists");
    assert_eq!(bench.snapshot(), before, "server2 was not issued either");
    bench.run(&["issue", "server1", "--force"]).ok();
    bench.run(&["issue", "server1", "--force"]).ok();
    for suffix in ["", ".1", ".2"] {
        let (cert, key) =
            (bench.file(&format!("server1.pem{suffix}")), bench.file(&format!("server1-key.pem{suffix}")));
        assert!(belong_together(&cert, &key), "{suffix}");
        assert_eq!(mode(&key), 0o600);
    }
    let serials: std::collections::HashSet<String> =
        bench.ledger().iter().map(|line| line["serial"].to_string()).collect();
    assert_eq!(serials.len(), 4);
}

#[test]
fn a_leaf_ends_with_its_ca_and_it_is_said() {
    let bench = Bench::empty();
    bench.run(&["init-ca", "--days", "10"]).ok();
    let ran = bench.run(&["issue", "server1"]).ok();
    assert!(ran.err.contains("cut short"), "{ran:?}");
    let end = |file: &str| openssl(&["x509", "-in", text(&bench.file(file)), "-noout", "-enddate"]);
    assert_eq!(end("server1.pem"), end("ca.pem"));
}

#[test]
fn a_dry_run_says_what_it_would_do_and_changes_nothing() {
    let bench = Bench::new();
    let before = bench.snapshot();
    let ran = bench.run(&["issue", "server1", "--ip", "10.0.0.1", "--dry-run", "--json"]).ok();
    assert_eq!(ran.json()["would_issue"][0]["sans"][0], "IP:10.0.0.1");
    assert_eq!(bench.snapshot(), before);
}

#[test]
fn a_template_of_ones_own_takes_the_place_of_the_built_in_one() {
    let bench = Bench::new();
    std::fs::create_dir(bench.file("templates")).unwrap();
    let template = "usages = [\"client-auth\"]\ndays = 7\nkey-type = \"ed25519\"\n[subject]\ncommon-name = \"{name}\"\norganization = \"ops\"\n";
    std::fs::write(bench.file("templates/backup.toml"), template).unwrap();
    let ran = bench.run(&["issue", "nightly", "--profile", "backup", "--json"]).ok();
    assert_eq!(ran.json()["issued"][0]["key_type"], "ed25519");
    let seen = openssl(&[
        "x509",
        "-in",
        text(&bench.file("nightly.pem")),
        "-noout",
        "-subject",
        "-ext",
        "extendedKeyUsage",
    ]);
    assert!(seen.contains("O = ops, CN = nightly") && seen.contains("TLS Web Client"), "{seen}");
    bench.run(&["issue", "x", "--profile", "nope"]).refused(2, "there is no profile \"nope\"");
    let hint = bench.run(&["issue", "x", "--profile", "nope"]).err;
    assert!(hint.contains("backup, client, peer, proxy, server"), "{hint}");
}

#[test]
fn a_constrained_ca_signs_what_it_may_and_refuses_the_rest_before_signing() {
    let bench = Bench::empty();
    bench.run(&["init-ca", "--permit-ip", "172.16.0.0/24", "--permit-dns", "example.com"]).ok();
    let seen = openssl(&["x509", "-in", text(&bench.file("ca.pem")), "-noout", "-text"]);
    assert!(seen.contains("Name Constraints: critical"), "{seen}");
    let before = bench.snapshot();
    bench.run(&["issue", "a", "--ip", "10.0.0.1"]).refused(1, "the CA may not certify IP:10.0.0.1");
    bench.run(&["issue", "a", "--dns", "example.org"]).refused(1, "the CA may not certify DNS:example.org");
    assert_eq!(bench.snapshot(), before);
    let ran = bench.run(&["issue", "a", "--ip", "172.16.0.5", "--dns", "a.example.com"]).ok();
    assert!(ran.err.contains("DNS:a is left out"), "{ran:?}");
    let (ca, cert) = (bench.file("ca.pem"), bench.file("a.pem"));
    openssl(&["verify", "-x509_strict", "-CAfile", text(&ca), "-verify_ip", "127.0.0.1", text(&cert)]);
}

#[test]
fn every_kind_of_name_and_of_subject_field_is_certified() {
    let bench = Bench::new();
    let names = [
        "--ip",
        "fd00::1",
        "--dns",
        "*.example.com",
        "--uri",
        "spiffe://example.com/etcd",
        "--email",
        "ops@example.com",
    ];
    bench.run(&[&["issue", "all", "--key-type", "rsa2048", "--only-given-names"], &names[..]].concat()).ok();
    let seen = openssl(&["x509", "-in", text(&bench.file("all.pem")), "-noout", "-text"]);
    for words in [
        "DNS:*.example.com, IP Address:FD00:0:0:0:0:0:0:1, URI:spiffe://example.com/etcd, email:ops@example.com",
        "Public-Key: (2048 bit)",
        "Key Usage: critical\n                Digital Signature, Key Encipherment\n",
    ] {
        assert!(seen.contains(words), "{words} is not in {seen}");
    }
    let template = "usages = [\"client-auth\"]\ndays = 12\nkey-type = \"p384\"\ndefault-names = [\"{name}.example.com\", \"10.0.0.7\"]\n\
        [subject]\ncommon-name = \"{name}\"\norganization = \"Org\"\norganizational-unit = \"Unit\"\ncountry = \"DE\"\nstate = \"BE\"\nlocality = \"Berlin\"\n";
    std::fs::write(bench.root().join("mine.toml"), template).unwrap();
    bench.run(&["issue", "t", "--template", "mine.toml"]).ok();
    let seen = openssl(&["x509", "-in", text(&bench.file("t.pem")), "-noout", "-text"]);
    for words in [
        "C = DE, ST = BE, L = Berlin, O = Org, OU = Unit, CN = t",
        "DNS:t.example.com, IP Address:10.0.0.7",
        "secp384r1",
    ] {
        assert!(seen.contains(words), "{words} is not in {seen}");
    }
}

#[test]
fn a_cas_end_and_path_length_are_as_asked_for() {
    let bench = Bench::empty();
    bench.run(&["init-ca", "--not-after", "2020-01-01"]).refused(2, "it has passed");
    bench.run(&["init-ca", "--not-after", "2095-01-01T12:00:00Z", "--path-len", "2"]).ok();
    let seen = openssl(&["x509", "-in", text(&bench.file("ca.pem")), "-noout", "-text"]);
    assert!(
        seen.contains("Not After : Jan  1 12:00:00 2095") && seen.contains("CA:TRUE, pathlen:2"),
        "{seen}"
    );
    let ran = bench.run(&["init-ca", "--days", "5", "--not-after", "2095-01-01"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
}
