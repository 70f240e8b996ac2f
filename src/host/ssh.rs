//! A machine that is reached by ssh: the user's own OpenSSH, with its configuration, agent, jump hosts and known hosts.
//!
//! Everything goes over one connection, as root, by way of a POSIX shell and coreutils on the far side. What a host
//! prints is data: it is parsed, never run, and shown only without control characters.

mod acting;
mod clients;
mod connection;
mod error;
mod lock;
mod mux;
mod runtime;
mod scripts;
mod shell;
mod shell_dial;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

pub use connection::SshOptions;
pub(crate) use error::excerpt;
pub use error::{SshError, SshTrouble};

use super::{HostError, Stream};
use crate::files::{FileError, FileKind};
use connection::{Connection, Route, lock as locked};
use error::telling;
use lock::{Held, Refused};
use runtime::RuntimeDir;

/// How long one of our own scripts may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A machine reached by ssh.
pub struct Ssh {
    name: String,
    shared: Arc<Shared>,
}

/// What the lock's guard must reach too.
struct Shared {
    route: Arc<Route>,
    dir: Arc<RuntimeDir>,
    state: Mutex<State>,
    /// The server forwards no connections: they are dialled by a shell there.
    no_forwarding: AtomicBool,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    /// The lock, and who it was taken for: a new connection takes it anew.
    held: Option<(Held, String)>,
}

impl std::fmt::Debug for Ssh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ssh({} at {})", self.name, self.shared.route.destination)
    }
}

impl Ssh {
    /// The machine that ssh knows as `destination` (`[user@]host`), under the inventory's name. Connects.
    ///
    /// # Errors
    /// [`SshError`]
    pub fn connect(
        name: impl Into<String>,
        destination: impl Into<String>,
        options: SshOptions,
    ) -> Result<Self, SshError> {
        let (name, destination) = (name.into(), destination.into());
        let dir = runtime_dir().map_err(|error| SshError {
            host: name.clone(),
            destination: destination.clone(),
            kind: SshTrouble::Other,
            said: format!("no directory for its control socket can be made: {error}"),
        })?;
        let route = Arc::new(Route { name: name.clone(), destination, options });
        let shared = Shared { route, dir, state: Mutex::default(), no_forwarding: AtomicBool::new(false) };
        let host = Self { name, shared: Arc::new(shared) };
        host.shared.connection()?;
        // Whether it forwards connections is known before anything depends on it; nobody listens on this port.
        let _ = host.forward(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), PATIENCE);
        Ok(host)
    }

    /// Whether the server forwards no connections, so that they are dialled by a shell there.
    pub fn dials_by_shell(&self) -> bool {
        self.shared.no_forwarding.load(Ordering::Relaxed)
    }

    /// Runs a script of ours; its exit must be 0.
    fn script(&self, script: &str, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, Refusal> {
        // What hangs there, such as in a pipe that somebody put in a file's place, is ended there too.
        let seconds = PATIENCE.as_secs().to_string();
        let words = [&["timeout", "-k", "2", &seconds, "sh", "-c", script, "sh"], arguments].concat();
        let output = self.shared.connection()?.run(&words, input, PATIENCE + Duration::from_secs(5))?;
        match output.status {
            Some(0) => return Ok(output.stdout),
            // What coreutils' timeout ends with.
            Some(124 | 137) => {
                return Err(Refusal::Said(format!("it did not end within {seconds} s and was killed")));
            }
            _ => {}
        }
        let said = telling(&String::from_utf8_lossy(&output.stderr));
        Err(Refusal::Said(if said.is_empty() { "it failed without a word".to_owned() } else { said }))
    }

    fn on_file(&self, action: &'static str, path: &Path) -> impl Fn(Refusal) -> HostError {
        let (host, path) = (self.name.clone(), path.to_owned());
        move |refusal| match refusal {
            Refusal::Ssh(mut error) => {
                if matches!(error.kind, SshTrouble::TooMuch | SshTrouble::TooSlow) {
                    error.said = format!("{} ({action} {})", error.said, path.display());
                }
                error.into()
            }
            Refusal::Said(said) => {
                let path = path.clone();
                let source = if scripts::UNTRUSTED.iter().any(|words| said.contains(words)) {
                    FileError::Diverted { action, path, what: said }
                } else {
                    FileError::Io { action, path, source: io::Error::new(kind_of(&said), said) }
                };
                HostError::File { host: host.clone(), source }
            }
        }
    }

    fn command_error(&self, command: &str, what: impl ToString) -> HostError {
        HostError::Command { host: self.name.clone(), command: command.to_owned(), what: what.to_string() }
    }

    fn not_regular(&self, path: &Path, kind: FileKind) -> HostError {
        let what = match kind {
            FileKind::Symlink => "a symlink",
            FileKind::Directory => "a directory",
            FileKind::File | FileKind::Other => "a device, pipe or socket",
        };
        let source = FileError::NotRegular { path: path.to_owned(), what };
        HostError::File { host: self.name.clone(), source }
    }

    /// A path as a word; one that is no text is not ours to touch over ssh.
    fn text<'a>(&self, path: &'a Path) -> Result<&'a str, HostError> {
        path.to_str().filter(|text| text.starts_with('/') && !text.contains('\0')).ok_or_else(|| {
            self.command_error("using a path", format!("{} is no absolute path in UTF-8", path.display()))
        })
    }

    fn dial_error(&self, address: SocketAddr) -> impl Fn(io::Error) -> HostError {
        let host = self.name.clone();
        move |source| HostError::Dial { host: host.clone(), address: address.to_string(), source }
    }

    fn forward(&self, address: SocketAddr, timeout: Duration) -> Result<Box<dyn Stream>, HostError> {
        let connection = self.shared.connection()?;
        let since = Instant::now();
        match mux::Forwarded::open(connection.socket(), address, timeout) {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => {
                // The reason is what the connection says on standard error, a moment before or after its answer.
                let end = Instant::now() + Duration::from_millis(200);
                let mut said = connection.said_since(since);
                while error.kind() == io::ErrorKind::ConnectionRefused
                    && said.is_empty()
                    && Instant::now() < end
                {
                    std::thread::sleep(Duration::from_millis(5));
                    said = connection.said_since(since);
                }
                if said.contains("administratively prohibited") {
                    self.shared.no_forwarding.store(true, Ordering::Relaxed);
                    return self.by_shell(&connection, address, timeout);
                }
                let source = match telling(&said) {
                    said if said.is_empty() => error,
                    said => io::Error::new(kind_of(&said), said),
                };
                Err(self.dial_error(address)(source))
            }
        }
    }

    fn by_shell(
        &self,
        connection: &Connection,
        address: SocketAddr,
        timeout: Duration,
    ) -> Result<Box<dyn Stream>, HostError> {
        let stream =
            shell_dial::ShellDial::open(connection, address, timeout).map_err(self.dial_error(address))?;
        Ok(Box::new(stream))
    }
}

