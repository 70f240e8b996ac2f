//! What is taken for a TLS failure and is none: ports, options, clusters, cipher suites, port checks.

use std::net::TcpListener;

use etcd_pki::host::command::command;
use etcd_pki::verify::Code;

use super::super::catalogue::leads_to;
use super::super::verify_support::{free_port, output_of};
use super::super::{go, path, start};
use super::starting::fails;
use super::{curl, options};

pub fn what_is_no_failure_of_certificates() {
    if go().is_none() {
        return;
    }
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let member = |client: &str, more: &[&str]| {
        let peer = url(free_port());
        let cluster = format!("m1={peer}");
        let own = ["--name", "m1", "--listen-client-urls", client, "--advertise-client-urls", client];
        let peers = [
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
            "--initial-cluster",
            &cluster,
        ];
        fails(&[&own[..], &peers[..], more].concat(), &[])
    };
    leads_to(&member(&url(taken.local_addr().unwrap().port()), &[]), Code::ListenAddress);
    leads_to(&member(&url(free_port()), &["--enable-v4"]), Code::UnknownOption);
    let other = format!("m2={}", url(free_port()));
    leads_to(&member(&url(free_port()), &["--initial-cluster", &other]), Code::OtherCluster);
    // HTTP/2 requires a suite with AES-128.
    let client = format!("https://127.0.0.1:{}", free_port());
    let pair = [
        format!("--cert-file={}", path("good", "cert.pem")),
        format!("--key-file={}", path("good", "key.pem")),
    ];
    let suites = ["--cipher-suites", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", &pair[0], &pair[1]];
    leads_to(&member(&client, &suites), Code::NoCommonCipher);
}

pub fn suites_that_do_not_fit_the_key() {
    if go().is_none() {
        return;
    }
    let etcd = start(&options(&["--cipher-suites", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]));
    let before = etcd.log().len();
    let ca = path("good", "ca.pem");
    leads_to(&curl(&["--tls-max", "1.2", "--cacert", &ca], etcd.client_port), Code::NoCommonCipher);
    assert!(etcd.log_says("no cipher suite supported by both"), "{}", etcd.log());
    leads_to(&etcd.log()[before..], Code::NoCommonCipher);
}

pub fn a_port_check_and_a_path_that_is_not_served() {
    if go().is_none() {
        return;
    }
    let etcd = start(&options(&[]));
    let before = etcd.log().len();
    drop(std::net::TcpStream::connect(("127.0.0.1", etcd.client_port)).unwrap());
    assert!(etcd.log_says("rejected connection"), "{}", etcd.log());
    let log = etcd.log();
    let rejected = log[before..].lines().find(|line| line.contains("rejected connection")).unwrap();
    leads_to(rejected, Code::ClosedInHandshake);
    // One port check in the log of a member that serves is not worth a word.
    assert!(etcd_pki::verify::explain::explain(&log).is_empty(), "{log}");
    let mut client = command("curl");
    client.args(["-sS", "--cacert", &path("good", "ca.pem")]);
    client.arg(format!("https://127.0.0.1:{}/v9/kv/range", etcd.client_port));
    leads_to(&output_of(client), Code::WrongService);
}
