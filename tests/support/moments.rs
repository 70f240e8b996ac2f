//! kill -9 at every planned step of a migration.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Runs the tool again and again, each run killed as soon as it tells of a moment that no run before it has told of: the
/// beginning and the end of every action and step, and every gate. `command` makes the next run, which must print events,
/// from the moments so far. Returns the moments at which one was killed; the last run was let go on.
///
/// # Panics
/// When it fails, or does not come to an end.
pub(crate) fn killed_at_each(way: &str, mut command: impl FnMut(&[String]) -> Command) -> Vec<String> {
    const MOST: usize = 300;
    let mut moments = Vec::new();
    let mut seen = BTreeSet::new();
    for _ in 0..MOST {
        let mut run = command(&moments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
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
