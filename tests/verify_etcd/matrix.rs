//! The matrix: each fixture is shown to a real etcd, which accepts or refuses it as `verify` predicted, in the words that
//! `verify` prints, and `explain` finds the pitfall by those words.

use etcd_pki::host::command::command;
use etcd_pki::verify::{Code, GoVersion, Role, Sides, Verdict};

use super::catalogue::{is_named, is_shown};
use super::verify_support::triggers::TRIGGERS;
use super::verify_support::{Etcd, How, etcd, etcdctl, free_port, judge_fixture, output_of};
use super::{demanding, dial, go, pair, path, start};

/// What etcd does with a fixture.
#[derive(Clone, Copy)]
enum What {
    /// It lets it in.
    Fine,
    /// It lets it in, and `tests/verify_support/triggers.rs` has the lint that warns of it.
    Lint(Code),
    /// It refuses it.
    No(Code),
    /// It refuses it from this Go on.
    From(GoVersion, Code),
}

use What::{Fine, Lint, No};

/// A fixture, and what becomes of it.
type Case = (&'static str, What);

/// Pairs with which etcd does not even start.
const FATAL: &[Case] = &[
    ("good", Fine),
    ("mismatch", No(Code::KeyMismatch)),
    ("type-mismatch", No(Code::KeyMismatch)),
    ("encrypted", No(Code::KeyEncrypted)),
    ("encrypted-old", No(Code::KeyEncrypted)),
    ("no-key", No(Code::KeyUnusable)),
    ("ed448", No(Code::KeyUnusable)),
    ("secp256k1", No(Code::UnsupportedCurve)),
    ("inter-first", No(Code::LeafNotFirst)),
    ("der", No(Code::NotPem)),
    ("empty", No(Code::NotPem)),
    ("request", No(Code::NotACertificate)),
    ("switched", No(Code::NotACertificate)),
    ("truncated", No(Code::MalformedCertificate)),
    ("duplicate", No(Code::DuplicateExtension)),
    ("key-in-ca", No(Code::CaFileJunk)),
];

/// What is wrong with a chain, whoever looks at it.
const CHAINS: &[Case] = &[
    ("good", Fine),
    ("chain", Fine),
    ("no-eku", Lint(Code::NoUsageLimit)),
    ("sha1-root", Lint(Code::WeakRootSignature)),
    ("zero-serial", Lint(Code::OddSerial)),
    ("no-identifiers", Lint(Code::NoKeyIdentifier)),
    ("rsa1024", Lint(Code::WeakRsa)),
    ("long", Lint(Code::LongValidity)),
    ("outlives", Lint(Code::OutlivesCa)),
    ("soon", Lint(Code::ExpiresSoon)),
    ("exposed", Lint(Code::KeyExposed)),
    ("other-owner", Lint(Code::KeyOwner)),
    ("ca-key", Lint(Code::CaKeyOnNode)),
    ("expired", No(Code::Expired)),
    ("not-yet", No(Code::NotYetValid)),
    ("ca-expired", No(Code::CaExpired)),
    ("ca-not-yet", No(Code::CaNotYetValid)),
    ("foreign-ca", No(Code::UnknownAuthority)),
    ("twin-ca", No(Code::SameNameOtherKey)),
    ("missing-inter", No(Code::MissingIntermediate)),
    ("no-ca", No(Code::NotACa)),
    ("no-cert-sign", No(Code::NotACa)),
    ("path-length", No(Code::PathLength)),
    ("constrained", No(Code::NameConstraint)),
    ("sha1", No(Code::WeakSignature)),
    ("critical", No(Code::UnknownCriticalExtension)),
    ("many-cas", No(Code::SignatureLimit)),
    ("policy", What::From(GoVersion::new(24, 0), Code::CertificatePolicies)),
    ("rsa8208-above", What::From(GoVersion::new(21, 0), Code::RsaTooLarge)),
];

/// Server certificates, dialled by a client or a member, both written in Go.
const DIALLED: &[Case] = &[
    ("client-only", No(Code::MissingServerAuth)),
    ("no-san", No(Code::NoIpSan)),
    ("dns-only", No(Code::NoIpSan)),
    ("wrong-ip", No(Code::WrongSan)),
    ("no-loopback", No(Code::WrongSan)),
    ("ip-as-dns", No(Code::IpAsDnsSan)),
    ("cn-only", No(Code::CommonNameOnly)),
    ("rsa512", No(Code::RsaTooSmall)),
    ("p224", No(Code::UnsupportedCurve)),
    // OpenSSL does not show it to a server that does not ask for such signatures.
    ("sha224", No(Code::WeakSignature)),
    ("rsa768", Lint(Code::WeakRsa)),
    ("negative-serial", Lint(Code::OddSerial)),
];

/// Client certificates, shown to a client and a peer port that demand them.
const SHOWN: &[Case] = &[
    ("client-only", Fine),
    ("no-san", Fine),
    ("wrong-ip", Fine),
    ("no-loopback", Lint(Code::NoLoopbackSan)),
    ("ca-as-leaf", Lint(Code::LeafIsCa)),
    ("root-user", Lint(Code::CommonNameUser)),
    ("server-only", No(Code::MissingClientAuth)),
    ("eku-ca", No(Code::MissingClientAuth)),
    ("negative-serial", Lint(Code::OddSerial)),
];

/// What is expected of a case: the pitfall that must be named, where etcd of this Go refuses it.
fn refused_for(name: &str, what: What, go: GoVersion) -> Option<Code> {
    match what {
        Fine => None,
        Lint(code) => {
            let warned = |trigger: &&_| matches!(trigger, (fixture, _, lint, "accept") if *fixture == name && *lint == code);
            assert!(
                TRIGGERS.iter().any(|trigger| warned(&trigger)),
                "{name}: nothing says that it warns of {code}"
            );
            is_shown(code);
            None
        }
        No(code) => Some(code),
        What::From(first, code) => Some(code).filter(|_| go >= first),
    }
}

/// What `verify` says of a fixture: the words that etcd must print; `None` when it accepts.
pub fn predicted(name: &str, code: Option<Code>, how: &How<'_>) -> Option<String> {
    let judgement = judge_fixture(name, how);
    let first = judgement.findings.first();
    match code {
        None => {
            assert_eq!(judgement.verdict, Verdict::Accept, "{name}: {first:?}");
            None
        }
        Some(code) => {
            assert_eq!(judgement.verdict, Verdict::Reject, "{name}");
            let finding = first.unwrap();
            assert_eq!(finding.code, code, "{name}: {finding:?}");
            Some(words(finding))
        }
    }
}

/// What etcd must print; the moment of judging differs.
fn words(finding: &etcd_pki::verify::Finding) -> String {
    let says = finding.etcd_says.clone().unwrap();
    says.split("current time").next().unwrap().to_owned()
}

pub fn an_unusable_pair_stops_etcd() {
    let Some(go) = go() else { return };
    for &(name, what) in FATAL {
        let how = How { go, ..How::new(Role::Peer) };
        let code = refused_for(name, what, go);
        let words = predicted(name, code, &how);
        // On the client port, and on the peer port.
        for prefix in ["", "peer-"] {
            let mut options = pair(if prefix.is_empty() { name } else { "good" }, "");
            if !prefix.is_empty() {
                options.extend(pair(name, prefix));
            }
            options.extend(demanding(name, prefix));
            match (&words, Etcd::start(&options)) {
                (None, Ok(_)) => {}
                (None, Err(log)) => panic!("{name}: etcd does not start:\n{log}"),
                (Some(words), Ok(_)) => panic!("{name}: etcd starts, but verify says: {words}"),
                (Some(words), Err(log)) => {
                    assert!(log.contains(words), "{name}: not {words:?}, but\n{log}");
                    is_named(&lines(&log, words), code.unwrap());
                }
            }
        }
    }
}

/// The lines with these words.
pub fn lines(text: &str, words: &str) -> String {
    text.lines().filter(|line| line.contains(words)).map(|line| format!("{line}\n")).collect()
}

/// Who is dialled: a name that stands in the common name only, else the address.
fn host(name: &str) -> &'static str {
    if name.starts_with("cn-") { "localhost" } else { "127.0.0.1" }
}

