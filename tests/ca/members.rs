//! A real etcd lives with the pair of `issue server1 --ip 127.0.0.1`: client listener, peer listener, gateway.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::skipped;
use crate::support::{Bench, Ran, text, tool};

pub(crate) struct Etcd {
    child: Child,
    pub(crate) port: u16,
    pub(crate) peer: u16,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A member with mutual TLS on both ports, from one pair.
fn start(bench: &Bench, pair: &str) -> Etcd {
    start_with(bench, pair, &[])
}

pub(crate) fn start_with(bench: &Bench, pair: &str, more: &[&str]) -> Etcd {
    let (port, peer) = (free_port(), free_port());
    let (cert, key) = (bench.file(&format!("{pair}.pem")), bench.file(&format!("{pair}-key.pem")));
    let (client_url, peer_url) = (format!("https://127.0.0.1:{port}"), format!("https://127.0.0.1:{peer}"));
    let mut command = Command::new("etcd");
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command.args(["--name", "m", "--data-dir", text(&bench.root().join("data")), "--enable-v2"]);
    command.args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url]);
    command.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
    command.args(["--initial-cluster", &format!("m={peer_url}")]);
    command.args(["--client-cert-auth", "--trusted-ca-file", text(&bench.file("ca.pem"))]);
    command.args(["--peer-client-cert-auth", "--peer-trusted-ca-file", text(&bench.file("ca.pem"))]);
    command.args(["--cert-file", text(&cert), "--key-file", text(&key)]);
    command.args(["--peer-cert-file", text(&cert), "--peer-key-file", text(&key)]);
    command.args(more);
    let log = std::fs::File::create(bench.root().join("etcd.log")).unwrap();
    let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    Etcd { child, port, peer }
}

pub(crate) fn curl(bench: &Bench, etcd: &Etcd, pair: &str, path: &str, more: &[&str]) -> Ran {
    curl_port(bench, etcd.port, pair, path, more)
}

/// The same at the client or the peer port.
pub(crate) fn curl_port(bench: &Bench, port: u16, pair: &str, path: &str, more: &[&str]) -> Ran {
    let url = format!("https://127.0.0.1:{port}{path}");
    let (ca, cert, key) =
        (bench.file("ca.pem"), bench.file(&format!("{pair}.pem")), bench.file(&format!("{pair}-key.pem")));
    let mut args = vec!["-sS", "--max-time", "5", "--cacert", text(&ca)];
    if !pair.is_empty() {
        args.extend(["--cert", text(&cert), "--key", text(&key)]);
    }
    args.extend(more);
    args.push(&url);
    tool("curl", &args)
}

