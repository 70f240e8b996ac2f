//! What goes wrong on an ordinary bad night, at the moments of a migration of real hosts: the cluster serves on, the tool
//! says what happened and what to do, and the next run finishes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use etcd_pki::etcd::Scheme;
use etcd_pki::etcd::client::{Client, Endpoint};
use etcd_pki::rehearse::load::{Load, Speak};

use crate::lab_support::faults::*;
use crate::lab_support::{Entry, Lab, all, differences, finish, start};

/// When a fault strikes: at an event of a run, the first, second or third time that it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    way: Way,
    /// The stage that the step leads to.
    stage: &'static str,
    /// `gate`, or the action.
    what: &'static str,
    /// `before` or `after` of a gate, `start` or `done` of an action.
    state: &'static str,
    /// Which member's turn: 0 is the first.
    turn: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

use Way::{Back, There};

impl Way {
    const fn command(self) -> &'static str {
        match self {
            There => "apply",
            Back => "rollback",
        }
    }
}

const fn at(way: Way, stage: &'static str, what: &'static str, state: &'static str, turn: usize) -> Moment {
    Moment { way, stage, what, state, turn }
}

/// How a run may end that a fault has struck, besides going on to the end.
struct Expected {
    /// Whether it may go on: the fault passes by itself.
    goes_on: bool,
    /// The error's code, and words of its message.
    stops: &'static [(&'static str, &'static str)],
}

fn expected(fault: &Fault) -> Expected {
    let (goes_on, stops): (bool, &'static [_]) = match fault.name {
        name if name == SSH_CUT.name => (true, &[("ssh-broken", "connection")]),
        name if name == SSH_DROPPED.name => (
            true,
            &[
                ("ssh-broken", "connection"),
                ("unreachable", "ssh cannot reach it"),
                ("gate", "ssh"),
                ("host", ""),
            ],
        ),
        name if name == REBOOT.name || name == POWER_OFF.name => (
            true,
            &[
                ("ssh-broken", "connection"),
                ("unreachable", "ssh cannot reach it"),
                ("gate", "server"),
                ("host", ""),
            ],
        ),
        name if name == CUT_OFF.name || name == OTHERS_CUT.name => (true, &[("gate", "from server")]),
        name if name == SLOW_START.name || name == LAGGING.name => (true, &[]),
        name if name == UNIT_FAILS.name => {
            (true, &[("unit-failed", "etcd.service"), ("gate", "no etcd process")])
        }
        name if name == STUCK.name => (true, &[("gate", "server")]),
        name if name == ETC_FULL.name || name == STATE_FULL.name => (true, &[("host", "No space left")]),
        name if name == DATA_FULL.name => (true, &[("gate", "")]),
        name if name == WRONG_CA.name => (false, &[("file-changed", "ca.pem"), ("gate", "ca.pem")]),
        name if name == CLOCK.name => (true, &[("clock-skew", "clock"), ("gate", "clock")]),
        name if name == ALARM.name => (true, &[("gate", "alarm")]),
        name if name == SECOND_ADDRESS.name => {
            (true, &[("certificate-refused", "172.16.0.20"), ("gate", "from server")])
        }
        name => panic!("{name}?"),
    };
    Expected { goes_on, stops }
}

/// One cell of the table.
struct Row {
    text: String,
}

type Trees = Vec<BTreeMap<PathBuf, Entry>>;

fn trees(lab: &Lab) -> Trees {
    (1..=lab.hosts).map(|host| lab.tree(host)).collect()
}

/// Seconds that a gate is waited for: a fault that does not pass is not waited for longer than that.
fn patience(fault: &Fault) -> &'static str {
    if fault.name == SLOW_START.name || fault.name == LAGGING.name { "60" } else { "8" }
}

