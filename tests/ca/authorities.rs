//! CAs with a passphrase, CAs below an offline root, CAs that other tools made.

use std::path::PathBuf;
use std::process::Command;

use crate::common::skipped;
use crate::support::{Bench, Ran, mode, openssl, text, tool};

/// A file with a passphrase in it.
fn secret(bench: &Bench, words: &str) -> String {
    let path = bench.root().join(format!("secret-{}", words.len()));
    std::fs::write(&path, format!("{words}\n")).unwrap();
    text(&path).to_owned()
}

/// OpenSSL accepts the leaf as server and client, with what its file holds below `ca.pem`.
fn is_accepted(bench: &Bench, name: &str) {
    verify(bench, name, &["-x509_strict"]);
}

fn verify(bench: &Bench, name: &str, how: &[&str]) {
    let (ca, cert) = (bench.file("ca.pem"), bench.file(&format!("{name}.pem")));
    for purpose in ["sslserver", "sslclient"] {
        let mut args = vec!["verify", "-purpose", purpose];
        args.extend(how);
        args.extend(["-CAfile", text(&ca), "-untrusted", text(&cert), text(&cert)]);
        openssl(&args);
    }
}

#[test]
fn an_encrypted_ca_key_is_read_by_openssl_and_opens_with_its_passphrase_only() {
    let bench = Bench::empty();
    let (right, wrong) = (secret(&bench, "correct horse"), secret(&bench, "wrong"));
    bench.run(&["init-ca", "--passphrase-file", &right]).ok();
    let key = bench.file("ca-key.pem");
    assert!(std::fs::read_to_string(&key).unwrap().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    openssl(&["pkey", "-in", text(&key), "-passin", &format!("file:{right}"), "-noout"]);
    let before = bench.snapshot();
    bench.run(&["issue", "server1", "--passphrase-file", &wrong]).refused(1, "the passphrase does not open");
    bench.run(&["issue", "server1"]).refused(2, "a passphrase is needed, and there is no terminal");
    bench
        .run(&["issue", "server1", "--passphrase-file", "/nonexistent"])
        .refused(2, "cannot read /nonexistent");
    assert_eq!(bench.snapshot(), before);
    bench.run(&["issue", "server1", "--passphrase-file", &right]).ok();
    is_accepted(&bench, "server1");
    let leaf = std::fs::read_to_string(bench.file("server1-key.pem")).unwrap();
    assert!(
        leaf.starts_with("-----BEGIN PRIVATE KEY-----"),
        "a leaf's key is never encrypted: etcd cannot read it"
    );
}

#[test]
fn a_passphrase_comes_through_a_descriptor_and_never_through_an_argument() {
    let bench = Bench::empty();
    let file = secret(&bench, "through a pipe");
    let run = |line: &str| -> Ran {
        let mut command = Command::new("bash");
        bench
            .prepare(&mut command)
            .args(["-c", line, env!("CARGO_BIN_EXE_etcd-pki")])
            .output()
            .unwrap()
            .into()
    };
    run(&format!("\"$0\" init-ca --passphrase-fd 7 7< {file}")).ok();
    run(&format!("\"$0\" issue server1 --passphrase-fd 5 5< <(cat {file})")).ok();
    let ran = bench.run(&["issue", "server2", "--passphrase", "through a pipe"]);
    assert_eq!(ran.code, Some(2), "there is no such option: {ran:?}");
}

#[test]
fn an_issuing_ca_below_a_root_works_when_the_roots_key_is_gone() {
    for key in ["p256", "rsa2048"] {
        let bench = Bench::empty();
        let ran = bench
            .run(&["init-ca", "--intermediate", "--key-type", key, "--permit-ip", "10.0.0.0/8", "--json"])
            .ok();
        assert!(ran.json()["issuing"]["cert"].as_str().unwrap().ends_with("issuing-ca.pem"));
        std::fs::rename(bench.file("ca-key.pem"), bench.root().join("offline.pem")).unwrap();
        bench.run(&["issue", "server1", "--ip", "10.0.0.1"]).ok();
        is_accepted(&bench, "server1");
        let file = std::fs::read_to_string(bench.file("server1.pem")).unwrap();
        assert_eq!(file.matches("BEGIN CERTIFICATE").count(), 2, "the leaf and the issuing CA");
        bench.run(&["issue", "x", "--ip", "192.168.0.1"]).refused(1, "the CA may not certify IP:192.168.0.1");
        assert_eq!(mode(&bench.file("issuing-ca-key.pem")), 0o600);
        let seen = openssl(&["x509", "-in", text(&bench.file("issuing-ca.pem")), "-noout", "-text"]);
        assert!(seen.contains("CA:TRUE, pathlen:0"), "{seen}");
    }
}

/// Imports `cert` and `key` into a new directory, issues, and asks OpenSSL.
fn import(made: &Bench, cert: &str, key: &str, more: &[&str]) -> Bench {
    let bench = Bench::empty();
    let (cert, key) = (made.root().join(cert), made.root().join(key));
    let mut args = vec!["import-ca", "--cert", text(&cert), "--key", text(&key)];
    args.extend(more);
    bench.run(&args).ok();
    let mut args = vec!["issue", "server1"];
    args.extend(more.iter().skip_while(|arg| **arg != "--passphrase-file"));
    bench.run(&args).ok();
    // Not strictly: easy-rsa's own root has basicConstraints that are not critical.
    verify(&bench, "server1", &[]);
    assert_eq!(bench.ledger()[0]["event"], "import");
    assert_eq!(mode(&bench.pki()), 0o700);
    bench
}

fn openssl_ca(bench: &Bench, key: &[&str], form: &[&str], subject: &str) {
    let (raw, file, cert) =
        (bench.root().join("raw.pem"), bench.root().join("ca.key"), bench.root().join("ca.crt"));
    let mut args = vec!["genpkey", "-out", text(&raw)];
    args.extend(key);
    openssl(&args);
    let mut args = form.to_vec();
    args.extend(["-in", text(&raw), "-out", text(&file)]);
    openssl(&args);
    openssl(&[
        "req",
        "-x509",
        "-new",
        "-key",
        text(&raw),
        "-subj",
        subject,
        "-days",
        "100",
        "-out",
        text(&cert),
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
    ]);
}

const EC: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];

