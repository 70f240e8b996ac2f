//! `verify --cluster`: a real cluster of three on mutual TLS, judged where it runs; what goes wrong in it is found, and
//! is what etcd itself says.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

mod migration_support;
mod rehearsal_support;

use std::collections::BTreeSet;

use etcd_pki::etcd::Scheme;
use etcd_pki::etcd::client::{Client, Endpoint};
use etcd_pki::etcd::ports;
use etcd_pki::host::Service;
use etcd_pki::host::command::command;
use migration_support::Ground;
use rehearsal_support::{EXE, until};
use serde_json::Value;

/// `verify --cluster --json` and more: its exit code and document.
fn judged(ground: &Ground, more: &[&str]) -> (i32, Value) {
    let inventory = ground.inventory();
    let output = ground.tool(&[&["verify", "--json", "--cluster", &inventory], more].concat());
    let document = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code().unwrap(), document)
}

fn codes(findings: &Value) -> BTreeSet<&str> {
    findings.as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

/// What was found of a member in a part.
fn of<'a>(document: &'a Value, member: &str, role: &str) -> &'a Value {
    let results = document["results"].as_array().unwrap();
    let found = results.iter().find(|one| one["member"] == member && one["role"] == role);
    found.unwrap_or_else(|| panic!("no {role} of {member} in {document}"))
}

/// Who cannot dial whom.
fn refused(document: &Value) -> BTreeSet<(&str, &str)> {
    let dials = document["dials"].as_array().unwrap();
    let no = dials.iter().filter(|dial| dial["verdict"] == "reject");
    no.map(|dial| (dial["from"].as_str().unwrap(), dial["to"].as_str().unwrap())).collect()
}

#[test]
fn members_are_judged_where_they_run_and_who_can_dial_whom() {
    let ground = Ground::new(3);
    // On plain HTTP there is nothing to judge but the settings, and everybody can dial everybody.
    let (exit, document) = judged(&ground, &[]);
    assert_eq!((exit, refused(&document).len()), (0, 0), "{document}");
    assert_eq!(document["results"].as_array().unwrap().len(), 3);

    let applied = ground.migrate(&["apply", "--yes", "--cut-plaintext", "--no-snapshot"]);
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    let (exit, document) = judged(&ground, &["--fail-on", "warning"]);
    assert_eq!((exit, &document["verdict"]), (0, &Value::from("accept")), "{document}");
    let peer = of(&document, "server2", "peer");
    assert_eq!(peer["file"], ground.file("server2", "ssl/server2.pem").display().to_string());
    let dials = document["dials"].as_array().unwrap();
    assert_eq!(dials.len(), 6);
    for dial in dials {
        assert!(dial["url"].as_str().unwrap().starts_with("https://127."), "{dial}");
        assert_eq!((&dial["verdict"], &dial["source"]), (&"accept".into(), &"127.0.0.1".into()), "{dial}");
    }
    another_authoritys_pair(&ground);
    what_only_bites_later(&ground);
    a_revoked_peer_stays_in_the_cluster(&ground);
    a_certificates_name_is_a_user(&ground);
    whoever_is_down(&ground);
}

