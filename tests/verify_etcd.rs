//! The matrix: each fixture is shown to a real etcd, which accepts or refuses it as `verify` predicted, in the words
//! that `verify` prints.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;
mod verify_support;

use etcd_pki::host::command::command;
use etcd_pki::verify::{Code, GoVersion, Role, Verdict};
use verify_support::{
    Etcd, How, etcd, etcd_go, fixture, free_port, judge_fixture, on_each_etcd, on_the_newest_etcd, output_of,
};

/// A fixture, as what it is shown, and the pitfall it is; none is accepted.
type Case = (&'static str, Option<Code>);

/// Pairs with which etcd does not even start.
const FATAL: &[Case] = &[
    ("good", None),
    ("mismatch", Some(Code::KeyMismatch)),
    ("type-mismatch", Some(Code::KeyMismatch)),
    ("encrypted", Some(Code::KeyEncrypted)),
    ("encrypted-old", Some(Code::KeyEncrypted)),
    ("no-key", Some(Code::KeyUnusable)),
    ("ed448", Some(Code::KeyUnusable)),
    ("secp256k1", Some(Code::UnsupportedCurve)),
    ("inter-first", Some(Code::LeafNotFirst)),
    ("der", Some(Code::NotPem)),
    ("empty", Some(Code::NotPem)),
    ("request", Some(Code::NotACertificate)),
    ("switched", Some(Code::NotACertificate)),
    ("truncated", Some(Code::MalformedCertificate)),
    ("duplicate", Some(Code::DuplicateExtension)),
    ("key-in-ca", Some(Code::CaFileJunk)),
];

/// Server certificates, dialled by a client written in Go at 127.0.0.1.
const DIALLED: &[Case] = &[
    ("good", None),
    ("chain", None),
    ("no-eku", None),
    ("sha1-root", None),
    ("zero-serial", None),
    ("rsa1024", None),
    ("long", None),
    ("client-only", Some(Code::MissingServerAuth)),
    ("no-san", Some(Code::NoIpSan)),
    ("dns-only", Some(Code::NoIpSan)),
    ("wrong-ip", Some(Code::WrongSan)),
    ("ip-as-dns", Some(Code::IpAsDnsSan)),
    ("expired", Some(Code::Expired)),
    ("not-yet", Some(Code::NotYetValid)),
    ("ca-expired", Some(Code::CaExpired)),
    ("ca-not-yet", Some(Code::CaNotYetValid)),
    ("foreign-ca", Some(Code::UnknownAuthority)),
    ("twin-ca", Some(Code::SameNameOtherKey)),
    ("missing-inter", Some(Code::MissingIntermediate)),
    ("no-ca", Some(Code::NotACa)),
    ("no-cert-sign", Some(Code::NotACa)),
    ("path-length", Some(Code::PathLength)),
    ("constrained", Some(Code::NameConstraint)),
    ("sha1", Some(Code::WeakSignature)),
    ("sha224", Some(Code::WeakSignature)),
    ("critical", Some(Code::UnknownCriticalExtension)),
    ("many-cas", Some(Code::SignatureLimit)),
];

/// Client certificates, shown to a server that demands them.
const SHOWN: &[Case] = &[
    ("good", None),
    ("client-only", None),
    ("no-san", None),
    ("wrong-ip", None),
    ("server-only", Some(Code::MissingClientAuth)),
    ("expired", Some(Code::Expired)),
    ("not-yet", Some(Code::NotYetValid)),
    ("foreign-ca", Some(Code::UnknownAuthority)),
    ("twin-ca", Some(Code::SameNameOtherKey)),
    ("missing-inter", Some(Code::MissingIntermediate)),
    ("critical", Some(Code::UnknownCriticalExtension)),
];

fn path(name: &str, file: &str) -> String {
    fixture(name, file).display().to_string()
}

fn pair(name: &str) -> Vec<String> {
    vec![format!("--cert-file={}", path(name, "cert.pem")), format!("--key-file={}", path(name, "key.pem"))]
}

/// What `verify` says of a fixture: the words that etcd must print; `None` when it accepts.
fn predicted(name: &str, code: Option<Code>, how: &How<'_>) -> Option<String> {
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
            let says = finding.etcd_says.clone().unwrap();
            // The moment of judging differs.
            Some(says.split("current time").next().unwrap().to_owned())
        }
    }
}

