//! A lab for a test: real hosts with systemd, sshd and etcd, and the machine of an operator who types commands.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test's module; not every test file needs all of it"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use etcd_pki::etcd::client::{Api, Client, Endpoint};
use etcd_pki::etcd::{MemberUrl, Scheme, Tls};
use etcd_pki::rehearse::Figures;
use etcd_pki::rehearse::load::{Load, PERIOD, PREFIX};

pub mod ctl;
pub mod faults;
pub mod run;

use crate::seats::Seats;
use crate::support::skipped;

/// This program, as `cargo test` built it.
pub const EXE: &str = env!("CARGO_BIN_EXE_etcd-pki");
/// The seats that a lab of one host takes, and one of more hosts: on two processors four labs of one host run at the same
/// time, or two of more and a rehearsal.
const SEATS: [usize; 2] = [2, 3];

const LAB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/lab");

/// A lab that stands as long as this lives: its process takes it down when its input ends, however that comes.
pub struct Lab {
    pub name: String,
    /// The lab's own files: `ssh/config`, `cluster.toml`, and the hosts' at `HOST/root`.
    pub dir: PathBuf,
    /// The operator's directory.
    pub home: tempfile::TempDir,
    pub hosts: u8,
    pub version: String,
    process: Child,
    /// Given up last.
    _seats: Option<Seats>,
}

impl Lab {
    /// A lab, and a PKI directory with everybody's certificates; `None` where there can be none.
    pub fn up(version: &str, layout: &str) -> Option<Self> {
        Self::with(version, layout, &[])
    }

    pub fn with(version: &str, layout: &str, more: &[&str]) -> Option<Self> {
        let lab = Self::bare(version, layout, more)?;
        std::fs::copy(lab.dir.join("cluster.toml"), lab.home.path().join("cluster.toml")).unwrap();
        lab.done(&["init-ca"]);
        lab.done(&["issue", "--from", "cluster.toml"]);
        Some(lab)
    }

    /// A lab alone.
    pub fn bare(version: &str, layout: &str, more: &[&str]) -> Option<Self> {
        let is_one = more == ["--hosts", "1"];
        Self::seated(|| Some(Seats::take(SEATS[usize::from(!is_one)])), version, layout, more)
    }

    /// A lab alone, whose seats are taken with those of another lab of the same test.
    pub fn without_seats(version: &str, layout: &str, more: &[&str]) -> Option<Self> {
        Self::seated(|| None, version, layout, more)
    }

    fn seated(
        seats: impl FnOnce() -> Option<Seats>,
        version: &str,
        layout: &str,
        more: &[&str],
    ) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        static CANNOT: OnceLock<Option<String>> = OnceLock::new();
        if let Some(why) = CANNOT.get_or_init(cannot) {
            skipped(why);
            return None;
        }
        let seats = seats();
        let name = format!("t{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut process = Command::new(LAB)
            .args(["run", "--name", &name, "--etcd", version, "--layout", layout])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let Some(dir) = ready.trim_end().strip_prefix("ready ") else {
            drop(process.stdin.take());
            let mut said = String::new();
            process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            process.wait().unwrap();
            assert!(!said.contains("cannot be had"), "{said}");
            panic!("the lab does not stand: {said}");
        };
        let dir = PathBuf::from(dir);
        let home = tempfile::tempdir().unwrap();
        let hosts =
            more.iter().position(|&word| word == "--hosts").map_or(3, |at| more[at + 1].parse().unwrap());
        Some(Self { name, dir, home, hosts, version: version.to_owned(), process, _seats: seats })
    }