/// One member holds a pair of another CA: it and everybody else refuse each other, in etcd's own words.
fn another_authoritys_pair(ground: &Ground) {
    let other = ground.dir.path().join("other");
    let other = other.display().to_string();
    let foreign = |words: &[&str]| {
        let made = command(EXE).args(words).args(["--pki-dir", &other]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    foreign(&["init-ca", "--name", "somebody else's"]);
    foreign(&["issue", "server2", "--ip", &ground.addresses[1].to_string()]);
    let swap = |from: &str| {
        for file in ["server2.pem", "server2-key.pem"] {
            std::fs::copy(format!("{from}/{file}"), ground.file("server2", &format!("ssl/{file}"))).unwrap();
        }
    };
    let log = || std::fs::read_to_string(ground.file("server1", "etcd.log")).unwrap();
    let before = log().len();
    swap(&other);
    let (exit, document) = judged(ground, &[]);
    assert_eq!(exit, 1);
    let two = "server2";
    let expected = [("server1", two), ("server3", two), (two, "server1"), (two, "server3")];
    assert_eq!(refused(&document), BTreeSet::from(expected));
    let dials = document["dials"].as_array().unwrap();
    let dial = dials.iter().find(|dial| dial["from"] == two && dial["to"] == "server1").unwrap();
    let words = dial["findings"][0]["etcd_says"].as_str().unwrap();
    assert_eq!(codes(&dial["findings"]), BTreeSet::from(["EP016"]), "{dial}");
    until("the dialled member says so itself", || log()[before..].contains(words));
    // Its log leads back to the same cause, and says who refuses whom.
    let new = ground.dir.path().join("new.log");
    std::fs::write(&new, &log()[before..]).unwrap();
    let explained =
        command("sh").args(["-c", "exec \"$0\" explain --json - <\"$1\"", EXE]).arg(&new).output();
    let explained: Value = serde_json::from_slice(&explained.unwrap().stdout).unwrap();
    let cause = &explained["causes"][0];
    assert_eq!(cause["code"], "EP016", "{explained}");
    assert!(cause["refusals"]["this etcd refuses 127.0.0.1"].as_u64() > Some(0), "{cause}");
    swap(&ground.dir.path().join("pki").display().to_string());
    assert_eq!(judged(ground, &[]).0, 0);
}

fn what_only_bites_later(ground: &Ground) {
    let file = ground.file("server3", "etcd.env");
    let settings = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{settings}ETCD_MAX_REQUEST_BYTES=1000000\n")).unwrap();
    let ca = ground.file("server1", "ssl/ca.pem");
    let key = ground.file("server2", "ssl/server2-key.pem");
    let bytes = std::fs::read(&ca).unwrap();
    std::fs::write(&ca, &bytes).unwrap();
    std::fs::copy(ground.dir.path().join("pki/ca-key.pem"), ground.file("server1", "ssl/ca-key.pem"))
        .unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let (exit, document) = judged(ground, &["--expires-within", "400d"]);
    assert_eq!((exit, &document["verdict"]), (1, &"accept".into()), "{document}");
    let configuration = |member: &str| codes(&of(&document, member, "configuration")["findings"]);
    assert_eq!(configuration("server1"), BTreeSet::from(["EP112", "EP122"]));
    assert_eq!(configuration("server3"), BTreeSet::from(["EP120"]));
    assert_eq!(codes(&of(&document, "server2", "server")["findings"]), BTreeSet::from(["EP101", "EP110"]));
    std::fs::write(&file, settings).unwrap();

    // A file that is gone: etcd reads it at every handshake.
    std::fs::rename(&key, key.with_extension("gone")).unwrap();
    let (exit, document) = judged(ground, &[]);
    let result = of(&document, "server2", "peer");
    assert_eq!((exit, &result["verdict"]), (1, &"reject".into()));
    assert!(codes(&result["findings"]).contains("EP049"), "{result}");
    std::fs::rename(key.with_extension("gone"), &key).unwrap();
}

/// A revocation list keeps no member out: the others refuse its pair, and dial it all the same.
fn a_revoked_peer_stays_in_the_cluster(ground: &Ground) {
    let list = ground.dir.path().join("peers.crl");
    let place = || {
        assert!(ground.tool(&["crl"]).status.success());
        std::fs::copy(ground.dir.path().join("pki/crl.der"), &list).unwrap();
    };
    let restart = |at: usize| {
        let member = &ground.cluster.members[at];
        let service = member.host().unwrap().service();
        let before = service.running().unwrap().unwrap().identity;
        service.restart().unwrap();
        until("restarted", || service.running().unwrap().is_some_and(|now| now.identity != before));
        let url = member.url(Scheme::Https, ports::CLIENT);
        let client = Client::new(Endpoint::direct(url, Some(ground.tls())));
        until("healthy", || client.health().is_ok_and(|health| health.healthy));
    };
    place();
    let empty = std::fs::read(&list).unwrap();
    for (at, member) in ["server1", "server3"].into_iter().enumerate() {
        let file = ground.file(member, "etcd.env");
        let settings = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{settings}ETCD_PEER_CRL_FILE={}\n", list.display())).unwrap();
        restart(2 * at);
    }
    assert!(ground.tool(&["revoke", "server2"]).status.success());
    place();
    // Nothing is left of its old connections, and it is back.
    restart(1);
    let (exit, document) = judged(ground, &[]);
    assert_eq!(exit, 1, "{document}");
    assert_eq!(refused(&document), BTreeSet::from([("server2", "server1"), ("server2", "server3")]));
    let dials = document["dials"].as_array().unwrap();
    let dial = dials.iter().find(|dial| dial["from"] == "server2" && dial["to"] == "server1").unwrap();
    assert_eq!(codes(&dial["findings"]), BTreeSet::from(["EP054"]), "{dial}");
    assert!(dial["findings"][0]["message"].as_str().unwrap().contains("etcdctl member remove"), "{dial}");
    std::fs::write(&list, empty).unwrap();
    assert_eq!(refused(&judged(ground, &[]).1).len(), 0);
}

/// With authentication on, whoever shows a certificate is the user that it names.
fn a_certificates_name_is_a_user(ground: &Ground) {
    let pki = |name: &str| ground.dir.path().join("pki").join(name).display().to_string();
    let etcdctl = |words: &[&str]| {
        let mut client = command("etcdctl");
        client.env("ETCDCTL_API", "3");
        client.args([
            "--cacert",
            &pki("ca.pem"),
            "--cert",
            &pki("client.pem"),
            "--key",
            &pki("client-key.pem"),
        ]);
        client.args(["--endpoints", &format!("https://{}:2379", ground.addresses[0])]);
        let output = client.args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    for words in
        [&["user", "add", "root:pw"][..], &["user", "grant-role", "root", "root"], &["auth", "enable"]]
    {
        etcdctl(words);
    }
    let (_, document) = judged(ground, &["--role", "client", &pki("client.pem")]);
    assert!(codes(&of(&document, "server1", "configuration")["findings"]).contains("EP052"), "{document}");
    let client = &document["results"][0];
    assert!(client["file"].as_str().unwrap().ends_with("client.pem"), "{document}");
    let finding = client["findings"].as_array().unwrap().iter().find(|one| one["code"] == "EP052").unwrap();
    assert!(finding["message"].as_str().unwrap().contains("the user \"client\""), "{finding}");
    etcdctl(&["--user", "root:pw", "auth", "disable"]);
}

/// A member that is down is judged by its disk; nobody can dial it.
fn whoever_is_down(ground: &Ground) {
    let host = ground.cluster.members[2].host().unwrap();
    let service = host.service();
    service.control().ask(etcd_pki::host::supervisor::Request::Stop).unwrap();
    until("it is down", || etcd_pki::host::Service::running(&service).unwrap().is_none());
    let (exit, document) = judged(ground, &[]);
    assert_eq!(exit, 1);
    let three = "server3";
    assert_eq!(of(&document, three, "peer")["verdict"], "accept");
    assert_eq!(refused(&document), BTreeSet::from([("server1", three), ("server2", three)]), "{document}");
    let text = ground.tool(&["verify", "--cluster", &ground.inventory()]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("can the row dial the column?"), "{text}");
    assert!(text.contains("server1  -        yes      no\n"), "{text}");
    assert!(text.contains("EP061 unreachable: server1 cannot connect to"), "{text}");
}
