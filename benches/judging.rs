//! How long a directory of certificates takes to judge, beside the work that cannot be avoided: reading each file,
//! parsing it once and checking its signature once, on all cores.
//!
//! `cargo bench --bench judging [-- COUNT]`; 10,000 when not given. Prints both times and their ratio, for P-256 and for
//! RSA 2048 leaves; the best of three runs each.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A CA's key.
fn key(rsa: bool) -> KeyPair {
    if !rsa {
        return KeyPair::generate().unwrap();
    }
    let made = Command::new("openssl").args(["genpkey", "-algorithm", "RSA"]).output().unwrap();
    KeyPair::from_pem(&String::from_utf8(made.stdout).unwrap()).unwrap()
}

/// A directory of that many sound pairs' certificates below one CA.
fn fill(dir: &Path, count: usize, rsa: bool) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = key(rsa);
    std::fs::write(dir.join("ca.pem"), params.self_signed(&authority).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, authority);
    (0..count).into_par_iter().for_each(|number| {
        let mut params = CertificateParams::new(vec![format!("m{number}.etcd.test")]).unwrap();
        params.subject_alt_names.push(SanType::IpAddress("127.0.0.1".parse().unwrap()));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = time::OffsetDateTime::now_utc() - time::Duration::hours(1);
        params.not_after = time::OffsetDateTime::now_utc() + time::Duration::days(365);
        let own = KeyPair::generate().unwrap();
        let pem = params.signed_by(&own, &issuer).unwrap().pem();
        std::fs::write(dir.join(format!("m{number:05}.pem")), pem).unwrap();
    });
}

/// Reads, parses and checks each certificate once.
fn physical(dir: &Path) -> Duration {
    let started = Instant::now();
    let ca = pem::parse(std::fs::read(dir.join("ca.pem")).unwrap());
    let (_, ca) = X509Certificate::from_der(&ca).unwrap();
    let names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.par_iter().for_each(|path| {
        let der = pem::parse(std::fs::read(path).unwrap());
        let (_, leaf) = X509Certificate::from_der(&der).unwrap();
        leaf.verify_signature(Some(ca.public_key())).unwrap();
    });
    started.elapsed()
}

/// The command, as a user has it: two roles a certificate.
fn judged(dir: &Path, count: usize) -> Duration {
    let started = Instant::now();
    let mut tool = Command::new(env!("CARGO_BIN_EXE_etcd-pki"));
    tool.arg("verify").arg(dir).args(["--format", "json"]).stdin(Stdio::null());
    let output = tool.arg("--ca").arg(dir.join("ca.pem")).output().unwrap();
    let elapsed = started.elapsed();
    let accepted = String::from_utf8(output.stdout)
        .unwrap()
        .replace(": ", ":")
        .matches("\"verdict\":\"accept\"")
        .count();
    assert!(output.status.success() && accepted > 2 * count, "{accepted} accepted");
    elapsed
}

mod pem {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;

    pub(super) fn parse(text: Vec<u8>) -> Vec<u8> {
        CertificateDer::from_pem_slice(&text).unwrap().to_vec()
    }
}

fn best(of: impl Fn() -> Duration) -> Duration {
    (0..3).map(|_| of()).min().unwrap()
}

fn main() {
    let count = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(10_000);
    for (what, rsa) in [("P-256", false), ("RSA 2048", true)] {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), count, rsa);
        let (work, judged) = (best(|| physical(dir.path())), best(|| judged(dir.path(), count)));
        println!(
            "{count} certificates signed with {what}, two roles each: judged in {} ms; reading, parsing and checking \
             each once takes {} ms: {:.2}×",
            judged.as_millis(),
            work.as_millis(),
            judged.as_secs_f64() / work.as_secs_f64()
        );
    }
}