#[test]
fn openssls_cas_are_adopted_in_every_form_of_key() {
    for (key, form) in [
        (EC, &["ec"][..]),
        (EC, &["pkey"]),
        (EC, &["ec", "-no_public"]),
        (&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], &["ec"]),
        (&["-algorithm", "ED25519"], &["pkey"]),
        (RSA, &["rsa", "-traditional"]),
        (RSA, &["pkey"]),
    ] {
        let made = Bench::empty();
        openssl_ca(&made, key, form, "/C=DE/O=Example/OU=one/OU=two/CN=openssl CA");
        let bench = import(&made, "ca.crt", "ca.key", &[]);
        // Repeated attributes and all: the issuer is the CA's subject, byte for byte.
        let names = openssl(&["x509", "-in", text(&bench.file("server1.pem")), "-noout", "-issuer"]);
        assert!(names.contains("OU = one, OU = two"), "{names}");
    }
}

#[test]
fn encrypted_keys_are_adopted_and_stay_encrypted() {
    for (key, form) in [
        (RSA, &["pkcs8", "-topk8", "-v2", "aes-256-cbc"][..]),
        (EC, &["pkcs8", "-topk8", "-v2", "des3"]),
        (EC, &["pkcs8", "-topk8", "-scrypt"]),
        (RSA, &["rsa", "-traditional", "-aes128"]),
        (RSA, &["rsa", "-traditional", "-des3"]),
        (EC, &["ec", "-aes256"]),
    ] {
        let made = Bench::empty();
        let file = secret(&made, "sesame");
        let mut form = form.to_vec();
        let pass = format!("file:{file}");
        form.extend(["-passout", &pass]);
        openssl_ca(&made, key, &form, "/CN=openssl CA");
        let bench = import(&made, "ca.crt", "ca.key", &["--passphrase-file", &file]);
        let stored = std::fs::read_to_string(bench.file("ca-key.pem")).unwrap();
        assert!(stored.contains("BEGIN ENCRYPTED PRIVATE KEY"), "{form:?}");
        let wrong = secret(&made, "wrong!!");
        let other = Bench::empty();
        let (cert, key) = (made.root().join("ca.crt"), made.root().join("ca.key"));
        let ran = other.run(&[
            "import-ca",
            "--cert",
            text(&cert),
            "--key",
            text(&key),
            "--passphrase-file",
            &wrong,
        ]);
        ran.refused(1, "the passphrase does not open");
        assert!(!other.pki().exists());
    }
}

#[test]
fn easy_rsas_ca_is_adopted() {
    let easyrsa = "/usr/share/easy-rsa/easyrsa";
    if !PathBuf::from(easyrsa).exists() {
        return skipped("easy-rsa is not installed");
    }
    let made = Bench::empty();
    let run = |args: &[&str]| -> Ran {
        let mut command = Command::new(easyrsa);
        command.current_dir(made.root()).env("EASYRSA_BATCH", "1").env("EASYRSA_REQ_CN", "Easy-RSA CA");
        command.args(args).output().unwrap().into()
    };
    run(&["init-pki"]).ok();
    run(&["build-ca", "nopass"]).ok();
    import(&made, "pki/ca.crt", "pki/private/ca.key", &[]);
}

