//! Clusters of one and two members, which have nobody to spare: as the package leaves them, with the legacy port in use,
//! and when a member does not come back.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use etcd_pki::etcd::Scheme;

use crate::lab_support::faults::{Hosts, UNIT_FAILS};
use crate::lab_support::run::{Run, number};
use crate::lab_support::{Lab, all, answers, differences};

#[test]
fn a_member_as_the_package_leaves_it_goes_there_and_back() {
    let Some(lab) = Lab::with("3.4.23", "debian", &["--hosts", "1"]) else { return };
    // Nothing is set: etcd listens on localhost, and advertises that without being told.
    lab.on(
        "server1",
        "systemctl stop etcd; rm -rf /var/lib/etcd/*; : >/etc/default/etcd; systemctl start etcd",
    );
    lab.on("server1", "ETCDCTL_API=3 etcdctl put kept yes");
    let before = lab.tree(1);
    let ask = |rest: &str| {
        let get = format!("ETCDCTL_API=3 etcdctl {rest} get kept --print-value-only");
        lab.on("server1", &get).trim().to_owned()
    };
    lab.done(&["migrate", "apply", "--yes"]);
    lab.done(&["migrate", "status"]);
    let tls =
        "--cacert /etc/ssl/etcd/ca.pem --cert /etc/ssl/etcd/server1.pem --key /etc/ssl/etcd/server1-key.pem";
    assert_eq!(ask(&format!("--endpoints https://localhost:2379 {tls}")), "yes");
    assert_eq!(ask("--endpoints http://127.0.0.1:4001"), "yes");
    lab.done(&["migrate", "rollback", "--yes"]);
    assert_eq!(ask(""), "yes");
    let left = differences(&before, &lab.tree(1));
    assert!(left.is_empty(), "it is not as it was: {left:?}");
}

/// The legacy port that a member served before, on this address, and who used it from elsewhere.
fn legacy_port_on(address: &str, others_used_it: bool) {
    let Some(lab) = Lab::with("3.4.23", "debian", &["--hosts", "1"]) else { return };
    lab.on(
        "server1",
        &format!(
            "sed -i 's#^ETCD_LISTEN_CLIENT_URLS=.*#&,http://{address}:4001#' /etc/default/etcd && systemctl restart etcd"
        ),
    );
    let before = lab.tree(1);
    lab.inside(|| {
        let member = lab.address(1);
        let open = || answers(member, Scheme::Http, 4001, None).is_ok();
        assert_eq!(open(), others_used_it);
        if others_used_it {
            // It connects again and again, as a client does.
            let stop = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let connected = TcpStream::connect((member, 4001));
                        std::thread::sleep(Duration::from_millis(300));
                        drop(connected);
                    }
                });
                let (exit, code, message, _) = lab.refused(&["migrate", "apply", "--yes"]);
                stop.store(true, Ordering::Relaxed);
                assert_eq!((exit, code.as_str()), (1, "plaintext-clients"), "{message}");
                assert!(message.contains("172.16.0.1 on port 4001 of server1"), "{message}");
            });
            assert!(open(), "it was closed before its clients had moved");
        }
        lab.done(&["migrate", "apply", "--yes"]);
        lab.done(&["migrate", "status"]);
        assert!(!open());
        lab.on("server1", "curl -fsS http://127.0.0.1:4001/health");
        lab.done(&["migrate", "rollback", "--yes"]);
        assert_eq!(open(), others_used_it);
    });
    let left = differences(&before, &lab.tree(1));
    assert!(left.is_empty(), "it is not as it was: {left:?}");
}

#[test]
fn a_legacy_port_open_to_all_closes_to_others_once_they_have_moved() {
    legacy_port_on("0.0.0.0", true);
}

#[test]
fn a_legacy_port_that_somebody_opened_by_hand_is_left_as_it_was() {
    legacy_port_on("127.0.0.1", false);
}

