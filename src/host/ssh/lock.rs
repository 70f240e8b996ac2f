//! The lock on a host: a process there that holds it for as long as it hears from us.

use std::io::{self, BufReader, Write};
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::connection::{Connection, short_line, skip_to_mark};
use super::error::{SshTrouble, excerpt};
use super::scripts;
use crate::host::command::Reaped;
use crate::host::limits;

/// How often the holder hears from us; it gives up after [`scripts::LOCK_SILENCE`] seconds.
const BEAT: Duration = Duration::from_secs(5);

/// How long the answer may take: a lock whose holder died a moment ago is waited for, and our own over a connection that
/// broke, until its holder gives up.
const ANSWER: Duration = Duration::from_secs(50);

/// A held lock.
pub(super) struct Held {
    child: Reaped,
    /// Dropping it ends the beat, and with it the holder's input.
    beat: Option<mpsc::Sender<()>>,
}

/// Why it was not had.
pub(super) enum Refused {
    /// By whom it is held.
    Held(String),
    Trouble(String),
    /// The answer is too long, or not whole in time: what is said of it.
    NoAnswer(SshTrouble, String),
}

impl Held {
    pub(super) fn take(connection: &Connection, dir: &str, who: &str) -> Result<Self, Refused> {
        let trouble = |what: &dyn ToString| Refused::Trouble(what.to_string());
        let silence = scripts::LOCK_SILENCE.to_string();
        let mut ssh = connection.command(&["sh", "-c", scripts::LOCK, "sh", dir, who, &silence]);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = Reaped::spawn(ssh).map_err(|error| trouble(&error))?;
        let (Some(stdin), Some(stdout)) = (child.child().stdin.take(), child.child().stdout.take()) else {
            return Err(trouble(&"no pipe to ssh"));
        };
        let (send, answers) = mpsc::channel();
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let answer = skip_to_mark(&mut stdout).and_then(|()| short_line(&mut stdout));
            let _ = send.send(answer);
        });
        let answer = match answers.recv_timeout(ANSWER) {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                let most = limits::size(limits::LINE);
                return Err(Refused::NoAnswer(
                    SshTrouble::TooMuch,
                    format!("more than {most} about its lock"),
                ));
            }
            Ok(Err(_)) => return Err(trouble(&"its lock cannot be taken: it ended without an answer")),
            Err(_) => {
                let what = format!("none about its lock within {} s", ANSWER.as_secs());
                return Err(Refused::NoAnswer(SshTrouble::TooSlow, what));
            }
        };
        match answer.trim_end().split_once(' ') {
            Some(("held", _)) => Ok(Self { child, beat: Some(start_beat(stdin)) }),
            Some(("by", holder)) => Err(Refused::Held(excerpt(holder))),
            Some(("no", what)) => Err(Refused::Trouble(excerpt(&format!("no {what}")))),
            _ => Err(trouble(&format!("its lock cannot be taken: odd answer {:?}", excerpt(&answer)))),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.beat.take());
        // With its input at the end the holder ends by itself; it is not left behind if it does not.
        self.child.wait_for(Duration::from_secs(2));
    }
}

fn start_beat(mut stdin: ChildStdin) -> mpsc::Sender<()> {
    let (beat, ended) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        while let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(BEAT) {
            if stdin.write_all(b".").and_then(|()| stdin.flush()).is_err() {
                return;
            }
        }
    });
    beat
}
