//! The one ssh connection to a host, that everything goes through.
//!
//! It is ssh's own master connection, with a session that waits for its input to end: when this process ends, however it
//! ends, so do the session, the connection and all that runs over it. The user's configuration is in force; only what
//! would ask, forward or run something beside our back is switched off.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::error::{SshError, SshTrouble, telling};
use super::runtime::RuntimeDir;
use super::shell::Shell;
use crate::host::command::{self, Lapse, Reaped, RunError};
use crate::host::{RunOutput, limits};
use crate::shell::line;

/// How ssh reaches hosts.
#[derive(Debug, Clone, Default)]
pub struct SshOptions {
    /// Another configuration file than the user's own (`ssh -F`).
    pub config: Option<PathBuf>,
    /// Become root by sudo where we are not.
    pub become_root: bool,
}

/// How long the connection may take to stand, logins and jump hosts included.
const CONNECT: Duration = Duration::from_secs(30);

/// Before the first line of what a host sends us there may be what its shells print at login: this ends it.
const MARK: &str = "etcd-pki: from here on";

/// A server allows ten sessions on a connection unless told otherwise; two are held all the time, and the free shells.
const SESSIONS: usize = 5;

/// How many shells are kept when nobody needs them.
const SHELLS: usize = 2;

/// What is kept of what the connection says on standard error.
const SAID: usize = 20;

/// Where and how to connect.
#[derive(Debug)]
pub(super) struct Route {
    /// The inventory's name.
    pub(super) name: String,
    /// `[user@]host`, as ssh takes it.
    pub(super) destination: String,
    pub(super) options: SshOptions,
}

/// A connection that stands.
pub(super) struct Connection {
    route: Arc<Route>,
    child: Mutex<Reaped>,
    socket: PathBuf,
    said: Arc<Mutex<VecDeque<(Instant, String)>>>,
    /// What becomes root there.
    sudo: bool,
    sessions: (Mutex<usize>, Condvar),
    /// Free ones.
    shells: Mutex<Vec<Shell>>,
    _dir: Arc<RuntimeDir>,
}

impl Route {
    /// An ssh command to the destination, before the destination.
    fn ssh(&self) -> Command {
        let mut ssh = command::command("ssh");
        if let Some(config) = &self.options.config {
            ssh.arg("-F").arg(config);
        }
        // No terminal, no agent and no X there; nothing of the user's configuration that forwards or runs something.
        ssh.args(["-T", "-a", "-x"]);
        for option in [
            "BatchMode=yes",
            "ClearAllForwardings=yes",
            "ConnectTimeout=15",
            "ControlPersist=no",
            "PermitLocalCommand=no",
            "RemoteCommand=none",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=3",
        ] {
            ssh.args(["-o", option]);
        }
        // In a language that is understood here.
        ssh.env("LC_ALL", "C");
        ssh
    }

    pub(super) fn error(&self, kind: SshTrouble, said: impl Into<String>) -> SshError {
        SshError { host: self.name.clone(), destination: self.destination.clone(), kind, said: said.into() }
    }
}

