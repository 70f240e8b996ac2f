//! A child that is asked one thing after the other.

use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::pipes::{Drain, Feed};
use super::{Reaped, timespec};

/// A child with its three pipes. Dropped, it is killed as [`Reaped`] is.
#[derive(Debug)]
pub struct Dialogue {
    child: Reaped,
    to: Option<OwnedFd>,
    out: Drain,
    err: Drain,
}

/// How long what a child said last may take to arrive once it has closed its output.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Why there was no whole answer; the dialogue is of no use any more.
#[derive(Debug)]
pub enum Lapse {
    /// It closed its output or ended: what it had said on standard error.
    Ended(Vec<u8>),
    /// It did not answer within so long.
    TooLong(Duration),
    /// It said more than [`crate::host::limits::OUTPUT`] on a stream.
    TooMuch,
}

/// What was said on one stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// What came before the end mark.
    pub bytes: Vec<u8>,
    /// What came behind the mark, on its line.
    pub rest: String,
}

impl Dialogue {
    /// Starts a command with pipes.
    ///
    /// # Errors
    /// As the system says.
    pub fn start(mut command: Command) -> std::io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Reaped::spawn(command)?;
        let to = child.child().stdin.take().map(OwnedFd::from);
        let out = Drain::new(child.child().stdout.take().map(OwnedFd::from));
        let err = Drain::new(child.child().stderr.take().map(OwnedFd::from));
        for pipe in [&to, &out.pipe, &err.pipe].into_iter().flatten() {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(Self { child, to, out, err })
    }

    /// Whether the child still runs.
    pub fn stands(&mut self) -> bool {
        !self.child.has_ended()
    }

    /// Says `text`, and waits until both of its outputs have come to a last line that begins with `end`.
    ///
    /// `end` must be nothing that could be part of an answer, and its line short.
    ///
    /// # Errors
    /// [`Lapse`]
    pub fn ask(&mut self, text: &[u8], end: &str, deadline: Duration) -> Result<(Said, Said), Lapse> {
        let until = Instant::now() + deadline;
        (self.out, self.err) = (Drain::new(self.out.pipe.take()), Drain::new(self.err.pipe.take()));
        let mut feed = Feed::new(self.to.take(), text);
        loop {
            if let (Some(out), Some(err)) = (end_of(&self.out, end), end_of(&self.err, end)) {
                self.to = feed.pipe;
                return Ok((said(&mut self.out, out), said(&mut self.err, err)));
            }
            if self.out.is_over || self.err.is_over {
                return Err(Lapse::TooMuch);
            }
            if self.out.pipe.is_none() {
                // Its last words may be a moment behind.
                self.child.wait_for(LAST_WORDS);
                self.err.pull();
                return Err(Lapse::Ended(std::mem::take(&mut self.err.bytes)));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Lapse::TooLong(deadline));
            }
            let mut polled = Vec::with_capacity(3);
            polled.extend(feed.waiting().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
            let outputs = [&self.out.pipe, &self.err.pipe];
            polled.extend(outputs.into_iter().flatten().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
            match rustix::event::poll(&mut polled, Some(&timespec(left))) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Lapse::Ended(errno.to_string().into_bytes())),
            }
            drop(polled);
            feed.push();
            self.out.pull();
            self.err.pull();
        }
    }
}

/// Where the end mark begins, and what comes behind it, once its line is the last that has come.
fn end_of(stream: &Drain, end: &str) -> Option<(usize, String)> {
    let line = stream.last.strip_suffix(b"\n")?;
    let at = line.windows(end.len()).rposition(|window| window == end.as_bytes())?;
    let rest = String::from_utf8_lossy(line.get(at + end.len()..)?).into_owned();
    Some((stream.bytes.len() - (stream.last.len() - at), rest))
}

/// What was said before the end mark.
fn said(stream: &mut Drain, (before, rest): (usize, String)) -> Said {
    let mut bytes = std::mem::take(&mut stream.bytes);
    bytes.truncate(before);
    Said { bytes, rest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::command::command;

    const SOON: Duration = Duration::from_secs(20);

    /// Answers each line with as many bytes as it says, on both streams, and the line after that.
    fn dialogue() -> Dialogue {
        let mut sh = command("sh");
        sh.args([
            "-c",
            r#"while read -r n end; do
                head -c "$n" /dev/zero; head -c "$n" /dev/zero >&2
                echo "$end $n"; echo "$end" >&2
            done"#,
        ]);
        Dialogue::start(sh).unwrap()
    }

    #[test]
    fn one_question_after_the_other_each_with_all_of_its_answer() {
        let mut dialogue = dialogue();
        for size in [0, 1, 300, 100_000, 15 << 20, 5] {
            let (out, err) = dialogue.ask(format!("{size} the-end\n").as_bytes(), "the-end", SOON).unwrap();
            assert_eq!((out.bytes.len(), err.bytes.len()), (size, size));
            assert_eq!((out.rest, err.rest), (format!(" {size}"), String::new()));
            assert!(dialogue.stands());
        }
        let too_much = format!("{} the-end\n", 17 << 20);
        assert!(matches!(dialogue.ask(too_much.as_bytes(), "the-end", SOON), Err(Lapse::TooMuch)));
    }

    #[test]
    fn one_that_ends_and_one_that_does_not_answer() {
        let mut dialogue = dialogue();
        let patience = Duration::from_millis(100);
        assert!(matches!(dialogue.ask(b"3 x\n", "another", patience), Err(Lapse::TooLong(_))));
        let mut sh = command("sh");
        sh.args(["-c", "read -r line; echo it goes >&2"]);
        let mut dialogue = Dialogue::start(sh).unwrap();
        match dialogue.ask(b"line\n", "the-end", SOON) {
            Err(Lapse::Ended(said)) => assert_eq!(said, b"it goes\n"),
            other => panic!("{other:?}"),
        }
        assert!(!dialogue.stands());
    }
}
