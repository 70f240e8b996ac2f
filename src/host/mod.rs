//! A machine we act on, and the etcd service that runs on it.
//!
//! [`Host`] reads and places files, runs commands and dials addresses as that machine sees them. [`Service`] is the
//! unit that runs etcd there: what it runs with now, what the disk would give it at the next start, and a restart.

pub mod access;
pub mod bundle;
pub mod command;
pub mod envfile;
mod error;
pub mod install;
pub mod limits;
pub mod local;
pub mod proc;
pub mod process;
mod root;
mod service;
pub mod ssh;
pub mod streams;
pub mod supervisor;
pub mod trust;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::files::{DirLock, FileImage, FileMode, FileStat, LockError, Meta};

pub use error::HostError;
pub use service::{Absence, Launch, Layer, LayerFile, Look, MARK, RunningProcess, Service, WRITTEN_BY};

/// A machine we act on. Paths are the machine's own.
pub trait Host: Send + Sync {
    /// How people call it: the inventory's name.
    fn name(&self) -> &str;

    /// A file with its owner and mode, or `None` when it is not there.
    ///
    /// # Errors
    /// [`HostError`]
    fn read(&self, path: &Path) -> Result<Option<FileImage>, HostError>;

    /// Several files at once, in the order asked for; the first that cannot be read is the error.
    ///
    /// # Errors
    /// [`HostError`]
    fn read_many(&self, paths: &[PathBuf]) -> Result<Vec<Option<FileImage>>, HostError> {
        paths.iter().map(|path| self.read(path)).collect()
    }

    /// What stands at a path; `None` when nothing does. A final symlink is not followed.
    ///
    /// # Errors
    /// [`HostError`]
    fn stat(&self, path: &Path) -> Result<Option<FileStat>, HostError>;

    /// The names in a directory, sorted; empty when it is not there.
    ///
    /// # Errors
    /// [`HostError`]
    fn list(&self, dir: &Path) -> Result<Vec<String>, HostError>;

    /// Makes a directory (and parents) if it is not there; returns whether it was made.
    ///
    /// # Errors
    /// [`HostError`]
    fn make_dir(&self, path: &Path, meta: Meta) -> Result<bool, HostError>;

    /// Writes a file atomically and durably, replacing what may be there; its mode and owner are set before its
    /// content can be seen.
    ///
    /// # Errors
    /// [`HostError`]
    fn place(&self, path: &Path, bytes: &[u8], meta: Meta) -> Result<(), HostError>;

