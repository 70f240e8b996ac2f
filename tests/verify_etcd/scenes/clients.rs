//! Clients: what they say, and what the server logs of them.

use std::process::{Command, Stdio};

use etcd_pki::host::command::command;
use etcd_pki::verify::Code;

use super::super::catalogue::leads_to;
use super::super::verify_support::{etcd, etcdctl, free_port, output_of};
use super::super::{go, path, start};
use super::{curl, rejected, strict};

pub fn what_a_strict_server_logs_about_its_clients() {
    if go().is_none() {
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

pub fn etcdctl_with_the_other_apis_options() {
    if go().is_none() {
        return;
    }
    let run = |api: &str, arguments: &[&str]| {
        let mut client = etcdctl();
        client.env("ETCDCTL_API", api).args(arguments);
        output_of(client)
    };
    leads_to(&run("3", &["--ca-file", "x", "get", "a"]), Code::WrongApiFlags);
    leads_to(&run("2", &["--cacert", "x", "ls"]), Code::WrongApiFlags);
}

pub fn a_grpc_proxy_refuses_a_common_name() {
    if go().is_none() {
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

/// With authentication on, a certificate's common name is the user that it names, and no password is asked for.
pub fn a_common_name_is_a_user() {
    if go().is_none() {
        return;
    }
    let etcd = start(&strict(&[]));
    let run = |fixture: &str, words: &[&str]| {
        let mut client = etcdctl();
        client.env("ETCDCTL_API", "3").args(["--cacert", &path("good", "ca.pem")]).args(words);
        client.args(["--cert", &path(fixture, "cert.pem"), "--key", &path(fixture, "key.pem")]);
        client.args(["--endpoints", &format!("https://127.0.0.1:{}", etcd.client_port)]);
        output_of(client)
    };
    for words in
        [&["user", "add", "root:pw"][..], &["user", "grant-role", "root", "root"], &["auth", "enable"]]
    {
        let said = run("good", words);
        assert!(!said.contains("rror"), "{words:?}: {said}");
    }
    // The certificate root-user says CN=root.
    let said = run("root-user", &["user", "list"]);
    assert!(said.lines().any(|line| line == "root"), "{said}");
    leads_to(&run("good", &["put", "a", "b"]), Code::CommonNameUser);
}
