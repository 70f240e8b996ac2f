//! Bad input: one clear line, a hint, the right exit code, nothing changed.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Bench, openssl, text};

#[test]
fn names_and_addresses_that_cannot_be_are_refused() {
    let bench = Bench::new();
    let before = bench.snapshot();
    for (args, words) in [
        (&["issue", "a/b"][..], "NAME \"a/b\": a name has no slash"),
        (&["issue", ".."], "NAME \"..\""),
        (&["issue", ".hidden"], "NAME \".hidden\""),
        (&["issue", "--", "-x"], "NAME \"-x\""),
        (&["issue", "ca"], "the CA's own"),
        (&["issue", "x-key"], "ends in -key"),
        (&["issue", "a b"], "NAME \"a b\""),
        (&["issue", "a", "A"], "asked for twice"),
        (&["issue", "a", "--ip", "10.0.0.256"], "IP address \"10.0.0.256\""),
        (&["issue", "a", "--ip", "0.0.0.0"], "nobody can dial it"),
        (&["issue", "a", "--ip", "10.0.0.1:2379"], "not an IP address"),
        (&["issue", "a", "--dns", "10.0.0.1"], "this is an address"),
        (&["issue", "a", "--dns", "bücher.example"], "outside ASCII"),
        (&["issue", "a", "--dns", "https://x"], "no scheme"),
        (&["issue", "a", "b", "--ip", "10.0.0.1"], "several names"),
        (&["issue", "a", "--days", "0"], "--days \"0\""),
        (&["issue", "a", "--only-given-names"], "valid for no name"),
        (&["issue", "--from", "nope.toml"], "cannot read nope.toml"),
    ] {
        bench.run(args).refused(2, words);
        assert_eq!(bench.snapshot(), before, "{args:?}");
    }
    let ran = bench.run(&["issue", "a", "--key-type", "p265"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("p256"), "did you mean: {ran:?}");
}

#[test]
fn a_ca_is_asked_for_sensibly() {
    let bench = Bench::empty();
    for (args, words) in [
        (&["init-ca", "--days", "0"][..], "--days"),
        (&["init-ca", "--name", ""], "--name"),
        (&["init-ca", "--permit-ip", "10.0.0.1/8"], "bits are set beyond the mask"),
        (&["init-ca", "--permit-ip", "x"], "address range"),
        (&["init-ca", "--permit-dns", "*.example.com"], "a star"),
    ] {
        bench.run(args).refused(2, words);
        assert!(!bench.pki().exists(), "{args:?}");
    }
}

#[test]
fn a_ca_that_cannot_be_used_is_refused_with_the_way_out() {
    let bench = Bench::new();
    let other = Bench::new();
    let issue = || bench.run(&["issue", "server1"]);
    let key = bench.file("ca-key.pem");
    let kept = std::fs::read(&key).unwrap();

    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = issue().refused(1, "can be read by others (mode 0644)");
    assert!(ran.err.contains("chmod 600"), "{ran:?}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();

    std::fs::write(&key, std::fs::read(other.file("ca-key.pem")).unwrap()).unwrap();
    issue().refused(1, "is not the key of");
    std::fs::write(&key, "").unwrap();
    let ran = issue();
    assert!(ran.code == Some(2) && ran.err.contains("holds no private key"), "{ran:?}");
    std::fs::write(&key, kept).unwrap();

    issue().ok();
    std::fs::copy(bench.file("server1.pem"), bench.file("ca.pem")).unwrap();
    std::fs::copy(bench.file("server1-key.pem"), bench.file("ca-key.pem")).unwrap();
    adopt(&bench);
    bench.run(&["issue", "server2"]).refused(1, "not a CA that may sign: its basicConstraints say CA:FALSE");
    std::fs::remove_file(bench.file("ca.pem")).unwrap();
    bench.run(&["issue", "server2"]).refused(2, "holds no certificate authority: ca.pem is not there");
}

#[test]
fn an_expired_ca_and_one_of_the_future_are_told_apart() {
    for (days, words) in [("-1", "expired on"), ("1", "is valid only from")] {
        let bench = Bench::new();
        let (ca, key) = (bench.file("ca.pem"), bench.file("ca-key.pem"));
        let start = if days == "-1" { "20200101000000Z" } else { "20900101000000Z" };
        let end = if days == "-1" { "20210101000000Z" } else { "20910101000000Z" };
        // openssl x509 has no start date in 3.0, openssl ca has.
        let config = bench.root().join("ca.cnf");
        let dir = bench.root().display();
        std::fs::write(bench.root().join("index.txt"), "").unwrap();
        std::fs::write(&config, format!(
            "[ca]\ndefault_ca=d\n[d]\ndatabase={dir}/index.txt\nnew_certs_dir={dir}\nrand_serial=yes\ndefault_md=sha256\npolicy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n[req]\ndistinguished_name=n\n[n]\n[e]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
        )).unwrap();
        let csr = bench.root().join("ca.csr");
        openssl(&[
            "req",
            "-new",
            "-key",
            text(&key),
            "-subj",
            "/CN=old",
            "-config",
            text(&config),
            "-out",
            text(&csr),
        ]);
        openssl(&[
            "ca",
            "-batch",
            "-notext",
            "-selfsign",
            "-keyfile",
            text(&key),
            "-config",
            text(&config),
            "-in",
            text(&csr),
            "-startdate",
            start,
            "-enddate",
            end,
            "-out",
            text(&ca),
        ]);
        adopt(&bench);
        bench.run(&["issue", "server1"]).refused(1, words);
    }
}

/// The CA that is there becomes the directory's own.
fn adopt(bench: &Bench) {
    std::fs::remove_file(bench.file("ledger.jsonl")).unwrap();
    bench.run(&["list", "--rebuild"]).ok();
}

#[test]
fn a_directory_that_cannot_be_written_is_said_so() {
    let bench = Bench::new();
    // Root may write anywhere, so the place is taken by a file, which nobody can write into.
    let file = bench.root().join("file");
    std::fs::write(&file, "").unwrap();
    let ran = bench.run(&["--pki-dir", text(&file), "init-ca"]);
    assert!(matches!(ran.code, Some(1 | 2)) && ran.err.contains("file"), "{ran:?}");
    let ran = bench.run(&["--pki-dir", "/proc/etcd-pki", "init-ca"]);
    assert!(ran.code == Some(1) && ran.err.contains("/proc/etcd-pki"), "{ran:?}");
    let ran = bench.run(&["--pki-dir", text(&bench.root().join("nowhere")), "issue", "a"]);
    assert!(ran.code == Some(2) && ran.err.contains("init-ca"), "{ran:?}");
}

#[test]
fn with_json_a_failure_is_one_document() {
    let bench = Bench::new();
    let ran = bench.run(&["issue", "a/b", "--json"]);
    let error = &ran.json()["error"];
    assert_eq!((ran.code, &error["code"]), (Some(2), &"bad-value".into()));
    assert!(error["hint"].is_string() && error["message"].is_string());
    assert!(ran.err.is_empty(), "{ran:?}");
}

#[test]
fn a_link_in_the_place_of_a_file_is_not_followed() {
    let bench = Bench::new();
    let victim = bench.root().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, bench.file("server1.pem")).unwrap();
    let ran = bench.run(&["issue", "server1"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let ran = bench.run(&["issue", "server1", "--force"]);
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
}
