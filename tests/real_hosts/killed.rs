//! kill -9 of the tool at every planned step of a migration of real hosts, forward and back: the next run carries on.

use etcd_pki::etcd::Scheme;
use etcd_pki::rehearse::load::Speak;

use crate::lab_support::{Lab, all, differences, finish, start};
use crate::moments::killed_at_each;
use crate::rows::row;

#[test]
fn a_run_killed_at_any_planned_step_is_carried_on_by_the_next() {
    if !all() {
        return crate::support::not_run("kill -9 at every planned step on real hosts");
    }
    let Some(lab) = Lab::up("3.4.23", "debian") else { return };
    let before: Vec<_> = (1..=3).map(|host| lab.tree(host)).collect();
    lab.inside(|| {
        let load = start(&lab);
        load.move_to(Speak::Both, Some(lab.client_tls())).unwrap();
        let mut kills = 0;
        for way in ["apply", "rollback"] {
            let moments =
                killed_at_each(way, |_| lab.command(&["migrate", way, "--yes", "--cut-plaintext", "--json"]));
            kills += moments.len();
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
        let kills = kills.to_string();
        let failed = format!("{} of {} writes", figures.failed, figures.writes);
        row(
            "The tool killed",
            &["`migrate apply` and `rollback` on three real hosts, at every planned step"],
            &[&kills, &kills, "all", &failed, &figures.lost.to_string(), &figures.missed.to_string()],
        );
        assert_eq!((figures.failed, figures.lost, figures.missed), (0, 0, 0));
    });
    for (host, before) in (1..=3).zip(&before) {
        let left = differences(before, &lab.tree(host));
        assert!(left.is_empty(), "server{host} is not as it was: {left:?}");
    }
}
