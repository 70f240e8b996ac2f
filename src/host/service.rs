//! The unit that runs etcd on a host, and what it runs with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::files::Meta;

use super::HostError;

/// How the comment at the top of every file that we write for a unit begins; a file without it is somebody else's.
pub const WRITTEN_BY: &str = "Written by etcd-pki";
/// The same with its comment sign: the first characters of such a file.
pub const MARK: &str = "# Written by etcd-pki";

/// The unit that runs etcd on a host.
pub trait Service: Send + Sync {
    /// How people call it, such as `etcd.service`.
    fn name(&self) -> &str;

    /// The running process, or `None` when it is down.
    ///
    /// # Errors
    /// [`HostError`]
    fn running(&self) -> Result<Option<RunningProcess>, HostError>;

    /// The user that it starts etcd as; `None` is root.
    ///
    /// # Errors
    /// [`HostError`]
    fn user(&self) -> Result<Option<String>, HostError>;

    /// What the next start would run with, as the disk stands now.
    ///
    /// # Errors
    /// [`HostError`]
    fn next_start(&self) -> Result<Launch, HostError>;

    /// All of [`Self::running`], [`Self::next_start`] and [`Self::base`], where one look gives them all.
    ///
    /// # Errors
    /// [`HostError`]
    fn look(&self) -> Result<Look, HostError> {
        let (running, next, base) = (self.running()?, self.next_start()?, self.base()?);
        Ok(Look { running, next, base, contained: false })
    }

    /// What the next start would run with if none of our layers were there.
    ///
    /// # Errors
    /// [`HostError`]
    fn base(&self) -> Result<Launch, HostError>;

    /// The files that hold these layers of ours, each on top of those before it: to be written in this order and taken
    /// away from the last to the first. Where and what they are depends on all of them and on what is not ours. Pure.
    ///
    /// # Errors
    /// [`HostError`], also when a setting cannot be made to win there.
    fn layer_files(&self, layers: &[Layer]) -> Result<Vec<LayerFile>, HostError>;

    /// Asks for a restart with what the disk holds; does not wait for the member to be ready.
    ///
    /// # Errors
    /// [`HostError`]
    fn restart(&self) -> Result<(), HostError>;

    /// Why there is no process, as far as whoever starts it can tell; asked when there is none.
    ///
    /// # Errors
    /// [`HostError`]
    fn absence(&self) -> Result<Absence, HostError> {
        Ok(Absence::default())
    }

    /// The log lines since `since`, oldest first.
    ///
    /// # Errors
    /// [`HostError`]
    fn log_since(&self, since: SystemTime) -> Result<Vec<String>, HostError>;
}

/// A process as the kernel shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningProcess {
    /// Changes when and only when the process was started anew (PID and start time, or an InvocationID).
    pub identity: String,
    /// The process's number.
    pub pid: u32,
    /// Its own arguments and environment: the truth about what is in force.
    pub launch: Launch,
    /// The user it runs as.
    pub uid: u32,
}

/// A service as it runs, and as the disk has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The process; `None` when it is down.
    pub running: Option<RunningProcess>,
    /// What the next start would run with.
    pub next: Launch,
    /// What it would run with if none of our layers were there.
    pub base: Launch,
    /// It runs in Container Linux' container, which sees the directory that `ETCD_SSL_DIR` names, and that one alone, as
    /// `/etc/ssl/certs`.
    pub contained: bool,
}

/// Why a service has no process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Absence {
    /// It failed and will not be started again by itself.
    pub failed: Option<String>,
    /// What it is at, in words; empty when that cannot be said.
    pub doing: String,
}

/// What a process is or would be started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Launch {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
}

/// A named set of etcd settings of ours, keyed by flag name without dashes (`listen-client-urls`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The name, with the number that orders it: `25-insecure_localhost`, `30-certs`, `40-tls`.
    pub name: &'static str,
    /// Settings by flag name.
    pub settings: BTreeMap<String, String>,
}

/// A layer as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerFile {
    /// Where it goes.
    pub path: PathBuf,
    /// What it says, beginning with a comment that tells what wrote it.
    pub content: String,
    /// Its mode and owner.
    pub meta: Meta,
}
