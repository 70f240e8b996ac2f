//! The client against real members: what etcd does, and what the client says about it.
#![allow(clippy::unwrap_used, reason = "a test")]

mod etcd_support;
#[path = "etcd_support/forged.rs"]
mod forged;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use etcd_pki::etcd::{Api, Client, Fault, MemberId, PeerUrl, Tls, TlsError, User};
use etcd_pki::host::command::command;
use etcd_pki::host::local::Local;
use etcd_pki::host::streams::close_streams;
use etcd_support::{Etcd, Pki, address, binaries, strings, v2_flags};
use rcgen::ExtendedKeyUsagePurpose;

/// Runs a test on every etcd at hand, side by side.
fn each_version(test: impl Fn(&str, &std::path::Path) + Sync) {
    std::thread::scope(|scope| {
        for (version, binary) in binaries() {
            let test = &test;
            let named = std::thread::Builder::new().name(format!("etcd {version}"));
            named.spawn_scoped(scope, move || test(&version, &binary)).unwrap();
        }
    });
}

/// etcd 3.5 waits eight seconds for a watch when it stops; a kernel that closes sockets for root ends that.
#[test]
fn a_member_that_stops_does_not_wait_for_streams_that_are_closed_for_it() {
    for (version, binary) in binaries().into_iter().filter(|(version, _)| version.starts_with("3.5.")) {
        let etcd = Etcd::start(&binary, address(), "http", &[]);
        let client = etcd.ready(None);
        std::thread::scope(|scope| {
            let watch = scope.spawn(|| client.watch("key", 1).unwrap().next());
            etcd.ready(None).put("key", "1").unwrap();
            assert!(watch.join().unwrap().is_some(), "the watch is open");
        });
        let mut open = client.watch("other", 1).unwrap();
        std::thread::scope(|scope| {
            let stream = scope.spawn(move || open.next());
            std::thread::sleep(Duration::from_millis(500));
            let start = std::time::Instant::now();
            etcd.signal("TERM");
            let stopped = close_streams(&Local::new(), etcd.pid(), &[2379]).unwrap();
            println!("etcd {version}: {stopped:?} in {} ms", start.elapsed().as_millis());
            assert!(stopped.ended, "{}", etcd.log_text());
            if stopped.closed > 0 {
                assert!(start.elapsed() < Duration::from_secs(7), "{:?}", start.elapsed());
            }
            let _ = stream.join();
        });
    }
}

/// Both APIs of one member say the same of it, and a peer URL moves through either.
#[test]
fn a_member_tells_who_it_is_in_v3_and_v2() {
    each_version(|version, binary| {
        let etcd = Etcd::start(binary, address(), "http", &v2_flags(version));
        let client = etcd.ready(None);
        let prefix = if version.starts_with("3.3.") { "/v3beta" } else { "/v3" };
        assert_eq!(client.api().unwrap(), Api::V3 { prefix });
        assert_eq!(client.version().unwrap().server, version);
        assert_eq!(client.alarms().unwrap(), []);

        let v2 = etcd.client(None).with_api(Api::V2);
        let (list, v2_list) = (client.members().unwrap(), v2.members().unwrap());
        assert_eq!(list.members, v2_list.members);
        let peer_url = list.members[0].peer_urls[0].parse().unwrap();
        let peer = Client::new(etcd_pki::etcd::Endpoint::direct(peer_url, None));
        assert_eq!(peer.peer_members().unwrap(), v2_list);
        assert_eq!(list.cluster_id, v2_list.cluster_id);
        let own = list.members[0].clone();
        assert_eq!(list.answered_by, Some(own.id));
        assert_eq!(own.name, "m");
        assert_eq!(own.client_urls.join(","), etcd.client_url);

        for client in [&client, &v2] {
            let status = client.status().unwrap();
            assert_eq!((status.member_id, status.leader), (own.id, Some(own.id)));
            assert_eq!(status.cluster_id, list.cluster_id);
            assert_eq!(status.version, version);
            assert!(status.raft_index > 0 && status.raft_term > 1, "{status:?}");
            assert_eq!(status.errors, Vec::<String>::new());
            client.commit_probe().unwrap();
            client.read_probe().unwrap();
        }

        for (client, port) in [(&client, 2390), (&v2, 2391)] {
            let url: PeerUrl = format!("https://{}:{port}", etcd.address).parse().unwrap();
            client.update_peer_urls(own.id, std::slice::from_ref(&url)).unwrap();
            assert_eq!(client.members().unwrap().members[0].peer_urls, [url.to_string()]);
            // The same again is no change and no error; a stranger is an error.
            client.update_peer_urls(own.id, std::slice::from_ref(&url)).unwrap();
            let stranger = client.update_peer_urls(MemberId(1), &[url]).unwrap_err();
            assert!(matches!(stranger.fault, Fault::Server { status: 404, .. }), "{stranger}");
            let empty = client.update_peer_urls(own.id, &[]).unwrap_err();
            assert!(matches!(empty.fault, Fault::Malformed { .. }), "{empty}");
        }
    });
}

