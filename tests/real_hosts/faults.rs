//! What goes wrong on an ordinary bad night, at the moments of a migration of real hosts: the cluster serves on, the tool
//! says what happened and what to do, and the next run finishes.

mod campaign;
mod moments;

use etcd_pki::etcd::Scheme;
use etcd_pki::etcd::client::{Client, Endpoint};
use etcd_pki::rehearse::load::Speak;

use crate::lab_support::faults::*;
use crate::lab_support::run::{Run, number};
use crate::lab_support::{Lab, all, finish, start};
use Way::{Back, There};
use campaign::{Campaign, Trees, assert_end, assert_served, trees};
use moments::{At, Cell, Way};

/// A fault at every planned step, in a lab of its own; `make reliability` records its part of the table.
fn every_step(name: &str, faults: &[Fault], hosts: u8, words: &[&str], prepare: impl FnOnce(&Lab)) {
    if !all() {
        let names: Vec<_> = faults.iter().map(|fault| fault.name).collect();
        return crate::support::not_run(&format!("at every planned step: {}", names.join("; ")));
    }
    let only = std::env::var("ETCDPKI_FAULTS").unwrap_or_default();
    let wanted = |fault: &&Fault| only.split(',').any(|word| fault.name.contains(word));
    let members = usize::from(hosts);
    let cells: Vec<Cell> = faults
        .iter()
        .filter(wanted)
        .enumerate()
        .flat_map(|(shift, fault)| Cell::all_of(*fault, members, shift))
        .collect();
    if cells.is_empty() {
        return;
    }
    let Some(lab) = Lab::with("3.4.23", "debian", &["--hosts", &hosts.to_string()]) else { return };
    prepare(&lab);
    lab.inside(|| Campaign::new(&lab, cells, words).run(Some(name)));
}

#[test]
fn connections_break_at_every_step() {
    every_step("connections", &[SSH_CUT, SSH_DROPPED, CUT_OFF, OTHERS_CUT], 3, &[], |_| {});
}

#[test]
fn hosts_and_units_fail_at_every_step() {
    every_step("hosts and units", &[REBOOT, POWER_OFF, UNIT_FAILS, SLOW_START, LAGGING], 3, &[], |_| {});
}

#[test]
fn disks_are_full_at_every_step() {
    // Data that is on a file system of its own does not survive a boot: nobody boots here.
    every_step("disks and the alarm", &[ETC_FULL, STATE_FULL, DATA_FULL, ALARM], 3, &[], |lab| {
        (1..=3).for_each(|host| small_data(lab, host));
    });
}

#[test]
fn certificates_clocks_and_addresses_are_wrong_at_every_step() {
    every_step(
        "certificates, clocks, addresses",
        &[WRONG_CA, EXPIRED, OTHERS_PAIR, CLOCK, SECOND_ADDRESS],
        3,
        &[],
        |_| {},
    );
}

#[test]
fn one_of_five_is_stopped_at_every_step() {
    every_step("one of five is down", &[STOPPED], 5, &[], |_| {});
}

/// One cell of most faults, one pass there and back.
#[test]
fn a_bad_night() {
    let Some(lab) = Lab::up("3.4.23", "debian") else { return };
    let cells = vec![
        Cell::new(ETC_FULL, There, "certs", At::Install, 0),
        Cell::new(WRONG_CA, There, "certs", At::GateAgain, 1),
        Cell::new(CLOCK, There, "certs", At::GateAfter, 1),
        Cell::new(SECOND_ADDRESS, There, "tls", At::Gate, 0),
        Cell::new(SSH_CUT, There, "tls", At::Configure, 0),
        Cell::new(POWER_OFF, There, "tls", At::GateAgain, 1),
        Cell::new(EXPIRED, There, "tls", At::PeerUrl, 2),
        Cell::new(OTHERS_CUT, Back, "certs", At::GateAgain, 0),
        Cell::new(ALARM, Back, "certs", At::Gate, 1),
        Cell::new(UNIT_FAILS, Back, "certs", At::Restart, 2),
        Cell::new(STATE_FULL, Back, "plain", At::Configure, 0),
        Cell::new(REBOOT, Back, "plain", At::GateAgain, 1),
    ];
    lab.inside(|| Campaign::new(&lab, cells, &[]).run(None));
}

