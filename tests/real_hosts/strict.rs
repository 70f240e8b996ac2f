//! `--strict` on real hosts, beside the same without: whether a peer URL is ever told that is not served.

use etcd_pki::etcd::Scheme;
use etcd_pki::rehearse::PeerWatch;
use etcd_pki::rehearse::load::Speak;

use crate::lab_support::{Lab, all, differences, finish, start};

/// There and back on a lab of its own; every peer URL is dialled all the while.
fn watched(strict: bool) {
    if !all() {
        return crate::support::not_run("--strict on real hosts, beside the same without");
    }
    let Some(lab) = Lab::up("3.4.23", "debian") else { return };
    let before: Vec<_> = (1..=3).map(|host| lab.tree(host)).collect();
    lab.inside(|| {
        let watch = PeerWatch::start(&lab.addresses(), lab.client_tls());
        let load = start(&lab);
        load.move_to(Speak::Both, Some(lab.client_tls())).unwrap();
        for way in ["apply", "rollback"] {
            let word = strict.then_some("--strict");
            let words = ["migrate", way, "--yes", "--cut-plaintext"].into_iter().chain(word);
            lab.done(&words.collect::<Vec<_>>());
        }
        let seen = watch.finish();
        let figures = finish(&lab, load, Scheme::Http);
        println!(
            "--strict {strict}: {} looks at peer URLs, {} while a member restarted, {} not served; {} writes, {} failed, \
             {} lost, {} missed, longest gap {} ms",
            seen.looks,
            seen.restarting,
            seen.unserved,
            figures.writes,
            figures.failed,
            figures.lost,
            figures.missed,
            figures.longest_gap_ms
        );
        assert_eq!((figures.failed, figures.lost, figures.missed), (0, 0, 0));
        assert_eq!(seen.unserved == 0, strict, "{seen:?}");
    });
    for (host, before) in (1..=3).zip(&before) {
        let left = differences(before, &lab.tree(host));
        assert!(left.is_empty(), "server{host} is not as it was: {left:?}");
    }
}

#[test]
fn strictly_no_peer_url_is_told_that_is_not_served() {
    watched(true);
}

#[test]
fn without_the_word_some_are_told_before_they_are_served() {
    watched(false);
}