/// A commit probe leaves the revision as it was.
#[test]
fn a_commit_probe_leaves_nothing_behind() {
    each_version(|_, binary| {
        let etcd = Etcd::start(binary, address(), "http", &[]);
        let client = etcd.ready(None);
        let before = client.put("a", "1").unwrap();
        client.commit_probe().unwrap();
        assert_eq!(client.put("a", "2").unwrap(), before + 1);
        assert_eq!(client.get_prefix("").unwrap().len(), 1);
    });
}

/// Keys are written, read and followed in both APIs; nothing is missed between two watches.
#[test]
fn a_watch_resumes_where_it_stopped() {
    each_version(|version, binary| {
        let etcd = Etcd::start(binary, address(), "http", &v2_flags(version));
        etcd.ready(None);
        let api = etcd.client(None).api().unwrap();
        for api in [api, Api::V2] {
            let mut endpoint = etcd.endpoint(None);
            endpoint.timeout = Duration::from_secs(1);
            let client = Client::keep_alive(endpoint).with_api(api);
            let first = client.put("load/a", "1 & 2").unwrap();
            client.put("other", "x").unwrap();
            client.put("load/b", "zwölf").unwrap();
            let slash = if api == Api::V2 { "/" } else { "" };

            let mut watch = client.watch("load/", first).unwrap();
            let event = watch.next().unwrap().unwrap();
            assert_eq!((event.kv.key, event.kv.value), (format!("{slash}load/a"), "1 & 2".to_owned()));
            assert_eq!(event.kv.revision, first);
            assert_eq!(watch.next_revision(), first + 1);
            drop(watch);

            let mut watch = client.watch("load/", first + 1).unwrap();
            assert_eq!(watch.next().unwrap().unwrap().kv.value, "zwölf");
            // Silence ends it, and it stays at its end.
            let silence = watch.next().unwrap().unwrap_err();
            assert_eq!(silence.fault, Fault::Timeout);
            assert!(watch.next().is_none());

            let all = client.get_prefix("load/").unwrap();
            let values: Vec<_> = all.iter().map(|kv| kv.value.as_str()).collect();
            assert_eq!(values, ["1 & 2", "zwölf"]);
            assert!(client.get_prefix("nothing/").unwrap().is_empty());
        }
    });
}

fn client_tls(pki: &Pki, cert: &str, more: &[&str]) -> Vec<String> {
    let path = |name: &str| pki.path(name).display().to_string();
    let mut flags = strings(&["--cert-file"]);
    flags.extend([path(&format!("{cert}.pem")), "--key-file".into(), path(&format!("{cert}-key.pem"))]);
    flags.extend(["--trusted-ca-file".into(), path("ca.pem")]);
    flags.extend(strings(more));
    flags
}

