//! How a command ends: the exit codes, and errors with a hint.

use std::io::IsTerminal;
use std::process::ExitCode;

use super::output::no_color;
use super::{Context, Output};
use crate::advice::{Advice, Invocation};
use crate::text;

/// The exit codes of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, accepted, nothing to do, or a plan or dry run was printed.
    Done = 0,
    /// The answer is no, or refused before anything changed.
    No = 1,
    /// Wrong usage: bad options, unreadable paths, a prompt needed with no terminal.
    Usage = 2,
    /// Failed after something changed: safe to run again.
    Failed = 3,
}

/// What went wrong, and what to do about it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The exit code it ends with.
    pub exit: Exit,
    /// A stable kebab-case word for scripts.
    pub code: String,
    /// One clear line that names the file, line or field.
    pub message: String,
    /// What to do.
    pub hint: Option<Advice>,
}

/// A command's end: an exit code, or a failure to print.
pub type Outcome = Result<Exit, Failure>;

impl Failure {
    /// Refused before anything changed, or the answer is no (exit 1).
    pub fn no(code: &str, message: impl Into<String>) -> Self {
        Self::new(Exit::No, code, message)
    }

    /// Wrong usage (exit 2).
    pub fn usage(code: &str, message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, code, message)
    }

    /// Failed after something changed (exit 3).
    pub fn failed(code: &str, message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, code, message)
    }

    /// Any exit code.
    pub fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Self { exit, code: code.to_owned(), message: message.into(), hint: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Advice>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with what is known of the call filled into the hint.
    #[must_use]
    pub(super) fn at(mut self, invocation: &Invocation) -> Self {
        self.hint = self.hint.map(|hint| hint.at(invocation));
        self
    }
}

/// Prints a failure where its reader looks, and turns the end into an exit code.
pub(super) fn finish(context: &Context, outcome: Outcome) -> ExitCode {
    let out = &context.out;
    let exit = match outcome.and_then(|exit| out.check_unchanged().map(|()| exit)) {
        Ok(exit) => exit,
        Err(failure) => {
            let failure = failure.at(&context.invocation);
            if context.global.json {
                out.json(&serde_json::json!({"error": {
                    "code": failure.code, "message": failure.message, "hint": failure.hint,
                }}));
            }
            if !context.global.json || out.check_unchanged().is_err() {
                out.error(&failure.message, failure.hint.as_ref());
            }
            failure.exit
        }
    };
    ExitCode::from(exit as u8)
}

/// Prints what clap says of the arguments: help and version are data, the rest are messages, or a document with `--json`.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    // What was asked for cannot be known from arguments that do not parse; this word can only mean one thing.
    let json = std::env::args_os().any(|argument| argument == "--json");
    let out = Output::without_options(json);
    let text = error.render();
    if !error.use_stderr() {
        let is_coloured = std::io::stdout().is_terminal() && !no_color();
        out.document(if is_coloured { text.ansi().to_string() } else { text.to_string() }.as_bytes());
        let Err(failure) = out.check_unchanged() else { return ExitCode::from(Exit::Done as u8) };
        out.error(&failure.message, failure.hint.as_ref());
        return ExitCode::from(failure.exit as u8);
    }
    let text = text.to_string();
    if json {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty()).map(str::trim);
        let message = lines.next().unwrap_or_default().trim_start_matches("error: ");
        let (details, tips): (Vec<_>, Vec<_>) = lines
            .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
            .partition(|line| !line.starts_with("tip:") && !line.starts_with("hint:"));
        let message = [&[message], details.as_slice()].concat().join(" ");
        let hint = tips.first().and_then(|tip| tip.split_once(": ")).map_or("try --help", |(_, hint)| hint);
        out.json(&serde_json::json!({"error": {"code": "usage", "message": message, "hint": hint}}));
    } else if text::escaped_lines(&text) == text {
        // In clap's colours where it finds a terminal.
        let _ = error.print();
    } else {
        out.message(&text);
    }
    ExitCode::from(Exit::Usage as u8)
}