/// Strikes once, lets the run end as it will, heals, and runs again until all is done.
fn strike(lab: &Lab, load: &Load, before: &Trees, fault: &Fault, moment: Moment) -> Row {
    let name = format!("{} at {moment:?}", fault.name);
    println!("--- {name}");
    load.lap();
    let words =
        ["migrate", moment.way.command(), "--yes", "--cut-plaintext", "--step-timeout", patience(fault)];
    let run = Run::until(lab, &words, |event| moment.is(event));
    let Some((run, own)) = run else { panic!("{name}: the moment did not come") };
    let hosts = Hosts::of(lab, own);
    run.stopped(|| (fault.strike)(lab, hosts));
    let end = run.end();
    println!("    {end:?}");
    (fault.heal)(lab, hosts);
    let expected = expected(fault);
    match &end {
        End { exit: 0, .. } => assert!(expected.goes_on, "{name}: it went on"),
        End { exit: 3 | 1, code, message, hint, .. } => {
            let known = expected.stops.iter().any(|(c, words)| c == code && message.contains(words));
            assert!(known, "{name}: {end:?}");
            assert!(hint.len() > 10, "{name}: no hint: {end:?}");
        }
        _ => panic!("{name}: {end:?}"),
    }
    // A second or two for what boots, then the command again.
    let mut again = 0;
    while again == 0 && end.exit != 0 || again > 0 {
        again += 1;
        let output = lab.tool(&["migrate", moment.way.command(), "--yes", "--cut-plaintext", "--json"]);
        if output.status.success() {
            break;
        }
        let said = String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned();
        println!("    again: {said}");
        assert!(again < 6, "{name}: healed, and yet: {said}");
        std::thread::sleep(std::time::Duration::from_secs(3));
    }
    assert_end(lab, before, moment.way, &name);
    let figures = load.lap();
    let outcome = match (&end.code, again) {
        (code, 0) if code.is_empty() => "went on".to_owned(),
        (code, again) => format!("stopped ({}: {code}), finished by run {}", end.exit, again + 1),
    };
    let Moment { stage, what, state, turn, .. } = moment;
    let turn = ["first", "middle", "last"].get(turn).unwrap_or(&"later");
    let text = format!(
        "| {} | {} | {what} {state}, {stage}, {turn} member | {outcome} | {} ms | {} |",
        fault.name,
        moment.way.command(),
        figures.longest_gap_ms,
        figures.failed,
    );
    println!("{text}");
    Row { text }
}

fn assert_end(lab: &Lab, before: &Trees, way: Way, name: &str) {
    match way {
        There => drop(lab.done(&["migrate", "status"])),
        Back => {
            for (host, before) in (1..=lab.hosts).zip(before) {
                let left = differences(before, &lab.tree(host));
                assert!(left.is_empty(), "{name}: server{host} is not as it was: {left:?}");
            }
        }
    }
}

impl Moment {
    /// Whether a run's event is this moment, as far as its turn is counted by the caller.
    fn is(self, event: &Told) -> bool {
        event.stage == self.stage
            && event.what == self.what
            && event.state == self.state
            && event.turn == self.turn
    }
}

/// The faults and moments that every run of the tests takes: each fault once.
fn short() -> Vec<(Fault, Moment)> {
    vec![
        (SSH_CUT, at(There, "certs", "configure", "start", 1)),
        (REBOOT, at(Back, "certs", "update-peer-url", "done", 0)),
        (ETC_FULL, at(There, "certs", "configure", "start", 0)),
        (SLOW_START, at(Back, "plain", "restart", "start", 1)),
        (WRONG_CA, at(There, "certs", "install", "done", 1)),
        (UNIT_FAILS, at(Back, "certs", "restart", "start", 0)),
        (POWER_OFF, at(There, "tls", "configure", "done", 1)),
        (OTHERS_CUT, at(Back, "certs", "gate", "before", 0)),
        (CLOCK, at(There, "certs", "gate", "after", 0)),
    ]
}

/// Each fault at each kind of moment that it can strike at; members and directions in turn.
fn long() -> Vec<(Fault, Moment)> {
    const THERE: [(&str, &str, &str); 12] = [
        ("certs", "gate", "before"),
        ("certs", "install", "start"),
        ("certs", "install", "done"),
        ("certs", "configure", "done"),
        ("certs", "restart", "start"),
        ("certs", "restart", "done"),
        ("certs", "gate", "after"),
        ("tls", "gate", "before"),
        ("tls", "update-peer-url", "done"),
        ("tls", "configure", "start"),
        ("tls", "restart", "start"),
        ("tls", "restart", "done"),
    ];
    const BACK: [(&str, &str, &str); 12] = [
        ("certs", "gate", "before"),
        ("certs", "update-peer-url", "start"),
        ("certs", "update-peer-url", "done"),
        ("certs", "configure", "done"),
        ("certs", "restart", "start"),
        ("certs", "restart", "done"),
        ("certs", "gate", "after"),
        ("plain", "configure", "start"),
        ("plain", "restart", "start"),
        ("plain", "restart", "done"),
        ("plain", "restore", "start"),
        ("plain", "restore", "done"),
    ];
    let faults =
        [SSH_CUT, SSH_DROPPED, REBOOT, POWER_OFF, CUT_OFF, OTHERS_CUT, UNIT_FAILS, LAGGING, ETC_FULL, CLOCK];
    // Faults that take longest.
    let mut cells = vec![
        (LAGGING, at(Back, "certs", "configure", "done", 1)),
        (CUT_OFF, at(There, "tls", "restart", "start", 0)),
        (SSH_DROPPED, at(Back, "plain", "configure", "start", 2)),
        (ALARM, at(There, "tls", "gate", "after", 0)),
        (DATA_FULL, at(Back, "certs", "restart", "start", 1)),
    ];
    for (shift, fault) in faults.into_iter().enumerate() {
        for (i, (there, back)) in THERE.into_iter().zip(BACK).enumerate() {
            // Every other pair of moments, another half with each fault, so that all of it ends within the hour.
            if (i + shift) % 2 == 0 {
                let again = Fault { ..fault };
                cells.push((again, at(There, there.0, there.1, there.2, (i + shift) / 2 % 3)));
                cells.push((Fault { ..fault }, at(Back, back.0, back.1, back.2, (i + shift + 2) / 2 % 3)));
            }
        }
    }
    cells
}

