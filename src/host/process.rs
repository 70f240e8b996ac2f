//! A supervised local etcd as a host: the member of a rehearsal, on a loopback address of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;

pub use super::supervisor::{DirError, ProcessDir, Unit};

use super::local::Local;
use super::supervisor::{Control, Request, Status};
use super::{
    Connection, Host, HostError, Launch, Layer, LayerFile, RunOutput, RunningProcess, Service, Stream,
    WRITTEN_BY, envfile, proc,
};
use crate::files::{self, FileImage, FileMode, FileStat, Meta, Owner};

/// How long a start may take until the process is etcd itself and no longer what starts it.
const EXEC: Duration = Duration::from_secs(2);

/// A supervised local etcd, seen as a machine: this machine, but for the address and the state directory.
#[derive(Debug)]
pub struct ProcessHost {
    local: Local,
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
        Ok(Self { local: Local::named(name), dir, address })
    }

    /// The service that runs on it.
    pub fn service(&self) -> ProcessService {
        ProcessService { host: self.name().to_owned(), dir: self.dir.clone() }
    }

    /// Its directory.
    pub const fn dir(&self) -> &ProcessDir {
        &self.dir
    }
}

impl Host for ProcessHost {
    fn name(&self) -> &str {
        self.local.name()
    }

    fn read(&self, path: &Path) -> Result<Option<FileImage>, HostError> {
        self.local.read(path)
    }

    fn stat(&self, path: &Path) -> Result<Option<FileStat>, HostError> {
        self.local.stat(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, HostError> {
        self.local.list(dir)
    }

    fn make_dir(&self, path: &Path, meta: Meta) -> Result<bool, HostError> {
        self.local.make_dir(path, meta)
    }

    fn place(&self, path: &Path, bytes: &[u8], meta: Meta) -> Result<(), HostError> {
        self.local.place(path, bytes, meta)
    }

    fn set_meta(&self, path: &Path, meta: Meta) -> Result<(), HostError> {
        self.local.set_meta(path, meta)
    }

    fn remove(&self, path: &Path) -> Result<(), HostError> {
        self.local.remove(path)
    }

    fn run(&self, argv: &[&str], deadline: Duration) -> Result<RunOutput, HostError> {
        self.local.run(argv, deadline)
    }

    fn dial(&self, address: SocketAddr, timeout: Duration) -> Result<Box<dyn Stream>, HostError> {
        self.local.dial(address, timeout)
    }

    fn source_towards(&self, address: IpAddr) -> Result<Option<IpAddr>, HostError> {
        self.local.source_towards(address)
    }

    fn clock(&self) -> Result<SystemTime, HostError> {
        self.local.clock()
    }

    /// The connections to this member's address. All members share this machine: so a client counts as local only
    /// when it is this member's own etcd or supervisor, and this very process's connections are left out.
    fn connections(&self, ports: &[u16]) -> Result<Vec<Connection>, HostError> {
        let status = Control::new(self.dir.clone()).ask(Request::Status).ok();
        let family: Vec<_> =
            status.iter().flat_map(|status| [status.pid, Some(status.supervisor)]).flatten().collect();
        let mut found = self.local.connections(ports)?;
        let ours = |connection: &Connection| {
            connection.process.as_ref().is_some_and(|process| process.pid == std::process::id())
        };
        found.retain(|connection| connection.local.ip() == self.address && !ours(connection));
        for connection in &mut found {
            connection.process.take_if(|process| !family.contains(&process.pid));
        }
        Ok(found)
    }

    fn owner(&self, spec: &str) -> Result<Owner, HostError> {
        self.local.owner(spec)
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
    fn layer_file(&self, layer: &Layer) -> Result<LayerFile, HostError> {
        let env: BTreeMap<_, _> =
            layer.settings.iter().map(|(flag, value)| (variable(flag), value.clone())).collect();
        let pairs = env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let comment = format!("{WRITTEN_BY}: {}. Its `migrate rollback` takes it away again.", layer.name);
        let content = envfile::render(&comment, pairs).map_err(|error| self.wrong(error))?;
        Ok(LayerFile { path: self.dir.layer_file(layer.name), content, meta: Meta::mode(FileMode::PUBLIC) })
    }

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

    fn ask(&self, request: Request) -> Result<Status, HostError> {
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
            match proc::process(pid).map_err(|error| self.wrong(error))? {
                Some(process) if process.launch.argv.first() == Some(&program) => return Ok(Some(process)),
                // Between fork and exec, or it ended this moment.
                _ if Instant::now() < end => std::thread::sleep(Duration::from_millis(10)),
                _ => return Ok(None),
            }
        }
    }

    /// Whoever runs this tool.
    fn user(&self) -> Result<Option<String>, HostError> {
        Ok(Some(rustix::process::getuid().as_raw().to_string()))
    }

    fn next_start(&self) -> Result<Launch, HostError> {
        self.dir.launch(true).map_err(|error| self.wrong(error))
    }

    fn base(&self) -> Result<Launch, HostError> {
        self.dir.launch(false).map_err(|error| self.wrong(error))
    }

    fn layer_files(&self, layers: &[Layer]) -> Result<Vec<LayerFile>, HostError> {
        layers.iter().map(|layer| self.layer_file(layer)).collect()
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