    /// Writes several files as [`Self::place`] does, as nearly at once as the host can.
    ///
    /// # Errors
    /// [`HostError`]
    fn place_all(&self, files: &[Placement<'_>]) -> Result<(), HostError> {
        files.iter().try_for_each(|file| self.place(file.path, file.bytes, file.meta))
    }

    /// Gives a file that holds these bytes already the mode and owner that go with them. It is placed anew, so that whatever
    /// another user may have put in its place meanwhile, such as a link to a file of root's, keeps its own.
    ///
    /// # Errors
    /// [`HostError`]
    fn place_again(&self, file: &Placement<'_>) -> Result<(), HostError> {
        self.place(file.path, file.bytes, file.meta)
    }

    /// Gives an existing directory another mode and owner. A file is placed again.
    ///
    /// # Errors
    /// [`HostError`]
    fn set_meta(&self, path: &Path, meta: Meta) -> Result<(), HostError>;

    /// Removes a file durably; one that is not there is fine.
    ///
    /// # Errors
    /// [`HostError`]
    fn remove(&self, path: &Path) -> Result<(), HostError>;

    /// Removes several files, in this order, as [`Self::remove`] does.
    ///
    /// # Errors
    /// [`HostError`]
    fn remove_all(&self, paths: &[PathBuf]) -> Result<(), HostError> {
        paths.iter().try_for_each(|path| self.remove(path))
    }

    /// Runs a command on the machine and waits for it, at most for `deadline`.
    ///
    /// # Errors
    /// [`HostError`] when it could not be run or took too long; a non-zero exit is an answer, not an error.
    fn run(&self, argv: &[&str], deadline: Duration) -> Result<RunOutput, HostError>;

    /// A TCP connection to `address` as dialled from this machine.
    ///
    /// # Errors
    /// [`HostError`]
    fn dial(&self, address: SocketAddr, timeout: Duration) -> Result<Box<dyn Stream>, HostError>;

    /// The address that this machine's connections to `address` come from; `None` where it cannot be told.
    ///
    /// # Errors
    /// [`HostError`]
    fn source_towards(&self, address: IpAddr) -> Result<Option<IpAddr>, HostError> {
        match self.run(&["ip", "-o", "route", "get", &address.to_string()], Duration::from_secs(20)) {
            Ok(output) => Ok(source_of(&String::from_utf8_lossy(&output.stdout))),
            // There is no iproute2.
            Err(HostError::Command { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The machine's clock.
    ///
    /// # Errors
    /// [`HostError`]
    fn clock(&self) -> Result<SystemTime, HostError>;

    /// The established TCP connections whose local port is one of `ports`.
    ///
    /// # Errors
    /// [`HostError`]
    fn connections(&self, ports: &[u16]) -> Result<Vec<Connection>, HostError>;

    /// The numeric owner of `user[:group]`; the user's own group when none is given.
    ///
    /// # Errors
    /// [`HostError::NoSuchUser`]
    fn owner(&self, spec: &str) -> Result<crate::files::Owner, HostError>;

    /// The address that only this machine reaches: 127.0.0.1, or a rehearsal member's own loopback address.
    fn loopback(&self) -> IpAddr;

    /// Where this tool keeps its lock and pre-images on the machine.
    fn state_dir(&self) -> PathBuf;

    /// The number of the user as whom this works on the machine.
    ///
    /// # Errors
    /// [`HostError`]
    fn user_id(&self) -> Result<u32, HostError> {
        let output = self.run(&["id", "-u"], Duration::from_secs(20))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.trim().parse().map_err(|_| HostError::Command {
            host: self.name().to_owned(),
            command: "id -u".to_owned(),
            what: "did not print a number".to_owned(),
        })
    }

    /// Keeps other runs on this machine from placing files in a directory at the same time. For a machine that is reached
    /// from others, [`Self::lock`] does that for the whole of it.
    ///
    /// # Errors
    /// [`HostError::Locked`] when another run places files there.
    fn lock_dir(&self, _dir: &Path) -> Result<Box<dyn Send>, HostError> {
        Ok(Box::new(()))
    }

    /// Takes the machine's lock, so that a second operator is stopped and told who is first; dropping it, or
    /// dying, frees it. As it stands here it is right for a machine whose files are this machine's own.
    ///
    /// # Errors
    /// [`HostError::Locked`] when somebody else holds it.
    fn lock(&self, who: &str) -> Result<Box<dyn Send>, HostError> {
        self.make_dir(&self.state_dir(), Meta::mode(FileMode::SECRET_DIR))?;
        match DirLock::take(&self.state_dir().join("lock"), who, Duration::ZERO) {
            Ok(lock) => Ok(Box::new(lock)),
            Err(LockError::Held { holder, .. }) => {
                Err(HostError::Locked { host: self.name().to_owned(), holder })
            }
            Err(LockError::File(source)) => Err(HostError::File { host: self.name().to_owned(), source }),
        }
    }
}

/// The source address in what `ip route get` prints.
fn source_of(route: &str) -> Option<IpAddr> {
    let mut words = route.split_ascii_whitespace();
    words.by_ref().find(|word| *word == "src")?;
    words.next()?.parse().ok()
}

/// A file to be written.
#[derive(Clone, Copy)]
pub struct Placement<'a> {
    /// Where.
    pub path: &'a Path,
    /// Its content.
    pub bytes: &'a [u8],
    /// Its mode and owner.
    pub meta: Meta,
}

impl std::fmt::Debug for Placement<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The content may be a key.
        write!(f, "Placement({}, {} bytes)", self.path.display(), self.bytes.len())
    }
}

/// What a command left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOutput {
    /// Its exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

/// An established connection to a listener of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The listener's side.
    pub local: SocketAddr,
    /// The client's side.
    pub remote: SocketAddr,
    /// The client's process, where it runs on the same machine; `None` means a remote client.
    pub process: Option<ClientProcess>,
}

impl Connection {
    /// Both of its ends are this machine's, and the client's was not seen: it has just begun or ended while the kernel's
    /// tables were read one after the other, or it comes by way of address translation, and then it lasts.
    pub fn is_half(&self) -> bool {
        self.process.is_none() && self.local.ip().to_canonical() == self.remote.ip().to_canonical()
    }
}

/// A local process at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientProcess {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

/// A bidirectional byte stream that can time out.
pub trait Stream: Read + Write + AsFd + Send + Sync + std::fmt::Debug {
    /// How long reads and writes may block.
    ///
    /// # Errors
    /// As the transport says.
    fn set_timeout(&mut self, timeout: Option<Duration>) -> std::io::Result<()>;
}

impl Stream for std::net::TcpStream {
    fn set_timeout(&mut self, timeout: Option<Duration>) -> std::io::Result<()> {
        self.set_read_timeout(timeout)?;
        self.set_write_timeout(timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_a_route() {
        let route = "172.16.0.102 dev eth0 src 172.16.0.201 uid 0 \\    cache ";
        assert_eq!(source_of(route), Some("172.16.0.201".parse().unwrap()));
        assert_eq!(
            source_of("local 127.1.2.3 dev lo src 127.0.0.1 uid 0"),
            Some("127.0.0.1".parse().unwrap())
        );
        assert_eq!(source_of("blackhole 172.16.0.102 "), None);
    }
}