pub fn a_server_is_judged_by_a_go_client() {
    let Some(go) = go() else { return };
    for &(name, what) in CHAINS.iter().chain(DIALLED) {
        dialled(name, refused_for(name, what, go), go);
    }
}

/// A server with a fixture's pair, dialled by a client of the same build.
pub fn dialled(name: &str, code: Option<Code>, go: GoVersion) {
    let how = How { go, hosts: &[host(name)], ..How::new(Role::Server) };
    let words = predicted(name, code, &how);
    let etcd = start(&pair(name, ""));
    let mut client = etcdctl();
    client
        .env("ETCDCTL_API", "2")
        .args(["--no-sync", "--ca-file", &path(name, "ca.pem"), "--timeout", "3s", "--total-timeout", "4s"])
        .args(["--endpoints", &format!("https://{}:{}", host(name), etcd.client_port), "member", "list"]);
    let said = output_of(client).replace('\\', "");
    match words {
        // Without --enable-v2 the members API still answers; an answer of any kind is a handshake that held.
        None => assert!(!said.contains("x509"), "{name}: {said}"),
        Some(words) => {
            // What the key cannot do is the server's own trouble, and in its log.
            let of_server = matches!(code, Some(Code::RsaTooSmall | Code::UnsupportedCurve));
            if of_server {
                assert!(etcd.log_says(&words), "{name}: not {words:?}, but {said}\n{}", etcd.log());
            } else {
                assert!(said.contains(&words), "{name}: not {words:?}, but {said}");
                assert!(etcd.log_says("remote error: tls: "), "{name}: {}", etcd.log());
            }
            is_named(&lines(&(said + &etcd.log()), &words), code.unwrap());
        }
    }
}

