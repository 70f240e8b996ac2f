//! The other side of a supervisor: starting one, and asking it.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::dir::ProcessDir;
use crate::files::{self, FileMode};
use crate::host::command::command;

/// The byte on the lifeline that says: stay when I am gone.
pub const KEEP: u8 = b'K';

/// How long a supervisor may take to answer: it never blocks, but the machine may be busy.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a supervisor may take to end: its own patience with etcd, and a bit.
const END: Duration = Duration::from_secs(25);

/// What a supervisor is asked; it answers at once with its [`Status`] and does the rest by and by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub enum Request {
    /// Start etcd unless it runs.
    Start,
    /// Stop it and leave it down.
    Stop,
    /// Stop it and start it with what the disk holds then.
    Restart,
    /// Only tell.
    Status,
    /// Stop it and end.
    Quit,
}

/// What etcd is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Run {
    /// It is down, as it was told, or ended with success.
    Stopped,
    /// It runs.
    Running,
    /// It was told to stop.
    Stopping,
    /// It failed and will be started again in a moment.
    Waiting,
    /// It failed too often and stays down until it is started by hand.
    Failed,
}

/// What a supervisor tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What etcd is doing.
    pub run: Run,
    /// Its process, while there is one.
    pub pid: Option<u32>,
    /// The supervisor's process.
    pub supervisor: u32,
    /// How often it was started.
    pub starts: u64,
    /// How it ended the last time.
    pub last_exit: Option<String>,
}

/// A supervisor's socket.
#[derive(Debug, Clone)]
pub struct Control {
    dir: ProcessDir,
}

impl Control {
    /// The supervisor of `dir`, which may or may not be there.
    pub const fn new(dir: ProcessDir) -> Self {
        Self { dir }
    }

    /// Asks it.
    ///
    /// # Errors
    /// As the system says; `NotFound` or `ConnectionRefused` when there is no supervisor.
    pub fn ask(&self, request: Request) -> std::io::Result<Status> {
        let mut stream = at_short_path(&self.dir.socket(), |path| UnixStream::connect(path))?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        writeln!(stream, "{}", serde_json::to_string(&request)?)?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        if line.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

/// A supervisor that this process started; dropping it stops etcd and the supervisor.
#[derive(Debug)]
pub struct Supervised {
    control: Control,
    child: Child,
    lifeline: Option<ChildStdin>,
    kept: bool,
}

impl Supervised {
    /// Starts a supervisor, `exe supervise DIR`, and waits until it answers; etcd is not started yet.
    ///
    /// # Errors
    /// As the system says, or with the supervisor's own words when it ended at once.
    pub fn spawn(exe: &Path, dir: &ProcessDir) -> std::io::Result<Self> {
        let control = Control::new(dir.clone());
        let log = dir.path().join("supervisor.log");
        let errors = files::open_append(&log, FileMode::SECRET).map_err(std::io::Error::other)?;
        let mut command = command(exe);
        command.arg("supervise").arg(dir.path()).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(errors);
        // A group of its own: Ctrl-C in the terminal is for us, not for it.
        let mut child = command.process_group(0).spawn()?;
        let lifeline = child.stdin.take();
        let mut supervised = Self { control, child, lifeline, kept: false };
        let end = Instant::now() + ANSWER;
        loop {
            match supervised.control.ask(Request::Status) {
                Ok(status) if status.supervisor == supervised.child.id() => return Ok(supervised),
                Ok(_) => {}
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => {}
            }
            if supervised.child.try_wait()?.is_some() {
                let said = files::read(&log).map_err(std::io::Error::other)?.map(|image| image.bytes);
                let said = String::from_utf8_lossy(&said.unwrap_or_default()).trim().to_owned();
                return Err(std::io::Error::other(format!("the supervisor ended: {said}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its socket.
    pub const fn control(&self) -> &Control {
        &self.control
    }

    /// The supervisor's process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it run on when this process has ended.
    ///
    /// # Errors
    /// As the system says, when the lifeline is broken.
    pub fn keep(mut self) -> std::io::Result<()> {
        if let Some(lifeline) = &mut self.lifeline {
            lifeline.write_all(&[KEEP])?;
            lifeline.flush()?;
        }
        self.kept = true;
        Ok(())
    }

    /// Tells it to stop etcd and to end, without waiting for that: dropping it waits.
    pub fn let_go(&mut self) {
        self.lifeline = None;
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // Cutting the lifeline is what stops it.
        self.lifeline = None;
        if self.kept {
            return;
        }
        let end = Instant::now() + END;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > end {
                // The kernel takes etcd with it.
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Calls `then` with a path to `socket` that fits into a socket address (107 bytes), however deep the directory is.
pub(super) fn at_short_path<T>(
    socket: &Path,
    then: impl FnOnce(&Path) -> std::io::Result<T>,
) -> std::io::Result<T> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = open(files::parent(socket), flags, Mode::empty())?;
    let name = socket.file_name().unwrap_or_default();
    then(&Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name))
}