/// What is wrong from the start is seen before anything is changed, and said with its name.
fn refused_before(lab: &Lab, before: &Trees) {
    let words = ["migrate", "apply", "--yes", "--cut-plaintext", "--step-timeout", "3"];
    let hosts = Hosts::of(lab, 2);
    for (fault, words_of_it) in [
        (SECOND_ADDRESS, "dials from 172.16.0.202"),
        (CLOCK, "server2: its clock is"),
        (EXPIRED, "expired"),
        (OTHERS_PAIR, "did not sign it"),
        (ALARM, "an alarm is raised: NOSPACE"),
    ] {
        settled(lab);
        (fault.strike)(lab, hosts);
        let seen = lab.refused(&words);
        (fault.heal)(lab, hosts);
        refused_unchanged(lab, before, &fault, &seen, words_of_it);
    }
    // What others see of one another is looked at before the restart of the member whose turn is first: the tool says
    // which one that is, before it looks.
    for (fault, words_of_it) in [(OTHERS_CUT, "from server"), (STUCK, "no answer in time")] {
        settled(lab);
        let (run, told) = Run::until(lab, &words, |told| At::of(told) == Some(At::Gate)).unwrap();
        let hosts = Hosts::of(lab, number(&told.member));
        (fault.strike)(lab, hosts);
        run.go_on();
        let end = run.end();
        (fault.heal)(lab, hosts);
        refused_unchanged(lab, before, &fault, &(end.exit, end.code, end.message, end.hint), words_of_it);
    }
}

fn refused_unchanged(
    lab: &Lab,
    before: &Trees,
    fault: &Fault,
    seen: &(i32, String, String, String),
    words: &str,
) {
    println!("{} before anything: {seen:?}", fault.name);
    let known = fault.stops.iter().any(|(code, _)| *code == seen.1);
    assert!(seen.0 == 1 && known, "{}: {seen:?}", fault.name);
    assert!(seen.2.contains(words) && seen.3.len() > 10, "{}: {seen:?}", fault.name);
    assert_end(lab, before, Back, fault.name);
}

#[test]
fn what_is_wrong_from_the_start_is_refused_before_any_change() {
    if !all() {
        return crate::support::not_run("what is wrong from the start");
    }
    let Some(lab) = Lab::up("3.4.23", "debian") else { return };
    let before = trees(&lab);
    lab.inside(|| refused_before(&lab, &before));
}

/// Waits until every member takes a write again.
fn settled(lab: &Lab) {
    const TRIES: u32 = 60;
    let takes = |at| {
        let url = format!("http://{at}:2379").parse().unwrap();
        Client::new(Endpoint::direct(url, None)).commit_probe().is_ok()
    };
    for _ in 0..TRIES {
        if lab.addresses().into_iter().all(takes) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    panic!("the cluster takes no writes");
}

#[test]
fn members_that_are_down_stop_it_unless_they_may_be_left_and_a_quorum_stays() {
    if !all() {
        return crate::support::not_run("members that are left behind, there and back");
    }
    let Some(lab) = Lab::with("3.4.23", "debian", &["--hosts", "5"]) else { return };
    let before = trees(&lab);
    let etcd = |what: &str, host: u8| {
        println!("server{host}: {what}");
        // One that the others do not reach yet never says that it is ready: nobody waits for that.
        let block = if what == "start" { "--no-block" } else { "" };
        root_on(&lab, host, &format!("systemctl {block} {what} etcd"));
    };
    lab.inside(|| {
        let load = start(&lab);
        load.move_to(Speak::Both, Some(lab.client_tls())).unwrap();
        etcd("stop", 5);
        for way in [There, Back] {
            let words = ["migrate", way.command(), "--yes", "--cut-plaintext"];
            // One that the migration has not touched yet was stopped by somebody: it is not started behind their back.
            if way == There {
                let (exit, code, message, hint) = lab.refused(&words);
                assert_eq!((exit, code.as_str()), (1, "members-down"), "{message}");
                assert!(message.contains("server5 is down"), "{message}");
                assert!(hint.contains("--allow-degraded"), "{hint}");
            }

            // Two of five: the next restart would cost the quorum.
            etcd("stop", 4);
            let degraded = [&words[..], &["--allow-degraded"]].concat();
            let (exit, code, message, hint) = lab.refused(&degraded);
            assert_eq!((exit, code.as_str()), (1, "members-down"), "{message}");
            assert!(
                message.contains("server4, server5 are down") && hint.contains("quorum"),
                "{message} {hint}"
            );
            etcd("start", 4);

            let (exit, code, message, hint) = lab.refused(&degraded);
            assert_eq!((exit, code.as_str()), (3, "members-left"), "{message}");
            assert!(message.contains("server5 is down") && hint.contains("start"), "{message} {hint}");
            assert_eq!(lab.tool(&["migrate", "status"]).status.code(), Some(1));

            // It comes back as it was, among members that have moved; the next run brings it along.
            etcd("start", 5);
            lab.done(&words);
            assert_end(&lab, &before, way, "a member was left");
            if way == There {
                etcd("stop", 5);
            }
        }
        let figures = finish(&lab, load, Scheme::Http);
        println!("one of five down, there and back: {figures:?}");
        assert_served(&figures);
    });
}