pub fn a_peer_is_judged_by_the_member_that_dials_it() {
    let Some(go) = go() else { return };
    for &(name, what) in CHAINS.iter().chain(DIALLED) {
        let how = How { go, hosts: &[host(name)], ..How::new(Role::Server) };
        let code = refused_for(name, what, go);
        let words = predicted(name, code, &how);
        let etcd = start(&[pair("good", ""), pair(name, "peer-")].concat());
        let said = join(host(name), etcd.peer_port, &path(name, "ca.pem"));
        match words {
            // It has asked and was answered: there is no such member.
            None => {
                assert!(!said.contains("x509") && said.contains("member count is unequal"), "{name}: {said}");
            }
            Some(words) => {
                assert!(said.contains(&words) || etcd.log_says(&words), "{name}: not {words:?}, but {said}");
                is_named(&lines(&(said + &etcd.log()), &words), code.unwrap());
            }
        }
    }
}

/// A member that was never added tries to join: it asks the peer port who the members are, and ends. What it said.
fn join(host: &str, peer_port: u16, ca: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let own = format!("https://127.0.0.1:{}", free_port());
    let client = format!("http://127.0.0.1:{}", free_port());
    let mut member = etcd();
    member
        .args(["--name", "m2", "--initial-cluster-state", "existing", "--data-dir"])
        .arg(dir.path().join("data"))
        .args(["--listen-peer-urls", &own, "--initial-advertise-peer-urls", &own])
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--initial-cluster", &format!("m1=https://{host}:{peer_port},m2={own}")])
        .args(["--peer-cert-file", &path("good", "cert.pem"), "--peer-key-file", &path("good", "key.pem")])
        .args(["--peer-trusted-ca-file", ca]);
    output_of(member).replace('\\', "")
}