#[test]
fn cfssls_ca_is_adopted() {
    if Command::new("cfssl").arg("version").output().is_err() {
        return skipped("cfssl is not installed");
    }
    let made = Bench::empty();
    let csr = made.root().join("csr.json");
    std::fs::write(
        &csr,
        r#"{"CN":"cfssl CA","key":{"algo":"ecdsa","size":256},"names":[{"O":"Example","L":"X"}]}"#,
    )
    .unwrap();
    let bundle = tool("cfssl", &["gencert", "-initca", text(&csr)]).ok().json();
    std::fs::write(made.root().join("ca.pem"), bundle["cert"].as_str().unwrap()).unwrap();
    std::fs::write(made.root().join("ca-key.pem"), bundle["key"].as_str().unwrap()).unwrap();
    import(&made, "ca.pem", "ca-key.pem", &[]);
}

/// Made by the real tool, which no registry carries: see fixtures/README.md. (`step` and `kubeadm` cannot be
/// had: step's root is what `openssls_cas_are_adopted…` makes with P-256, its key PBES2 with AES-256, and kubeadm's a
/// self-signed RSA 2048 with a PKCS#1 key; both forms are among those that openssl makes above.)
#[test]
fn etcd_cas_ca_is_adopted() {
    let made = Bench::empty();
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cas");
    for (name, words) in [("etcd-ca", None), ("etcd-ca-sealed", Some("sesame"))] {
        for file in ["ca.crt", "ca.key"] {
            std::fs::copy(from.join(name).join(file), made.root().join(file)).unwrap();
        }
        let file = words.map(|words| secret(&made, words));
        let more: Vec<&str> = file.iter().flat_map(|file| ["--passphrase-file", file]).collect();
        let bench = import(&made, "ca.crt", "ca.key", &more);
        let stored = std::fs::read_to_string(bench.file("ca-key.pem")).unwrap();
        assert_eq!(stored.contains("BEGIN ENCRYPTED"), words.is_some(), "{name}");
    }
}

#[test]
fn an_intermediate_is_adopted_with_its_root_and_refused_without() {
    let made = Bench::empty();
    made.run(&["init-ca", "--intermediate"]).ok();
    let bench = Bench::empty();
    let (cert, key, root) =
        (made.file("issuing-ca.pem"), made.file("issuing-ca-key.pem"), made.file("ca.pem"));
    bench.run(&["import-ca", "--cert", text(&cert), "--key", text(&key)]).refused(2, "is an intermediate CA");
    bench.run(&["import-ca", "--cert", text(&cert), "--key", text(&key), "--root", text(&root)]).ok();
    bench.run(&["issue", "server1"]).ok();
    is_accepted(&bench, "server1");
    assert_eq!(std::fs::read(bench.file("ca.pem")).unwrap(), std::fs::read(root).unwrap());
}

