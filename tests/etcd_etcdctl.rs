//! The members API through etcdctl, where a member serves neither the gateway nor v2.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

mod etcd_support;

use std::path::Path;

use etcd_pki::etcd::{Etcdctl, Fault, MemberId, PairFiles, PeerUrl};
use etcd_pki::host::command::command;
use etcd_pki::host::{HostError, RunOutput};
use etcd_support::{Etcd, Pki, address, binaries};

/// Runs a command line with the etcdctl that came with an etcd.
fn runner(etcd: &Path) -> impl Fn(&[&str]) -> Result<RunOutput, HostError> + use<> {
    let path = format!("{}:/usr/bin:/bin", etcd.parent().unwrap().display());
    move |argv| {
        let output = command(argv[0]).args(&argv[1..]).env("PATH", &path).output().unwrap();
        Ok(RunOutput { status: output.status.code(), stdout: output.stdout, stderr: output.stderr })
    }
}

/// A member started from a configuration file, with TLS: on 3.4 nothing but gRPC is left to speak to.
#[test]
fn etcdctl_stands_in_where_gateway_and_v2_are_off() {
    for (version, binary) in binaries() {
        let (at, pki) = (address(), Pki::new());
        let (cert, key) = pki.both("server", &[at]);
        let ca = pki.path("ca.pem");
        let section = format!(
            "  cert-file: {}\n  key-file: {}\n  trusted-ca-file: {}\n  client-cert-auth: true\n",
            cert.display(),
            key.display(),
            ca.display()
        );
        let yaml = format!(
            "name: m\ndata-dir: {}\nlisten-client-urls: https://{at}:2379\nadvertise-client-urls: https://{at}:2379\n\
             listen-peer-urls: http://{at}:2380\ninitial-advertise-peer-urls: http://{at}:2380\n\
             initial-cluster: m=http://{at}:2380\nclient-transport-security:\n{section}",
            pki.path("data").display()
        );
        std::fs::write(pki.path("etcd.yaml"), yaml).unwrap();
        let flags = ["--config-file".to_owned(), pki.path("etcd.yaml").display().to_string()];
        let etcd = Etcd::start(&binary, at, "https", &flags);
        let client = etcd.ready(Some(pki.tls(Some("server"))));

        let files = PairFiles {
            ca: ca.display().to_string(),
            cert: cert.display().to_string(),
            key: key.display().to_string(),
        };
        let run = runner(&binary);
        let etcdctl = Etcdctl::new(etcd.client_url.parse().unwrap(), Some(files), &run);
        let own = etcdctl.members().unwrap().members.remove(0);
        assert_eq!(own.name, "m");
        let status = etcdctl.status().unwrap();
        assert_eq!(
            (status.member_id, status.leader, status.version),
            (own.id, Some(own.id), version.clone())
        );
        assert_eq!(etcdctl.alarms().unwrap(), []);
        etcdctl.commit_probe().unwrap();
        let url: PeerUrl = format!("https://{at}:2390").parse().unwrap();
        etcdctl.update_peer_urls(own.id, std::slice::from_ref(&url)).unwrap();
        assert_eq!(etcdctl.members().unwrap().members[0].peer_urls, [url.to_string()]);
        let stranger = etcdctl.update_peer_urls(MemberId(1), &[url]).unwrap_err();
        assert_eq!(stranger.fault, Fault::Command { what: "etcdctl: etcdserver: member not found".into() });
        assert!(etcdctl.update_peer_urls(own.id, &[]).is_err());

        match client.api() {
            Err(error) => assert_eq!((error.fault, &version[..3]), (Fault::NotFound, "3.4")),
            Ok(_) => assert_ne!(&version[..3], "3.4"),
        }
    }
}

/// `etcd-pki env` in a shell: what it prints is evaluated, and etcdctl of each API reads and writes with it.
#[test]
fn env_makes_etcdctl_of_both_apis_reach_a_member_that_demands_certificates() {
    let dir = tempfile::tempdir().unwrap();
    // A directory whose name every shell would take apart.
    let pki = dir.path().join("it's a \"dir\" $HOME");
    let tool = env!("CARGO_BIN_EXE_etcd-pki");
    let run = |shell: &str, path: &Path, script: &str| {
        let path =
            format!("{}:{}:/usr/bin:/bin", path.display(), Path::new(tool).parent().unwrap().display());
        let mut shell = command(shell);
        shell.args(["-c", script]).current_dir(dir.path()).env("PATH", path).env("ETCDPKI_DIR", &pki);
        let output = shell.env("SHELL", "/bin/sh").output().unwrap();
        let (out, err) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{script}: {out}\n{err}");
        (out, err)
    };
    let at = address();
    run(
        "sh",
        Path::new("/"),
        &format!(
        "etcd-pki init-ca && etcd-pki issue server1 --ip {at} && etcd-pki issue client1 --profile client &&
         printf '[[member]]\nname = \"server1\"\nips = [\"{at}\"]\n' > cluster.toml"
    ),
    );
    for (version, binary) in binaries() {
        let file = |name: &str| pki.join(name).display().to_string();
        let tls = [
            "--cert-file",
            &file("server1.pem"),
            "--key-file",
            &file("server1-key.pem"),
            "--trusted-ca-file",
            &file("ca.pem"),
            "--client-cert-auth",
        ];
        let flags = [etcd_support::strings(&tls), etcd_support::v2_flags(&version)].concat();
        let etcd = Etcd::start(&binary, at, "https", &flags);
        let read = |name: &str| std::fs::read(pki.join(name)).unwrap();
        let tls =
            etcd_pki::etcd::Tls::with_pair(&read("ca.pem"), &read("client1.pem"), &read("client1-key.pem"))
                .unwrap();
        etcd.ready(Some(std::sync::Arc::new(tls)));
        let bin = binary.parent().unwrap();
        let shells: &[&str] = if command("fish").arg("--version").output().is_ok() {
            &["sh", "bash", "fish"]
        } else {
            &["sh", "bash"]
        };
        for shell in shells {
            let load = |api: &str, more: &str| match *shell {
                "fish" => format!("etcd-pki env client1 --shell fish --api {api} {more} | source; or exit 1"),
                _ => format!("eval \"$(etcd-pki env client1 --api {api} {more})\" || exit 1"),
            };
            // By the inventory, and from one API to the other in the same shell.
            let script = format!(
                "{}\netcdctl put key {version} >/dev/null\n{}\netcdctl set /key v2-{version} >/dev/null\netcdctl get /key\n{}\n\
                 etcdctl get key --print-value-only",
                load("3", ""),
                load("2", &format!("--endpoints https://{at}:2379")),
                load("v3", "")
            );
            let (out, err) = run(shell, bin, &script);
            assert_eq!(out, format!("v2-{version}\n{version}\n"), "{shell}: {err}");
            // Such as of a variable that etcdctl does not know.
            assert_eq!(err, "", "{shell}, etcd {version}");
        }
    }
    let (out, _) = run("sh", Path::new("/"), "etcd-pki env client1 --json");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["variables"]["ETCDCTL_API"], "3");
    assert_eq!(document["variables"]["ETCDCTL_KEY"], pki.join("client1-key.pem").display().to_string());
    assert_eq!(document["unset"].as_array().unwrap().len(), 3);
}