    pub fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(172, 16, 0, 100 + host)
    }

    pub fn addresses(&self) -> Vec<Ipv4Addr> {
        (1..=self.hosts).map(|host| self.address(host)).collect()
    }

    /// Does something on the operator's machine: in its network, in a thread of its own, with all that it starts.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = std::fs::File::open(format!("/run/netns/lab-{}-op", self.name)).unwrap();
        std::thread::scope(|scope| {
            let name = std::thread::current().name().unwrap_or("a test").to_owned();
            let thread = std::thread::Builder::new().name(name).spawn_scoped(scope, || {
                let network = rustix::thread::LinkNameSpaceType::Network;
                rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(network)).unwrap();
                work()
            });
            match thread.unwrap().join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// This program on the operator's machine, in the operator's directory.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("lab-{}-op", self.name), EXE]).args(words);
        command.current_dir(self.home.path()).stdin(Stdio::null());
        command.env("ETCDPKI_SSH_CONFIG", self.dir.join("ssh/config")).env("NO_COLOR", "1");
        command
    }

    pub fn tool(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// As [`Self::tool`]; it must succeed. Returns what it printed.
    pub fn done(&self, words: &[&str]) -> String {
        let output = self.tool(words);
        let (told, said) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{words:?}: {:?}\n{told}\n{said}", output.status.code());
        told
    }

    /// As [`Self::tool`] with `--json`; it must be refused. Returns the exit code, and the error's code, message and hint.
    pub fn refused(&self, words: &[&str]) -> (i32, String, String, String) {
        let output = self.tool(&[words, &["--json"]].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.lines().last().unwrap_or_default();
        let error = serde_json::from_str::<serde_json::Value>(last).unwrap_or_default()["error"].clone();
        let field = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        let seen = (output.status.code().unwrap_or(-1), field("code"), field("message"), field("hint"));
        assert!(!output.status.success() && !seen.1.is_empty(), "{words:?} was not refused: {text}");
        seen
    }

    /// A command as root on a host, without the tool.
    pub fn on(&self, host: &str, script: &str) -> String {
        let output = Command::new(LAB)
            .args(["ssh", "--name", &self.name, host, script])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{host}: {script}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn lab(&self, words: &[&str]) -> Output {
        Command::new(LAB).args(words).stdin(Stdio::null()).output().unwrap()
    }

    pub fn client_tls(&self) -> Arc<Tls> {
        let read = |name: &str| std::fs::read(self.home.path().join("pki").join(name)).unwrap();
        Arc::new(Tls::with_pair(&read("ca.pem"), &read("client.pem"), &read("client-key.pem")).unwrap())
    }

    pub fn anonymous_tls(&self) -> Arc<Tls> {
        Arc::new(Tls::new(&std::fs::read(self.home.path().join("pki/ca.pem")).unwrap()).unwrap())
    }

    /// A host's files.
    pub fn root(&self, host: u8) -> PathBuf {
        self.dir.join(format!("server{host}/root"))
    }

    /// What a migration may touch on a host: everything below /etc, and our own directory.
    pub fn tree(&self, host: u8) -> BTreeMap<PathBuf, Entry> {
        let root = self.root(host);
        let mut tree = BTreeMap::new();
        for dir in ["etc", "run/systemd/system", "lib/systemd/system"] {
            for entry in walkdir::WalkDir::new(root.join(dir)).into_iter().filter_map(Result::ok) {
                let path = entry.path().strip_prefix(&root).unwrap().to_owned();
                tree.insert(path, Entry::of(entry.path()));
            }
        }
        tree
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The API that the writers speak to a version.
fn api(version: &str) -> Api {
    Api::V3 { prefix: if version.starts_with("3.3.") { "/v3beta" } else { "/v3" } }
}

/// Ends the load and holds what every member has against what was acknowledged.
pub fn finish(lab: &Lab, load: Load, scheme: Scheme) -> Figures {
    let tls = (scheme == Scheme::Https).then(|| lab.client_tls());
    let keys = |at| {
        let url = format!("{scheme}://{at}:2379").parse().unwrap();
        // Tens of thousands of keys, from a member that may have been restarted a moment ago.
        let endpoint = Endpoint { timeout: Duration::from_secs(60), ..Endpoint::direct(url, tls.clone()) };
        let client = Client::new(endpoint).with_api(api(&lab.version));
        client.get_prefix(PREFIX).unwrap()
    };
    load.finish(|| lab.addresses().into_iter().map(keys).collect())
}

/// How often each of four writers writes where more would only keep the machine busy: forty writes a second in all.
pub const SLOW: Duration = Duration::from_millis(100);

/// Begins a load on all members: 100 writes a second where all is asked for, else 40, so that two labs share two cores.
pub fn start(lab: &Lab) -> Load {
    start_every(lab, if all() { PERIOD } else { SLOW })
}

/// The same, each of its writers writing so often.
pub fn start_every(lab: &Lab, period: Duration) -> Load {
    Load::start_every(period, &lab.addresses(), api(&lab.version)).unwrap()
}

/// A file or directory, to be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    mode: u32,
    owner: (u32, u32),
    bytes: Vec<u8>,
}

impl Entry {
    fn of(path: &Path) -> Self {
        let meta = path.symlink_metadata().unwrap();
        let bytes = if meta.is_file() {
            std::fs::read(path).unwrap_or_default()
        } else if meta.is_symlink() {
            std::fs::read_link(path).unwrap().to_string_lossy().into_owned().into_bytes()
        } else {
            Vec::new()
        };
        Self { mode: meta.permissions().mode(), owner: (meta.uid(), meta.gid()), bytes }
    }
}

/// The paths in which two trees differ.
pub fn differences(before: &BTreeMap<PathBuf, Entry>, after: &BTreeMap<PathBuf, Entry>) -> Vec<PathBuf> {
    let all: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    all.into_iter().filter(|path| before.get(*path) != after.get(*path)).cloned().collect()
}

/// Whether a listener answers; as whom it is asked is in `tls`.
pub fn answers(at: Ipv4Addr, scheme: Scheme, port: u16, tls: Option<&Arc<Tls>>) -> Result<(), String> {
    let url = MemberUrl::new(scheme, std::net::SocketAddr::new(at.into(), port).into());
    let client = Client::new(Endpoint::direct(url, tls.cloned()));
    client.version().map(drop).map_err(|error| error.to_string())
}

/// Why there can be no lab here.
fn cannot() -> Option<String> {
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !root {
        return Some("a lab of real hosts needs root".to_owned());
    }
    let missing = |program: &&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        !std::env::split_paths(&path).any(|dir| dir.join(program).exists())
    };
    let programs = ["systemd-nspawn", "debootstrap", "ip", "ssh"];
    if let Some(program) = programs.iter().find(|program| missing(program)) {
        return Some(format!("a lab of real hosts needs {program}"));
    }
    let probe =
        Command::new("ip").args(["netns", "add", &format!("lab-probe-{}", std::process::id())]).output();
    let _ = Command::new("ip").args(["netns", "del", &format!("lab-probe-{}", std::process::id())]).output();
    match probe {
        Ok(output) if output.status.success() => None,
        _ => Some("a lab of real hosts needs network namespaces, which cannot be made here".to_owned()),
    }
}

/// Whether the long forms of the tests were asked for.
pub fn all() -> bool {
    std::env::var_os("ETCDPKI_TEST_ALL").is_some()
}
