//! What keeps etcd from starting.

use etcd_pki::host::command::command;
use etcd_pki::verify::Code;

use super::super::catalogue::leads_to;
use super::super::verify_support::{etcd, fixture, free_port, output_of};
use super::super::{go, path};

/// etcd with these options and variables ends by itself; what it printed.
pub(super) fn fails(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut etcd = etcd();
    etcd.arg("--data-dir").arg(dir.path().join("data")).args(arguments).envs(variables.iter().copied());
    output_of(etcd)
}

pub fn what_stops_etcd_at_its_start() {
    if go().is_none() {
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

pub fn a_key_that_etcd_may_not_read() {
    if go().is_none() {
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