impl Connection {
    /// Connects, and looks whether we are root there or can be.
    pub(super) fn open(route: &Arc<Route>, dir: &Arc<RuntimeDir>, number: usize) -> Result<Self, SshError> {
        let socket = dir.socket(number);
        let mut ssh = route.ssh();
        ssh.args(["-o", "ControlMaster=yes", "-o"]).arg(control_path(&socket));
        // The words are all our own: who we are, whether sudo does without a question, then nothing until our end.
        let script = format!(
            "echo '{MARK}'; id -u; sudo -n true >/dev/null 2>&1 && echo sudo || echo no; exec cat >/dev/null"
        );
        ssh.arg("--").arg(&route.destination).arg(line(&["sh", "-c", &script]));
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            Reaped::spawn(ssh).map_err(|error| route.error(SshTrouble::NoSsh, error.to_string()))?;
        let said = Arc::new(Mutex::new(VecDeque::new()));
        listen(child.child(), &said);
        let [uid, sudo] = match first_lines(child.child()).recv_timeout(CONNECT) {
            Ok(Ok(lines)) => lines,
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                let what = format!("more than {} before its answer began", limits::size(limits::LOGIN));
                return Err(route.error(SshTrouble::TooMuch, what));
            }
            // Neither an answer nor a word of ssh's about it.
            Err(mpsc::RecvTimeoutError::Timeout) if lock(&said).is_empty() => {
                return Err(route.error(SshTrouble::TooSlow, format!("none within {} s", CONNECT.as_secs())));
            }
            Ok(Err(_)) | Err(_) => {
                // What it said may still be on its way.
                child.wait_for(Duration::from_millis(500));
                std::thread::sleep(Duration::from_millis(20));
                let said: Vec<String> = lock(&said).iter().map(|(_, line)| line.clone()).collect();
                return Err(SshError::from_stderr(&route.name, &route.destination, &said.join("\n")));
            }
        };
        let sudo = match (uid.as_str(), route.options.become_root, sudo.as_str()) {
            ("0", ..) => false,
            (_, true, "sudo") => true,
            (_, true, _) => return Err(route.error(SshTrouble::NoSudo, "")),
            (_, false, _) => return Err(route.error(SshTrouble::NotRoot, "")),
        };
        Ok(Self {
            route: Arc::clone(route),
            child: Mutex::new(child),
            socket,
            said,
            sudo,
            sessions: (Mutex::new(0), Condvar::new()),
            shells: Mutex::default(),
            _dir: Arc::clone(dir),
        })
    }

    /// Whether it still stands.
    pub(super) fn stands(&self) -> bool {
        !lock(&self.child).has_ended()
    }

    /// The control socket.
    pub(super) fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    /// What the connection itself has said since then: why a forwarding was refused, for one.
    pub(super) fn said_since(&self, since: Instant) -> String {
        let lines = lock(&self.said);
        lines
            .iter()
            .filter(|(at, _)| *at >= since)
            .map(|(_, line)| line.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// What the connection itself said last.
    fn last_words(&self) -> String {
        let said = lock(&self.said);
        telling(said.back().map_or("", |(_, line)| line.as_str()))
    }

    /// An ssh command that runs these words there as root. What they print begins with the line [`MARK`].
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut ssh = self.route.ssh();
        ssh.args(["-o", "ControlMaster=no", "-o"]).arg(control_path(&self.socket));
        // Should the connection have gone, ssh would make one of its own: not past us.
        ssh.args(["-o", "ProxyCommand=false", "-o", "ProxyJump=none"]);
        let marked = ["sh", "-c", "printf '%s\\n' \"$0\"; exec \"$@\"", MARK];
        let sudo: &[&str] = if self.sudo { &["sudo", "-n", "--"] } else { &[] };
        ssh.arg("--").arg(&self.route.destination).arg(line(&[sudo, &marked, words].concat()));
        ssh
    }

    /// Runs words there as root, with `input` as their standard input.
    pub(super) fn run(
        &self,
        words: &[&str],
        input: &[u8],
        deadline: Duration,
    ) -> Result<RunOutput, SshError> {
        let _session = self.session();
        if input.is_empty() && Shell::takes(words) {
            return self.run_in_shell(words, deadline);
        }
        let output = match command::run(self.command(words), input, deadline) {
            Ok(output) => output,
            Err(RunError::Start(error)) => {
                return Err(self.route.error(SshTrouble::NoSsh, error.to_string()));
            }
            Err(RunError::TooLong(_)) => return Err(self.too_slow(deadline)),
            Err(RunError::TooMuch) => return Err(self.too_much()),
            Err(error) => return Err(self.route.error(SshTrouble::Other, error.to_string())),
        };
        let RunOutput { status, stdout, stderr } = output;
        match after_line(stdout, MARK) {
            Some(stdout) if status != Some(255) => Ok(RunOutput { status, stdout, stderr }),
            _ => Err(self.no_answer(&stderr)),
        }
    }

    /// In a shell that stands already, where one is free.
    fn run_in_shell(&self, words: &[&str], deadline: Duration) -> Result<RunOutput, SshError> {
        let mut free = lock(&self.shells).pop();
        if free.as_mut().is_some_and(|shell| !shell.stands()) {
            free = None;
        }
        let open =
            || Shell::open(self).map_err(|error| self.route.error(SshTrouble::NoSsh, error.to_string()));
        let has_answered = free.is_some();
        let mut shell = free.map_or_else(open, Ok)?;
        // One that gave no answer is of no use any more, and goes.
        let output = shell.run(words, deadline).map_err(|lapse| match lapse {
            // A shell that has answered ends with its host or its connection, whatever the command said last.
            Lapse::Ended(said) if has_answered => {
                SshError { kind: SshTrouble::Broken, ..self.no_answer(&said) }
            }
            Lapse::Ended(said) => self.no_answer(&said),
            Lapse::TooLong(_) => self.too_slow(deadline),
            Lapse::TooMuch => self.too_much(),
        })?;
        let mut shells = lock(&self.shells);
        if shells.len() < SHELLS {
            shells.push(shell);
        }
        Ok(output)
    }

    /// A command that ended without a word of its own; `stderr` may be ssh's.
    fn no_answer(&self, stderr: &[u8]) -> SshError {
        let said = telling(&String::from_utf8_lossy(stderr));
        // ssh's own words when the connection it was to share has gone: they name a stand-in.
        if said.is_empty() || said.contains("UNKNOWN port") || !self.stands() {
            return self.route.error(SshTrouble::Broken, self.last_words());
        }
        self.route.error(SshTrouble::Other, said)
    }

    fn too_slow(&self, deadline: Duration) -> SshError {
        self.route.error(SshTrouble::TooSlow, format!("not whole within {} s", deadline.as_secs()))
    }

    fn too_much(&self) -> SshError {
        self.route.error(SshTrouble::TooMuch, format!("more than {}", limits::size(limits::OUTPUT as u64)))
    }

    /// One of the sessions that may run at once.
    fn session(&self) -> impl Drop + '_ {
        struct Session<'a>(&'a (Mutex<usize>, Condvar));
        impl Drop for Session<'_> {
            fn drop(&mut self) {
                *lock(&self.0.0) -= 1;
                self.0.1.notify_one();
            }
        }
        let (count, freed) = &self.sessions;
        let mut count = lock(count);
        while *count >= SESSIONS {
            count = freed.wait(count).unwrap_or_else(PoisonError::into_inner);
        }
        *count += 1;
        Session(&self.sessions)
    }
}

