//! `verify --node` and `--cluster` on real hosts: who dials from where, who may read what, and what DNS has to say.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::lab_support::Lab;

fn judged(lab: &Lab, words: &[&str]) -> (i32, Value) {
    let output = lab.tool(&[&["verify", "--json"], words].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{words:?}: {said}"));
    (output.status.code().unwrap(), document)
}

/// From whom to whom, and why not.
fn refused(document: &Value) -> BTreeSet<(String, String, String)> {
    let dials = document["dials"].as_array().unwrap_or_else(|| panic!("{document}"));
    let no = dials.iter().filter(|dial| dial["verdict"] == "reject");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    no.map(|dial| (text(&dial["from"]), text(&dial["to"]), text(&dial["findings"][0]["code"]))).collect()
}

fn triples(of: &[(&str, &str, &str)]) -> BTreeSet<(String, String, String)> {
    of.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect()
}

/// Another pair for server2, placed by hand as somebody might.
fn give_server2(lab: &Lab, san: &[&str]) {
    let words = [&["issue", "server2", "--force", "--only-given-names"], san].concat();
    lab.done(&words);
    for file in ["server2.pem", "server2-key.pem"] {
        let to = lab.root(2).join("etc/ssl/etcd").join(file);
        std::fs::copy(lab.home.path().join("pki").join(file), to).unwrap();
    }
}

#[test]
fn members_are_judged_where_they_run() {
    let Some(lab) = Lab::with("3.4.23", "debian", &["--spare", "1"]) else { return };
    lab.done(&["migrate", "apply", "--yes", "--cut-plaintext", "--no-snapshot"]);
    let cluster = ["--cluster"];
    let (exit, document) = judged(&lab, &cluster);
    assert_eq!((exit, refused(&document)), (0, BTreeSet::new()), "{document}");
    let dials = document["dials"].as_array().unwrap();
    let from_two: BTreeSet<_> =
        dials.iter().filter(|dial| dial["from"] == "server2").map(|dial| dial["source"].as_str()).collect();
    assert_eq!(from_two, BTreeSet::from([Some("172.16.0.102")]), "the kernel of server2 chooses");

    // An address that is not in the certificate: the others refuse it as a server and as a client.
    give_server2(&lab, &["--ip", "172.16.0.199"]);
    let (exit, document) = judged(&lab, &cluster);
    assert_eq!(exit, 1);
    let expected = [
        ("server1", "server2", "EP005"),
        ("server3", "server2", "EP005"),
        ("server2", "server1", "EP034"),
        ("server2", "server3", "EP034"),
    ];
    assert_eq!(refused(&document), triples(&expected), "{document}");
    let said = lab.on("server1", "journalctl --no-pager -u etcd -n 200");
    assert!(said.contains("certificate is valid for 172.16.0.199, not 172.16.0.102"), "{said}");

    let mut explain = lab.command(&["explain", "-"]);
    let mut explain = explain.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    explain.stdin.take().unwrap().write_all(said.as_bytes()).unwrap();
    let output = explain.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("EP034 peer-source-address") && text.contains("server1 refuses 172.16.0.102, "),
        "{text}"
    );
    assert!(text.contains("proof: etcd-pki verify --cluster"), "{text}");

    // Only DNS can tell who that is: where it does, the peer is let in. The name is there before it is asked for: Go goes by
    // what it last read of /etc/hosts for five seconds.
    lab.on("server1", "echo '172.16.0.102 two.lab.test' >>/etc/hosts");
    give_server2(&lab, &["--ip", "172.16.0.199", "--dns", "two.lab.test"]);
    let (_, document) = judged(&lab, &cluster);
    let expected =
        [("server1", "server2", "EP005"), ("server3", "server2", "EP005"), ("server2", "server3", "EP034")];
    assert_eq!(refused(&document), triples(&expected), "{document}");
    give_server2(&lab, &["--ip", "172.16.0.102", "--ip", "127.0.0.1"]);
    assert_eq!(judged(&lab, &cluster).0, 0);

    // A member alone, as the user its unit names: root reads everything, etcd does not.
    let config = lab.dir.join("ssh/config").display().to_string();
    let node = ["--node", "root@172.16.0.103", "--ssh-config", &config];
    assert_eq!(judged(&lab, &node).0, 0);
    lab.on("server3", "chown root:root /etc/ssl/etcd/server3-key.pem");
    let (exit, document) = judged(&lab, &node);
    let text = document.to_string();
    assert!(exit == 1 && text.contains("EP049") && text.contains("server3-key.pem has mode 0600"), "{text}");
    lab.on(
        "server3",
        "chown etcd:etcd /etc/ssl/etcd/server3-key.pem; chmod 0700 /etc/ssl; chown root /etc/ssl",
    );
    let (exit, document) = judged(&lab, &["--node", "ops@172.16.0.103", "--become", "--ssh-config", &config]);
    let text = document.to_string();
    assert!(exit == 1 && text.contains("/etc/ssl has mode 0700"), "{text}");
    lab.on("server3", "chmod 0755 /etc/ssl");

    // Somebody else's etcd is told from ours.
    lab.on("spare1", "systemctl mask --now etcd; mkdir -p /etc/kubernetes/manifests; touch /etc/kubernetes/manifests/etcd.yaml");
    let refused = lab.refused(&["verify", "--node", "root@172.16.0.151", "--ssh-config", &config]);
    assert_eq!((refused.0, refused.1.as_str()), (1, "no-unit"), "{refused:?}");
    assert!(refused.2.contains("static pod of kubeadm"), "{refused:?}");
}