impl Shared {
    /// The connection, made anew if it has gone; the lock with it.
    fn connection(&self) -> Result<Arc<Connection>, SshError> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let mut state = locked(&self.state);
        if let Some(connection) = &state.connection
            && connection.stands()
        {
            return Ok(Arc::clone(connection));
        }
        state.connection = None;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection::open(&self.route, &self.dir, number)?);
        if let Some((_gone, who)) = state.held.take() {
            match Held::take(&connection, STATE_DIR, &who) {
                Ok(held) => state.held = Some((held, who)),
                Err(Refused::Held(said) | Refused::Trouble(said) | Refused::NoAnswer(_, said)) => {
                    return Err(SshError {
                        host: self.route.name.clone(),
                        destination: self.route.destination.clone(),
                        kind: SshTrouble::Other,
                        said: format!("the connection broke, and its lock is not had again: {said}"),
                    });
                }
            }
        }
        state.connection = Some(Arc::clone(&connection));
        Ok(connection)
    }
}

/// Where this tool keeps its lock and pre-images on a machine.
const STATE_DIR: &str = "/var/lib/etcd-pki";

/// Why a script of ours gave no answer.
enum Refusal {
    Ssh(SshError),
    Said(String),
}

impl From<SshError> for Refusal {
    fn from(error: SshError) -> Self {
        Self::Ssh(error)
    }
}

/// Frees the lock when it is dropped.
struct Guard(Weak<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            let held = locked(&shared.state).held.take();
            drop(held);
        }
    }
}

/// What a message of the C library (`LC_ALL=C`) or of our scripts means.
fn kind_of(said: &str) -> io::ErrorKind {
    let kinds = [
        ("Connection refused", io::ErrorKind::ConnectionRefused),
        ("timed out", io::ErrorKind::TimedOut),
        ("No route to host", io::ErrorKind::HostUnreachable),
        ("Network is unreachable", io::ErrorKind::NetworkUnreachable),
        ("Permission denied", io::ErrorKind::PermissionDenied),
        ("Read-only file system", io::ErrorKind::ReadOnlyFilesystem),
        ("No space left", io::ErrorKind::StorageFull),
        ("No such file or directory", io::ErrorKind::NotFound),
        ("Not a directory", io::ErrorKind::NotADirectory),
        ("are read at most", io::ErrorKind::FileTooLarge),
    ];
    kinds.iter().find(|(text, _)| said.contains(text)).map_or(io::ErrorKind::Other, |(_, kind)| *kind)
}

/// The directory of this process's control sockets, as long as somebody uses it.
fn runtime_dir() -> io::Result<Arc<RuntimeDir>> {
    static DIR: OnceLock<Mutex<Weak<RuntimeDir>>> = OnceLock::new();
    let mut dir = locked(DIR.get_or_init(Mutex::default));
    if let Some(dir) = dir.upgrade() {
        return Ok(dir);
    }
    let made = Arc::new(RuntimeDir::make()?);
    *dir = Arc::downgrade(&made);
    Ok(made)
}
