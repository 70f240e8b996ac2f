//! The rest of a certificate's life: request, signature, renewal, revocation, export, a lost ledger.

use std::collections::HashSet;
use std::process::Command;

use crate::common::skipped;
use crate::support::{Bench, belong_together, mode, openssl, text, tool};

fn serial(bench: &Bench, file: &str) -> String {
    let seen = openssl(&["x509", "-in", text(&bench.file(file)), "-noout", "-serial"]);
    seen.trim().trim_start_matches("serial=").to_lowercase()
}

#[test]
fn a_key_that_never_leaves_its_node_is_certified() {
    let (node, bench) = (Bench::empty(), Bench::new());
    let ran = node.run(&["csr", "node1", "--ip", "10.0.0.2"]).ok();
    assert!(!ran.err.contains("interrupted"), "it was not: {ran:?}");
    assert_eq!(mode(&node.file("node1-key.pem")), 0o600);
    let csr = node.file("node1.csr");
    openssl(&["req", "-in", text(&csr), "-verify", "-noout"]);
    let again = node.run(&["csr", "node1", "--ip", "10.0.0.2"]).ok();
    assert!(again.err.contains("nothing was changed"));
    node.run(&["csr", "node1", "--ip", "10.0.0.3"]).refused(1, "node1.csr already exists");

    let before = bench.snapshot();
    let ran = bench.run(&["sign", text(&csr)]).refused(1, "asks for IP:10.0.0.2, which nobody has confirmed");
    assert!(ran.err.contains("the request asks for DNS:node1"), "{ran:?}");
    assert_eq!(bench.snapshot(), before);
    bench.run(&["sign", text(&csr), "--ip", "10.0.0.2"]).ok();
    std::fs::copy(bench.file("node1.pem"), node.file("node1.pem")).unwrap();
    assert!(belong_together(&node.file("node1.pem"), &node.file("node1-key.pem")));
    assert!(!bench.file("node1-key.pem").exists());
    assert_eq!(bench.ledger()[1]["event"], "sign");
    let (ca, cert) = (bench.file("ca.pem"), bench.file("node1.pem"));
    openssl(&["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", text(&ca), text(&cert)]);

    // A renewal cannot make a key for somebody else: it certifies the same one again.
    bench.run(&["renew", "node1"]).ok();
    assert!(belong_together(&bench.file("node1.pem"), &node.file("node1-key.pem")));
}

#[test]
fn the_profile_decides_what_a_certificate_is_for_not_the_request() {
    let bench = Bench::new();
    let (key, csr) = (bench.root().join("k.pem"), bench.root().join("evil.csr"));
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", text(&key)]);
    openssl(&[
        "req",
        "-new",
        "-key",
        text(&key),
        "-subj",
        "/CN=evil",
        "-out",
        text(&csr),
        "-addext",
        "basicConstraints=critical,CA:TRUE",
        "-addext",
        "keyUsage=keyCertSign",
        "-addext",
        "extendedKeyUsage=codeSigning",
        "-addext",
        "subjectAltName=DNS:evil.example.com",
    ]);
    bench.run(&["sign", text(&csr), "--profile", "client", "--trust-csr-names"]).ok();
    let seen = openssl(&["x509", "-in", text(&bench.file("evil.pem")), "-noout", "-text"]);
    assert!(seen.contains("CA:FALSE") && seen.contains("TLS Web Client Authentication"), "{seen}");
    assert!(!seen.contains("Certificate Sign") && !seen.contains("Code Signing"), "{seen}");
    assert!(seen.contains("DNS:evil.example.com"), "{seen}");
}