/// The Go of the etcd here, or a reason to skip.
fn go() -> Option<GoVersion> {
    let go = etcd_go();
    if go.is_none() {
        support::skipped("there is no etcd in PATH");
    }
    go
}

#[test]
fn what_verify_calls_an_unusable_pair_stops_etcd_with_those_words() {
    on_each_etcd(|| {
        let Some(go) = go() else { return };
        for &(name, code) in FATAL {
            let how = How { go, ..How::new(Role::Peer) };
            let words = predicted(name, code, &how);
            let mut options = pair(name);
            options.push(format!("--trusted-ca-file={}", path(name, "ca.pem")));
            options.push("--client-cert-auth".to_owned());
            match (words, Etcd::start(&options)) {
                (None, Ok(_)) => {}
                (None, Err(log)) => panic!("{name}: etcd does not start:\n{log}"),
                (Some(words), Ok(_)) => panic!("{name}: etcd starts, but verify says: {words}"),
                (Some(words), Err(log)) => assert!(log.contains(&words), "{name}: not {words:?}, but\n{log}"),
            }
        }
    });
}

#[test]
fn what_verify_says_of_a_server_is_what_a_go_client_says() {
    // etcdctl is of the same build as the etcd in PATH.
    let Some(go) = go() else { return };
    for &(name, code) in DIALLED {
        let how = How { go, hosts: &["127.0.0.1"], ..How::new(Role::Server) };
        let words = predicted(name, code, &how);
        let etcd = Etcd::start(&pair(name)).unwrap_or_else(|log| panic!("{name}: {log}"));
        let mut client = command("etcdctl");
        client
            .env("ETCDCTL_API", "2")
            .args(["--ca-file", &path(name, "ca.pem"), "--timeout", "3s", "--total-timeout", "4s"])
            .args(["--endpoints", &format!("https://127.0.0.1:{}", etcd.client_port), "member", "list"]);
        let said = output_of(client);
        match words {
            // Without --enable-v2 the members API still answers; an answer of any kind is a handshake that held.
            None => assert!(!said.contains("x509"), "{name}: {said}"),
            Some(words) => {
                assert!(said.replace('\\', "").contains(&words), "{name}: not {words:?}, but {said}");
                assert!(etcd.log_says("remote error: tls: "), "{name}: {}", etcd.log());
            }
        }
    }
}

#[test]
fn what_verify_says_of_a_peer_is_what_the_member_that_dials_it_says() {
    on_the_newest_etcd(|| {
        let Some(go) = go() else { return };
        for &(name, code) in DIALLED {
            let how = How { go, hosts: &["127.0.0.1"], ..How::new(Role::Server) };
            let words = predicted(name, code, &how);
            let mut options = pair("good");
            options.push(format!("--peer-cert-file={}", path(name, "cert.pem")));
            options.push(format!("--peer-key-file={}", path(name, "key.pem")));
            let etcd = Etcd::start(&options).unwrap_or_else(|log| panic!("{name}: {log}"));
            let said = join(etcd.peer_port, &path(name, "ca.pem"));
            match words {
                // It has asked and was answered: there is no such member.
                None => assert!(
                    !said.contains("x509") && said.contains("member count is unequal"),
                    "{name}: {said}"
                ),
                Some(words) => assert!(said.contains(&words), "{name}: not {words:?}, but {said}"),
            }
        }
    });
}

/// A member that was never added tries to join: it asks the peer port who the members are, and ends. What it said.
fn join(peer_port: u16, ca: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let own = format!("https://127.0.0.1:{}", free_port());
    let client = format!("http://127.0.0.1:{}", free_port());
    let mut member = etcd();
    member
        .args(["--name", "m2", "--initial-cluster-state", "existing", "--data-dir"])
        .arg(dir.path().join("data"))
        .args(["--listen-peer-urls", &own, "--initial-advertise-peer-urls", &own])
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--initial-cluster", &format!("m1=https://127.0.0.1:{peer_port},m2={own}")])
        .args(["--peer-cert-file", &path("good", "cert.pem"), "--peer-key-file", &path("good", "key.pem")])
        .args(["--peer-trusted-ca-file", ca]);
    output_of(member).replace('\\', "")
}

