//! A mini-init for one local etcd: a process of its own that starts, restarts and stops it.
//!
//! It answers JSON lines on a Unix socket in the member's directory. Its standard input is a lifeline: when the
//! other end goes away without having sent `K` (keep), etcd is stopped and the supervisor ends. If the supervisor is
//! killed, the kernel kills etcd (`setpriv --pdeathsig`).

mod control;
mod dir;
mod log;
mod machine;

pub use control::{Control, KEEP, Request, Run, Status, Supervised};
pub use dir::{DirError, ProcessDir, Unit};

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::files::{self, DirLock, FileError, LockError};
use machine::Machine;

/// How often the child is looked at.
const TICK: Duration = Duration::from_millis(20);

/// Why a supervisor could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuperviseError {
    /// The directory is not a supervised etcd's.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is a supervisor already.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The socket could not be made.
    #[error("cannot listen on {path}: {source}")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Signals cannot be caught.
    #[error("cannot catch signals: {0}")]
    Signals(std::io::Error),
}

enum Event {
    Asked(Request, Sender<Status>),
    Quit,
}

/// Supervises the etcd of `dir` until it is told to quit, its lifeline is cut, or a signal ends it.
///
/// # Errors
/// [`SuperviseError`] when it could not start; whatever happens to etcd later is a matter of its log and status.
pub fn supervise(dir: &Path) -> Result<(), SuperviseError> {
    let dir = ProcessDir::new(dir);
    dir.unit()?;
    let who = format!("supervisor {}", std::process::id());
    let _lock = DirLock::take(&dir.lock(), &who, Duration::ZERO)?;
    let log = log::Log::open(&dir.log())?;
    let (events, inbox) = mpsc::channel();
    catch_signals(events.clone()).map_err(SuperviseError::Signals)?;
    listen(&dir, events.clone())?;
    std::thread::spawn(move || watch_lifeline(std::io::stdin(), &events));

    // etcd is started from this thread only: the kernel ties the parent-death signal to the thread, not the process.
    let mut machine = Machine::new(dir.clone(), log);
    while !machine.is_done() {
        match inbox.recv_timeout(TICK) {
            Ok(Event::Asked(request, reply)) => {
                machine.take(request);
                let _ = reply.send(machine.status());
            }
            Ok(Event::Quit) => machine.take(Request::Quit),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => machine.take(Request::Quit),
        }
        machine.tick();
    }
    files::remove(&dir.socket())?;
    Ok(())
}

fn catch_signals(events: Sender<Event>) -> std::io::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    std::thread::spawn(move || {
        for signal in &mut signals {
            // A closed terminal is no reason to end a cluster that was told to stay.
            if signal != SIGHUP && events.send(Event::Quit).is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn watch_lifeline(mut lifeline: impl Read, events: &Sender<Event>) {
    let mut keep = false;
    let mut byte = [0];
    while matches!(lifeline.read(&mut byte), Ok(1)) {
        keep |= byte[0] == KEEP;
    }
    if !keep {
        let _ = events.send(Event::Quit);
    }
}

fn listen(dir: &ProcessDir, events: Sender<Event>) -> Result<(), SuperviseError> {
    let path = dir.socket();
    // Only a dead supervisor's socket can be there: the lock is ours.
    files::remove(&path)?;
    let socket = |source| SuperviseError::Socket { path: path.clone(), source };
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = control::at_short_path(&path, |path| UnixListener::bind(path));
    rustix::process::umask(before);
    let listener = listener.map_err(socket)?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let events = events.clone();
            std::thread::spawn(move || answer(stream, &events));
        }
    });
    Ok(())
}

fn answer(stream: UnixStream, events: &Sender<Event>) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    for line in BufReader::new(stream).lines() {
        let request = serde_json::from_str(&line.ok()?).ok()?;
        let (reply, replies) = mpsc::channel();
        events.send(Event::Asked(request, reply)).ok()?;
        let status = serde_json::to_string(&replies.recv().ok()?).ok()?;
        writeln!(writer, "{status}").ok()?;
    }
    Some(())
}