#[test]
fn requests_that_were_tampered_with_or_have_bad_keys_are_refused() {
    let bench = Bench::new();
    let run = |key: &[&str], name: &str| {
        let (file, csr) = (bench.root().join("k.pem"), bench.root().join(format!("{name}.csr")));
        let mut args = vec!["genpkey", "-out", text(&file)];
        args.extend(key);
        openssl(&args);
        openssl(&["req", "-new", "-key", text(&file), "-subj", &format!("/CN={name}"), "-out", text(&csr)]);
        csr
    };
    let weak = run(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"], "weak");
    bench.run(&["sign", text(&weak)]).refused(1, "a key of kind rsa1024 is not certified");
    let odd = run(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"], "odd");
    bench.run(&["sign", text(&odd)]).refused(1, "is not certified");
    let good = run(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "good");
    let der = bench.root().join("good.der");
    openssl(&["req", "-in", text(&good), "-outform", "DER", "-out", text(&der)]);
    let mut bytes = std::fs::read(&der).unwrap();
    let at = bytes.windows(4).position(|part| part == b"good").unwrap();
    bytes[at] = b'f';
    std::fs::write(&der, bytes).unwrap();
    bench.run(&["sign", text(&der)]).refused(1, "the request's signature does not hold");
    bench.run(&["sign", text(&bench.file("ca.pem"))]).refused(2, "holds no certificate request");
    bench.run(&["sign", "/nonexistent.csr"]).refused(2, "cannot read");
}

#[test]
fn a_renewal_keeps_names_profile_and_life_and_the_old_pair_stays() {
    let bench = Bench::new();
    bench.run(&["issue", "c1", "--profile", "client", "--days", "40", "--key-type", "p384"]).ok();
    bench.run(&["issue", "server1", "--ip", "10.0.0.1", "--only-given-names"]).ok();
    let old = serial(&bench, "c1.pem");
    let ran = bench.run(&["renew", "c1", "--json"]).ok().json();
    let renewed = &ran["renewed"][0];
    assert_eq!((&renewed["profile"], &renewed["key_type"]), (&"client".into(), &"p384".into()));
    assert_ne!(serial(&bench, "c1.pem"), old);
    assert_eq!(serial(&bench, "c1.pem.1"), old);
    assert!(belong_together(&bench.file("c1.pem"), &bench.file("c1-key.pem")));
    assert!(belong_together(&bench.file("c1.pem.1"), &bench.file("c1-key.pem.1")));
    let key = std::fs::read(bench.file("server1-key.pem")).unwrap();
    let ran = bench.run(&["renew", "server1", "--keep-key", "--json"]).ok().json();
    assert_eq!(ran["renewed"][0]["sans"], serde_json::json!(["IP:10.0.0.1"]));
    assert_eq!(std::fs::read(bench.file("server1-key.pem")).unwrap(), key);
    let days = bench.run(&["list", "--json"]).ok().json()["certificates"][1]["expires_in_days"].as_i64();
    assert!(matches!(days, Some(39 | 40)), "{days:?}");
    bench.run(&["renew", "nobody"]).refused(1, "holds no certificate named nobody");
}

/// Signs a pair of the bench's CA with openssl, as one that began `age` days ago and ends in `left` days.
fn aged(bench: &Bench, name: &str, age: i64, left: i64) {
    let (key, request) = (bench.file(&format!("{name}-key.pem")), bench.root().join("aged.csr"));
    let config = bench.root().join("aged.cnf");
    let settings = "[ca]\ndefault_ca=d\n[d]\ndatabase=aged.txt\nnew_certs_dir=.\nrand_serial=yes\n\
                    default_md=sha256\npolicy=p\nx509_extensions=x\n[p]\ncommonName=supplied\n[x]\n\
                    extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=DNS:aged\n";
    std::fs::write(&config, settings).unwrap();
    std::fs::write(bench.root().join("aged.txt"), "").unwrap();
    let subject = format!("/CN={name}");
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", text(&key)]);
    openssl(&["req", "-new", "-key", text(&key), "-subj", &subject, "-out", text(&request)]);
    let time = |days: i64| {
        let time = time::OffsetDateTime::now_utc() + time::Duration::days(days);
        format!("{}{:02}{:02}000000Z", time.year(), u8::from(time.month()), time.day())
    };
    let (from, end, out) = (time(-age), time(left), bench.file(&format!("{name}.pem")));
    let (ca, ca_key) = (bench.file("ca.pem"), bench.file("ca-key.pem"));
    let words =
        ["ca", "-batch", "-notext", "-config", text(&config), "-cert", text(&ca), "-keyfile", text(&ca_key)];
    let more = ["-in", text(&request), "-out", text(&out), "-startdate", &from, "-enddate", &end];
    let made = Command::new("openssl").args(words).args(more).current_dir(bench.root()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn renew_all_within_takes_what_is_due_and_nothing_else() {
    let bench = Bench::new();
    aged(&bench, "short1", 12, 8);
    aged(&bench, "short2", 340, 25);
    bench.run(&["issue", "long"]).ok();
    let before = serial(&bench, "long.pem");
    let plan = bench.run(&["renew", "--all", "--within", "30d", "--dry-run", "--json"]).ok().json();
    assert_eq!(plan["would_renew"].as_array().unwrap().len(), 2);
    let ran = bench.run(&["renew", "--all", "--within", "30d", "--days", "365", "--json"]).ok().json();
    assert_eq!(ran["renewed"].as_array().unwrap().len(), 2);
    assert_eq!(serial(&bench, "long.pem"), before);
    let ran = bench.run(&["renew", "--all", "--within", "30d"]).ok();
    assert!(ran.out.contains("nothing is due"), "{ran:?}");
}

#[test]
fn a_certificate_shorter_than_the_time_is_not_renewed_on_every_run() {
    let bench = Bench::new();
    bench.run(&["issue", "short", "--days", "20"]).ok();
    let before = serial(&bench, "short.pem");
    for words in [&["renew", "--all", "--within", "30d"][..], &["renew", "short", "--within", "30d"]] {
        let ran = bench.run(words).ok();
        assert!(ran.out.contains("nothing is due"), "{ran:?}");
        assert!(
            ran.err.contains("short is not renewed yet") && ran.err.contains("half of its lifetime"),
            "{ran:?}"
        );
    }
    // Without a time it is.
    bench.run(&["renew", "short"]).ok();
    assert_ne!(serial(&bench, "short.pem"), before);
}

#[test]
fn what_was_revoked_is_on_the_list_and_openssl_refuses_it() {
    let bench = Bench::new();
    bench.run(&["issue", "a", "b", "c", "d"]).ok();
    let b = serial(&bench, "b.pem");
    bench.run(&["revoke", "a", "--reason", "key-compromise"]).ok();
    bench.run(&["revoke", &b, text(&bench.file("c.pem"))]).ok();
    let again = bench.run(&["revoke", "a"]).ok();
    assert!(again.out.contains("was revoked already"), "{again:?}");
    bench.run(&["revoke", "ca.pem"]).refused(1, "holds no certificate named ca.pem");
    bench
        .run(&["revoke", text(&bench.file("ca.pem"))])
        .refused(1, "not a certificate that this CA has issued");
    let ran = bench.run(&["crl", "--json"]).ok().json();
    assert_eq!((&ran["number"], &ran["revoked"]), (&1.into(), &3.into()));
    assert_eq!(bench.run(&["crl", "--json"]).ok().json()["number"], 2);

    let (ca, list) = (bench.file("ca.pem"), bench.file("crl.pem"));
    for (name, stands) in [("a", false), ("b", false), ("c", false), ("d", true)] {
        let cert = bench.file(&format!("{name}.pem"));
        let ran = tool(
            "openssl",
            &["verify", "-crl_check", "-CAfile", text(&ca), "-CRLfile", text(&list), text(&cert)],
        );
        assert_eq!(ran.code == Some(0), stands, "{name}: {ran:?}");
        assert!(stands || ran.err.contains("certificate revoked"), "{ran:?}");
    }
    let der = openssl(&["crl", "-inform", "DER", "-in", text(&bench.file("crl.der")), "-noout", "-text"]);
    assert!(der.contains("Key Compromise") && der.contains("X509v3 CRL Number"), "{der}");
    let seen = bench.run(&["inspect", text(&list), "--json"]).ok().json();
    assert_eq!(seen["files"][0]["items"][0]["revoked"].as_array().unwrap().len(), 3);
    let states = bench.run(&["list", "--json"]).ok().json();
    assert_eq!(states["certificates"][1]["state"], "revoked");
}

#[test]
fn a_lost_ledger_is_rebuilt_from_the_certificates() {
    let bench = Bench::new();
    bench.run(&["issue", "server1", "--ip", "10.0.0.1"]).ok();
    bench.run(&["issue", "c1", "--profile", "client"]).ok();
    bench.run(&["issue", "p1", "--profile", "proxy"]).ok();
    bench.run(&["renew", "server1"]).ok();
    bench.run(&["revoke", "c1"]).ok();
    bench.run(&["crl"]).ok();
    let facts = |bench: &Bench| -> HashSet<String> {
        let line = |line: &serde_json::Value| {
            format!("{} {} {} {}", line["name"], line["serial"], line["profile"], line["sans"])
        };
        bench.ledger().iter().filter(|line| line["sans"].is_array()).map(line).collect()
    };
    let before = facts(&bench);
    std::fs::remove_file(bench.file("ledger.jsonl")).unwrap();
    bench.run(&["issue", "x"]).refused(1, "ledger.jsonl is missing");
    let told = bench.run(&["list", "--rebuild"]).ok();
    assert!(told.err.contains("profiles are guesses") && told.out.contains("server?"), "{told:?}");
    assert_eq!(facts(&bench), before);
    let profiles = bench.run(&["list", "--json"]).ok().json();
    let of = |at: usize| profiles["certificates"][at]["profile"].as_str().unwrap().to_owned();
    assert_eq!([of(1), of(2), of(3)], ["client", "proxy", "server"]);
    assert_eq!(profiles["certificates"][1]["state"], "revoked", "the list still told it");
    assert_eq!(profiles["certificates"][1]["profile_guessed"], true);
    assert_eq!(bench.run(&["crl", "--json"]).ok().json()["number"], 2);
    let lines = bench.ledger().len();
    bench.run(&["list", "--rebuild"]).ok();
    assert_eq!(bench.ledger().len(), lines, "nothing is added twice");
    bench.run(&["issue", "x"]).ok();
}

#[test]
fn a_guessed_profile_is_the_template_that_fits_and_no_drift() {
    let bench = Bench::new();
    std::fs::create_dir(bench.file("templates")).unwrap();
    let template =
        "usages = [\"client-auth\"]\n[subject]\ncommon-name = \"{name}\"\norganization = \"ops\"\n";
    std::fs::write(bench.file("templates/backup.toml"), template).unwrap();
    bench.run(&["issue", "nightly", "--profile", "backup"]).ok();
    bench.run(&["issue", "c1", "--profile", "client"]).ok();
    let cluster = "[[member]]\nname = \"m1\"\nips = [\"10.0.0.1\"]\n[[proxy]]\nname = \"edge\"\nips = [\"10.0.0.9\"]\nkind = \"grpc\"\n";
    std::fs::write(bench.root().join("cluster.toml"), cluster).unwrap();
    bench.run(&["issue", "--from", "cluster.toml"]).ok();
    std::fs::remove_file(bench.file("ledger.jsonl")).unwrap();
    let rebuilt = bench.run(&["list", "--rebuild", "--json"]).ok().json();
    let profiles: Vec<_> =
        rebuilt["certificates"].as_array().unwrap().iter().map(|one| one["profile"].clone()).collect();
    assert_eq!(profiles, ["ca", "client", "proxy", "server", "backup"]);
    let ran = bench.run(&["issue", "--from", "cluster.toml"]).ok();
    assert!(ran.out.contains("as wanted, left alone: m1, edge"), "{ran:?}");
}

#[test]
fn exports_are_read_by_openssl_and_java() {
    let bench = Bench::empty();
    bench.run(&["init-ca", "--intermediate"]).ok();
    bench.run(&["issue", "app1", "--profile", "client"]).ok();
    let secret = bench.root().join("secret");
    std::fs::write(&secret, "sesame\n").unwrap();
    bench.run(&["export", "app1", "--format", "p12", "--passphrase-file", "secret"]).ok();
    let file = bench.root().join("app1.p12");
    assert_eq!(mode(&file), 0o600);
    let pass = format!("file:{}", text(&secret));
    let seen = openssl(&["pkcs12", "-in", text(&file), "-passin", &pass, "-nodes"]);
    assert_eq!(
        (seen.matches("BEGIN CERTIFICATE").count(), seen.matches("BEGIN PRIVATE KEY").count()),
        (3, 1)
    );
    bench
        .run(&["export", "app1", "--format", "p12", "--passphrase-file", "secret"])
        .refused(1, "already exists");
    bench.run(&["export", "app1", "--format", "p12", "--out", "x.p12"]).refused(2, "a passphrase is needed");
    bench.run(&["export", "nobody", "--format", "pem-bundle"]).refused(1, "no certificate named nobody");

    bench.run(&["export", "app1", "--format", "pem-bundle"]).ok();
    let bundle = bench.root().join("app1-bundle.pem");
    assert!(mode(&bundle) == 0o600 && belong_together(&bundle, &bundle));
    let yaml = bench
        .run(&["export", "app1", "--format", "k8s-secret", "--namespace", "prod", "--out", "-"])
        .ok()
        .out;
    assert!(yaml.contains("type: kubernetes.io/tls") && yaml.contains("  namespace: prod\n"), "{yaml}");
    let print = bench.run(&["export", "app1", "--format", "fingerprint"]).ok().out;
    assert_eq!(print.trim().len(), 64);

    if std::process::Command::new("keytool").arg("-help").output().is_err() {
        return skipped("keytool is not installed");
    }
    let ran = tool("keytool", &["-list", "-v", "-keystore", text(&file), "-storepass", "sesame"]).ok();
    assert!(
        ran.out.contains("PrivateKeyEntry") && ran.out.contains("Certificate chain length: 3"),
        "{ran:?}"
    );
}