/// Mutual TLS: the right pair gets through, in both APIs; every other way is told apart.
/// v2 keeps the last 1,000 events: a watch from an older one is refused by a code of its own, and a read goes on from there.
#[test]
fn a_v2_watch_that_fell_behind_is_told_apart() {
    let (version, binary) = binaries().into_iter().find(|(version, _)| version.starts_with("3.4.")).unwrap();
    let etcd = Etcd::start(&binary, address(), "http", &v2_flags(&version));
    etcd.ready(None);
    let client = etcd.client(None).with_api(Api::V2);
    let first = client.put("many/0", "0").unwrap();
    for number in 1..=1_100 {
        client.put(&format!("many/{number}"), "1").unwrap();
    }
    let behind = client.watch("many", first).unwrap().next().unwrap().unwrap_err();
    assert!(matches!(behind.fault, Fault::Server { code: Some(401), .. }), "{behind:?}");
    let keys = client.get_prefix("many").unwrap();
    assert_eq!(keys.len(), 1_101);
    let next = keys.iter().map(|kv| kv.revision).max().unwrap() + 1;
    client.put("many/after", "2").unwrap();
    assert_eq!(client.watch("many", next).unwrap().next().unwrap().unwrap().kv.value, "2");
}

/// From 3.4 on a trusted CA is enough to demand certificates; 3.3 lets everybody in until `--client-cert-auth` is given.
#[test]
fn a_trusted_ca_alone_demands_certificates_from_3_4_on() {
    each_version(|version, binary| {
        let pki = Pki::new();
        let address = address();
        let (cert, key) = pki.both("member", &[address]);
        let file = |flag: &str, path: &std::path::Path| format!("--{flag}={}", path.display());
        let ca = file("trusted-ca-file", &pki.path("ca.pem"));
        let flags = [file("cert-file", &cert), file("key-file", &key), ca];
        let etcd = Etcd::start(binary, address, "https", &flags);
        etcd.ready(Some(pki.tls(Some("member"))));
        let anonymous = etcd.client(Some(pki.tls(None))).members();
        assert_eq!(anonymous.is_ok(), version.starts_with("3.3."), "{version}: {anonymous:?}");
    });
}

#[test]
fn mutual_tls_lets_the_right_pair_in_and_says_why_not() {
    each_version(|version, binary| {
        let (address, pki) = (address(), Pki::new());
        pki.both("server", &[address]);
        pki.both("client", &[]);
        pki.issue("no-client-auth", &[], &[ExtendedKeyUsagePurpose::ServerAuth]);
        let flags = [client_tls(&pki, "server", &["--client-cert-auth"]), v2_flags(version)].concat();
        let etcd = Etcd::start(binary, address, "https", &flags);
        let client = etcd.ready(Some(pki.tls(Some("client"))));
        client.commit_probe().unwrap();
        assert_eq!(client.members().unwrap().members.len(), 1);
        let v2 = etcd.client(Some(pki.tls(Some("client")))).with_api(Api::V2);
        v2.commit_probe().unwrap();

        let alert = |tls: Option<Arc<Tls>>| match etcd.client(tls).version().unwrap_err().fault {
            Fault::Tls { alert, .. } => alert,
            other => panic!("{other:?}"),
        };
        let nothing_shown = alert(Some(pki.tls(None))).expect("the server says so");
        assert!(
            ["BadCertificate", "CertificateRequired"].contains(&nothing_shown.as_str()),
            "{nothing_shown}"
        );
        assert_eq!(alert(Some(pki.tls(Some("no-client-auth")))), Some("BadCertificate".into()));

        let foreign = Pki::new();
        foreign.both("client", &[]);
        assert_eq!(alert(Some(foreign.tls(Some("client")))), None, "it is we who refuse the server");
        let stranger =
            Tls::with_pair(&pki.read("ca.pem"), &foreign.read("client.pem"), &foreign.read("client-key.pem"));
        let alerted = alert(Some(Arc::new(stranger.unwrap()))).expect("the server says so");
        assert!(["BadCertificate", "UnknownCA", "UnknownCa"].contains(&alerted.as_str()), "{alerted}");

        // No CA at all is refused before anything is dialled.
        assert!(matches!(etcd.client(None).version().unwrap_err().fault, Fault::Tls { .. }));
        // Plain HTTP to it: etcd closes without a word.
        let url = etcd.client_url.replace("https", "http").parse().unwrap();
        let plain = Client::new(etcd_pki::etcd::Endpoint::direct(url, None));
        assert_eq!(plain.version().unwrap_err().fault, Fault::Closed);
    });
}

