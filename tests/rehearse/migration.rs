//! `rehearse` from beginning to end on the etcd of this machine: forward, back, killed on the way, and kept.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::rehearsal_support::{EXE, own_base};

fn rehearse(more: &[&str]) -> Output {
    let _seats = crate::seats();
    let base = own_base().to_string();
    Command::new(EXE).args(["rehearse", "--base", &base]).args(more).output().unwrap()
}

/// The events of a rehearsal that went well, the result last.
fn good(more: &[&str]) -> Vec<Value> {
    let output = rehearse(&[more, &["--json"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let result = events.last().unwrap();
    assert_eq!(output.status.code(), Some(0), "{result}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{more:?}: {result}");
    assert_eq!((&result["event"], &result["ok"]), (&"result".into(), &true.into()), "{result}");
    for figure in ["failed", "lost", "missed"] {
        assert_eq!(result[figure], 0, "{result}");
    }
    // On a machine that is busy a write takes longer than its period.
    assert!(result["writes"].as_u64().unwrap() > 100, "{result}");
    events
}

fn count(events: &[Value], event: &str, field: &str, value: &str) -> usize {
    events.iter().filter(|line| line["event"] == event && line[field] == value).count()
}

#[test]
fn three_members_forward_and_back() {
    let events = good(&["--rollback"]);
    assert_eq!(count(&events, "step", "state", "done"), 12, "two rolls there, two back");
    assert_eq!(count(&events, "gate", "when", "after"), 12);
    // The leader is last in each phase, and another member leads before it changes.
    let moved: Vec<_> = events.iter().filter(|line| line["event"] == "leadership").collect();
    assert!(moved.len() >= 4 && moved.iter().all(|line| line["to"].is_string()), "{moved:?}");
    assert_eq!(count(&events, "clients", "speak", "plain-text"), 1, "it waited for the clients to move");
    assert_eq!(count(&events, "clients", "speak", "tls"), 1, "and on the way back");
}

#[test]
fn a_single_member_is_down_while_it_restarts_and_comes_back() {
    let output = rehearse(&["--members", "1"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(warned.contains("a cluster of one member is down while a member restarts"), "{warned}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains(" 0 failed, 0 lost, 0 missed"), "{told}");
}

#[test]
fn killed_at_random_moments_it_always_finishes() {
    let kills = if std::env::var_os("ETCDPKI_TEST_ALL").is_some() { "8" } else { "4" };
    let events = good(&["--rollback", "--interrupt", kills, "--seed", "1"]);
    assert_eq!(events.last().unwrap()["killed"].to_string(), kills);
}

#[test]
fn the_v2_api_is_rehearsed_too() {
    good(&["--api", "v2", "--rollback"]);
}

#[test]
fn a_kept_cluster_can_be_looked_at_with_the_commands_it_prints_and_is_stopped_by_the_last() {
    let output = rehearse(&["--keep"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let commands: Vec<_> =
        told.lines().skip_while(|line| !line.contains("left running in")).skip(1).collect();
    let commands: Vec<_> = commands.iter().filter_map(|line| line.strip_prefix("  ")).collect();
    let stop = commands.last().unwrap();
    let dir = stop.rsplit(' ').next().unwrap();
    assert!(Path::new(dir).is_dir());
    assert!(commands.len() >= 5, "{commands:?}");
    for command in &commands {
        let output = Command::new("sh").args(["-c", command]).output().unwrap();
        println!("$ {command}\n{}", String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(!Path::new(dir).exists(), "the last one stops it and takes the directory away");
}