pub(crate) fn is_healthy(bench: &Bench, etcd: &Etcd, pair: &str) -> bool {
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        if curl(bench, etcd, pair, "/health", &[]).out.contains("true") {
            return true;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    false
}

#[test]
fn one_pair_serves_a_member_in_every_part_with_every_kind_of_key() {
    if Command::new("etcd").arg("--version").output().is_err() {
        return skipped("etcd is not installed");
    }
    for key_type in ["p256", "p384", "ed25519", "rsa2048"] {
        let bench = Bench::empty();
        bench.run(&["init-ca", "--key-type", if key_type == "p256" { "ed25519" } else { "p256" }]).ok();
        bench.run(&["issue", "server1", "--ip", "127.0.0.1", "--key-type", key_type]).ok();
        bench.run(&["issue", "client1", "--profile", "client", "--key-type", key_type]).ok();
        let etcd = start(&bench, "server1");
        let log = || std::fs::read_to_string(bench.root().join("etcd.log")).unwrap_or_default();
        assert!(is_healthy(&bench, &etcd, "client1"), "{key_type}: {}", log());

        // The gateway dials the member with the server's own certificate: it must be a client certificate too.
        let put =
            curl(&bench, &etcd, "client1", "/v3/kv/put", &["-d", r#"{"key":"Zm9v","value":"YmFy"}"#]).ok();
        assert!(put.out.contains("revision"), "{key_type}: {put:?}\n{}", log());
        let range = curl(&bench, &etcd, "client1", "/v3/kv/range", &["-d", r#"{"key":"Zm9v"}"#]).ok();
        assert!(range.out.contains("YmFy"), "{key_type}: {range:?}");
        let v2 = curl(&bench, &etcd, "client1", "/v2/keys/a", &["-XPUT", "-d", "value=b"]).ok();
        assert!(v2.out.contains("\"value\":\"b\""), "{key_type}: {v2:?}");

        let (ca, cert, key) =
            (bench.file("ca.pem"), bench.file("client1.pem"), bench.file("client1-key.pem"));
        let endpoint = format!("https://127.0.0.1:{}", etcd.port);
        let got = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args([
                "--endpoints",
                &endpoint,
                "--cacert",
                text(&ca),
                "--cert",
                text(&cert),
                "--key",
                text(&key),
            ])
            .args(["--command-timeout", "5s", "get", "foo"])
            .output();
        let got: Ran = got.unwrap().into();
        assert!(got.out.contains("bar"), "{key_type}: {got:?}");

        let port = format!("127.0.0.1:{}", etcd.port);
        let live = bench.run(&["inspect", &port, "--json"]).ok().json();
        assert_eq!(live["files"][0]["items"][0]["subject"], "CN=server1");
        let nobody = curl(&bench, &etcd, "", "/health", &[]);
        assert_ne!(nobody.code, Some(0), "a client without a certificate is refused: {nobody:?}");
        assert!(!log().contains("x509:"), "{key_type}: {}", log());
    }
}

#[test]
fn another_cas_client_is_refused() {
    if Command::new("etcd").arg("--version").output().is_err() {
        return skipped("etcd is not installed");
    }
    let (bench, other) = (Bench::new(), Bench::new());
    bench.run(&["issue", "server1", "--ip", "127.0.0.1"]).ok();
    other.run(&["issue", "client1", "--profile", "client"]).ok();
    let etcd = start(&bench, "server1");
    assert!(is_healthy(&bench, &etcd, "server1"));
    for file in ["client1.pem", "client1-key.pem"] {
        std::fs::copy(other.file(file), bench.file(file)).unwrap();
    }
    let ran = curl(&bench, &etcd, "client1", "/health", &[]);
    assert_ne!(ran.code, Some(0), "{ran:?}");
    let log = std::fs::read_to_string(bench.root().join("etcd.log")).unwrap();
    assert!(log.contains("certificate signed by unknown authority"), "{log}");
}

/// Three members that reach each other only with what was issued for them, below an encrypted issuing CA.
#[test]
fn three_members_below_an_intermediate_trust_each_other() {
    if Command::new("etcd").arg("--version").output().is_err() {
        return skipped("etcd is not installed");
    }
    let bench = Bench::empty();
    std::fs::write(bench.root().join("secret"), "sesame\n").unwrap();
    let secret = ["--passphrase-file", "secret"];
    bench.run(&["init-ca", "--intermediate", "--key-type", "rsa2048", secret[0], secret[1]]).ok();
    let mut names = vec!["issue"];
    names.extend(["m1", "m2", "m3"]);
    names.extend(secret);
    bench.run(&names).ok();
    let ports: Vec<(u16, u16)> = (0..3).map(|_| (free_port(), free_port())).collect();
    let cluster: Vec<String> =
        (1..=3).zip(&ports).map(|(count, (_, peer))| format!("m{count}=https://127.0.0.1:{peer}")).collect();
    let cluster = cluster.join(",");
    let members: Vec<Etcd> = (1..=3)
        .zip(&ports)
        .map(|(count, (port, peer))| {
            let name = format!("m{count}");
            let (cert, key) = (bench.file(&format!("{name}.pem")), bench.file(&format!("{name}-key.pem")));
            let (client_url, peer_url) =
                (format!("https://127.0.0.1:{port}"), format!("https://127.0.0.1:{peer}"));
            let ca = bench.file("ca.pem");
            let data = bench.root().join(&name);
            let mut command = Command::new("etcd");
            command.env_clear().env("PATH", "/usr/bin:/bin").args([
                "--name",
                &name,
                "--data-dir",
                text(&data),
            ]);
            command.args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url]);
            command.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
            command.args([
                "--initial-cluster",
                &cluster,
                "--client-cert-auth",
                "--trusted-ca-file",
                text(&ca),
            ]);
            command.args(["--peer-client-cert-auth", "--peer-trusted-ca-file", text(&ca)]);
            command.args(["--cert-file", text(&cert), "--key-file", text(&key)]);
            command.args(["--peer-cert-file", text(&cert), "--peer-key-file", text(&key)]);
            let log = std::fs::File::create(bench.root().join(format!("{name}.log"))).unwrap();
            let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
            Etcd { child, port: *port, peer: *peer }
        })
        .collect();
    for (count, member) in (1..=3).zip(&members) {
        assert!(is_healthy(&bench, member, &format!("m{count}")), "m{count}");
    }
    let put = r#"{"key":"Zm9v","value":"YmFy"}"#;
    curl(&bench, &members[0], "m2", "/v3/kv/put", &["-d", put]).ok();
    let got = curl(&bench, &members[2], "m1", "/v3/kv/range", &["-d", r#"{"key":"Zm9v"}"#]).ok();
    assert!(got.out.contains("YmFy"), "{got:?}");
    for count in 1..=3 {
        let log = std::fs::read_to_string(bench.root().join(format!("m{count}.log"))).unwrap();
        assert!(!log.contains("x509:") && !log.contains("bad certificate"), "m{count}: {log}");
    }
}
