//! A machine that is reached by ssh: the user's own OpenSSH, with its configuration, agent, jump hosts and known hosts.
//!
//! Everything goes over one connection, as root, by way of a POSIX shell and coreutils on the far side. What a host
//! prints is data: it is parsed, never run, and shown only without control characters.

mod clients;
mod connection;
mod error;
mod lock;
mod mux;
mod quote;
mod runtime;
mod scripts;
mod shell_dial;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

pub use connection::SshOptions;
pub use error::{SshError, SshTrouble};

use super::{Connection as Client, Host, HostError, Placement, RunOutput, Stream};
use crate::files::{FileError, FileImage, FileKind, FileMode, FileStat, Meta, Owner};
use connection::{Connection, Route, lock as locked};
use error::{printable, telling};
use lock::{Held, Refused};
use runtime::RuntimeDir;

/// How long one of our own scripts may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a file may hold; ssh's output is cut there.
const LARGEST: u64 = 16 << 20;

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
        let words = [&["sh", "-c", script, "sh"], arguments].concat();
        let output = self.shared.connection()?.run(&words, input, PATIENCE)?;
        if output.status == Some(0) {
            return Ok(output.stdout);
        }
        let said = telling(&String::from_utf8_lossy(&output.stderr));
        Err(Refusal::Said(if said.is_empty() { "it failed without a word".to_owned() } else { said }))
    }

    fn on_file(&self, action: &'static str, path: &Path) -> impl Fn(Refusal) -> HostError {
        let (host, path) = (self.name.clone(), path.to_owned());
        move |refusal| match refusal {
            Refusal::Ssh(error) => error.into(),
            Refusal::Said(said) => {
                let source = FileError::Io {
                    action,
                    path: path.clone(),
                    source: io::Error::new(kind_of(&said), said),
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
                Err(Refused::Held(said) | Refused::Trouble(said)) => {
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

impl Host for Ssh {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&self, path: &Path) -> Result<Option<FileImage>, HostError> {
        Ok(self.read_many(&[path.to_owned()])?.pop().flatten())
    }

    fn read_many(&self, paths: &[PathBuf]) -> Result<Vec<Option<FileImage>>, HostError> {
        let Some(first) = paths.first() else { return Ok(Vec::new()) };
        let words = paths.iter().map(|path| self.text(path)).collect::<Result<Vec<_>, _>>()?;
        let output = self.script(scripts::READ, &words, b"").map_err(self.on_file("read", first))?;
        let mut rest = output.as_slice();
        paths.iter().map(|path| self.image(path, &mut rest)).collect()
    }

    fn stat(&self, path: &Path) -> Result<Option<FileStat>, HostError> {
        let wrong = self.on_file("look at", path);
        let output = self.script(scripts::STAT, &[self.text(path)?], b"").map_err(&wrong)?;
        let text = String::from_utf8_lossy(&output);
        if text.trim_end() == "absent" {
            return Ok(None);
        }
        let mut words = text.split_ascii_whitespace();
        let mode = words.next().and_then(|mode| u32::from_str_radix(mode, 16).ok());
        let mut number = || words.next()?.parse::<u64>().ok();
        let (Some(mode), Some(uid), Some(gid)) = (mode, number(), number()) else {
            return Err(wrong(Refusal::Said(format!("odd answer {:?}", printable(&text)))));
        };
        Ok(Some(FileStat {
            kind: FileKind::of_mode(mode),
            mode: FileMode::new(mode),
            owner: self.owner_of(uid, gid)?,
        }))
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, HostError> {
        let output =
            self.script(scripts::LIST, &[self.text(dir)?], b"").map_err(self.on_file("list", dir))?;
        let text = String::from_utf8_lossy(&output);
        let mut names: Vec<String> = text.split_terminator('\0').map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }

    fn make_dir(&self, path: &Path, meta: Meta) -> Result<bool, HostError> {
        let (mode, owner) = meta_words(meta);
        let text = self.text(path)?;
        let text = if text.len() > 1 { text.trim_end_matches('/') } else { text };
        let output = self
            .script(scripts::MAKE_DIR, &[text, &mode, &owner], b"")
            .map_err(self.on_file("create directory", path))?;
        Ok(output == b"made\n")
    }

    fn place(&self, path: &Path, bytes: &[u8], meta: Meta) -> Result<(), HostError> {
        self.place_all(&[Placement { path, bytes, meta }])
    }

    fn place_all(&self, files: &[Placement<'_>]) -> Result<(), HostError> {
        static ATTEMPT: AtomicU32 = AtomicU32::new(0);
        let Some(first) = files.first() else { return Ok(()) };
        let mut words = Vec::with_capacity(5 * files.len());
        let mut input = Zeroizing::new(Vec::with_capacity(files.iter().map(|file| file.bytes.len()).sum()));
        for file in files {
            let path = self.text(file.path)?;
            let (dir, name) = path.rsplit_once('/').unwrap_or((".", path));
            let attempt = ATTEMPT.fetch_add(1, Ordering::Relaxed);
            let temporary = format!("{dir}/.{name}.{}-{attempt}.tmp", std::process::id());
            let (mode, owner) = meta_words(file.meta);
            words.extend([path.to_owned(), temporary, mode, owner, file.bytes.len().to_string()]);
            input.extend_from_slice(file.bytes);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.script(scripts::PLACE, &words, &input).map_err(self.on_file("write", first.path)).map(drop)
    }

    fn set_meta(&self, path: &Path, meta: Meta) -> Result<(), HostError> {
        let (mode, owner) = meta_words(meta);
        let text = self.text(path)?;
        self.script(scripts::SET_META, &[text, &mode, &owner], b"")
            .map_err(self.on_file("set the mode of", path))
            .map(drop)
    }

    fn remove(&self, path: &Path) -> Result<(), HostError> {
        self.remove_all(&[path.to_owned()])
    }

    fn remove_all(&self, paths: &[PathBuf]) -> Result<(), HostError> {
        let Some(first) = paths.first() else { return Ok(()) };
        let words = paths.iter().map(|path| self.text(path)).collect::<Result<Vec<_>, _>>()?;
        self.script(scripts::REMOVE, &words, b"").map_err(self.on_file("remove", first)).map(drop)
    }

    fn run(&self, argv: &[&str], deadline: Duration) -> Result<RunOutput, HostError> {
        let Some(program) = argv.first() else {
            return Err(self.command_error("", "an empty command"));
        };
        // A command that hangs there is ended there, and not only forgotten here.
        let seconds = format!("{:.3}", deadline.as_secs_f64());
        let words = [&["timeout", "-k", "2", &seconds], argv].concat();
        let started = Instant::now();
        let output = self.shared.connection()?.run(&words, b"", deadline + Duration::from_secs(5))?;
        match output.status {
            // What coreutils' timeout ends with.
            Some(124 | 137) if started.elapsed() >= deadline => {
                Err(self.command_error(program, format!("did not end within {deadline:?} and was killed")))
            }
            Some(127) => Err(self.command_error(program, telling(&String::from_utf8_lossy(&output.stderr)))),
            _ => Ok(output),
        }
    }

    fn dial(&self, address: SocketAddr, timeout: Duration) -> Result<Box<dyn Stream>, HostError> {
        if self.dials_by_shell() {
            return self.by_shell(&*self.shared.connection()?, address, timeout);
        }
        self.forward(address, timeout)
    }

    fn clock(&self) -> Result<SystemTime, HostError> {
        let output = self.run(&["date", "+%s.%N"], PATIENCE)?;
        let text = String::from_utf8_lossy(&output.stdout);
        // Where date knows no nanoseconds (busybox), the whole seconds are enough.
        let (seconds, nanos) = text.trim().split_once('.').unwrap_or((text.trim(), "0"));
        let seconds = seconds
            .parse()
            .map_err(|_| self.command_error("date", format!("said {:?}", printable(&text))))?;
        Ok(UNIX_EPOCH + Duration::new(seconds, nanos.parse().unwrap_or(0)))
    }

    fn connections(&self, ports: &[u16]) -> Result<Vec<Client>, HostError> {
        let output = self.script(scripts::CONNECTIONS, &[], b"").map_err(|refusal| match refusal {
            Refusal::Ssh(error) => error.into(),
            Refusal::Said(said) => self.command_error("reading /proc/net/tcp", said),
        })?;
        Ok(clients::parse(&String::from_utf8_lossy(&output), ports))
    }

    fn owner(&self, spec: &str) -> Result<Owner, HostError> {
        let (user, group) = spec.split_once(':').unwrap_or((spec, ""));
        let none = |name: &str| HostError::NoSuchUser { host: self.name.clone(), name: name.to_owned() };
        if let (Ok(uid), Ok(gid)) = (user.parse(), group.parse()) {
            return Ok(Owner { uid, gid });
        }
        if user.is_empty()
            || user.starts_with('-')
            || group.starts_with('-')
            || group.contains(['\n', '*', '[', '.', '^', '\\', '$'])
        {
            return Err(none(user));
        }
        let output = self.script(scripts::OWNER, &[user, group], b"").map_err(|refusal| match refusal {
            Refusal::Ssh(error) => HostError::from(error),
            Refusal::Said(said) => self.command_error("id", said),
        })?;
        let text = String::from_utf8_lossy(&output);
        let mut lines = text.lines();
        let mut own = lines.next().unwrap_or("").split(' ').map(|number| number.parse::<u32>().ok());
        let uid = own.next().flatten().or_else(|| user.parse().ok().filter(|_| !group.is_empty()));
        let own_gid = own.next().flatten();
        let gid = match group {
            "" => own_gid,
            group => group.parse().ok().or_else(|| lines.next()?.parse().ok()),
        };
        match (uid, gid) {
            (Some(uid), Some(gid)) => Ok(Owner { uid, gid }),
            (Some(_), None) if !group.is_empty() => Err(none(group)),
            _ => Err(none(user)),
        }
    }

    fn loopback(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    fn state_dir(&self) -> PathBuf {
        STATE_DIR.into()
    }

    fn lock(&self, who: &str) -> Result<Box<dyn Send>, HostError> {
        let connection = self.shared.connection()?;
        match Held::take(&connection, STATE_DIR, &printable(who)) {
            Ok(held) => {
                locked(&self.shared.state).held = Some((held, printable(who)));
                Ok(Box::new(Guard(Arc::downgrade(&self.shared))))
            }
            Err(Refused::Held(holder)) => Err(HostError::Locked { host: self.name.clone(), holder }),
            Err(Refused::Trouble(what)) => Err(self.command_error("flock", what)),
        }
    }
}

impl Ssh {
    /// The next file of what [`scripts::READ`] prints.
    fn image(&self, path: &Path, rest: &mut &[u8]) -> Result<Option<FileImage>, HostError> {
        let wrong = |what: String| self.on_file("read", path)(Refusal::Said(what));
        let end =
            rest.iter().position(|&b| b == b'\n').ok_or_else(|| wrong("its answer is cut off".to_owned()))?;
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        *rest = &rest[end + 1..];
        if head == "absent" {
            return Ok(None);
        }
        let odd = || wrong(format!("odd answer {:?}", printable(&head)));
        let mut words = head.split(' ');
        let mode = words.next().and_then(|mode| u32::from_str_radix(mode, 16).ok()).ok_or_else(odd)?;
        if FileKind::of_mode(mode) != FileKind::File {
            return Err(self.not_regular(path, FileKind::of_mode(mode)));
        }
        let mut number = || words.next()?.parse::<u64>().ok();
        let (Some(uid), Some(gid), Some(size)) = (number(), number(), number()) else { return Err(odd()) };
        let bytes = usize::try_from(size).ok().and_then(|size| rest.split_at_checked(size));
        let Some((bytes, behind)) = bytes else {
            let what = if size >= LARGEST { "it is too large" } else { "it changed while it was read" };
            return Err(wrong(what.to_owned()));
        };
        *rest = behind;
        let owner = self.owner_of(uid, gid)?;
        Ok(Some(FileImage { bytes: bytes.to_vec(), mode: FileMode::new(mode), owner }))
    }

    fn owner_of(&self, uid: u64, gid: u64) -> Result<Owner, HostError> {
        match (uid.try_into(), gid.try_into()) {
            (Ok(uid), Ok(gid)) => Ok(Owner { uid, gid }),
            _ => Err(self.command_error("stat", "an owner's number is out of range")),
        }
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

/// Mode and owner as words; no owner is empty.
fn meta_words(meta: Meta) -> (String, String) {
    let owner = meta.owner.map_or_else(String::new, |owner| format!("{}:{}", owner.uid, owner.gid));
    (format!("{:04o}", meta.mode.bits()), owner)
}

/// What a message of the C library means (`LC_ALL=C`).
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