/// What etcd logs of a connection from an address, once it logs anything.
fn logged(etcd: &Etcd, before: usize, from: &str) -> String {
    let from = format!("\"{from}:");
    for _ in 0..200 {
        let log = etcd.log();
        let lines = log[before..].lines().filter(|line| line.contains(&from) && !line.contains("\"EOF\""));
        let new: String = lines.map(|line| format!("{line}\n")).collect();
        if !new.is_empty() {
            return new;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("nothing is logged of {from}:\n{}", etcd.log());
}

/// Shows a fixture to a port from an address; etcd answers, or logs these words, which `explain` takes for the pitfall.
fn shown(etcd: &Etcd, port: u16, name: &str, from: &str, expected: Option<(Code, String)>) {
    let before = etcd.log().len();
    let said = dial(name, port, from);
    match expected {
        None => assert!(said.contains("etcdserver"), "{name} from {from}: {said}\n{}", etcd.log()),
        Some((code, words)) => {
            let log = logged(etcd, before, from);
            assert!(log.contains(&words), "{name} from {from}: not {words:?}, but {log}");
            assert!(!said.contains("etcdserver"), "{name}: {said}");
            is_named(&log, code);
        }
    }
}

pub fn a_client_and_a_peer_are_judged_by_the_server() {
    let Some(go) = go() else { return };
    for &(name, what) in CHAINS.iter().chain(SHOWN) {
        let options =
            [pair("good", ""), demanding(name, ""), pair("good", "peer-"), demanding(name, "peer-")];
        let etcd = start(&options.concat());
        let code = refused_for(name, what, go);
        let predicted = predicted(name, code, &How { go, ..How::new(Role::Client) });
        // etcd's gateway dials from 127.0.0.1 and may be refused as well.
        shown(&etcd, etcd.client_port, name, "127.0.0.5", code.zip(predicted));
        // The peer port asks the same, and then for the address.
        let from = if code.is_some() { "127.0.0.5" } else { "127.0.0.1" };
        let how = How { go, sides: Sides::Dialling, source_ip: Some(from), ..How::new(Role::Peer) };
        let judgement = judge_fixture(name, &how);
        let expected = judgement.findings.first().filter(|_| judgement.verdict == Verdict::Reject);
        let expected = expected.map(|finding| (finding.code, words(finding)));
        if let Some(code) = code {
            assert_eq!(expected.as_ref().map(|(code, _)| *code), Some(code), "{name} as a peer");
        }
        shown(&etcd, etcd.peer_port, name, from, expected);
    }
}

pub fn a_peer_from_an_address_that_its_certificate_lacks() {
    let Some(go) = go() else { return };
    let etcd = start(&[pair("good", ""), pair("good", "peer-"), demanding("good", "peer-")].concat());
    let cases: &[(&str, &str, Option<Code>)] = &[
        ("good", "127.0.0.1", None),
        ("no-san", "127.0.0.7", None),
        ("wrong-ip", "127.0.0.8", Some(Code::PeerSourceAddress)),
        ("far-peer", "127.0.0.9", Some(Code::PeerSourceAddress)),
        ("wildcard", "127.0.0.10", Some(Code::PeerSourceAddress)),
        ("server-only", "127.0.0.11", Some(Code::MissingClientAuth)),
        // An address among the DNS SANs stands for itself.
        ("ip-as-dns", "127.0.0.1", None),
        ("ip-as-dns", "127.0.0.12", Some(Code::PeerSourceAddress)),
    ];
    for &(name, from, code) in cases {
        let how = How { go, source_ip: Some(from), ..How::new(Role::Peer) };
        let words = predicted(name, code, &how);
        shown(&etcd, etcd.peer_port, name, from, code.zip(words));
    }
    // The wildcard has no IP SAN beside it, and the address no name: what the lint warns of.
    refused_for("wildcard", Lint(Code::WildcardSan), go);
}

pub fn the_gateway_is_refused_with_a_server_certificate_that_is_no_clients() {
    let Some(go) = go() else { return };
    let how = How { go, client_cert_auth: true, ..How::new(Role::Server) };
    let words = predicted("server-only", Some(Code::GatewayClientAuth), &how).unwrap();
    let etcd = start(&[pair("server-only", ""), demanding("good", "")].concat());
    let call = |arguments: &[&str], service: &str| {
        let mut client = command("curl");
        client
            .args(["-sS", "--max-time", "8", "--cacert", &path("good", "ca.pem")])
            .args(["--cert", &path("client-only", "cert.pem"), "--key", &path("client-only", "key.pem")])
            .args(arguments)
            .arg(format!("https://127.0.0.1:{}{service}", etcd.client_port));
        output_of(client)
    };
    let said = call(&["-d", "{\"key\":\"Zm9v\"}"], "/v3/kv/range");
    assert!(said.contains("\"code\":14") || said.contains("timed out"), "{said}");
    assert!(etcd.log_says(&words), "{}", etcd.log());
    assert!(call(&[], "/version").contains("etcdserver"), "all but the gateway works");
    is_shown(Code::GatewayClientAuth);
}

pub fn an_empty_ca_file_lets_etcd_start_and_refuses_everyone() {
    let Some(go) = go() else { return };
    for name in ["empty-ca", "der-ca"] {
        let how = How { go, ..How::new(Role::Client) };
        let code = Some(Code::EmptyCaFile);
        let words = predicted(name, code, &how);
        let options =
            [pair("good", ""), demanding(name, ""), pair("good", "peer-"), demanding(name, "peer-")];
        let etcd = start(&options.concat());
        shown(&etcd, etcd.client_port, "good", "127.0.0.5", code.zip(words.clone()));
        shown(&etcd, etcd.peer_port, "good", "127.0.0.1", code.zip(words));
    }
}

pub fn revocation_lists_on_both_ports() {
    let Some(go) = go() else { return };
    let cases = [
        ("listed", Fine),
        ("stale-crl", Lint(Code::StaleCrl)),
        ("foreign-crl", Lint(Code::ForeignCrl)),
        ("revoked", No(Code::Revoked)),
        ("broken-crl", No(Code::BrokenCrl)),
    ];
    for (name, what) in cases {
        let code = refused_for(name, what, go);
        let list = ["client", "peer"].map(|port| format!("--{port}-crl-file={}", path(name, "crl.pem")));
        let options =
            [pair("good", ""), demanding("good", ""), pair("good", "peer-"), demanding("good", "peer-")];
        let etcd = start(&[options.concat(), list.into()].concat());
        let how = How { go, crl: Some(name), ..How::new(Role::Client) };
        let words = predicted(name, code, &how);
        shown(&etcd, etcd.client_port, name, "127.0.0.5", code.zip(words.clone()));
        shown(&etcd, etcd.peer_port, name, "127.0.0.1", code.zip(words));
    }
}
