//! What was done when, from the journal.

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::journal::Entry;

/// A run of `apply`, `rollback` or `seal`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Where to, and who: as the run began.
    pub what: String,
    /// When it began.
    pub began: String,
    /// When it wrote its last line.
    pub ended: String,
    /// How long that was, in milliseconds.
    pub ms: Option<u64>,
    /// How it ended: `done`, what it waited for or why it stopped; `interrupted` when it wrote no end.
    pub outcome: String,
    /// What it did, in order.
    pub done: Vec<Item>,
}

/// Something that a run did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// When it was begun.
    pub at: String,
    /// The member, where it is about one.
    pub member: Option<String>,
    /// `change`, `gate` or `failed`; `unfinished` for a change whose end was not written.
    pub kind: &'static str,
    /// In words.
    pub what: String,
    /// How long it took, in milliseconds.
    pub ms: Option<u64>,
}

/// The runs of a journal, in their order.
pub fn runs(entries: &[Entry]) -> Vec<Run> {
    let mut names: Vec<&str> = Vec::new();
    for entry in entries {
        if !names.contains(&entry.run.as_str()) {
            names.push(&entry.run);
        }
    }
    names
        .into_iter()
        .map(|name| run(&entries.iter().filter(|entry| entry.run == name).collect::<Vec<_>>()))
        .collect()
}

fn run(entries: &[&Entry]) -> Run {
    let mut run = Run {
        what: String::new(),
        began: entries.first().map_or_else(String::new, |entry| entry.at.clone()),
        ended: entries.last().map_or_else(String::new, |entry| entry.at.clone()),
        ms: None,
        outcome: "interrupted".to_owned(),
        done: Vec::new(),
    };
    run.ms = between(&run.began, &run.ended);
    let mut before = run.began.clone();
    for entry in entries {
        let item = |kind, at: &str| Item {
            at: at.to_owned(),
            member: entry.member.clone(),
            kind,
            what: entry.what.clone(),
            ms: between(at, &entry.at),
        };
        match entry.phase.as_str() {
            "begin" => run.what.clone_from(&entry.what),
            "end" => run.outcome.clone_from(&entry.what),
            "intent" => run.done.push(Item { ms: None, ..item("unfinished", &entry.at) }),
            "done" => {
                let intent = run.done.iter_mut().rev().find(|item| {
                    item.kind == "unfinished" && item.member == entry.member && item.what == entry.what
                });
                match intent {
                    Some(intent) => {
                        intent.kind = "change";
                        intent.ms = between(&intent.at, &entry.at);
                    }
                    None => run.done.push(item("change", &before)),
                }
            }
            "gate" => run.done.push(item("gate", &before)),
            "failed" => {
                run.outcome = format!("stopped: {}", entry.what);
                run.done.push(item("failed", &before));
            }
            _ => {}
        }
        before.clone_from(&entry.at);
    }
    run
}

fn between(from: &str, to: &str) -> Option<u64> {
    let parse = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    u64::try_from((parse(to)? - parse(from)?).whole_milliseconds()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: &str, run: &str, member: Option<&str>, phase: &str, what: &str) -> Entry {
        Entry {
            at: format!("2026-01-01T00:00:{at}Z"),
            run: run.to_owned(),
            member: member.map(str::to_owned),
            phase: phase.to_owned(),
            what: what.to_owned(),
        }
    }

    #[test]
    fn intents_meet_their_ends_and_a_killed_run_says_so() {
        let entries = [
            entry("00.000", "1", None, "begin", "Https by me"),
            entry("01.000", "1", None, "done", "snapshot of 9 bytes in /x"),
            entry("02.000", "1", Some("server1"), "intent", "restart etcd"),
            entry("02.250", "1", Some("server1"), "done", "restart etcd"),
            entry("03.000", "1", Some("server1"), "gate", "one leader"),
            entry("04.000", "1", Some("server2"), "intent", "restart etcd"),
            entry("09.000", "2", None, "begin", "Https by you"),
            entry("10.500", "2", Some("server2"), "failed", "the gate did not hold"),
        ];
        let runs = runs(&entries);
        let told: Vec<_> = runs[0].done.iter().map(|item| (item.kind, item.what.as_str(), item.ms)).collect();
        assert_eq!(
            told,
            [
                ("change", "snapshot of 9 bytes in /x", Some(1000)),
                ("change", "restart etcd", Some(250)),
                ("gate", "one leader", Some(750)),
                ("unfinished", "restart etcd", None),
            ]
        );
        assert_eq!((runs[0].outcome.as_str(), runs[0].ms), ("interrupted", Some(4000)));
        assert_eq!(runs[1].outcome, "stopped: the gate did not hold");
    }
}
