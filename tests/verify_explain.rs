//! `explain` on what a real etcd and its clients print: the right pitfall comes first.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stdout)]

mod support;
mod verify_support;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use etcd_pki::host::Service;
use etcd_pki::host::command::command;
use etcd_pki::host::process::{ProcessDir, ProcessHost, Unit};
use etcd_pki::host::supervisor::{Request, Supervised};
use etcd_pki::verify::explain::explain;
use etcd_pki::verify::{Code, catalogue};
use verify_support::triggers::TRIGGERS;
use verify_support::{Etcd, etcd, etcd_go, fixture, free_port, on_each_etcd, output_of};

fn path(name: &str, file: &str) -> String {
    fixture(name, file).display().to_string()
}

fn options(more: &[&str]) -> Vec<String> {
    let mut all = vec![
        format!("--cert-file={}", path("good", "cert.pem")),
        format!("--key-file={}", path("good", "key.pem")),
    ];
    all.extend(more.iter().map(|&one| one.to_owned()));
    all
}

fn strict(more: &[&str]) -> Vec<String> {
    let ca = format!("--trusted-ca-file={}", path("good", "ca.pem"));
    options(&[&["--client-cert-auth", &ca], more].concat())
}

fn start(options: &[String]) -> Etcd {
    Etcd::start(options).unwrap_or_else(|log| panic!("{log}"))
}

fn curl(arguments: &[&str], port: u16) -> String {
    let mut client = command("curl");
    client.args(["-sS", "--max-time", "5"]).args(arguments).arg(format!("https://127.0.0.1:{port}/version"));
    output_of(client)
}

fn with_pair() -> Vec<String> {
    let of = |option: &str, file: &str| vec![option.to_owned(), path("good", file)];
    [of("--cacert", "ca.pem"), of("--cert", "cert.pem"), of("--key", "key.pem")].concat()
}

thread_local! {
    static SHOWN: RefCell<BTreeSet<Code>> = const { RefCell::new(BTreeSet::new()) };
}

/// Notes that a real etcd, or a client of it, has shown a pitfall.
fn is_shown(code: Code) {
    SHOWN.with_borrow_mut(|shown| shown.insert(code));
}

/// What a scene shows; each is played once, by whoever wants to know first.
type Scene = LazyLock<BTreeSet<Code>>;

macro_rules! scenes {
    ($($name:ident,)*) => {
        $(mod $name {
            use super::*;

            pub(super) static SHOWN_BY: Scene = LazyLock::new(|| {
                SHOWN.take();
                on_each_etcd(super::$name);
                SHOWN.take()
            });

            #[test]
            fn as_predicted() {
                LazyLock::force(&SHOWN_BY);
            }
        })*

        const SCENES: &[&Scene] = &[$(&$name::SHOWN_BY,)*];
    };
}

scenes! {
    what_a_strict_server_logs_about_its_clients,
    what_options_that_contradict_each_other_do,
    what_revocation_lists_do,
    what_stops_etcd_at_its_start,
    a_key_that_etcd_may_not_read,
    plain_listeners_and_what_their_clients_say,
    etcdctl_with_the_other_apis_options,
    a_grpc_proxy_refuses_a_common_name,
    a_member_whose_files_and_process_disagree,
}

#[test]
fn every_pitfall_has_a_fixture_or_a_real_etcd_that_shows_it() {
    if skip() {
        return;
    }
    let played = SCENES.iter().flat_map(|scene| LazyLock::force(scene).iter().copied());
    let shown: BTreeSet<Code> = TRIGGERS.iter().map(|trigger| trigger.2).chain(played).collect();
    let missing: Vec<_> =
        catalogue().map(|pitfall| pitfall.code).filter(|code| !shown.contains(code)).collect();
    assert!(missing.is_empty(), "pitfalls that nothing shows: {missing:?}");
}

/// The first cause of a text must be this one.
fn leads_to(text: &str, code: Code) {
    let causes = explain(text);
    let codes: Vec<_> = causes.iter().map(|cause| cause.pitfall.code).collect();
    assert_eq!(codes.first(), Some(&code), "{codes:?} of\n{text}");
    is_shown(code);
}

