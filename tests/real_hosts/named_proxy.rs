//! A host that the inventory names as a proxy: it gets one, and its programs are shown the way to it.

use crate::lab_support::Lab;

#[test]
fn a_host_named_as_proxy_gets_one_and_its_programs_are_shown_the_way() {
    let Some(lab) = Lab::bare("3.4.23", "debian", &["--hosts", "2", "--spare", "1"]) else { return };
    let inventory = std::fs::read_to_string(lab.dir.join("cluster.toml")).unwrap()
        + "\n[[proxy]]\nname = \"proxy1\"\nips = [\"172.16.0.151\"]\nssh = \"root@172.16.0.151\"\nkind = \"v2\"\n";
    std::fs::write(lab.home.path().join("cluster.toml"), inventory).unwrap();
    lab.done(&["init-ca"]);
    lab.done(&["issue", "--from", "cluster.toml"]);
    let before =
        lab.on("spare1", "find /etc -newer /etc/hostname -type f | sort; systemctl is-enabled etcd || :");

    // A program there goes straight to a member, in plain text.
    let program = "mkfifo /run/open; exec 3<>/run/open; while :; do timeout 2 nc 172.16.0.101 2379 <&3 >/dev/null; done";
    lab.on("spare1", &format!("systemd-run -q --unit=program sh -c '{program}'"));
    let (exit, code, message, _) = lab.refused(&["migrate", "apply", "--yes"]);
    assert_eq!((exit, code.as_str()), (1, "plaintext-clients"), "{message}");
    assert!(message.contains("nc of proxy1 (give it http://127.0.0.1:2379"), "{message}");

    // Whoever cannot be looked for is not taken to be nobody.
    lab.on("spare1", "mv /usr/bin/ss /usr/bin/ss.away");
    let (exit, code, message, hint) = lab.refused(&["migrate", "apply", "--yes"]);
    assert_eq!((exit, code.as_str()), (1, "host"), "{message}");
    assert!(message.contains("proxy1") && message.contains("iproute2"), "{message}");
    assert!(hint.starts_with("see to what is said above"), "{hint}");
    lab.on("spare1", "mv /usr/bin/ss.away /usr/bin/ss");

    // The proxy is there already, and answers; once the program has moved, the way is free.
    let ask = "curl -fsS -X PUT http://127.0.0.1:2379/v2/keys/by-proxy -d value=1 && curl -fsS http://127.0.0.1:4001/v2/keys/by-proxy";
    assert!(lab.on("spare1", ask).contains("\"value\":\"1\""));
    lab.on("spare1", "systemctl stop program");
    lab.done(&["migrate", "apply", "--yes"]);
    assert!(lab.on("spare1", ask).contains("\"value\":\"1\""));
    assert_eq!(lab.on("spare1", "stat -c %a /etc/ssl/etcd/proxy1-key.pem").trim(), "600");

    lab.done(&["migrate", "rollback", "--yes"]);
    assert_eq!(lab.on("spare1", "systemctl is-active etcd || :").trim(), "inactive");
    let after =
        lab.on("spare1", "find /etc -newer /etc/hostname -type f | sort; systemctl is-enabled etcd || :");
    assert_eq!(before, after);
}
