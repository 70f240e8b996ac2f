//! Fixtures, made fresh by `fixtures/make.sh`, and a real etcd to show them to.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "a module of a test")]
#![allow(clippy::disallowed_methods, reason = "a test's own files")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

pub mod triggers;

use std::cell::RefCell;
use std::fs::File;
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use etcd_pki::host::command::command;
use etcd_pki::verify::{CrlFile, GoVersion, Judgement, Request, Role, Sides, judge};

/// The fixtures' directory: made once in a process, removed with it.
pub fn fixtures() -> &'static Path {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/make.sh");
        let made = command("bash").arg(script).arg(dir.path()).output().unwrap();
        assert!(made.status.success(), "fixtures/make.sh: {}", String::from_utf8_lossy(&made.stderr));
        dir
    })
    .path()
}

/// A fixture's file.
pub fn fixture(name: &str, file: &str) -> PathBuf {
    fixtures().join(name).join(file)
}

/// How a fixture is judged.
#[derive(Clone, Copy)]
pub struct How<'a> {
    pub role: Role,
    pub hosts: &'a [&'a str],
    pub source_ip: Option<&'a str>,
    pub client_cert_auth: bool,
    pub sides: Sides,
    /// The fixture whose revocation list etcd has.
    pub crl: Option<&'a str>,
    pub go: GoVersion,
}

impl How<'_> {
    pub fn new(role: Role) -> Self {
        Self {
            role,
            hosts: &[],
            source_ip: None,
            client_cert_auth: false,
            sides: Sides::Both,
            crl: None,
            go: GoVersion::NEWEST,
        }
    }
}

/// Judges a fixture.
pub fn judge_fixture(name: &str, how: &How<'_>) -> Judgement {
    let read = |file: &str| std::fs::read(fixture(name, file)).unwrap();
    let (chain, key, ca) = (read("cert.pem"), read("key.pem"), read("ca.pem"));
    let hosts: Vec<String> = how.hosts.iter().map(|&host| host.to_owned()).collect();
    let etcd = if how.go < GoVersion::new(24, 0) { "3.4" } else { "3.5" };
    let crl = how.crl.map(|name| CrlFile::read(&fixture(name, "crl.pem"), etcd.parse().ok()).unwrap());
    judge(&Request {
        key: Some(&key),
        crl: crl.as_ref(),
        sides: how.sides,
        hosts: &hosts,
        source_ip: how.source_ip.map(|ip| ip.parse::<IpAddr>().unwrap()),
        client_cert_auth: how.client_cert_auth,
        go: how.go,
        ..Request::new(&chain, &ca, how.role)
    })
}

/// The Go that the etcd in use was built with, and its settings; `None` where there is no etcd.
pub fn etcd_go() -> Option<GoVersion> {
    let script = "program=$(command -v \"$1\") && \"$program\" --version && \
                  { LC_ALL=C grep -a -o -m 1 'DefaultGODEBUG=[a-zA-Z0-9=,]*' \"$program\" || :; }";
    let program = PROGRAM.with_borrow(Clone::clone);
    let output = command("sh").args(["-c", script, "sh"]).arg(program).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let go: GoVersion = field("Go Version: ")?.trim().parse().ok()?;
    let go = go.with_godebug(field("DefaultGODEBUG=").unwrap_or_default());
    Some(GODEBUG.with_borrow(|settings| go.with_godebug(settings)))
}

