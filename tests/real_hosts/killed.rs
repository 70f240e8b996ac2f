//! kill -9 of the tool at every planned step of a migration of real hosts, forward and back: the next run carries on.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use etcd_pki::etcd::Scheme;
use etcd_pki::rehearse::load::Speak;

use crate::lab_support::{Lab, differences, finish, start};

/// Runs the tool again and again, each run killed as soon as it tells of a moment that no run before it has told of: the
/// beginning and the end of every action and step, and every gate. Returns the moments; the last run was let go on.
fn killed_at_every_moment(lab: &Lab, way: &str) -> Vec<String> {
    const MOST: usize = 200;
    let mut moments = Vec::new();
    let mut seen = BTreeSet::new();
    for _ in 0..MOST {
        let words = ["migrate", way, "--yes", "--cut-plaintext", "--json"];
        let mut run = lab.command(&words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut last = String::new();
        let mut moment = None;
        for line in BufReader::new(run.stdout.take().unwrap()).lines().map_while(Result::ok) {
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            let of = |field: &str| event[field].as_str().unwrap_or_default();
            let told = format!(
                "{} {} {}{}{} {}",
                of("member"),
                of("event"),
                of("stage"),
                of("action"),
                of("when"),
                of("state")
            );
            last = line;
            if matches!(of("event"), "action" | "gate" | "step") && seen.insert(told.clone()) {
                moment = Some(told);
                break;
            }
        }
        let Some(moment) = moment else {
            assert!(run.wait().unwrap().success(), "{way}: {last}");
            return moments;
        };
        run.kill().unwrap();
        run.wait().unwrap();
        moments.push(moment);
    }
    panic!("{way} does not come to an end: {moments:?}");
}

#[test]
fn a_run_killed_at_any_planned_step_is_carried_on_by_the_next() {
    let Some(lab) = Lab::up("3.4.23", "debian") else { return };
    let before: Vec<_> = (1..=3).map(|host| lab.tree(host)).collect();
    lab.inside(|| {
        let load = start(&lab);
        load.move_to(Speak::Both, Some(lab.client_tls())).unwrap();
        for way in ["apply", "rollback"] {
            let moments = killed_at_every_moment(&lab, way);
            println!("{way}: killed at {} moments, the next run carried on each time", moments.len());
            // Each member's two steps, their actions and their gates.
            for host in 1..=3 {
                let of =
                    moments.iter().filter(|moment| moment.starts_with(&format!("server{host} "))).count();
                assert!(of >= 10, "{moments:#?}");
            }
        }
        let figures = finish(&lab, load, Scheme::Http);
        println!("{figures:?}");
        assert_eq!((figures.failed, figures.lost, figures.missed), (0, 0, 0));
    });
    for (host, before) in (1..=3).zip(&before) {
        let left = differences(before, &lab.tree(host));
        assert!(left.is_empty(), "server{host} is not as it was: {left:?}");
    }
}
