//! Counts what was tried and what passed, and names what did not.

use crate::rows::row;
use crate::scenarios::Scenario;

/// The kinds of interruption, in the order of the table.
const KINDS: [&str; 5] = ["kill", "EIO", "ENOSPC", "power cut", "kill, then another"];

/// The points of one scenario.
pub(crate) struct Report {
    name: String,
    words: String,
    tried: [usize; KINDS.len()],
    passed: [usize; KINDS.len()],
    failures: Vec<String>,
}

impl Report {
    pub(crate) fn new(name: &str, scenario: &Scenario) -> Self {
        let count = [0; KINDS.len()];
        Self {
            name: name.replace('_', " "),
            words: scenario.args.join(" "),
            tried: count,
            passed: count,
            failures: Vec::new(),
        }
    }

    /// One point.
    pub(crate) fn add(&mut self, kind: &str, point: String, result: Result<(), String>) {
        let at = KINDS.iter().position(|known| *known == kind).expect("a kind of the table");
        self.tried[at] += 1;
        match result {
            Ok(()) => self.passed[at] += 1,
            Err(what) => self.failures.push(format!("{kind} at {point}:\n    {what}")),
        }
    }

    /// Prints the figures.
    ///
    /// # Panics
    /// When a point failed.
    pub(crate) fn finish(self) {
        let figures: Vec<String> = self
            .passed
            .iter()
            .zip(self.tried)
            .map(|(passed, tried)| if tried == 0 { "–".into() } else { format!("{passed} of {tried}") })
            .collect();
        let named: Vec<String> =
            KINDS.iter().zip(&figures).map(|(kind, figure)| format!("{kind} {figure}")).collect();
        println!("{}: {}", self.name, named.join(", "));
        let figures: Vec<&str> = figures.iter().map(String::as_str).collect();
        row("Crash points", &[&self.name], &figures);
        assert!(
            self.failures.is_empty(),
            "`{}` at {} points:\n  {}",
            self.words,
            self.failures.len(),
            self.failures.join("\n  ")
        );
    }
}
