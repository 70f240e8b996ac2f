//! Listeners: whom they ask for what, and how they are dialled.

use etcd_pki::host::command::command;
use etcd_pki::verify::Code;

use super::super::catalogue::{is_shown, leads_to, may_be};
use super::super::verify_support::{etcdctl, free_port, output_of};
use super::super::{demanding, dial, go, pair, path, start};
use super::{curl, options, rejected, strict, with_pair};

pub fn what_options_that_contradict_each_other_do() {
    if go().is_none() {
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
}

/// Names that alone are let in: by a SAN on the client port, by the common name on the peer port.
pub fn names_that_are_allowed() {
    if go().is_none() {
        return;
    }
    let pair_of = with_pair();
    let shown: Vec<&str> = pair_of.iter().map(String::as_str).collect();
    let etcd = start(&strict(&["--client-cert-allowed-hostname=nobody"]));
    let log = rejected(&etcd, |port| drop(curl(&shown, port)));
    may_be(&format!("{log}\n{}", etcd.log()), Code::AllowedName);
    let peers = [pair("good", ""), pair("good", "peer-"), demanding("good", "peer-")].concat();
    let allowed = |name: &str| [peers.clone(), vec![format!("--peer-cert-allowed-cn={name}")]].concat();
    let etcd = start(&allowed("good"));
    assert!(dial("good", etcd.peer_port, "127.0.0.1").contains("etcdserver"), "{}", etcd.log());
    assert!(!dial("chain", etcd.peer_port, "127.0.0.1").contains("etcdserver"), "{}", etcd.log());
    let etcd = start(&allowed("somebody"));
    assert!(!dial("good", etcd.peer_port, "127.0.0.1").contains("etcdserver"), "{}", etcd.log());
    assert!(etcd.log_says("client certificate authentication failed"), "{}", etcd.log());
    leads_to("client certificate authentication failed", Code::AllowedName);
}

pub fn what_garbled_and_missing_revocation_lists_do() {
    if go().is_none() {
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
}

pub fn plain_listeners_and_what_their_clients_say() {
    if go().is_none() {
        return;
    }
    // The URL alone decides: certificates beside an http URL are ignored, with a warning.
    let port = free_port();
    let plain = format!("http://127.0.0.1:{port}");
    let urls = format!("--listen-client-urls={plain}");
    let advertised = format!("--advertise-client-urls={plain}");
    let etcd = start(&strict(&[&urls, &advertised]));
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

/// 0.0.0.0 is advertised without a word; whoever is told it dials itself.
pub fn an_address_that_nobody_can_dial_is_advertised_in_silence() {
    if go().is_none() {
        return;
    }
    let port = free_port();
    let [listened, advertised] =
        ["listen", "advertise"].map(|what| format!("--{what}-client-urls=https://0.0.0.0:{port}"));
    let etcd = start(&options(&[&listened, &advertised]));
    let mut members = etcdctl();
    members.env("ETCDCTL_API", "3").args(["--cacert", &path("good", "ca.pem"), "member", "list"]);
    members.args(["--endpoints", &format!("https://127.0.0.1:{port}")]);
    let said = output_of(members);
    assert!(said.contains(&format!("https://0.0.0.0:{port}")), "{said}\n{}", etcd.log());
    is_shown(Code::WildcardAdvertised);
}
