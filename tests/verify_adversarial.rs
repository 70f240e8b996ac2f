//! Whatever the bytes hold, `judge` and `explain` return, soon, and never panic.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod verify_support;

use std::time::{Duration, Instant};

use base64::Engine;
use etcd_pki::verify::explain::explain;
use etcd_pki::verify::{GoVersion, Request, Role, Verdict, judge};
use verify_support::fixture;

/// Generous for a loaded machine; what is bounded needs a fraction of it.
const SOON: Duration = Duration::from_secs(30);

fn survive(chain: &[u8], key: Option<&[u8]>, ca: &[u8]) -> Verdict {
    let hosts = ["127.0.0.1".to_owned()];
    let mut verdict = Verdict::Accept;
    for go in [GoVersion::NEWEST, GoVersion::new(19, 8)] {
        let started = Instant::now();
        let request = Request { key, hosts: &hosts, go, ..Request::new(chain, ca, Role::Peer) };
        verdict = judge(&request).verdict;
        assert!(started.elapsed() < SOON, "{} bytes took {:?}", chain.len() + ca.len(), started.elapsed());
    }
    verdict
}

fn pem(der: &[u8]) -> Vec<u8> {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n").into_bytes()
}

fn read(name: &str, file: &str) -> Vec<u8> {
    std::fs::read(fixture(name, file)).unwrap()
}

#[test]
fn every_prefix_and_every_changed_byte_of_a_pair_is_survived() {
    let (chain, key, ca) = (read("good", "cert.pem"), read("good", "key.pem"), read("good", "ca.pem"));
    for length in 0..chain.len() {
        assert_eq!(
            survive(&chain[..length], Some(&key), &ca),
            Verdict::Reject.min_if(length < chain.len() - 1)
        );
    }
    for length in 0..key.len() {
        survive(&chain, Some(&key[..length]), &ca[..length.min(ca.len())]);
    }
    let block = std::str::from_utf8(&chain).unwrap();
    let body: String = block.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    for at in 0..der.len() {
        for value in [0x00, 0x30, 0x80, 0xff, der[at] ^ 1, der[at] ^ 0x80] {
            let mut changed = der.clone();
            changed[at] = value;
            survive(&pem(&changed), Some(&key), &ca);
            // Trusted as it is, so that more than the signature is looked at.
            survive(&pem(&changed), None, &pem(&changed));
        }
    }
}

/// A way to say "at least this" in one line.
trait MinIf {
    fn min_if(self, sure: bool) -> Self;
}

impl MinIf for Verdict {
    fn min_if(self, sure: bool) -> Self {
        if sure { self } else { Self::Accept }
    }
}

#[test]
fn deep_nesting_huge_files_and_crowds_are_survived() {
    let ca = read("good", "ca.pem");
    // A SEQUENCE in a SEQUENCE in a SEQUENCE…
    let mut nested = Vec::new();
    for _ in 0..20_000 {
        let mut outer = vec![0x30, 0x83];
        let length = u32::try_from(nested.len()).unwrap().to_be_bytes();
        outer.extend(&length[1..]);
        if nested.len() < 0x1_0000 {
            outer = vec![0x30, 0x82, length[2], length[3]];
        }
        outer.extend(&nested);
        nested = outer;
        if nested.len() > 60_000 {
            break;
        }
    }
    survive(&pem(&nested), Some(&pem(&nested)), &pem(&nested));
    // Lengths that promise more than there is.
    survive(&pem(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None, &ca);
    survive(&pem(&[0x30, 0x80]), None, &ca);
    // Two thousand certificates of one name, sent and trusted.
    let many = read("many-cas", "ca.pem").repeat(20);
    let mut chain = read("good", "cert.pem");
    chain.extend(&many);
    survive(&chain, None, &many);
    // Beginnings without an end, and the other way round.
    survive(
        &b"-----BEGIN CERTIFICATE-----\n".repeat(100_000),
        None,
        &b"-----END CERTIFICATE-----\n".repeat(100_000),
    );
    survive(&vec![b'-'; 4_000_000], Some(&vec![0xff; 4_000_000]), &vec![b'\n'; 4_000_000]);
    survive(&[], Some(&[]), &[]);
}

#[test]
fn thousands_of_names_against_thousands_of_constraints_end_soon() {
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let subtree = |at: usize| rcgen::GeneralSubtree::DnsName(format!("x{at}.example"));
    ca.name_constraints = Some(rcgen::NameConstraints {
        permitted_subtrees: Vec::new(),
        excluded_subtrees: (0..5000).map(subtree).collect(),
    });
    let key = rcgen::KeyPair::generate().unwrap();
    let root = ca.self_signed(&key).unwrap().pem();
    let issuer = rcgen::Issuer::new(ca, key);
    let names: Vec<String> = (0..5000).map(|at| format!("m{at}.test")).collect();
    let leaf = rcgen::CertificateParams::new(names).unwrap();
    let leaf = leaf.signed_by(&rcgen::KeyPair::generate().unwrap(), &issuer).unwrap().pem();
    survive(leaf.as_bytes(), None, root.as_bytes());
}

#[test]
fn any_text_is_explained_or_not_but_survived() {
    for text in [
        "\u{0}".repeat(10_000),
        "rejected connection from \"".repeat(50_000),
        "{\"level\":".repeat(100_000),
        "…".repeat(100_000),
    ] {
        let started = Instant::now();
        explain(&text);
        assert!(started.elapsed() < SOON);
    }
}
