//! A run of the tool whose events are followed, and which can be made to stand still in between.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::Lab;

/// Nothing that the tool waits for may take longer than that without a word.
const SILENCE: Duration = Duration::from_secs(240);

/// An event, as far as moments are told by it.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// `observed`, `step`, `action`, `gate`, …
    pub event: String,
    pub member: String,
    /// Where the step leads that it belongs to.
    pub stage: String,
    /// The action, or `before` or `after` of a gate.
    pub what: String,
    /// `start` or `done`.
    pub state: String,
    /// Of an `observed`: the members, and the stage that each runs with; empty for one that is down.
    pub stages: Vec<(String, String)>,
}

/// A run of the tool.
pub struct Run {
    child: Child,
    events: Lines<BufReader<ChildStdout>>,
    stage: String,
    last: String,
    /// Whether it has begun to change something.
    pub changed: bool,
    beat: mpsc::Sender<()>,
}

/// How a run ended.
#[derive(Debug)]
pub struct End {
    pub exit: i32,
    pub code: String,
    pub message: String,
    pub hint: String,
    /// Whether it had begun to change something.
    pub changed: bool,
}

impl Run {
    pub fn start(lab: &Lab, words: &[&str]) -> Self {
        let mut command = lab.command(&[words, &["--json"]].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let events = BufReader::new(child.stdout.take().unwrap()).lines();
        let pid = Pid::from_child(&child);
        let (beat, beats) = mpsc::channel();
        std::thread::spawn(move || {
            loop {
                match beats.recv_timeout(SILENCE) {
                    Ok(()) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        let _ = kill_process(pid, Signal::KILL);
                        return;
                    }
                }
            }
        });
        Self { child, events, stage: String::new(), last: String::new(), changed: false, beat }
    }

    /// Starts the tool and follows it to an event; it stands still then. `None` when it ended without.
    pub fn until(lab: &Lab, words: &[&str], is_it: impl Fn(&Told) -> bool) -> Option<(Self, Told)> {
        let mut run = Self::start(lab, words);
        while let Some(told) = run.told() {
            if is_it(&told) {
                run.stand();
                return Some((run, told));
            }
        }
        println!("    the run ended: {:?}", run.end());
        None
    }

    /// The next event; `None` when there is none any more.
    pub fn told(&mut self) -> Option<Told> {
        let line = self.events.next()?.ok()?;
        let _ = self.beat.send(());
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        self.last = line;
        let of = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        if event["event"] == "step" {
            self.stage = of("stage");
        }
        self.changed |= event["event"] == "action" || event["event"] == "around";
        let member = |member: &serde_json::Value| {
            (
                member["name"].as_str().unwrap().to_owned(),
                member["stage"].as_str().unwrap_or_default().to_owned(),
            )
        };
        Some(Told {
            event: of("event"),
            member: of("member"),
            stage: self.stage.clone(),
            what: if event["event"] == "gate" { of("when") } else { of("action") },
            state: of("state"),
            stages: event["members"]
                .as_array()
                .map(|all| all.iter().map(member).collect())
                .unwrap_or_default(),
        })
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Makes it stand still.
    pub fn stand(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends it at once, as a laptop that is closed does.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }

    /// Lets it end.
    pub fn end(mut self) -> End {
        while self.told().is_some() {}
        let exit = self.child.wait().unwrap().code().unwrap_or(-1);
        let error =
            serde_json::from_str::<serde_json::Value>(&self.last).unwrap_or_default()["error"].clone();
        let field = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        End {
            exit,
            code: field("code"),
            message: field("message"),
            hint: field("hint"),
            changed: self.changed,
        }
    }
}

/// The member of an event, by number.
pub fn number(member: &str) -> u8 {
    member.strip_prefix("server").unwrap().parse().unwrap()
}