/// The name that is checked is the URL's host.
#[test]
fn a_certificate_for_another_address_is_refused() {
    let (etcd_at, pki) = (address(), Pki::new());
    pki.both("server", &["10.9.8.7".parse().unwrap()]);
    let etcd = Etcd::start(
        std::path::Path::new("/usr/bin/etcd"),
        etcd_at,
        "https",
        &client_tls(&pki, "server", &[]),
    );
    let client = etcd.client(Some(pki.tls(Some("server"))));
    let end = std::time::Instant::now() + Duration::from_secs(30);
    let fault = loop {
        match client.version().unwrap_err().fault {
            Fault::Refused if std::time::Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(50))
            }
            fault => break fault,
        }
    };
    let Fault::Tls { what, alert: None } = fault else { panic!("{fault:?}") };
    assert!(what.contains("not valid for name"), "{what}");
}

/// TLS to a plain port, nobody there, an API that is off, and a member that does not answer.
#[test]
fn faults_are_told_apart() {
    each_version(|version, binary| {
        let pki = Pki::new();
        let etcd = Etcd::start(binary, address(), "http", &[]);
        let client = etcd.ready(None);

        let url = etcd.client_url.replace("http", "https").parse().unwrap();
        let tls = Client::new(etcd_pki::etcd::Endpoint::direct(url, Some(pki.tls(None))));
        assert_eq!(tls.version().unwrap_err().fault, Fault::PlainHttpPort);

        let nobody = format!("http://{}:1", etcd.address).parse().unwrap();
        let nobody = Client::new(etcd_pki::etcd::Endpoint::direct(nobody, None));
        assert_eq!(nobody.members().unwrap_err().fault, Fault::Refused);

        if !version.starts_with("3.3.") {
            let v2 = etcd.client(None).with_api(Api::V2);
            assert_eq!(v2.members().unwrap_err().fault, Fault::NotFound);
        }
        let alpha = etcd.client(None).with_api(Api::V3 { prefix: "/v3alpha1" });
        assert_eq!(alpha.members().unwrap_err().fault, Fault::NotFound);

        client.api().unwrap();
        let mut endpoint = etcd.endpoint(None);
        endpoint.timeout = Duration::from_millis(300);
        etcd.signal("STOP");
        let began = std::time::Instant::now();
        assert_eq!(Client::new(endpoint).version().unwrap_err().fault, Fault::Timeout);
        assert!(began.elapsed() < Duration::from_secs(2));
        etcd.signal("CONT");
    });
}

/// Three members know each other as active; without a quorum the list still comes, and a commit does not.
#[test]
fn a_cluster_without_its_quorum_answers_but_cannot_commit() {
    each_version(|_, binary| {
        let addresses = [address(), address(), address()];
        let name = |i: usize| format!("m{i}");
        let cluster: Vec<_> =
            addresses.iter().enumerate().map(|(i, at)| format!("{}=http://{at}:2380", name(i))).collect();
        let flags = strings(&["--initial-cluster", &cluster.join(",")]);
        let mut members: Vec<_> = addresses
            .iter()
            .enumerate()
            .map(|(i, at)| Etcd::member(binary, &name(i), *at, "http", &flags))
            .collect();
        let clients: Vec<_> = members.iter().map(|member| member.ready(None)).collect();

        let ids: BTreeSet<_> = clients[0].members().unwrap().members.iter().map(|member| member.id).collect();
        assert_eq!(ids.len(), 3);
        for client in &clients {
            client.commit_probe().unwrap();
            let own = client.status().unwrap().member_id;
            let Some(streams) = client.peer_streams().unwrap() else { continue };
            let active: BTreeSet<_> =
                streams.iter().filter(|(_, stream)| stream.active).map(|(id, _)| *id).collect();
            assert_eq!(&active | &BTreeSet::from([own]), ids);
            // What is sent grows although nobody writes.
            std::thread::sleep(Duration::from_secs(2));
            let later = client.peer_streams().unwrap().unwrap();
            assert!(streams.iter().all(|(id, stream)| later[id].sent > stream.sent), "{streams:?} {later:?}");
        }

        members.truncate(1);
        let mut endpoint = members[0].endpoint(None);
        endpoint.timeout = Duration::from_secs(10);
        let alone = Client::new(endpoint);
        assert_eq!(alone.members().unwrap().members.len(), 3);
        assert!(!alone.health().unwrap().healthy);
        let refused = alone.commit_probe().unwrap_err();
        assert!(matches!(refused.fault, Fault::Server { .. } | Fault::Timeout), "{refused}");
        let status = alone.status().unwrap();
        assert_eq!(status.leader, None, "{status:?}");
    });
}

