//! kill -9 at random moments of the live migration: the next run always finishes it.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a test")]

use std::process::Stdio;
use std::time::{Duration, Instant};

use etcd_pki::etcd::Scheme;
use etcd_pki::etcd::client::Api;
use etcd_pki::rehearse::Figures;
use etcd_pki::rehearse::load::{Load, Speak};
use etcd_pki::rehearse::proof;

mod migration_support;
mod rehearsal_support;
#[path = "support/rows.rs"]
mod rows;
use migration_support::Ground;
use rows::row;

/// The next of a fixed sequence of pseudo-random numbers below a bound.
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// Migrates forward and back in turn, killing each run once at a random moment, then letting the next one finish. Returns
/// how many were killed before they ended, and what the clients saw.
fn killed_and_resumed(seed: u64, rounds: u32) -> (u32, Figures) {
    let ground = Ground::new(3);
    let load = Load::start(&ground.addresses, Api::V3 { prefix: "/v3" }).unwrap();
    load.move_to(Speak::Both, Some(ground.tls())).unwrap();
    let mut state = seed;
    let mut killed = 0;
    for round in 0..rounds {
        let way = if round % 2 == 0 { "apply" } else { "rollback" };
        let words = ground.migrate_words(&[way, "--yes", "--cut-plaintext", "--json"]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let leash = Duration::from_millis(random(&mut state, 9000));
        let mut child = ground.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let end = Instant::now() + leash;
        while Instant::now() < end && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        killed += u32::from(child.wait().unwrap().code().is_none());
        let output = ground.tool(&words);
        assert!(
            output.status.success(),
            "round {round} ({way}, killed after {leash:?}): {}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    // An even number of rounds ends on plain HTTP, as it began.
    let figures =
        load.finish(|| proof::keys(&ground.cluster, Scheme::Http, None, Api::V3 { prefix: "/v3" }).unwrap());
    println!("seed {seed}: {killed} of {rounds} runs killed, all finished by the next; {figures:?}");
    assert!(killed * 2 > rounds, "most runs are killed before they end");
    assert_eq!((figures.lost, figures.missed), (0, 0), "{figures:?}");
    for member in &ground.cluster.members {
        let layers: Vec<_> = std::fs::read_dir(member.dir.path().join("etcd.env.d")).unwrap().collect();
        assert!(layers.is_empty(), "nothing of ours is left: {layers:?}");
    }
    (killed, figures)
}

/// Thirty runs where all is asked for, eight else; their number is even, so that they end as they began.
#[test]
fn runs_killed_at_random_moments_are_finished_by_the_next() {
    let all = std::env::var_os("ETCDPKI_TEST_ALL").is_some();
    let seeds = if all { [(1, 16), (2, 14)] } else { [(3, 4), (4, 4)] };
    let seen = std::thread::scope(|scope| {
        let runs = seeds.map(|(seed, rounds)| scope.spawn(move || killed_and_resumed(seed, rounds)));
        runs.map(|run| run.join().unwrap())
    });
    let sum = |of: fn(&Figures) -> u64| seen.iter().map(|(_, figures)| of(figures)).sum::<u64>();
    row(
        "The tool killed",
        &["`migrate apply` and `rollback` in turn, 3 members, at random moments"],
        &[
            &seeds.iter().map(|(_, rounds)| rounds).sum::<u32>().to_string(),
            &seen.iter().map(|(killed, _)| killed).sum::<u32>().to_string(),
            "all",
            &format!("{} of {} writes", sum(|figures| figures.failed), sum(|figures| figures.writes)),
            &sum(|figures| figures.lost).to_string(),
            &sum(|figures| figures.missed).to_string(),
        ],
    );
}
