//! The one place that starts child processes.
//!
//! [`run`] feeds a child its standard input, drains both of its outputs and waits, all in one `poll` loop: a child
//! that fills one pipe while we read the other cannot deadlock, and one that outlives its deadline is killed with
//! everything it started.
#![allow(clippy::disallowed_methods, reason = "this is the module the ban points to")]

mod dialogue;
mod pipes;

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use super::{RunOutput, limits};
pub use dialogue::{Dialogue, Lapse, Said};
use pipes::{Drain, Feed};

/// How long a pipe may stay open after the child itself has ended: a daemon that it left behind may hold it for ever.
const LINGER: Duration = Duration::from_millis(200);

/// A child process to be, with an empty standard input.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

/// Why a command gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It could not be started: no such program, or no permission.
    #[error("cannot be run: {0}")]
    Start(std::io::Error),
    /// It did not end in time and was killed, with everything in its process group.
    #[error("did not end within {0:?} and was killed")]
    TooLong(Duration),
    /// It printed more than [`limits::OUTPUT`] on a stream and was killed, with everything in its process group.
    #[error("printed more than {} and was killed", limits::size(limits::OUTPUT as u64))]
    TooMuch,
    /// The system refused to tell us how it fares.
    #[error("cannot be waited for: {0}")]
    Wait(std::io::Error),
}

/// Runs a command to its end, at most for `deadline`, with `input` as its standard input.
///
/// The child is the leader of a process group of its own, which is killed when the deadline passes or a stream gets longer
/// than [`limits::OUTPUT`].
///
/// # Errors
/// [`RunError`]; a non-zero exit is an answer, not an error.
pub fn run(mut command: Command, input: &[u8], deadline: Duration) -> Result<RunOutput, RunError> {
    let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = Reaped(command.spawn().map_err(RunError::Start)?);
    let pid = Pid::from_child(&child.0);
    let pidfd =
        rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(|e| RunError::Wait(e.into()))?;
    let mut feed = Feed::new(child.0.stdin.take().map(OwnedFd::from), input);
    let mut out = Drain::new(child.0.stdout.take().map(OwnedFd::from));
    let mut err = Drain::new(child.0.stderr.take().map(OwnedFd::from));
    for pipe in [&feed.pipe, &out.pipe, &err.pipe].into_iter().flatten() {
        rustix::io::ioctl_fionbio(pipe, true).map_err(|e| RunError::Wait(e.into()))?;
    }

    let end = Instant::now() + deadline;
    let mut ended: Option<Instant> = None;
    loop {
        let until = ended.map_or(end, |at| at + LINGER);
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            match ended {
                Some(_) => break,
                None => return Err(RunError::TooLong(deadline)), // `child` is killed as it is dropped
            }
        }
        if ended.is_some() && out.pipe.is_none() && err.pipe.is_none() {
            break;
        }
        let mut polled = Vec::with_capacity(4);
        polled.extend(feed.waiting().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        polled.extend([&out.pipe, &err.pipe].into_iter().flatten().map(|p| PollFd::new(p, PollFlags::IN)));
        if ended.is_none() {
            polled.push(PollFd::new(&pidfd, PollFlags::IN));
        }
        match rustix::event::poll(&mut polled, Some(&timespec(left))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(RunError::Wait(errno.into())),
        }
        drop(polled);
        feed.push();
        if feed.waiting().is_none() {
            feed.pipe = None;
        }
        out.pull();
        err.pull();
        if out.is_over || err.is_over {
            return Err(RunError::TooMuch);
        }
        if ended.is_none() && child.0.try_wait().map_err(RunError::Wait)?.is_some() {
            ended = Some(Instant::now());
        }
    }
    let status = child.0.wait().map_err(RunError::Wait)?;
    debug_assert!(status.code().is_some() || status.signal().is_some());
    Ok(RunOutput { status: status.code(), stdout: out.bytes, stderr: err.bytes })
}

/// How long `poll` may sleep.
fn timespec(left: Duration) -> Timespec {
    Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 3600, tv_nsec: 0 })
}

/// A child that does not outlive us: dropped unfinished, it is killed with its process group, and waited for.
#[derive(Debug)]
pub struct Reaped(Child);

impl Reaped {
    /// Starts a command that is not waited for, as the leader of a process group of its own: what ends us by the
    /// terminal does not end it before us.
    ///
    /// # Errors
    /// As the system says.
    pub fn spawn(mut command: Command) -> std::io::Result<Self> {
        command.process_group(0).spawn().map(Self)
    }

    /// The child, for its pipes.
    pub const fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// Waits for its end, at most so long; tells whether it came.
    pub fn wait_for(&mut self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        while !self.has_ended() {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = rustix::process::kill_process_group(Pid::from_child(&self.0), Signal::KILL);
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, input: &[u8], deadline: Duration) -> Result<RunOutput, RunError> {
        let mut command = command("sh");
        command.args(["-c", script]);
        run(command, input, deadline)
    }

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn an_exit_code_is_an_answer() {
        let output = sh("echo out; echo err >&2; exit 3", b"", SOON).unwrap();
        assert_eq!(output, RunOutput { status: Some(3), stdout: b"out\n".into(), stderr: b"err\n".into() });
        assert_eq!(sh("kill -9 $$", b"", SOON).unwrap().status, None);
    }

    #[test]
    fn full_pipes_do_not_deadlock() {
        // More than a pipe holds, on all three streams, stderr first.
        let input = vec![b'x'; 1 << 20];
        let script = "head -c 1000000 /dev/zero >&2; cat; head -c 1000000 /dev/zero";
        let output = sh(script, &input, SOON).unwrap();
        assert_eq!(output.stderr.len(), 1_000_000);
        assert_eq!(output.stdout.len(), (1 << 20) + 1_000_000);
    }

    #[test]
    fn one_that_prints_without_end_is_killed_at_the_limit() {
        for script in ["exec cat /dev/zero", "exec cat /dev/zero >&2"] {
            let started = Instant::now();
            assert!(matches!(sh(script, b"", SOON), Err(RunError::TooMuch)));
            assert!(started.elapsed() < SOON / 2);
        }
    }

    #[test]
    fn a_child_that_does_not_read_its_input_is_no_error() {
        let input = vec![b'x'; 1 << 20];
        assert_eq!(sh("exit 0", &input, SOON).unwrap().status, Some(0));
    }

    #[test]
    fn the_deadline_kills_grandchildren_too() {
        let dir = tempfile::tempdir().unwrap();
        let pidfile = dir.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", pidfile.display());
        let started = Instant::now();
        assert!(matches!(sh(&script, b"", Duration::from_millis(500)), Err(RunError::TooLong(_))));
        assert!(started.elapsed() < Duration::from_secs(10));
        let pid: u32 = std::fs::read_to_string(pidfile).unwrap().trim().parse().unwrap();
        // The orphan is reaped by init in its own time: gone, or a zombie.
        let gone = (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
                Ok(stat) => stat.contains(") Z "),
                Err(_) => true,
            }
        });
        assert!(gone, "the grandchild {pid} is still running");
    }

    #[test]
    fn a_daemon_that_keeps_the_pipe_does_not_keep_us() {
        let started = Instant::now();
        let output = sh("echo here; sleep 5 & exit 0", b"", SOON).unwrap();
        assert_eq!(output.stdout, b"here\n");
        assert!(started.elapsed() < Duration::from_secs(4));
    }

    #[test]
    fn a_missing_program_says_so() {
        assert!(matches!(run(command("no-such-program"), b"", SOON), Err(RunError::Start(_))));
    }
}
