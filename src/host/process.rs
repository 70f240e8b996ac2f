//! A supervised local etcd as a host: the member of a rehearsal, on a loopback address of its own.

mod dir;
mod envfile;
mod sockets;

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;

pub use dir::{DirError, MARK, ProcessDir, Unit};

use super::command::command;
use super::supervisor::{Control, Request};
use super::{
    ClientProcess, Connection, Host, HostError, Launch, Layer, LayerFile, RunOutput, RunningProcess, Service,
    Stream,
};
use crate::files::{self, FileError, FileImage, Meta, Owner};

/// How long a start may take until the process is etcd itself and no longer what starts it.
const EXEC: Duration = Duration::from_secs(2);

/// A supervised local etcd, seen as a machine.
#[derive(Debug, Clone)]
pub struct ProcessHost {
    name: String,
    dir: ProcessDir,
    address: IpAddr,
}

impl ProcessHost {
    /// The host whose directory is `dir`.
    ///
    /// # Errors
    /// [`DirError`] when that is no directory of a supervised etcd.
    pub fn open(name: impl Into<String>, dir: impl Into<PathBuf>) -> Result<Self, DirError> {
        let dir = ProcessDir::new(dir);
        let address = dir.unit()?.address;
        Ok(Self { name: name.into(), dir, address })
    }

    /// The service that runs on it.
    pub fn service(&self) -> ProcessService {
        ProcessService { host: self.name.clone(), dir: self.dir.clone() }
    }

    /// Its directory.
    pub const fn dir(&self) -> &ProcessDir {
        &self.dir
    }

    fn file<T>(&self, result: Result<T, FileError>) -> Result<T, HostError> {
        result.map_err(|source| HostError::File { host: self.name.clone(), source })
    }
}

impl Host for ProcessHost {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&self, path: &Path) -> Result<Option<FileImage>, HostError> {
        self.file(files::read(path))
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, HostError> {
        self.file(dir::list(dir))
    }

    fn make_dir(&self, path: &Path, meta: Meta) -> Result<bool, HostError> {
        self.file(files::make_dir(path, meta))
    }

    fn place(&self, path: &Path, bytes: &[u8], meta: Meta) -> Result<(), HostError> {
        self.file(files::replace(path, bytes, meta))
    }

    fn set_meta(&self, path: &Path, meta: Meta) -> Result<(), HostError> {
        self.file(files::set_meta(path, meta))
    }

    fn remove(&self, path: &Path) -> Result<(), HostError> {
        self.file(files::remove(path)).map(|_| ())
    }

    fn run(&self, argv: &[&str], deadline: Duration) -> Result<RunOutput, HostError> {
        run(argv, deadline).map_err(|what| HostError::Command {
            host: self.name.clone(),
            command: argv.first().copied().unwrap_or_default().to_owned(),
            what,
        })
    }

    fn dial(&self, address: SocketAddr, timeout: Duration) -> Result<Box<dyn Stream>, HostError> {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => Ok(Box::new(stream)),
            Err(source) => {
                Err(HostError::Dial { host: self.name.clone(), address: address.to_string(), source })
            }
        }
    }

    fn clock(&self) -> Result<SystemTime, HostError> {
        Ok(SystemTime::now())
    }

    /// The connections to this member's address. All members share this machine: so a client counts as local only
    /// when it is this member's own etcd or supervisor, and this very process's connections are left out.
    fn connections(&self, ports: &[u16]) -> Result<Vec<Connection>, HostError> {
        let ours = sockets::held_by(std::process::id());
        let status = Control::new(self.dir.clone()).ask(Request::Status).ok();
        let family: Vec<_> = status
            .into_iter()
            .flat_map(|status| [status.pid, Some(status.supervisor)])
            .flatten()
            .map(|pid| (pid, sockets::held_by(pid)))
            .collect();
        let all = sockets::established();
        let mut found = Vec::new();
        for socket in &all {
            if socket.local.ip() != self.address || !ports.contains(&socket.local.port()) {
                continue;
            }
            let other = all.iter().find(|o| o.local == socket.remote && o.remote == socket.local);
            let inode = other.map_or(0, |other| other.inode);
            if inode != 0 && ours.contains(&inode) {
                continue;
            }
            let process = family.iter().find(|(_, held)| inode != 0 && held.contains(&inode));
            let process = process.map(|&(pid, _)| ClientProcess { pid, name: process_name(pid) });
            found.push(Connection { local: socket.local, remote: socket.remote, process });
        }
        Ok(found)
    }

    fn owner(&self, spec: &str) -> Result<Owner, HostError> {
        let missing = |name: &str| HostError::NoSuchUser { host: self.name.clone(), name: name.to_owned() };
        let (user, group) = spec.split_once(':').map_or((spec, None), |(user, group)| (user, Some(group)));
        let found = nix::unistd::User::from_name(user).ok().flatten().ok_or_else(|| missing(user))?;
        let gid = match group {
            None => found.gid,
            Some(group) => {
                nix::unistd::Group::from_name(group).ok().flatten().ok_or_else(|| missing(group))?.gid
            }
        };
        Ok(Owner { uid: found.uid.as_raw(), gid: gid.as_raw() })
    }

    fn loopback(&self) -> IpAddr {
        self.address
    }

    fn state_dir(&self) -> PathBuf {
        self.dir.state()
    }
}