/// ssh would expand a percent sign.
fn control_path(socket: &std::path::Path) -> String {
    format!("ControlPath={}", socket.display().to_string().replace('%', "%%"))
}

/// What a host printed behind the first line that ends with `mark`.
pub(super) fn after_line(mut stdout: Vec<u8>, mark: &str) -> Option<Vec<u8>> {
    let mark = mark.as_bytes();
    let at = stdout.windows(mark.len() + 1).position(|window| window.strip_suffix(b"\n") == Some(mark))?;
    stdout.drain(..at + mark.len() + 1);
    Some(stdout)
}

/// Reads lines up to and with the mark from a stream.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] where there is no mark within [`limits::LOGIN`]; as the stream says.
pub(super) fn skip_to_mark(from: &mut impl BufRead) -> io::Result<()> {
    let mut from = from.take(limits::LOGIN);
    let mut text = Vec::new();
    while from.read_until(b'\n', &mut text)? > 0 {
        if text.strip_suffix(b"\n").is_some_and(|text| text.ends_with(MARK.as_bytes())) {
            return Ok(());
        }
        text.clear();
    }
    let kind = if from.limit() == 0 { io::ErrorKind::InvalidData } else { io::ErrorKind::UnexpectedEof };
    Err(kind.into())
}

/// A line that is a whole answer, without its end.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] where it is longer than [`limits::LINE`]; as the stream says.
pub(super) fn short_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut text = Vec::new();
    from.take(limits::LINE).read_until(b'\n', &mut text)?;
    match text.strip_suffix(b"\n") {
        Some(line) => Ok(String::from_utf8_lossy(line).into_owned()),
        None if text.len() as u64 == limits::LINE => Err(io::ErrorKind::InvalidData.into()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// The two lines behind the mark. Who waits for them decides for how long: the thread ends with the child.
fn first_lines(child: &mut Child) -> mpsc::Receiver<io::Result<[String; 2]>> {
    let (send, lines) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let read = skip_to_mark(&mut stdout)
                .and_then(|()| Ok([short_line(&mut stdout)?, short_line(&mut stdout)?]));
            // Nobody may be waiting any more.
            let _ = send.send(read);
        });
    }
    lines
}

/// Keeps the last lines that the connection says on standard error.
fn listen(child: &mut Child, said: &Arc<Mutex<VecDeque<(Instant, String)>>>) {
    let Some(stderr) = child.stderr.take() else { return };
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        let mut stderr = BufReader::new(stderr);
        let mut text = Vec::new();
        while stderr.by_ref().take(4 << 10).read_until(b'\n', &mut text).is_ok_and(|read| read > 0) {
            let mut said = lock(&said);
            said.push_back((Instant::now(), String::from_utf8_lossy(&text).trim_end().to_owned()));
            if said.len() > SAID {
                said.pop_front();
            }
            drop(said);
            text.clear();
        }
    });
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_login_shells_print_is_no_part_of_an_answer() {
        let noisy = format!("Welcome!\n\x1b[1m{MARK}\nanswer\0\n{MARK}\n");
        let answer = format!("answer\0\n{MARK}\n");
        assert_eq!(after_line(noisy.clone().into_bytes(), MARK), Some(answer.clone().into_bytes()));
        assert_eq!(after_line(b"nothing of ours".to_vec(), MARK), None);
        assert_eq!(after_line(format!("{MARK}\n").into_bytes(), MARK), Some(Vec::new()));
        let mut stream = noisy.as_bytes();
        skip_to_mark(&mut stream).unwrap();
        assert_eq!(stream, answer.as_bytes());
        let kind = |error: io::Error| error.kind();
        let end = skip_to_mark(&mut &b"nothing of ours\n"[..]).unwrap_err();
        assert_eq!(kind(end), io::ErrorKind::UnexpectedEof);
        for flood in [&b"y\n"[..], b"y"] {
            let endless = flood.repeat(2 << 20);
            assert_eq!(kind(skip_to_mark(&mut &endless[..]).unwrap_err()), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn a_line_that_is_an_answer_is_short() {
        let mut stream = &b"held here\nmore"[..];
        assert_eq!(short_line(&mut stream).unwrap(), "held here");
        assert_eq!(short_line(&mut stream).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let endless = b"y".repeat(1 << 20);
        assert_eq!(short_line(&mut &endless[..]).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
