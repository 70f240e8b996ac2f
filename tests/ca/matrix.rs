//! Every profile with every kind of key under every kind of CA: what OpenSSL, Go and pkilint say of them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::common::skipped;
use crate::support::{Bench, Ran, openssl, text, tool};

const PROFILES: [&str; 4] = ["server", "peer", "client", "proxy"];
const KEYS: [&str; 6] = ["p256", "p384", "ed25519", "rsa2048", "rsa3072", "rsa4096"];

/// A certificate of the matrix.
struct Case {
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
    profile: &'static str,
    name: &'static str,
}

/// The matrix is made once, for all the judges.
struct Matrix {
    _benches: Vec<Bench>,
    cases: Vec<Case>,
}

fn matrix() -> &'static Matrix {
    static MATRIX: OnceLock<Matrix> = OnceLock::new();
    MATRIX.get_or_init(|| {
        let mut benches = Vec::new();
        let mut cases = Vec::new();
        for bench in authorities() {
            // The slow kinds once: what differs with their length is OpenSSL's and Go's business.
            let keys = if benches.is_empty() { &KEYS[..] } else { &KEYS[..4] };
            fill(&bench, keys, &mut cases);
            benches.push(bench);
        }
        Matrix { _benches: benches, cases }
    })
}

/// The passphrase of the encrypted CA; the option is given to all, and ignored where it is not needed.
const SECRET: &str = "secret";

fn fill(bench: &Bench, keys: &[&str], cases: &mut Vec<Case>) {
    let secret = ["--passphrase-file", SECRET];
    let issue = |args: &[&str]| bench.run(&[&["issue"], args, &secret].concat()).ok();
    issue(&["other"]);
    for profile in PROFILES {
        for key in keys {
            let file = format!("{profile}-{key}");
            let mut args = vec![file.as_str(), "--profile", profile, "--key-type", key];
            if profile != "client" {
                args.extend(["--ip", "10.1.2.3", "--dns", "etcd1.example.com"]);
            }
            issue(&args);
            let name = if *key == "p256" { "10.1.2.3" } else { "etcd1.example.com" };
            let (cert, key) = (bench.file(&format!("{file}.pem")), bench.file(&format!("{file}-key.pem")));
            cases.push(Case { ca: bench.file("ca.pem"), cert, key, profile, name });
        }
    }
}

fn bench() -> Bench {
    let bench = Bench::empty();
    std::fs::write(bench.root().join(SECRET), "sesame\n").unwrap();
    bench
}

fn authorities() -> Vec<Bench> {
    let mut all = Vec::new();
    for args in [
        &["--key-type", "p256"][..],
        &["--key-type", "p384"],
        &["--key-type", "ed25519"],
        &["--key-type", "rsa2048"],
        &["--key-type", "rsa4096"],
        &["--intermediate"],
        &["--intermediate", "--key-type", "rsa2048", "--passphrase-file", SECRET],
        &["--permit-ip", "10.0.0.0/8", "--permit-dns", "example.com"],
    ] {
        let bench = bench();
        bench.run(&[&["init-ca"], args].concat()).ok();
        all.push(bench);
    }
    all.extend([from_openssl(), from_easy_rsa(), from_cfssl()].into_iter().flatten());
    all
}

fn adopt(bench: Bench, cert: &str, key: &str) -> Option<Bench> {
    bench.run(&["import-ca", "--cert", cert, "--key", key, "--passphrase-file", SECRET]).ok();
    Some(bench)
}

fn from_openssl() -> Option<Bench> {
    let bench = bench();
    let (key, cert) = (bench.root().join("ca.key"), bench.root().join("ca.crt"));
    openssl(&["genrsa", "-aes256", "-passout", "pass:sesame", "-traditional", "-out", text(&key), "2048"]);
    openssl(&[
        "req",
        "-x509",
        "-new",
        "-key",
        text(&key),
        "-passin",
        "pass:sesame",
        "-days",
        "900",
        "-out",
        text(&cert),
        "-subj",
        "/DC=com/DC=example/OU=a+UID=7/CN=root",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
    ]);
    adopt(bench, "ca.crt", "ca.key")
}

fn from_easy_rsa() -> Option<Bench> {
    let easyrsa = Path::new("/usr/share/easy-rsa/easyrsa");
    if !easyrsa.exists() {
        skipped("easy-rsa is not installed");
        return None;
    }
    let bench = bench();
    for args in [&["--pki-dir=easy", "init-pki"][..], &["--pki-dir=easy", "build-ca", "nopass"]] {
        let output =
            Command::new(easyrsa).args(args).current_dir(bench.root()).env("EASYRSA_BATCH", "1").output();
        let ran: Ran = output.unwrap().into();
        ran.ok();
    }
    adopt(bench, "easy/ca.crt", "easy/private/ca.key")
}