/// This one must be among the causes.
fn may_be(text: &str, code: Code) {
    let causes = explain(text);
    assert!(causes.iter().any(|cause| cause.pitfall.code == code), "not {code} of\n{text}");
    is_shown(code);
}

/// What is new in a log after something was done, once it says anything about a rejected connection.
fn rejected(etcd: &Etcd, act: impl FnOnce(u16)) -> String {
    let before = etcd.log().len();
    act(etcd.client_port);
    for _ in 0..100 {
        let log = etcd.log();
        let new: String = log[before..]
            .lines()
            .filter(|line| line.contains("rejected connection") && !line.contains("\"EOF\""))
            .map(|line| format!("{line}\n"))
            .collect();
        if !new.is_empty() {
            return new;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("nothing was rejected:\n{}", etcd.log());
}

fn skip() -> bool {
    let none = etcd_go().is_none();
    if none {
        support::skipped("there is no etcd in PATH");
    }
    none
}

fn what_a_strict_server_logs_about_its_clients() {
    if skip() {
        return;
    }
    let etcd = start(&strict(&[]));
    let (ca, foreign) = (path("good", "ca.pem"), path("foreign-ca", "cert.pem"));
    let log = rejected(&etcd, |port| drop(curl(&["--cacert", &ca], port)));
    leads_to(&log, Code::NoClientCertificate);
    let log = rejected(&etcd, |port| {
        let mut plain = command("curl");
        plain.args(["-sS", "--max-time", "5"]).arg(format!("http://127.0.0.1:{port}/version"));
        leads_to(&output_of(plain), Code::HttpToTls);
    });
    leads_to(&log, Code::HttpToTls);
    leads_to(&rejected(&etcd, |port| drop(curl(&["--cacert", &foreign], port))), Code::BadRecordMac);
    let log = rejected(&etcd, |port| drop(curl(&["--tls-max", "1.2", "--cacert", &foreign], port)));
    leads_to(&log, Code::ServerNotTrusted);
    let log = rejected(&etcd, |port| {
        let mut old = command("openssl");
        old.args(["s_client", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0", "-connect"]);
        leads_to(&output_of_with_input(old.arg(format!("127.0.0.1:{port}"))), Code::TlsTooOld);
    });
    leads_to(&log, Code::TlsTooOld);
}

fn output_of_with_input(client: &mut Command) -> String {
    let output = client.stdin(Stdio::null()).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn what_options_that_contradict_each_other_do() {
    if skip() {
        return;
    }
    let ca = format!("--trusted-ca-file={}", path("good", "ca.pem"));
    // A trusted CA alone: certificates are demanded all the same.
    let etcd = start(&options(&[&ca]));
    assert!(etcd.log().contains("client-cert-auth = false"));
    let log = rejected(&etcd, |port| drop(curl(&["--cacert", &path("good", "ca.pem")], port)));
    may_be(&log, Code::CaWithoutClientAuth);
    // Client certificates without a CA: nobody is known.
    let etcd = start(&options(&["--client-cert-auth"]));
    let pair = with_pair();
    let pair: Vec<&str> = pair.iter().map(String::as_str).collect();
    may_be(&rejected(&etcd, |port| drop(curl(&pair, port))), Code::ClientAuthWithoutCa);
    // An allowed name that the certificate does not have.
    let etcd = start(&strict(&["--client-cert-allowed-hostname=nobody"]));
    let log = rejected(&etcd, |port| drop(curl(&pair, port)));
    may_be(&format!("{log}\n{}", etcd.log()), Code::AllowedName);
}

fn what_revocation_lists_do() {
    if skip() {
        return;
    }
    let pair = with_pair();
    let pair: Vec<&str> = pair.iter().map(String::as_str).collect();
    let dir = tempfile::tempdir().unwrap();
    let crl = dir.path().join("crl.pem");
    let option = format!("--client-crl-file={}", crl.display());
    let etcd = start(&strict(&[&option]));
    leads_to(&rejected(&etcd, |port| drop(curl(&pair, port))), Code::BrokenCrl);
    std::fs::write(&crl, "garbage").unwrap();
    leads_to(&rejected(&etcd, |port| drop(curl(&pair, port))), Code::BrokenCrl);
    revoke(&crl);
    leads_to(&rejected(&etcd, |port| drop(curl(&pair, port))), Code::Revoked);
}

/// A list of some CA with the good certificate's serial number: etcd compares nothing else.
fn revoke(crl: &std::path::Path) {
    let serial = command("openssl")
        .args(["x509", "-noout", "-serial", "-in", &path("good", "cert.pem")])
        .output()
        .unwrap();
    let serial = String::from_utf8(serial.stdout).unwrap();
    let serial = serial.trim().trim_start_matches("serial=");
    let bytes: Vec<u8> = (0..serial.len() / 2)
        .map(|at| u8::from_str_radix(&serial[at * 2..at * 2 + 2], 16).unwrap())
        .collect();
    let now = time::OffsetDateTime::now_utc();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::CrlSign];
    let issuer = rcgen::Issuer::new(params, key);
    let list = rcgen::CertificateRevocationListParams {
        this_update: now,
        next_update: now + time::Duration::days(30),
        crl_number: rcgen::SerialNumber::from(1u64),
        issuing_distribution_point: None,
        revoked_certs: vec![rcgen::RevokedCertParams {
            serial_number: rcgen::SerialNumber::from_slice(&bytes),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    std::fs::write(crl, list.signed_by(&issuer).unwrap().pem().unwrap()).unwrap();
}

/// etcd with these options and variables ends by itself; what it printed.
fn fails(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut etcd = etcd();
    etcd.arg("--data-dir").arg(dir.path().join("data")).args(arguments).envs(variables.iter().copied());
    output_of(etcd)
}

fn what_stops_etcd_at_its_start() {
    if skip() {
        return;
    }
    let port = free_port();
    let (client, peer) = (format!("https://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", free_port()));
    let urls = [
        "--listen-client-urls",
        &client,
        "--advertise-client-urls",
        &client,
        "--listen-peer-urls",
        &peer,
        "--initial-advertise-peer-urls",
        &peer,
        "--initial-cluster",
        &format!("default={peer}"),
    ];
    let cert = format!("--cert-file={}", path("good", "cert.pem"));
    let key = format!("--key-file={}", path("good", "key.pem"));
    let with = |more: &[&str], variables: &[(&str, &str)]| fails(&[&urls[..], more].concat(), variables);
    leads_to(&with(&[&cert], &[]), Code::HalfAPair);
    leads_to(&with(&[], &[]), Code::HttpsWithoutCertificate);
    leads_to(&with(&[&cert, &key, "--ca-file=ca.pem"], &[]), Code::OldVariables);
    leads_to(&with(&[&cert, &key, "--name=a"], &[("ETCD_NAME", "a")]), Code::ConflictingFlags);
    leads_to(&fails(&["--discovery-srv", "nowhere.invalid"], &[]), Code::SrvDiscovery);
    let peer_pair = [
        format!("--peer-cert-file={}", path("good", "cert.pem")),
        format!("--peer-key-file={}", path("good", "key.pem")),
        format!("--peer-trusted-ca-file={}", path("good", "ca.pem")),
    ];
    let secure = peer.replace("http:", "https:");
    let both = fails(
        &[
            "--listen-peer-urls",
            &secure,
            "--initial-advertise-peer-urls",
            &secure,
            "--initial-cluster",
            &format!("default={secure}"),
            &peer_pair[0],
            &peer_pair[1],
            &peer_pair[2],
            "--peer-client-cert-auth",
            "--peer-cert-allowed-cn=a",
            "--peer-cert-allowed-hostname=b",
        ],
        &[],
    );
    leads_to(&both, Code::AllowedName);
}

fn a_key_that_etcd_may_not_read() {
    if skip() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(fixture("good", "cert.pem"), dir.path().join("cert.pem")).unwrap();
    let key = dir.path().join("key.pem");
    std::fs::copy(fixture("good", "key.pem"), &key).unwrap();
    // Whoever runs the tests may be root, whom no mode stops: etcd then runs as nobody.
    let mut etcd = if rustix::process::getuid().is_root() {
        let mut other = command("setpriv");
        other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(etcd().get_program());
        other
    } else {
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
        etcd()
    };
    let data = tempfile::tempdir().unwrap();
    std::fs::set_permissions(data.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let client = format!("https://127.0.0.1:{}", free_port());
    let peer = format!("http://127.0.0.1:{}", free_port());
    etcd.arg("--data-dir")
        .arg(data.path().join("data"))
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("default={peer}")])
        .arg(format!("--cert-file={}", dir.path().join("cert.pem").display()))
        .arg(format!("--key-file={}", key.display()));
    leads_to(&output_of(etcd), Code::KeyUnreadable);
}

fn plain_listeners_and_what_their_clients_say() {
    if skip() {
        return;
    }
    // The URL alone decides: certificates beside an http URL are ignored, with a warning.
    let port = free_port();
    let plain = format!("http://127.0.0.1:{port}");
    let urls = format!("--listen-client-urls={plain}");
    let advertised = format!("--advertise-client-urls={plain}");
    let etcd = start_plain(&strict(&[&urls, &advertised]));
    leads_to(&etcd.log(), Code::HttpWithCertificates);
    may_be(&curl(&["-k"], port), Code::TlsToHttp);
    // http advertised beside an https listener is accepted in silence; who follows it speaks HTTP to TLS.
    let etcd = start(&options(&["--advertise-client-urls=http://127.0.0.1:1"]));
    assert!(!etcd.log().contains(" C | "), "{}", etcd.log());
    let mut plain = command("curl");
    plain.args(["-sS", "--max-time", "5"]).arg(format!("http://127.0.0.1:{}/version", etcd.client_port));
    output_of(plain);
    assert!(etcd.log_says("first record does not look like a TLS handshake"));
    may_be(&etcd.log(), Code::HttpAdvertised);
}

fn start_plain(options: &[String]) -> Etcd {
    Etcd::start(options).unwrap_or_else(|log| panic!("{log}"))
}

fn etcdctl_with_the_other_apis_options() {
    if skip() {
        return;
    }
    let run = |api: &str, arguments: &[&str]| {
        let mut client = command("etcdctl");
        client.env("ETCDCTL_API", api).args(arguments);
        output_of(client)
    };
    leads_to(&run("3", &["--ca-file", "x", "get", "a"]), Code::WrongApiFlags);
    leads_to(&run("2", &["--cacert", "x", "ls"]), Code::WrongApiFlags);
}

fn a_grpc_proxy_refuses_a_common_name() {
    if skip() {
        return;
    }
    let mut proxy = etcd();
    proxy
        .args(["grpc-proxy", "start", "--endpoints=https://127.0.0.1:1"])
        .args(["--listen-addr", &format!("127.0.0.1:{}", free_port())])
        .args(["--cert", &path("good", "cert.pem"), "--key", &path("good", "key.pem")])
        .args(["--cacert", &path("good", "ca.pem")]);
    leads_to(&output_of(proxy), Code::ProxyCommonName);
}

/// A supervised member, and what `verify` finds of it while its files change under it.
fn a_member_whose_files_and_process_disagree() {
    if skip() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let dir = ProcessDir::new(top.path().join("m1"));
    let (client, peer) = (format!("127.0.0.1:{}", free_port()), format!("http://127.0.0.1:{}", free_port()));
    let pki = top.path().join("pki").display().to_string();
    let tool = |words: &[&str]| {
        let mut tool = command(env!("CARGO_BIN_EXE_etcd-pki"));
        output_of_both(tool.args(words).args(["--pki-dir", &pki]))
    };
    tool(&["init-ca"]);
    tool(&["issue", "m1"]);
    for file in ["m1.pem", "m1-key.pem", "ca.pem"] {
        std::fs::copy(Path::new(&pki).join(file), top.path().join(file)).unwrap();
    }
    let at = |file: &str| top.path().join(file).display().to_string();
    let settings = [
        ("ETCD_NAME", "m1".to_owned()),
        ("ETCD_DATA_DIR", dir.data().display().to_string()),
        ("ETCD_LISTEN_CLIENT_URLS", format!("https://{client}")),
        ("ETCD_ADVERTISE_CLIENT_URLS", format!("https://{client}")),
        ("ETCD_LISTEN_PEER_URLS", peer.clone()),
        ("ETCD_INITIAL_ADVERTISE_PEER_URLS", peer.clone()),
        ("ETCD_INITIAL_CLUSTER", format!("m1={peer}")),
        ("ETCD_CERT_FILE", at("m1.pem")),
        ("ETCD_KEY_FILE", at("m1-key.pem")),
        ("ETCD_TRUSTED_CA_FILE", at("ca.pem")),
    ];
    let settings: BTreeMap<_, _> =
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let program = etcd();
    let program = Some(Path::new(program.get_program())).filter(|program| program.is_absolute());
    let etcd = etcd_pki::rehearse::cluster::find_etcd(program).unwrap();
    let unit = Unit { exec: vec![etcd.path.display().to_string()], address: [127, 0, 0, 1].into() };
    dir.create(&unit, &settings).unwrap();
    let supervised = Supervised::spawn(Path::new(env!("CARGO_BIN_EXE_etcd-pki")), &dir).unwrap();
    supervised.control().ask(Request::Start).unwrap();
    let service = ProcessHost::open("m1", dir.path()).unwrap().service();
    let inventory = at("cluster.toml");
    let text = format!("[[member]]\nname = \"m1\"\nprocess = {:?}\n", dir.path());
    std::fs::write(&inventory, text).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while service.running().unwrap().is_none() || std::net::TcpStream::connect(&client).is_err() {
        assert!(std::time::Instant::now() < deadline, "it does not come up");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let finds = |words: &[&str], code: Code| {
        let document: serde_json::Value = serde_json::from_str(&tool(words)).unwrap();
        let mut results = document["results"].as_array().unwrap().iter();
        let has = |one: &serde_json::Value| one["findings"].to_string().contains(&code.to_string());
        assert!(results.any(has), "no {code} in {document}");
        is_shown(code);
    };
    let judge = ["verify", "--json", "--cluster", &inventory];
    finds(&judge, Code::CaWithoutClientAuth);
    let base = std::fs::read_to_string(dir.base_file()).unwrap();
    std::fs::write(dir.base_file(), format!("{base}ETCD_CLIENT_CERT_AUTH=true\n")).unwrap();
    finds(&judge, Code::Drift);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    std::fs::copy(Path::new(&pki).join("ca.pem"), top.path().join("ca.pem")).unwrap();
    finds(&judge, Code::CaNotReloaded);
    tool(&["renew", "m1"]);
    finds(&["verify", "--json", "--connect", &client], Code::ServedOlder);
    supervised.control().ask(Request::Quit).unwrap();
    // Nobody answers any more, and etcd's own client says so.
    let mut etcdctl = command("etcdctl");
    etcdctl.env("ETCDCTL_API", "2").args(["--endpoints", &format!("http://{client}"), "member", "list"]);
    leads_to(&output_of(etcdctl), Code::Unreachable);
}

fn output_of_both(tool: &mut Command) -> String {
    String::from_utf8(tool.output().unwrap().stdout).unwrap()
}

#[test]
fn a_log_on_standard_input_becomes_json_with_the_likeliest_first() {
    let mut tool = command(env!("CARGO_BIN_EXE_etcd-pki"))
        .args(["explain", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let log = b"Nov 21 m1 etcd[1]: rejected connection from \"10.0.0.2:1\" (error \"tls: client didn't provide a certificate\", ServerName \"\")\nnoise \xff\n";
    tool.stdin.take().unwrap().write_all(log).unwrap();
    let output = tool.wait_with_output().unwrap();
    assert!(output.status.success());
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let first = &document["causes"][0];
    assert_eq!(first["code"], "EP035");
    assert!(first["title"].is_string() && first["fix"].is_string());
    assert_eq!(first["refusals"]["m1 refuses 10.0.0.2"], 1);
    let none =
        command(env!("CARGO_BIN_EXE_etcd-pki")).args(["explain", "all is well", "--json"]).output().unwrap();
    assert_eq!(none.status.code(), Some(1));
    assert_eq!(String::from_utf8(none.stdout).unwrap().trim(), "{\"causes\":[]}");
}