/// The unit of a supervised local etcd.
#[derive(Debug, Clone)]
pub struct ProcessService {
    host: String,
    dir: ProcessDir,
}

impl ProcessService {
    /// Its supervisor.
    pub fn control(&self) -> Control {
        Control::new(self.dir.clone())
    }

    fn wrong(&self, what: impl ToString) -> HostError {
        HostError::Service {
            host: self.host.clone(),
            service: self.name().to_owned(),
            what: what.to_string(),
        }
    }

    fn ask(&self, request: Request) -> Result<super::supervisor::Status, HostError> {
        self.control()
            .ask(request)
            .map_err(|error| self.wrong(format!("its supervisor does not answer: {error}")))
    }
}

impl Service for ProcessService {
    fn name(&self) -> &str {
        "etcd"
    }

    fn running(&self) -> Result<Option<RunningProcess>, HostError> {
        let program = self.dir.unit().map_err(|error| self.wrong(error))?.exec.swap_remove(0);
        let end = Instant::now() + EXEC;
        loop {
            let Some(pid) = self.ask(Request::Status)?.pid else { return Ok(None) };
            match process(pid) {
                Some(process) if process.launch.argv.first() == Some(&program) => return Ok(Some(process)),
                // Between fork and exec, or it ended this moment.
                _ if Instant::now() < end => std::thread::sleep(Duration::from_millis(10)),
                _ => return Ok(None),
            }
        }
    }

    fn next_start(&self) -> Result<Launch, HostError> {
        self.dir.launch(true).map_err(|error| self.wrong(error))
    }

    fn base(&self) -> Result<Launch, HostError> {
        self.dir.launch(false).map_err(|error| self.wrong(error))
    }

    fn layer_file(&self, layer: &Layer) -> Result<LayerFile, HostError> {
        let env: BTreeMap<_, _> =
            layer.settings.iter().map(|(flag, value)| (variable(flag), value.clone())).collect();
        let comment = format!("{MARK}: {}. Its `migrate rollback` takes it away again.", layer.name);
        Ok(LayerFile { path: self.dir.layer_file(layer.name), content: envfile::render(&comment, &env) })
    }

    fn restart(&self) -> Result<(), HostError> {
        self.ask(Request::Restart).map(|_| ())
    }

    fn log_since(&self, since: SystemTime) -> Result<Vec<String>, HostError> {
        let log = files::read(&self.dir.log());
        let log = log.map_err(|source| HostError::File { host: self.host.clone(), source })?;
        let since = OffsetDateTime::from(since);
        let text = log.map(|image| String::from_utf8_lossy(&image.bytes).into_owned()).unwrap_or_default();
        let is_since = |at: &str| OffsetDateTime::parse(at, &Rfc3339).is_ok_and(|at| at >= since);
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        Ok(lines.skip_while(|(at, _)| !is_since(at)).map(|(_, line)| line.to_owned()).collect())
    }
}

/// The environment variable that sets an etcd flag.
fn variable(flag: &str) -> String {
    format!("ETCD_{}", flag.replace('-', "_").to_ascii_uppercase())
}

/// What the kernel shows of a process; `None` when it is gone.
fn process(pid: u32) -> Option<RunningProcess> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let words = |name: &str| -> Option<Vec<String>> {
        let bytes = std::fs::read(proc.join(name)).ok()?;
        let words = bytes.split(|&b| b == 0).filter(|word| !word.is_empty());
        Some(words.map(|word| String::from_utf8_lossy(word).into_owned()).collect())
    };
    let stat = std::fs::read_to_string(proc.join("stat")).ok()?;
    // proc(5): the name may hold anything, so fields are counted from its closing bracket; starttime is field 22.
    let start = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.to_owned();
    let env = words("environ")?;
    let env = env.iter().filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned()));
    Some(RunningProcess {
        identity: format!("{pid}/{start}"),
        pid,
        launch: Launch { argv: words("cmdline")?, env: env.collect() },
        uid: std::fs::metadata(&proc).ok()?.uid(),
    })
}

fn process_name(pid: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

fn run(argv: &[&str], deadline: Duration) -> Result<RunOutput, String> {
    let (program, arguments) = argv.split_first().ok_or("no command")?;
    let mut child = command(program)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let end = Instant::now() + deadline;
    let stdout = read_in_background(child.stdout.take());
    let stderr = read_in_background(child.stderr.take());
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("did not end within {} s", deadline.as_secs()));
            }
        }
    };
    let collect = |thread: std::thread::JoinHandle<Vec<u8>>| thread.join().unwrap_or_default();
    Ok(RunOutput { status: status.code(), stdout: collect(stdout), stderr: collect(stderr) })
}

fn read_in_background(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}