#[test]
fn what_verify_says_of_a_client_is_what_the_server_logs() {
    on_each_etcd(|| {
        let Some(go) = go() else { return };
        for &(name, code) in SHOWN {
            let how = How { go, ..How::new(Role::Client) };
            let words = predicted(name, code, &how);
            let mut options = pair("good");
            options.push(format!("--trusted-ca-file={}", path("good", "ca.pem")));
            options.push("--client-cert-auth".to_owned());
            let etcd = Etcd::start(&options).unwrap_or_else(|log| panic!("{log}"));
            let said = dial(name, etcd.client_port, "127.0.0.1");
            match words {
                None => assert!(said.contains("etcdserver"), "{name}: {said}\n{}", etcd.log()),
                Some(words) => {
                    assert!(etcd.log_says(&words), "{name}: not {words:?}, but {}", etcd.log());
                    assert!(!said.contains("etcdserver"), "{name}: {said}");
                }
            }
        }
    });
}

/// curl from an address, showing a fixture, without looking at the server's own certificate.
fn dial(name: &str, port: u16, from: &str) -> String {
    let mut client = command("curl");
    client
        .args(["-sS", "-k", "--http1.1", "--max-time", "5", "--interface", from])
        .args(["--ciphers", "DEFAULT@SECLEVEL=0"])
        .args(["--cert", &path(name, "cert.pem"), "--key", &path(name, "key.pem")])
        .arg(format!("https://127.0.0.1:{port}/version"));
    output_of(client)
}

#[test]
fn a_peer_from_an_address_that_its_certificate_lacks_is_refused_as_predicted() {
    on_each_etcd(|| {
        let Some(go) = go() else { return };
        let mut options = pair("good");
        options.push(format!("--peer-cert-file={}", path("good", "cert.pem")));
        options.push(format!("--peer-key-file={}", path("good", "key.pem")));
        options.push(format!("--peer-trusted-ca-file={}", path("good", "ca.pem")));
        options.push("--peer-client-cert-auth".to_owned());
        let etcd = Etcd::start(&options).unwrap_or_else(|log| panic!("{log}"));
        let cases: &[(&str, &str, Option<Code>)] = &[
            ("good", "127.0.0.1", None),
            ("no-san", "127.0.0.7", None),
            ("wrong-ip", "127.0.0.8", Some(Code::PeerSourceAddress)),
            ("far-peer", "127.0.0.9", Some(Code::PeerSourceAddress)),
            ("wildcard", "127.0.0.10", Some(Code::PeerSourceAddress)),
            ("server-only", "127.0.0.1", Some(Code::MissingClientAuth)),
        ];
        for &(name, from, code) in cases {
            let how = How { go, source_ip: Some(from), ..How::new(Role::Peer) };
            let words = predicted(name, code, &how);
            let said = dial(name, etcd.peer_port, from);
            match words {
                None => assert!(said.contains("etcdserver"), "{name}: {said}\n{}", etcd.log()),
                Some(words) => {
                    assert!(etcd.log_says(&words), "{name} from {from}: not {words:?}, but {}", etcd.log());
                    assert!(!said.contains("etcdserver"), "{name}: {said}");
                }
            }
        }
    });
}

#[test]
fn the_gateway_is_refused_with_a_server_certificate_that_is_no_clients() {
    on_each_etcd(|| {
        let Some(go) = go() else { return };
        let how = How { go, client_cert_auth: true, ..How::new(Role::Server) };
        let words = predicted("server-only", Some(Code::GatewayClientAuth), &how).unwrap();
        let mut options = pair("server-only");
        options.push(format!("--trusted-ca-file={}", path("good", "ca.pem")));
        options.push("--client-cert-auth".to_owned());
        let etcd = Etcd::start(&options).unwrap_or_else(|log| panic!("{log}"));
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
    });
}

#[test]
fn an_empty_ca_file_lets_etcd_start_and_refuses_everyone() {
    on_each_etcd(|| {
        let Some(go) = go() else { return };
        for name in ["empty-ca", "der-ca"] {
            let how = How { go, ..How::new(Role::Client) };
            let words = predicted(name, Some(Code::EmptyCaFile), &how).unwrap();
            let mut options = pair("good");
            options.push(format!("--trusted-ca-file={}", path(name, "ca.pem")));
            options.push("--client-cert-auth".to_owned());
            let etcd = Etcd::start(&options).unwrap_or_else(|log| panic!("{log}"));
            let said = dial("good", etcd.client_port, "127.0.0.1");
            assert!(etcd.log_says(&words) && !said.contains("etcdserver"), "{name}: {said}\n{}", etcd.log());
        }
    });
}
