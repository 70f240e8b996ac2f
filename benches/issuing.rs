//! How fast a batch is issued, beside the physical work in it and beside other tools, all in the same run:
//! `cargo bench --bench issuing [-- COUNT]`. It prints figures and judges none.
#![allow(clippy::disallowed_methods, reason = "a benchmark's own files and processes")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "figures are what it is for")]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rayon::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};

/// How many certificates other tools make: each takes a process or two.
const PEERS: usize = 50;

fn main() {
    let count = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(1000);
    println!("{count} pairs of P-256, on {} cores", rayon::current_num_threads());
    let dir = tempfile::tempdir().unwrap();
    let made = issue(dir.path(), count);
    let (crypto, disk) = (keys_and_signatures(count), files(dir.path(), count));
    row("etcd-pki issue --from, all of it", made, count);
    row("  physical: keys and signatures, ring, all cores", crypto, count);
    row("  physical: the same files written and synced", disk, count);
    println!(
        "  etcd-pki took {:.2} times the physical work",
        made.as_secs_f64() / (crypto + disk).as_secs_f64()
    );
    for (name, peer) in [("openssl, a key and two processes each", openssl as Peer), ("cfssl gencert", cfssl)]
    {
        match peer(dir.path()) {
            Some(took) => row(name, took, PEERS),
            None => println!("{name}: not installed"),
        }
    }
}

type Peer = fn(&Path) -> Option<Duration>;

fn row(name: &str, took: Duration, count: usize) {
    let each = took.as_secs_f64() * 1000.0 / count as f64;
    println!("{name:50} {:9.3} s {each:9.3} ms each", took.as_secs_f64());
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn issue(dir: &Path, count: usize) -> Duration {
    let tool = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_etcd-pki"));
        command.arg("--pki-dir").arg(dir.join("pki")).current_dir(dir);
        command
    };
    let cluster: String = (0..count).map(|at| format!("[[client]]\nname = \"c{at}\"\n")).collect();
    let member = "[[member]]\nname = \"m1\"\nips = [\"10.0.0.1\"]\n";
    std::fs::write(dir.join("cluster.toml"), format!("{member}{cluster}")).unwrap();
    run(tool().arg("init-ca"));
    timed(|| run(tool().args(["issue", "--from", "cluster.toml"])))
}

/// A new key and one signature for each certificate.
fn keys_and_signatures(count: usize) -> Duration {
    let random = SystemRandom::new();
    let new = || EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let ca = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, new().as_ref(), &random).unwrap();
    let body = [7u8; 500];
    timed(|| {
        (0..count).into_par_iter().for_each(|_| {
            let key = new();
            std::hint::black_box((key, ca.sign(&random, &body).unwrap()));
        });
    })
}

/// The files of `pki/` once more: each written and synced, sixteen at a time, and the directory synced at the end.
fn files(dir: &Path, count: usize) -> Duration {
    let pki = dir.join("pki");
    let contents: Vec<Vec<u8>> = (0..count)
        .flat_map(|at| [format!("c{at}.pem"), format!("c{at}-key.pem")])
        .map(|name| std::fs::read(pki.join(name)).unwrap())
        .collect();
    let copy = dir.join("copy");
    std::fs::create_dir(&copy).unwrap();
    timed(|| {
        std::thread::scope(|scope| {
            for (part, chunk) in contents.chunks(contents.len().div_ceil(16)).enumerate() {
                let copy = &copy;
                scope.spawn(move || {
                    for (at, bytes) in chunk.iter().enumerate() {
                        let mut file = File::create(copy.join(format!("{part}-{at}"))).unwrap();
                        file.write_all(bytes).and_then(|()| file.sync_all()).unwrap();
                    }
                });
            }
        });
        File::open(&copy).unwrap().sync_all().unwrap();
    })
}

fn openssl(dir: &Path) -> Option<Duration> {
    Command::new("openssl").arg("version").output().ok()?;
    let (ca, key) = (dir.join("pki/ca.pem"), dir.join("pki/ca-key.pem"));
    Some(timed(|| {
        for at in 0..PEERS {
            let file = |kind: &str| dir.join(format!("openssl{at}.{kind}"));
            run(Command::new("openssl")
                .args(["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
                .args(["-subj", &format!("/CN=c{at}")])
                .arg("-keyout")
                .arg(file("key"))
                .arg("-out")
                .arg(file("csr")));
            let mut sign = Command::new("openssl");
            sign.args(["x509", "-req", "-days", "365", "-CAcreateserial", "-in"]).arg(file("csr"));
            run(sign.arg("-CA").arg(&ca).arg("-CAkey").arg(&key).arg("-out").arg(file("pem")));
        }
    }))
}

fn cfssl(dir: &Path) -> Option<Duration> {
    Command::new("cfssl").arg("version").output().ok()?;
    let (ca, key) = (dir.join("pki/ca.pem"), dir.join("pki/ca-key.pem"));
    let request = dir.join("request.json");
    std::fs::write(&request, r#"{"CN":"c","hosts":["c"],"key":{"algo":"ecdsa","size":256}}"#).unwrap();
    // This cfssl reads no PKCS#8 key of a CA.
    let sec1 = dir.join("ca-sec1.pem");
    run(Command::new("openssl").args(["ec", "-in"]).arg(key).arg("-out").arg(&sec1));
    Some(timed(|| {
        for at in 0..PEERS {
            let mut command = Command::new("cfssl");
            command
                .args(["gencert", "-loglevel", "5", "-ca"])
                .arg(&ca)
                .arg("-ca-key")
                .arg(&sec1)
                .arg(&request);
            let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().unwrap();
            assert!(output.status.success());
            std::fs::write(dir.join(format!("cfssl{at}.json")), output.stdout).unwrap();
        }
    }))
}
