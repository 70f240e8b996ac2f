//! `install` on other machines: by ssh, for one or for a whole cluster, and into the system's trust store.

use serde_json::Value;

use crate::lab_support::Lab;

/// What `/etc/ssl/etcd` holds on a host: mode, owner and name of each file.
fn placed(lab: &Lab, host: &str) -> String {
    lab.on(host, "cd /etc/ssl/etcd 2>/dev/null && stat -c '%a %U:%G %n' * || true")
}

#[test]
fn a_pair_by_ssh_for_the_units_user_and_the_ca_into_the_trust_store() {
    let Some(lab) = Lab::with("3.4.23", "debian", &["--hosts", "1"]) else { return };
    let install = ["install", "server1", "--host", "root@172.16.0.101"];
    let with = |more: &[&'static str]| [&install[..], more].concat();

    // A dry run says what it would do, and does nothing.
    let said = lab.done(&with(&["--trust-store", "--dry-run"]));
    assert!(said.contains("server1-key.pem  0600 etcd") && said.contains("update-ca-certificates"), "{said}");
    assert_eq!(placed(&lab, "server1"), "");

    // Who is not root there, and does not say how to be, is refused.
    let ops = ["install", "server1", "--host", "ops@172.16.0.101"];
    let (exit, code, _, hint) = lab.refused(&ops);
    assert_eq!((exit, code.as_str()), (1, "not-root"), "{hint}");
    assert!(hint.contains("--become"), "{hint}");
    lab.done(&[&ops[..], &["--become"]].concat());
    let expected = "644 etcd:etcd ca.pem\n600 etcd:etcd server1-key.pem\n644 etcd:etcd server1.pem\n";
    assert_eq!(placed(&lab, "server1"), expected);
    assert!(lab.done(&install).contains("nothing to do"));

    // An etcd of https with that pair. Programs on the host trust it once its CA is in the store, and not before.
    lab.on(
        "server1",
        "systemd-run -q --unit=tls-etcd -p User=etcd etcd --data-dir /tmp/tls-etcd --log-outputs stderr \
         --cert-file /etc/ssl/etcd/server1.pem --key-file /etc/ssl/etcd/server1-key.pem \
         --listen-client-urls https://172.16.0.101:12379 --advertise-client-urls https://172.16.0.101:12379 \
         --listen-peer-urls http://127.0.0.1:12380 --initial-advertise-peer-urls http://127.0.0.1:12380 \
         --initial-cluster default=http://127.0.0.1:12380",
    );
    let curl = "for i in 1 2 3 4 5 6 7 8 9 10; do curl -s https://172.16.0.101:12379/version; code=$?; \
                [ $code = 7 ] || break; sleep 0.5; done; echo \" $code\"";
    assert_eq!(lab.on("server1", curl), " 60\n", "curl trusts it without a word from us");
    let said = lab.done(&with(&["--trust-store"]));
    assert!(said.contains("/usr/local/share/ca-certificates/"), "{said}");
    let answer = lab.on("server1", curl);
    assert!(answer.contains("3.4.23") && answer.ends_with(" 0\n"), "{answer}");
    assert!(lab.done(&with(&["--trust-store"])).contains("nothing to do"));

    // A run that was ended between the file and the bundle is finished by the next.
    lab.on("server1", "cp /etc/ssl/certs/ca-certificates.crt /tmp/all; head -n 20 /tmp/all >/etc/ssl/certs/ca-certificates.crt");
    let said = lab.done(&with(&["--trust-store"]));
    assert!(said.contains("run") && !said.contains("create"), "{said}");
    assert!(lab.on("server1", curl).ends_with(" 0\n"));

    // No key of the CA ever came there.
    assert_eq!(
        lab.on("server1", "find / -xdev -name '*ca-key*' -not -path '/proc/*' 2>/dev/null || true"),
        ""
    );
}

/// On the host, an `mv` that fails for the certificate, and for the key from the second time on where `twice` says so.
fn break_mv(lab: &Lab, twice: bool) {
    let key = if twice { "[ -e /tmp/moved ] && exit 1; touch /tmp/moved" } else { ":" };
    let script = format!(
        "#!/bin/sh\nfor to do :; done\ncase $to in */server1.pem) exit 1 ;; */server1-key.pem) {key} ;; esac\n\
         exec /usr/bin/mv \"$@\"\n"
    );
    lab.on(
        "server1",
        &format!(
            "cat >/usr/local/bin/mv <<'END'\n{script}END\nchmod 755 /usr/local/bin/mv; rm -f /tmp/moved"
        ),
    );
}

/// Whether server1's certificate and key on the host belong together.
fn matches(lab: &Lab) -> bool {
    let script = "cd /etc/ssl/etcd; a=$(openssl x509 -in server1.pem -noout -pubkey); \
                  b=$(openssl pkey -in server1-key.pem -pubout); [ \"$a\" = \"$b\" ] && echo yes || echo no";
    lab.on("server1", script) == "yes\n"
}

#[test]
fn a_rename_that_fails_there_leaves_the_old_pair_or_one_that_the_next_install_completes() {
    let Some(lab) = Lab::with("3.4.23", "debian", &["--hosts", "1"]) else { return };
    let install = ["install", "server1", "--host", "root@172.16.0.101"];
    lab.done(&install);
    let before = lab.on("server1", "cat /etc/ssl/etcd/server1.pem");
    lab.done(&["renew", "server1"]);

    break_mv(&lab, false);
    let (exit, ..) = lab.refused(&install);
    assert_eq!((exit, matches(&lab)), (1, true), "the old pair is put back");
    assert_eq!(
        lab.on("server1", "cat /etc/ssl/etcd/server1.pem; ls -A /etc/ssl/etcd | grep '^[.]' || true"),
        before
    );

    break_mv(&lab, true);
    let (exit, code, _, hint) = lab.refused(&install);
    assert_eq!((exit, code.as_str(), matches(&lab)), (3, "half-done", false));
    assert!(hint.contains("any install into that directory"), "{hint}");
    lab.on("server1", "rm /usr/local/bin/mv");
    lab.done(&["issue", "app", "--profile", "client"]);
    lab.done(&["install", "app", "--host", "root@172.16.0.101"]);
    assert!(matches(&lab), "an install of another pair has completed it");
    assert_ne!(lab.on("server1", "cat /etc/ssl/etcd/server1.pem"), before);
    assert_eq!(lab.on("server1", "ls -A /etc/ssl/etcd | grep '^[.]' || true"), "");
}

#[test]
fn a_whole_cluster_at_once_and_one_node_that_fails_stops_nobody() {
    let Some(lab) = Lab::bare("3.4.23", "debian", &["--hosts", "2", "--spare", "2"]) else { return };
    let inventory = |spare: &str| {
        let text = format!(
            "[cluster]\nssh-user = \"root\"\nssl-dir = \"/etc/ssl/etcd\"\n\n\
             [[member]]\nname = \"server1\"\nips = [\"172.16.0.101\"]\nssh = \"172.16.0.101\"\n\n\
             [[member]]\nname = \"server2\"\nips = [\"172.16.0.102\"]\nssh = \"server2\"\n\n\
             [[proxy]]\nname = \"proxy1\"\nips = [\"172.16.0.151\"]\nssh = \"{spare}\"\nkind = \"v2\"\n\n\
             [[client]]\nname = \"app\"\nssh = \"spare2\"\n\n[[client]]\nname = \"laptop\"\n"
        );
        std::fs::write(lab.home.path().join("cluster.toml"), text).unwrap();
    };
    inventory("172.16.0.251");
    lab.done(&["init-ca"]);
    lab.done(&["issue", "--from", "cluster.toml"]);
    let from = ["install", "--from", "cluster.toml"];
    let json = |output: &std::process::Output| -> Value { serde_json::from_slice(&output.stdout).unwrap() };

    // A symlink stands where server2's key would go, and nobody is at the proxy's address.
    lab.on("server2", "mkdir -p /etc/ssl/etcd && ln -s /etc/shadow /etc/ssl/etcd/server2-key.pem");
    let dry = lab.tool(&[&from[..], &["--dry-run", "--json"]].concat());
    assert_eq!((dry.status.code(), json(&dry)["changed"].as_bool()), (Some(1), Some(false)));
    assert_eq!(placed(&lab, "server1"), "", "a dry run changes nothing");

    let output = lab.tool(&from);
    let (said, talk) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "something was changed\n{said}{talk}");
    assert!(said.contains("server1: /etc/ssl/etcd: installed, 4 changes"), "{said}");
    assert!(said.contains("app: /etc/ssl/etcd: installed"), "{said}");
    assert!(talk.contains("server2: /etc/ssl/etcd/server2-key.pem is a symlink"), "{talk}");
    assert!(talk.contains("proxy1: ") && talk.contains("2 of 4 nodes failed: server2, proxy1"), "{talk}");
    assert!(placed(&lab, "server1").contains("600 etcd:etcd server1-key.pem"));
    assert!(placed(&lab, "spare2").contains("600 root:root app-key.pem"), "a client's user is not known");
    assert_eq!(lab.on("server2", "stat -c %F /etc/shadow").trim(), "regular file");

    // Put right, the others are as they should be, and only what was missing is placed.
    inventory("spare1");
    lab.on("server2", "rm /etc/ssl/etcd/server2-key.pem");
    let output = lab.tool(&[&from[..], &["--json"]].concat());
    let document = json(&output);
    assert_eq!((output.status.code(), document["changed"].as_bool()), (Some(0), Some(true)));
    let changed: Vec<(&str, bool)> = document["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|host| (host["name"].as_str().unwrap(), host["changed"].as_bool().unwrap()))
        .collect();
    assert_eq!(changed, [("server1", false), ("server2", true), ("proxy1", true), ("app", false)]);
    assert!(placed(&lab, "spare1").contains("600 etcd:etcd proxy1-key.pem"));

    // One of them alone, into the trust store as well.
    let said = lab.done(&[&from[..], &["server2", "--trust-store"]].concat());
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("trust store"), "{said}");
    lab.on("server2", "openssl verify /etc/ssl/etcd/server2.pem");
    let (exit, code, ..) = lab.refused(&[&from[..], &["server9"]].concat());
    assert_eq!((exit, code.as_str()), (2, "no-such-node"));
}