#[test]
fn what_cannot_be_adopted_is_told() {
    let made = Bench::new();
    made.run(&["issue", "leaf"]).ok();
    let other = Bench::new();
    let bench = Bench::empty();
    let adopt =
        |cert: PathBuf, key: PathBuf| bench.run(&["import-ca", "--cert", text(&cert), "--key", text(&key)]);
    adopt(made.file("ca.pem"), other.file("ca-key.pem")).refused(1, "is not the key of");
    adopt(made.file("nope.pem"), made.file("ca-key.pem")).refused(2, "cannot read");
    let ran = adopt(made.file("leaf.pem"), made.file("leaf-key.pem"));
    assert!(ran.code != Some(0), "{ran:?}");
    let ran = adopt(made.file("ca-key.pem"), made.file("ca-key.pem"));
    assert!(ran.code == Some(2) && ran.err.contains("holds no certificate"), "{ran:?}");
    let small = Bench::empty();
    openssl_ca(&small, &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"], &["pkey"], "/CN=small");
    let ran = adopt(small.root().join("ca.crt"), small.root().join("ca.key"));
    assert!(ran.code == Some(2) && ran.err.contains("2048 to 4096"), "{ran:?}");
    assert!(!bench.pki().exists(), "nothing was made");
    adopt(made.file("ca.pem"), made.file("ca-key.pem")).ok();
    adopt(other.file("ca.pem"), other.file("ca-key.pem")).refused(1, "already exists");
}

/// OpenSSL and etcd's rules accept a pair by what its own file brings along.
fn still_stands(bench: &Bench, name: &str) {
    is_accepted(bench, name);
    bench.run(&["verify", name, "--role", "peer", "--fail-on", "warning"]).ok();
}

#[test]
fn an_issuing_ca_is_replaced_below_the_same_root_and_what_it_issued_stays_valid() {
    let bench = Bench::empty();
    let pass = secret(&bench, "correct horse");
    let passphrase = ["--passphrase-file", pass.as_str()];
    let run = |args: &[&str]| bench.run(&[args, &passphrase[..]].concat());
    run(&["init-ca", "--name", "prod", "--intermediate", "--key-type", "p384", "--permit-ip", "10.0.0.0/8"])
        .ok();
    run(&["issue", "old", "--ip", "10.0.0.1"]).ok();
    run(&["issue", "older", "--ip", "10.0.0.3"]).ok();
    let (offline, old) =
        (bench.root().join("offline.pem"), std::fs::read(bench.file("issuing-ca.pem")).unwrap());
    std::fs::rename(bench.file("ca-key.pem"), &offline).unwrap();
    let renew = ["init-ca", "--intermediate", "--renew"];
    let before = bench.snapshot();
    run(&renew).refused(2, "the root's key is needed");
    let not_the_roots = bench.file("issuing-ca-key.pem");
    run(&[&renew[..], &["--root-key", text(&not_the_roots)]].concat()).refused(1, "is not the key of");
    assert_eq!(bench.snapshot(), before);

    let root_key = ["--root-key", text(&offline)];
    let ran = run(&[&renew[..], &root_key, &["--json"]].concat()).ok().json();
    assert_eq!(
        (&ran["name"], &ran["cert"]),
        (&"prod issuing".into(), &text(&bench.file("issuing-ca.pem")).into())
    );
    assert_eq!(std::fs::read(bench.file("issuing-ca.pem.1")).unwrap(), old);
    assert_eq!(mode(&bench.file("issuing-ca-key.pem")), 0o600);
    assert_eq!(mode(&bench.file("issuing-ca-key.pem.1")), 0o600);
    let seen = openssl(&["x509", "-in", text(&bench.file("issuing-ca.pem")), "-noout", "-text"]);
    assert!(seen.contains("secp384r1") && seen.contains("CA:TRUE, pathlen:0"), "{seen}");
    run(&["issue", "new", "--ip", "10.0.0.2"]).ok();
    run(&["issue", "x", "--ip", "192.168.0.1"]).refused(1, "the CA may not certify");
    let issuer = |name: &str| {
        openssl(&["x509", "-in", text(&bench.file(name)), "-noout", "-ext", "authorityKeyIdentifier"])
    };
    assert_ne!(issuer("old.pem"), issuer("new.pem"));
    still_stands(&bench, "old");
    still_stands(&bench, "new");
    // The old one's certificates are still ours: revoked, rebuilt, renewed like any other.
    let lines = bench.ledger().len();
    std::fs::remove_file(bench.file("ledger.jsonl")).unwrap();
    bench.run(&["list", "--rebuild"]).ok();
    let events: Vec<_> = bench.ledger().iter().map(|line| line["event"].clone()).collect();
    assert_eq!(
        (events.len(), &events[3..]),
        (lines, &["rebuild".into(), "rebuild".into(), "rebuild".into()][..])
    );
    bench.run(&["revoke", text(&bench.file("old.pem"))]).ok();
    run(&["renew", "old"]).ok();
    assert_eq!(issuer("old.pem"), issuer("new.pem"));
    // The new one's list speaks for what the old one issued.
    run(&["crl"]).ok();
    still_stands(&bench, "old");
    still_stands(&bench, "older");
}

#[test]
fn a_root_gets_its_first_issuing_ca_later_where_it_allows_one() {
    let bench = Bench::new();
    bench.run(&["init-ca", "--intermediate", "--renew"]).refused(1, "its path length is 0");
    let bench = Bench::empty();
    bench.run(&["init-ca", "--path-len", "1", "--days", "100"]).ok();
    bench.run(&["issue", "before"]).ok();
    let ran = bench.run(&["init-ca", "--intermediate", "--renew", "--days", "200", "--name", "second"]).ok();
    assert!(ran.err.contains("cut short") && ran.out.contains("issuing-ca.pem  second"), "{ran:?}");
    bench.run(&["issue", "after"]).ok();
    still_stands(&bench, "before");
    still_stands(&bench, "after");
    assert_eq!(std::fs::read_to_string(bench.file("after.pem")).unwrap().matches("BEGIN").count(), 2);
}
