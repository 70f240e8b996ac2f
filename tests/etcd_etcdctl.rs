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