fn from_cfssl() -> Option<Bench> {
    if Command::new("cfssl").arg("version").output().is_err() {
        skipped("cfssl is not installed");
        return None;
    }
    let bench = bench();
    let csr = bench.root().join("csr.json");
    std::fs::write(&csr, r#"{"CN":"cfssl CA","key":{"algo":"ecdsa","size":384},"names":[{"O":"Example"}]}"#)
        .unwrap();
    let made = tool("cfssl", &["gencert", "-initca", text(&csr)]).ok().json();
    std::fs::write(bench.root().join("ca.pem"), made["cert"].as_str().unwrap()).unwrap();
    std::fs::write(bench.root().join("ca-key.pem"), made["key"].as_str().unwrap()).unwrap();
    adopt(bench, "ca.pem", "ca-key.pem")
}

#[test]
fn openssl_accepts_all_of_them_for_their_purpose() {
    for case in &matrix().cases {
        let purposes: &[&str] =
            if case.profile == "client" { &["sslclient"] } else { &["sslserver", "sslclient"] };
        for purpose in purposes {
            openssl(&[
                "verify",
                "-purpose",
                purpose,
                "-CAfile",
                text(&case.ca),
                "-untrusted",
                text(&case.cert),
                text(&case.cert),
            ]);
        }
    }
    println!("{} certificates", matrix().cases.len());
}

#[test]
fn go_accepts_all_of_them_in_both_roles() {
    if Command::new("go").arg("version").output().is_err() {
        return skipped("go is not installed");
    }
    let line = |case: &Case| {
        let role = if case.profile == "client" { "client" } else { "both" };
        format!("{} {} {} {role} {}\n", text(&case.ca), text(&case.cert), text(&case.key), case.name)
    };
    let ran = go_handshakes(&matrix().cases.iter().map(line).collect::<String>());
    assert_eq!(ran.out, format!("{} accepted\n", matrix().cases.len()), "{ran:?}");
}

/// Runs `handshake.go` over lines of "CA CERT KEY ROLE NAME".
pub(crate) fn go_handshakes(lines: &str) -> Ran {
    let scratch = tempfile::tempdir().unwrap();
    let program = scratch.path().join("handshake");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ca/handshake.go");
    let mut build = Command::new("go");
    build
        .args(["build", "-o", text(&program), source])
        .env("GOCACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/go"));
    let built: Ran = build.env("GOFLAGS", "-mod=mod").env("GO111MODULE", "off").output().unwrap().into();
    built.ok();
    let mut judge = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    judge.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    judge.wait_with_output().unwrap().into()
}

/// pkilint wants every DNS SAN to be a full domain name; `localhost` and the member's bare name are none, and are
/// there on purpose: people dial them. A foreign CA's own choices (a SKI of another method, a critical bit) show in
/// what is below it and are not ours to change.
const EXPLAINED: [&str; 1] = ["pkix.invalid_domain_name_syntax"];

#[test]
fn pkilint_finds_nothing_that_is_not_explained() {
    let python = std::env::var("ETCDPKI_PKILINT_PYTHON").unwrap_or_else(|_| "python3".into());
    if Command::new(&python).args(["-c", "import pkilint"]).output().is_ok_and(|ran| !ran.status.success()) {
        return skipped(
            "pkilint is not installed (pip install pkilint; ETCDPKI_PKILINT_PYTHON names its python)",
        );
    }
    let script = "import sys\nfrom pkilint.bin import lint_pkix_cert as lint\nfor file in sys.argv[1:]:\n    print('=', file)\n    lint.main(['lint', '-s', 'NOTICE', file])\n";
    let mut args = vec!["-c", script];
    let mut files: Vec<&str> =
        matrix().cases.iter().flat_map(|case| [text(&case.cert), text(&case.ca)]).collect();
    files.sort_unstable();
    files.dedup();
    args.extend(&files);
    let ran = tool(&python, &args).ok();
    let mut file = "";
    let mut found = Vec::new();
    for line in ran.out.lines() {
        if let Some(name) = line.strip_prefix("= ") {
            file = name;
        } else if line.starts_with("    ") {
            // What easy-rsa and cfssl chose for their own certificate is theirs.
            let is_foreign = file.ends_with("/ca.pem") && file_is_foreign(file);
            if !is_foreign && !EXPLAINED.iter().any(|code| line.contains(code)) {
                found.push(format!("{file}: {}", line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(ran.out.lines().filter(|line| line.starts_with("= ")).count(), files.len());
}

fn file_is_foreign(ca: &str) -> bool {
    let ledger = std::fs::read_to_string(Path::new(ca).with_file_name("ledger.jsonl")).unwrap();
    ledger.contains("\"event\":\"import\"")
}