fn wanted(cell: &(Fault, Moment)) -> bool {
    let only = std::env::var("ETCDPKI_FAULTS").unwrap_or_default();
    only.split(',').any(|word| cell.0.name.contains(word))
}

/// Nothing that was acknowledged is lost or was not told. Writes that no member answered in fifteen seconds are counted and
/// shown: on a machine that is busy with other work there are some.
fn assert_served(figures: &etcd_pki::rehearse::Figures) {
    assert_eq!((figures.lost, figures.missed), (0, 0), "{figures:?}");
}

/// What is wrong from the start is seen before anything is changed, and said with its name.
fn refused_before(lab: &Lab, before: &Trees) {
    for (fault, code, words) in [
        (SECOND_ADDRESS, "certificate-refused", "dials from 172.16.0.202"),
        (CLOCK, "clock-skew", "server2: its clock is"),
        (EXPIRED, "certificate-refused", "expired"),
        (OTHERS_PAIR, "certificate-refused", "did not sign it"),
        (ALARM, "gate", "an alarm is raised: NOSPACE"),
        (OTHERS_CUT, "gate", "from server"),
        (STUCK, "gate", "no answer in time"),
    ] {
        settled(lab);
        // What others see of one another is looked at before the restart of the member whose turn comes first.
        let first = matches!(fault.name, name if name == OTHERS_CUT.name || name == STUCK.name);
        let hosts = Hosts::of(lab, if first { first_turn(lab) } else { 2 });
        (fault.strike)(lab, hosts);
        let seen = lab.refused(&["migrate", "apply", "--yes", "--cut-plaintext", "--step-timeout", "3"]);
        (fault.heal)(lab, hosts);
        println!("{} before anything: {seen:?}", fault.name);
        assert_eq!((seen.0, seen.1.as_str()), (1, code), "{}: {seen:?}", fault.name);
        assert!(seen.2.contains(words) && seen.3.len() > 10, "{}: {seen:?}", fault.name);
        assert_end(lab, before, Back, fault.name);
    }
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

#[test]
fn a_cluster_of_three_survives_every_fault() {
    if !all() {
        return crate::support::not_run("faults in the middle of a migration");
    }
    let Some(lab) = Lab::up("3.4.23", "debian") else { return };
    let before = trees(&lab);
    let mut cells = short();
    cells.extend(long());
    cells.retain(wanted);
    lab.inside(|| {
        println!("{:?}", cells.iter().map(|(fault, _)| fault.name).collect::<Vec<_>>());
        let load = start(&lab);
        load.move_to(Speak::Both, Some(lab.client_tls())).unwrap();
        let mut stands = Back;
        let mut rows = Vec::new();
        for (fault, moment) in &cells {
            if moment.way == stands {
                let other = if stands == Back { There } else { Back };
                lab.done(&["migrate", other.command(), "--yes", "--cut-plaintext"]);
            }
            let small = fault.name == DATA_FULL.name;
            if small {
                (1..=3).for_each(|host| small_data(&lab, host, true));
            }
            rows.push(strike(&lab, &load, &before, fault, *moment));
            if small {
                (1..=3).for_each(|host| small_data(&lab, host, false));
            }
            stands = moment.way;
        }
        if stands == There {
            lab.done(&["migrate", "rollback", "--yes", "--cut-plaintext"]);
            assert_end(&lab, &before, Back, "at the end");
        }
        let figures = finish(&lab, load, Scheme::Http);
        println!("\n| fault | way | moment | outcome | longest gap | failed |\n|---|---|---|---|---|---|");
        rows.iter().for_each(|row| println!("{}", row.text));
        println!("{figures:?}");
        assert_served(&figures);
    });
}

/// The member that a plan begins with.
fn first_turn(lab: &Lab) -> u8 {
    let plan: serde_json::Value = serde_json::from_str(&lab.done(&["migrate", "plan", "--json"])).unwrap();
    plan["steps"][0]["member"].as_str().unwrap().strip_prefix("server").unwrap().parse().unwrap()
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
