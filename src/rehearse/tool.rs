//! This same executable, driven as a user drives it: by command lines.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::{RehearseError, Timeline};
use crate::host::command::command;

/// The longest a command may take: a gate may wait a quarter of a minute for each of many members, twice.
const LONGEST: Duration = Duration::from_secs(900);
/// How often a running command, the clock and the signals are looked at.
const TICK: Duration = Duration::from_millis(20);

/// The executable.
#[derive(Debug)]
pub(super) struct Tool<'a> {
    exe: PathBuf,
    timeline: &'a Timeline<'a>,
    stop: &'a AtomicBool,
}

/// How a command ended.
#[derive(Debug)]
pub(super) struct End {
    /// The command line, as it can be typed.
    command: String,
    /// Its exit code; none when a signal ended it.
    pub(super) exit: Option<i32>,
    /// The stable code of its failure.
    pub(super) code: Option<String>,
    /// What it said of it.
    message: String,
}

impl End {
    /// The end if it is one of these exit codes.
    pub(super) fn expect(self, exits: &[i32]) -> Result<Self, RehearseError> {
        if self.exit.is_some_and(|exit| exits.contains(&exit)) { Ok(self) } else { Err(self.failure()) }
    }

    /// It as an error.
    pub(super) fn failure(self) -> RehearseError {
        let exit = self.exit.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
        RehearseError::Tool { command: self.command, exit, message: self.message }
    }
}

impl<'a> Tool<'a> {
    pub(super) fn new(exe: &Path, timeline: &'a Timeline<'a>, stop: &'a AtomicBool) -> Self {
        Self { exe: exe.to_owned(), timeline, stop }
    }

    /// Runs a command to its end, its events going into the timeline; `kill_after` kills it there with SIGKILL.
    ///
    /// # Errors
    /// [`RehearseError::Tool`] when it cannot be started or does not end, [`RehearseError::Interrupted`].
    pub(super) fn run(&self, words: &[&str], kill_after: Option<Duration>) -> Result<End, RehearseError> {
        let line = format!("etcd-pki {}", words.join(" "));
        self.timeline.moment("command", None, line.clone(), serde_json::Map::new());
        let wrong = |message: String| RehearseError::Tool {
            command: line.clone(),
            exit: "no exit code".to_owned(),
            message,
        };
        let mut command = command(&self.exe);
        // A group of its own: Ctrl-C in the terminal reaches us, and we decide.
        command.args(words).arg("--json").process_group(0).env_remove("ETCDPKI_DIR");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Killed(command.spawn().map_err(|error| wrong(error.to_string()))?);
        let talk = collect(child.0.stderr.take());
        let (lines, printed) = mpsc::channel();
        let stdout = child.0.stdout.take();
        std::thread::spawn(move || {
            for line in stdout.into_iter().flat_map(|pipe| BufReader::new(pipe).lines()).map_while(Result::ok)
            {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });

        let started = Instant::now();
        let mut failure = None;
        loop {
            match printed.recv_timeout(TICK) {
                Ok(line) => match error_in(&line) {
                    Some(error) => failure = Some(error),
                    None => self.timeline.event(&line),
                },
                Err(RecvTimeoutError::Timeout) => {}
                // It closed its standard output: it has ended, or is about to.
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(RehearseError::Interrupted);
            }
            if kill_after.is_some_and(|after| started.elapsed() >= after) {
                let _ = child.0.kill();
            }
            if started.elapsed() > LONGEST {
                return Err(wrong(format!("it did not end within {} s", LONGEST.as_secs())));
            }
        }
        let status = child.0.wait().map_err(|error| wrong(error.to_string()))?;
        let said = talk.join().unwrap_or_default();
        let (code, message) = match failure {
            Some((code, message)) => (Some(code), message),
            None => (None, said.trim().to_owned()),
        };
        Ok(End { command: line, exit: status.code(), code, message })
    }
}

/// A child that does not outlive its borrower.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The code and words of `{"error":{"code","message","hint"}}`.
fn error_in(line: &str) -> Option<(String, String)> {
    #[derive(serde::Deserialize)]
    struct Line {
        error: Error,
    }
    #[derive(serde::Deserialize)]
    struct Error {
        code: String,
        message: String,
        hint: Option<String>,
    }
    let Line { error } = serde_json::from_str(line).ok()?;
    let message = match error.hint {
        Some(hint) => format!("{} ({hint})", error.message),
        None => error.message,
    };
    Some((error.code, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_from_an_event() {
        let (code, message) = error_in(r#"{"error":{"code":"x-y","message":"m","hint":"h"}}"#).unwrap();
        assert_eq!((code.as_str(), message.as_str()), ("x-y", "m (h)"));
        assert!(error_in(r#"{"event":"step","what":"error"}"#).is_none());
    }
}