/// With etcd's authentication on, a call needs a user; a token that no longer holds is renewed.
#[test]
fn with_authentication_on_a_user_gets_through() {
    let user = |name: &str, password: &str| User {
        name: name.into(),
        password: zeroize::Zeroizing::new(password.into()),
    };
    each_version(|version, binary| {
        let flags = [v2_flags(version), strings(&["--auth-token-ttl", "1"])].concat();
        let flags = if version.starts_with("3.5") { flags } else { v2_flags(version) };
        let etcd = Etcd::start(binary, address(), "http", &flags);
        let before = etcd.ready(None).with_user(user("root", "secret"));
        before.put("a", "1").unwrap();
        for words in [
            &["user", "add", "root:secret"][..],
            &["user", "grant-role", "root", "root"],
            &["auth", "enable"],
        ] {
            let mut etcdctl = command(binary.with_file_name("etcdctl"));
            etcdctl.args(["--endpoints", &etcd.client_url]).args(words).env("ETCDCTL_API", "3");
            let output = etcdctl.output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }

        // Authentication was off when it first called.
        before.put("a", "2").unwrap();
        let client = etcd.client(None).with_user(user("root", "secret"));
        client.put("a", "3").unwrap();
        client.commit_probe().unwrap();
        let own = client.members().unwrap().members.remove(0);
        let url: PeerUrl = own.peer_urls[0].parse().unwrap();
        client.update_peer_urls(own.id, std::slice::from_ref(&url)).unwrap();
        if version.starts_with("3.5") {
            std::thread::sleep(Duration::from_millis(2500));
        }
        client.put("a", "4").unwrap();
        assert_eq!(client.with_api(Api::V2).members().unwrap().members.remove(0), own);

        let nobody = etcd.client(None);
        let refused = nobody.update_peer_urls(own.id, &[url]).unwrap_err();
        assert_eq!(refused.fault, Fault::Auth { message: "etcdserver: user name is empty".into() });
        let wrong = etcd.client(None).with_user(user("root", "wrong")).put("a", "5").unwrap_err();
        assert!(matches!(wrong.fault, Fault::Auth { .. }), "{wrong}");
        assert!(!format!("{wrong} {wrong:?}").contains("\"wrong\""));
    });
}

/// What cannot be used is refused before anything is dialled, with an error and not a panic.
#[test]
fn unusable_pairs_are_errors() {
    let (pki, other) = (Pki::new(), Pki::new());
    pki.both("a", &[]);
    other.both("a", &[]);
    let ca = pki.read("ca.pem");
    let swapped = Tls::with_pair(&ca, &pki.read("a.pem"), &other.read("a-key.pem"));
    assert!(matches!(swapped, Err(TlsError::Pair { .. })), "{swapped:?}");
    assert!(matches!(Tls::new(b"no PEM"), Err(TlsError::Ca { .. })));
    let no_key = Tls::with_pair(&ca, &pki.read("a.pem"), &pki.read("a.pem"));
    assert!(matches!(no_key, Err(TlsError::Key { .. })), "{no_key:?}");
    let no_cert = Tls::with_pair(&ca, &pki.read("a-key.pem"), &pki.read("a-key.pem"));
    assert!(matches!(no_cert, Err(TlsError::Certificate { .. })), "{no_cert:?}");
    let shown = format!("{:?}", Tls::with_pair(&ca, &pki.read("a.pem"), &pki.read("a-key.pem")).unwrap());
    assert_eq!(shown, "Tls { .. }");
}
