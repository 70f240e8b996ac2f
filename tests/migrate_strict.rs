//! `--strict`: every peer URL is served at every moment, by way of a second peer port.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a test")]

use std::net::TcpListener;

use etcd_pki::etcd::Scheme;
use etcd_pki::etcd::client::Api;
use etcd_pki::rehearse::PeerWatch;
use etcd_pki::rehearse::load::{Load, Speak};
use etcd_pki::rehearse::proof;

mod migration_support;
#[path = "support/moments.rs"]
mod moments;
mod rehearsal_support;
#[allow(dead_code, reason = "nothing is skipped here")]
mod support;
use migration_support::{Ground, refusal};
use moments::killed_at_each;

const V3: Api = Api::V3 { prefix: "/v3" };

#[test]
fn what_is_planned_and_said_and_a_way_back_without_the_word() {
    if std::env::var_os("ETCDPKI_TEST_ALL").is_none() {
        return support::not_run("--strict there and back");
    }
    let ground = Ground::new(3);
    let text = |words: &[&str], exit: i32| {
        let output = ground.migrate(words);
        assert_eq!(output.status.code(), Some(exit), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let plan = text(&["plan", "--strict"], 0);
    assert_eq!(plan.matches("restart").count(), 9, "{plan}");
    let detour = "peer URL to the second port, settings, restart, update peer URL → HTTPS for peers";
    assert_eq!(plan.matches(detour).count(), 3, "{plan}");
    assert_eq!(text(&["plan"], 0).matches("restart").count(), 6, "without the word it is two rolls");

    // Somebody has that port: said before anything changes.
    let taken = TcpListener::bind((ground.addresses[1], 2382)).unwrap();
    let (exit, code, message, hint) = refusal(&ground.migrate(&["apply", "--strict", "--yes", "--json"]));
    assert_eq!((exit, code.as_str()), (1, "no-second-port"), "{message}");
    assert!(message.contains("2382") && hint.contains("without --strict"), "{message} {hint}");
    assert!(!ground.file("server2", "ssl/server2-key.pem").exists());
    drop(taken);

    // It waits for clients when the peers speak https already.
    let load = Load::start(&ground.addresses, V3).unwrap();
    let (exit, code, message, _) = refusal(&ground.migrate(&["apply", "--strict", "--yes", "--json"]));
    assert_eq!((exit, code.as_str()), (1, "plaintext-clients"), "{message}");
    let status = text(&["status"], 1);
    assert_eq!(status.matches("HTTPS for peers, HTTP on their second port").count(), 3, "{status}");
    assert_eq!(status.matches("  https://").count(), 3, "{status}");

    // What was begun strictly goes on so, there and back, without the word.
    let plan = text(&["plan"], 0);
    assert_eq!((plan.matches("restart").count(), plan.matches("update peer URL").count()), (3, 0), "{plan}");
    let watch = PeerWatch::start(&ground.addresses, ground.tls());
    assert!(ground.migrate(&["rollback", "--yes"]).status.success());
    let seen = watch.finish();
    println!("{seen:?}");
    assert_eq!((seen.unserved, seen.looks > 0), (0, true), "{seen:?}");
    let figures = load.finish(|| proof::keys(&ground.cluster, Scheme::Http, None, V3).unwrap());
    assert_eq!((figures.failed, figures.lost, figures.missed), (0, 0, 0), "{figures:?}");
    assert_eq!(text(&["status"], 1).lines().filter(|line| line.contains("  plain HTTP  http://")).count(), 3);
    assert!(!ground.file("server1", "state/pre-images.json").exists());
}

#[test]
fn without_the_word_a_peer_url_is_told_before_it_is_served_and_the_watch_sees_it() {
    if std::env::var_os("ETCDPKI_TEST_ALL").is_none() {
        return support::not_run("peer URLs without --strict");
    }
    let ground = Ground::new(3);
    let watch = PeerWatch::start(&ground.addresses, ground.tls());
    assert!(ground.migrate(&["apply", "--yes"]).status.success());
    let seen = watch.finish();
    println!("{seen:?}");
    assert!(seen.unserved > 0, "{seen:?}");
}

#[test]
fn by_hand_it_is_two_rounds_a_member() {
    let ground = Ground::new(3);
    let output = ground.migrate(&["members", "--strict"]);
    let told = String::from_utf8(output.stdout).unwrap();
    for address in &ground.addresses {
        let (second, https) = (format!("http://{address}:2382"), format!("https://{address}:2380"));
        let round = |update: &str, listen: &str| {
            let update = told.find(&format!("--peer-urls={update}\n")).unwrap_or_else(|| panic!("{told}"));
            let listen =
                told.find(&format!("listen-peer-urls {listen}\n")).unwrap_or_else(|| panic!("{told}"));
            assert!(listen < update, "{told}");
            update
        };
        assert!(round(&second, &format!("{https},{second}")) < round(&https, &https), "{told}");
    }
}

#[test]
fn killed_at_any_planned_step_every_peer_url_is_served_all_the_while() {
    if std::env::var_os("ETCDPKI_TEST_ALL").is_none() {
        return support::not_run("kill -9 at every planned step with --strict");
    }
    let ground = Ground::new(3);
    let load = Load::start(&ground.addresses, V3).unwrap();
    load.move_to(Speak::Both, Some(ground.tls())).unwrap();
    let watch = PeerWatch::start(&ground.addresses, ground.tls());
    for (way, first) in [("apply", "beside"), ("rollback", "bridge")] {
        let begun = format!("step {first} done");
        let mut runs = 0;
        let moments = killed_at_each(way, |moments| {
            runs += 1;
            // Until something is in force the word is given; then every other run does without.
            let strict = !moments.iter().any(|moment| moment.contains(&begun)) || runs % 2 == 0;
            let mut words = ground.migrate_words(&[way, "--yes", "--cut-plaintext", "--json"]);
            words.extend(strict.then(|| "--strict".to_owned()));
            ground.command(&words.iter().map(String::as_str).collect::<Vec<_>>())
        });
        println!("{way} --strict: killed at {} moments, the next run carried on each time", moments.len());
        for member in 1..=3 {
            let name = format!("server{member} ");
            assert!(moments.iter().any(|moment| moment.starts_with(&name) && moment.contains("detour")));
        }
    }
    let seen = watch.finish();
    let figures = load.finish(|| proof::keys(&ground.cluster, Scheme::Http, None, V3).unwrap());
    println!("{seen:?} {figures:?}");
    assert_eq!(seen.unserved, 0, "{seen:?}");
    assert_eq!((figures.lost, figures.missed), (0, 0), "{figures:?}");
    for member in &ground.cluster.members {
        let layers: Vec<_> = std::fs::read_dir(member.dir.path().join("etcd.env.d")).unwrap().collect();
        assert!(layers.is_empty(), "nothing of ours is left: {layers:?}");
    }
}
