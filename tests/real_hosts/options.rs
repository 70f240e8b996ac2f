//! What operators ask of a migration, on real hosts: authentication on, v2 data, clients without certificates.

use std::os::unix::fs::PermissionsExt;

use crate::lab_support::{Lab, all, differences};

/// Three members where all is asked for, else one.
fn hosts() -> &'static str {
    if all() { "3" } else { "1" }
}

#[test]
fn with_authentication_on_the_password_is_on_no_host() {
    let Some(lab) = Lab::with("3.5.30", "kubespray", &["--hosts", hosts()]) else { return };
    let before: Vec<_> = (1..=lab.hosts).map(|host| lab.tree(host)).collect();
    lab.on(
        "server1",
        "export ETCDCTL_API=3; etcdctl user add root:un1que-secret && etcdctl user grant-role root root && etcdctl auth enable",
    );
    let (exit, code, message, hint) = lab.refused(&["migrate", "apply", "--yes"]);
    assert_eq!((exit, code.as_str()), (1, "auth"), "{message}");
    assert!(hint.contains("--user-file"), "{hint}");
    let file = lab.home.path().join("user");
    std::fs::write(&file, "root:un1que-secret\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();

    // Every command line on a host is looked at while it goes; the word itself stands on none of ours.
    std::fs::write(lab.home.path().join("word"), "un1que-secret").unwrap();
    for host in 1..=lab.hosts {
        let watch = "while :; do cat /proc/[0-9]*/cmdline 2>/dev/null | grep -a -q -f /root/word && touch /root/seen; sleep 0.02; done";
        std::fs::copy(lab.home.path().join("word"), lab.root(host).join("root/word")).unwrap();
        lab.on(&format!("server{host}"), &format!("systemd-run -q --unit=watch sh -c '{watch}'"));
    }
    let user = ["--user-file", "user", "--yes"];
    lab.done(&[&["migrate", "apply"], &user[..]].concat());
    lab.done(&[&["migrate", "seal"], &user[..]].concat());
    lab.done(&["migrate", "status", "--user-file", "user"]);
    lab.done(&[&["migrate", "rollback"], &user[..]].concat());
    for host in 1..=lab.hosts {
        let host = &format!("server{host}");
        lab.on(host, "systemctl stop watch && test ! -e /root/seen");
        let kept = lab.on(
            host,
            "grep -rl un1que-secret /var/lib/etcd-pki /etc/systemd /etc/etcd-pki 2>/dev/null || true",
        );
        assert_eq!(kept, "", "{host}");
        let log = lab.on(host, "journalctl --no-pager | grep -c un1que-secret || true");
        assert_eq!(log.trim(), "0", "{host}");
    }
    for (host, before) in (1..=lab.hosts).zip(&before) {
        let left = differences(before, &lab.tree(host));
        assert!(left.is_empty(), "server{host} is not as it was: {left:?}");
    }
}

#[test]
fn v2_data_is_kept_and_clients_need_no_certificate_and_the_end_is_looked_at() {
    let Some(lab) = Lab::with("3.4.23", "debian", &["--hosts", hosts()]) else { return };
    let last = &format!("server{}", lab.hosts);
    for host in 1..=lab.hosts {
        lab.on(
            &format!("server{host}"),
            "echo ETCD_ENABLE_V2=true >>/etc/default/etcd && systemctl restart etcd",
        );
    }
    lab.on(last, "curl -sf http://127.0.0.1:2379/v2/keys/old -XPUT -d value=kept");
    let output = lab.tool(&["migrate", "apply", "--yes", "--client-auth", "off"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let backup = said.lines().find_map(|line| line.strip_prefix("backup of v2 data: ")).expect("it is said");
    let (path, host) = backup.split_once(" on ").unwrap();
    assert!(path.starts_with("/var/lib/etcd-pki/v2-backup-"), "{backup}");
    assert_eq!(lab.on(host, &format!("stat -c %a {path}; ls {path}/member")), "700\nsnap\nwal\n");

    // As the old guides end.
    for what in [
        "health on http://127.0.0.1:4001, from its host: healthy",
        "metrics on http://127.0.0.1:4001, from its host: served",
        "status on http://127.0.0.1:4001, from its host: etcd 3.4.23, leader ",
        "complaints in its log: nothing",
    ] {
        assert_eq!(said.matches(what).count(), usize::from(lab.hosts), "{what}: {said}");
    }
    let served = format!("health on https://{}:2379", lab.address(lab.hosts));
    assert!(lab.hosts == 1 || said.contains(&format!("{served}, from server1: healthy")), "{said}");
    assert!(said.contains(&format!("{served}, from here: healthy")), "{said}");

    // The CA is all that a client needs, and with the CA in the system's store not even that.
    lab.on(
        last,
        "curl -sf --cacert /etc/ssl/etcd/ca.pem https://172.16.0.101:2379/v2/keys/old | grep -q kept",
    );
    lab.done(&["install", "--from", "cluster.toml", "--trust-store"]);
    lab.on(last, "curl -sf https://172.16.0.101:2379/v2/keys/old | grep -q kept");
    lab.on(last, "! curl -s --cacert /etc/ssl/etcd/ca.pem https://172.16.0.101:2380/version");

    // Renewed later, by `install` and by `apply`: served without a restart, and the way back knows them as its own.
    let served =
        "openssl s_client -connect 172.16.0.101:2379 </dev/null 2>/dev/null | openssl x509 -noout -serial";
    let (started, old) = (lab.on("server1", "systemctl show -P MainPID etcd"), lab.on(last, served));
    lab.done(&["renew", "server1"]);
    lab.done(&["install", "--from", "cluster.toml", "server1"]);
    assert_ne!(lab.on(last, served), old);
    lab.done(&["renew", last]);
    let said = lab.tool(&["migrate", "apply", "--yes", "--client-auth", "off"]);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains(last.as_str()) && said.contains("place the certificates"), "{said}");
    assert_eq!(lab.on("server1", "systemctl show -P MainPID etcd"), started);
    lab.done(&["migrate", "status"]);

    // By other hands: that is seen before anything is restarted with it, and `install` puts it right.
    lab.on(last, "cat /etc/ssl/certs/ca-certificates.crt >/etc/ssl/etcd/ca.pem");
    let (exit, code, message, hint) = lab.refused(&["migrate", "rollback", "--yes"]);
    assert!(code == "file-changed" && message.contains("/etc/ssl/etcd/ca.pem"), "{exit} {message}");
    assert!(hint.contains("etcd-pki install"), "{hint}");
    lab.done(&["install", "--from", "cluster.toml", last, "--force"]);
    lab.done(&["migrate", "rollback", "--yes"]);
    lab.on(last, "curl -sf http://127.0.0.1:2379/v2/keys/old | grep -q kept; test ! -e /etc/ssl/etcd/ca.pem");
    let report = lab.done(&["migrate", "report"]);
    assert!(report.contains("backup of v2 data") && report.contains("Http by"), "{report}");
}