#[test]
fn a_member_that_speaks_tls_by_its_own_settings_is_left_alone() {
    let Some(lab) = Lab::with("3.4.23", "debian", &["--hosts", "1"]) else { return };
    lab.done(&["install", "server1", "--host", "root@172.16.0.101", "--to", "/etc/etcd/tls"]);
    let settings = "sed -i s,http:,https:,g /etc/default/etcd; for p in '' PEER_; do printf 'ETCD_%sCERT_FILE=/etc/etcd/tls/server1.pem\n\
        ETCD_%sKEY_FILE=/etc/etcd/tls/server1-key.pem\nETCD_%sTRUSTED_CA_FILE=/etc/etcd/tls/ca.pem\nETCD_%sCLIENT_CERT_AUTH=true\n' \
        $p $p $p $p >>/etc/default/etcd; done";
    lab.on(
        "server1",
        &format!("systemctl stop etcd; rm -rf /var/lib/etcd/*; {settings}; systemctl start etcd"),
    );
    let before = lab.tree(1);
    for words in [&["plan"][..], &["apply", "--yes"], &["seal", "--yes"], &["rollback", "--yes"], &["status"]]
    {
        let (exit, code, message, hint) = lab.refused(&[&["migrate"], words].concat());
        assert_eq!((exit, code.as_str()), (1, "own-tls"), "{words:?}: {message}");
        assert!(message.contains("server1") && message.contains("listen-peer-urls=https://"), "{message}");
        assert!(hint.contains("verify --node"), "{hint}");
    }
    assert_eq!(differences(&before, &lab.tree(1)), Vec::<std::path::PathBuf>::new());
    lab.inside(|| answers(lab.address(1), Scheme::Https, 2379, Some(&lab.client_tls())).unwrap());
}

/// A member of so few that there is no quorum without it fails to start when it should come back, on the way there; what
/// was wrong with it is mended, and the cluster is led back, or on, from where it lies.
fn one_does_not_come_back(hosts: u8) {
    let Some(lab) = Lab::with("3.4.23", "debian", &["--hosts", &hosts.to_string()]) else { return };
    let before: Vec<_> = (1..=hosts).map(|host| lab.tree(host)).collect();
    lab.inside(|| {
        for (stage, turn) in [("certs", 0), ("tls", 0), ("tls", usize::from(hosts) - 1)] {
            let words = ["migrate", "apply", "--yes", "--step-timeout", "20"];
            let turns = RefCell::new(BTreeSet::new());
            let run = Run::until(&lab, &words, |told| {
                let moment = (told.stage.as_str(), told.what.as_str(), told.state.as_str());
                let mut turns = turns.borrow_mut();
                moment == (stage, "restart", "start")
                    && turns.insert(told.member.clone())
                    && turns.len() > turn
            });
            let (run, told) = run.expect("the moment comes");
            let at = Hosts::of(&lab, number(&told.member));
            (UNIT_FAILS.strike)(&lab, at);
            run.go_on();
            let end = run.end();
            println!("{hosts} members, {stage}, turn {turn}: {end:?}");
            assert_eq!((end.exit, end.code.as_str()), (3, "unit-failed"), "{end:?}");
            assert!(end.hint.contains("the cluster is down without"), "{end:?}");
            (UNIT_FAILS.heal)(&lab, at);
            if turn > 0 || hosts == 1 && stage == "tls" {
                lab.done(&["migrate", "apply", "--yes"]);
                lab.done(&["migrate", "status"]);
            }
            lab.done(&["migrate", "rollback", "--yes"]);
            for (host, before) in (1..=hosts).zip(&before) {
                let left = differences(before, &lab.tree(host));
                assert!(left.is_empty(), "server{host} is not as it was: {left:?}");
            }
            for at in lab.addresses() {
                answers(at, Scheme::Http, 2379, None).unwrap();
            }
        }
    });
}

#[test]
fn a_lone_member_that_does_not_come_back_is_led_back_or_on() {
    one_does_not_come_back(1);
}

#[test]
fn one_of_two_that_does_not_come_back_is_led_back_or_on() {
    if !all() {
        return crate::support::not_run("one of two members that does not come back");
    }
    one_does_not_come_back(2);
}