thread_local! {
    static PROGRAM: RefCell<PathBuf> = RefCell::new("etcd".into());
    static GODEBUG: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The etcd in use: the one in PATH, unless [`with_etcd`] plays with another one.
pub fn etcd() -> Command {
    told(PROGRAM.with_borrow(|program| command(program)))
}

/// With the settings in use, in its environment.
fn told(mut program: Command) -> Command {
    GODEBUG.with_borrow(|settings| {
        if !settings.is_empty() {
            program.env("GODEBUG", settings);
        }
    });
    program
}

/// Does something with the etcd in use whose environment has settings for Go.
pub fn with_settings(settings: &str, act: impl FnOnce()) {
    GODEBUG.set(settings.to_owned());
    act();
    GODEBUG.take();
}

/// Does something with a fetched etcd, where it is here; whether it is.
pub fn with_etcd(version: &str, act: impl FnOnce()) -> bool {
    let is_here = fetched(version).exists();
    if is_here {
        PROGRAM.set(fetched(version));
        act();
        PROGRAM.set("etcd".into());
    }
    is_here
}

/// Does something with the etcd in PATH, 3.4 as Debian 12 has it, and with those of later Debians that
/// `tests/etcd-versions.sh` has fetched: 3.5.16 (Go 1.24), in the long form 3.5.30 (Go 1.26) as well.
pub fn on_each_etcd(act: impl Fn()) {
    act();
    let long = std::env::var_os("ETCDPKI_TEST_ALL").is_some();
    for version in if long { &["3.5.16", "3.5.30"][..] } else { &["3.5.16"] } {
        with_etcd(version, &act);
    }
}

/// Whether a 3.5 is here.
pub fn newest_is_here() -> bool {
    fetched("3.5.16").exists()
}

/// etcd's client, of the same build as the etcd in use.
pub fn etcdctl() -> Command {
    told(PROGRAM.with_borrow(|program| command(program.with_file_name("etcdctl"))))
}

fn fetched(version: &str) -> PathBuf {
    let store = std::env::var_os("ETCD_VERSIONS_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/etcd"), PathBuf::from);
    store.join(version).join("usr/bin/etcd")
}

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A running single-member etcd; killed when dropped.
pub struct Etcd {
    child: Child,
    dir: tempfile::TempDir,
    pub client_port: u16,
    pub peer_port: u16,
}

impl Etcd {
    /// Starts it with these further options; `Err` is the log of one that ended by itself.
    pub fn start(options: &[String]) -> Result<Self, String> {
        // A port that was free may be somebody else's by now.
        let taken = |log: &String| log.contains("address already in use");
        let mut tried = (0..5).map(|_| Self::start_once(options));
        let last = tried.find(|tried| !tried.as_ref().err().is_some_and(taken));
        last.unwrap_or_else(|| panic!("no port stays free"))
    }

    fn start_once(options: &[String]) -> Result<Self, String> {
        let dir = tempfile::tempdir().unwrap();
        let (client_port, peer_port) = (free_port(), free_port());
        let client = format!("https://127.0.0.1:{client_port}");
        let peer = if options.iter().any(|option| option.starts_with("--peer-cert-file")) {
            "https"
        } else {
            "http"
        };
        let peer = format!("{peer}://127.0.0.1:{peer_port}");
        let log = File::create(dir.path().join("log")).unwrap();
        let child = etcd()
            .args(["--name", "m1", "--data-dir"])
            .arg(dir.path().join("data"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("m1={peer}")])
            .args(options)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut etcd = Self { child, dir, client_port, peer_port };
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if etcd.child.try_wait().unwrap().is_some() {
                return Err(etcd.log());
            }
            // The last thing that it says once its pair is in use; 3.4 in the first words, 3.5 in the second.
            let log = etcd.log();
            if ["client requests on", "serving client traffic"].iter().any(|words| log.contains(words)) {
                return Ok(etcd);
            }
            assert!(Instant::now() < deadline, "etcd does not come up:\n{}", etcd.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it has logged, without the backslashes of quoted quotes.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap().replace('\\', "")
    }

    /// Waits until the log contains these words.
    pub fn log_says(&self, words: &str) -> bool {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if self.log().contains(words) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a client to its end, for at most ten seconds; what it printed on both streams.
pub fn output_of(mut client: Command) -> String {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut child = client.stdout(log.reopen().unwrap()).stderr(log.reopen().unwrap()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    String::from_utf8_lossy(&std::fs::read(log.path()).unwrap()).into_owned()
}
