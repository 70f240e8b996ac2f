//! A migration that is told of one host alone: the other members are found through their own members list.

use etcd_pki::etcd::Scheme;

use crate::lab_support::{Lab, all, answers};

#[test]
fn one_host_is_enough_there_and_back() {
    let hosts = if all() { "3" } else { "2" };
    let Some(lab) = Lab::bare("3.4.23", "debian", &["--hosts", hosts]) else { return };
    let last = format!("server{}", lab.hosts);
    // Nothing said: both ways to say it are told.
    let (exit, code, _, hint) = lab.refused(&["migrate", "plan"]);
    assert_eq!((exit, code.as_str()), (2, "no-inventory"));
    assert!(hint.contains("root@172.16.0.101") && hint.contains("--inventory"), "{hint}");

    // A description of the cluster, found without any certificate, is one that everything takes.
    let one = "root@172.16.0.102";
    let text = lab.done(&["migrate", "plan", one, "--print-inventory"]);
    let members = usize::from(lab.hosts);
    for host in 1..=members {
        assert!(text.contains(&format!("name = \"server{host}\"")), "{text}");
        assert!(text.contains(&format!("ips = [\"172.16.0.10{host}\"]")), "{text}");
        assert!(text.contains(&format!("ssh = \"root@172.16.0.10{host}\"")), "{text}");
    }
    assert_eq!(text.matches("unit = \"etcd.service\"").count(), members, "{text}");
    std::fs::write(lab.home.path().join("found.toml"), &text).unwrap();
    lab.done(&["init-ca"]);
    lab.done(&["issue", "--from", "found.toml"]);
    let by_inventory = lab.done(&["migrate", "plan", "--inventory", "found.toml"]);
    let by_host = lab.done(&["migrate", "plan", one]);
    assert_eq!(by_inventory.matches("restart →").count(), 2 * members, "{by_inventory}");
    assert_eq!(by_host.matches("restart →").count(), 2 * members, "{by_host}");

    // All of it with one host's name; certificates where the old guide has them.
    let to = ["--ssl-dir", "/etc/etcd2"];
    lab.done(&[&["migrate", "apply", one, "--yes"], &to[..]].concat());
    lab.done(&[&["migrate", "status", one], &to[..]].concat());
    assert_eq!(lab.on(&last, &format!("stat -c '%a %U' /etc/etcd2/{last}-key.pem")).trim(), "600 etcd");
    lab.done(&[&["migrate", "seal", "root@172.16.0.101", "--yes"], &to[..]].concat());
    let members = lab.done(&[&["migrate", "members", one], &to[..]].concat());
    assert!(members.contains("https already"), "{members}");
    lab.done(&[&["migrate", "rollback", one, "--yes"], &to[..]].concat());
    lab.inside(|| lab.addresses().into_iter().for_each(|at| answers(at, Scheme::Http, 2379, None).unwrap()));
    lab.on(&last, "test ! -e /etc/etcd2");
}

#[test]
fn who_answers_at_an_address_is_who_the_members_list_says() {
    let Some(lab) = Lab::bare("3.4.23", "debian", &["--hosts", "2", "--spare", "1"]) else { return };
    // What the list has as server2's address is another machine to ssh, as behind a jump host it may be; an etcd runs
    // there too, of another name.
    lab.on("spare1", "printf 'ETCD_NAME=stranger\\n' >>/etc/default/etcd; systemctl start etcd");
    let config = lab.dir.join("ssh/config");
    let text = std::fs::read_to_string(&config).unwrap();
    let detour = "Host 172.16.0.102\n    HostName 172.16.0.151\n    HostKeyAlias 172.16.0.151\n";
    std::fs::write(&config, format!("{detour}{text}")).unwrap();
    let (exit, code, message, hint) = lab.refused(&["migrate", "status", "root@172.16.0.101"]);
    assert_eq!((exit, code.as_str()), (1, "wrong-host"), "{message}");
    assert!(message.contains("stranger") && message.contains("server2"), "{message}");
    assert!(hint.contains("--print-inventory"), "{hint}");
    // The description can be had all the same, and says what it could not make sure of.
    let output = lab.tool(&["migrate", "plan", "root@172.16.0.101", "--print-inventory"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("stranger"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("name = \"server2\""));
}

#[test]
fn pairs_that_were_made_elsewhere_are_judged_first() {
    let Some(lab) = Lab::bare("3.4.23", "debian", &["--hosts", "1"]) else { return };
    // A CA of the house, run with openssl; its files are named as its people name them.
    let certs = lab.home.path().join("certs");
    std::fs::create_dir(&certs).unwrap();
    let make = |usage: &str, names: &str| {
        let script = format!(
            "set -e; cd '{}'; rm -f *; \
             openssl req -x509 -newkey rsa:2048 -nodes -keyout ../house.key -out ca.crt -days 30 -subj /CN=house 2>/dev/null; \
             openssl req -newkey rsa:2048 -nodes -keyout server1.key -out ../server1.csr -subj /CN=server1 2>/dev/null; \
             printf 'extendedKeyUsage={usage}\\nsubjectAltName={names}\\n' >../ext; \
             openssl x509 -req -in ../server1.csr -CA ca.crt -CAkey ../house.key -CAcreateserial -CAserial ../serial \
             -days 30 -extfile ../ext -out server1.crt 2>/dev/null",
            certs.display()
        );
        assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
    };
    let apply = ["migrate", "apply", "root@172.16.0.101", "--certs", "certs", "--yes"];
    let before = lab.tree(1);

    make("serverAuth", "IP:172.16.0.101,IP:127.0.0.1");
    let (exit, code, message, _) = lab.refused(&apply);
    assert_eq!((exit, code.as_str()), (1, "certificate-refused"), "{message}");
    assert!(message.contains("as a client"), "{message}");

    make("serverAuth,clientAuth", "IP:172.16.0.99,IP:127.0.0.1");
    let (exit, code, message, _) = lab.refused(&apply);
    assert_eq!((exit, code.as_str()), (1, "certificate-refused"), "{message}");
    assert!(message.contains("172.16.0.101"), "{message}");

    std::fs::rename(certs.join("server1.key"), certs.join("other.key")).unwrap();
    let (exit, code, message, hint) = lab.refused(&apply);
    assert_eq!((exit, code.as_str()), (2, "no-pair"), "{message}");
    assert!(hint.contains("server1.crt and server1.key"), "{hint}");
    assert_eq!(crate::lab_support::differences(&before, &lab.tree(1)), Vec::<std::path::PathBuf>::new());

    make("serverAuth,clientAuth", "IP:172.16.0.101,IP:127.0.0.1");
    lab.done(&apply);
    lab.done(&["migrate", "status", "root@172.16.0.101", "--certs", "certs"]);
    lab.on("server1", "openssl x509 -in /etc/ssl/etcd/server1.pem -noout -issuer | grep -q house");
    lab.done(&["migrate", "rollback", "root@172.16.0.101", "--certs", "certs", "--yes"]);
    assert_eq!(crate::lab_support::differences(&before, &lab.tree(1)), Vec::<std::path::PathBuf>::new());
}
