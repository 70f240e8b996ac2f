//! The rehearsal from beginning to end.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::cluster::{self, Binary, Cluster};
use super::load::{Load, Speak};
use super::proof::{self, Before, Clients};
use super::scratch::Scratch;
use super::tool::{End, Tool};
use super::{Figures, RehearseError, Timeline};
use crate::etcd::Scheme;
use crate::etcd::client::{Api, Client, Endpoint};
use crate::etcd::ports;
use crate::etcd::tls::Tls;
use crate::files;

/// The client certificate's name.
const CLIENT: &str = "client";
/// How long the load runs before, between and after, so that there is something to compare with.
const BREATH: Duration = Duration::from_secs(2);
/// An interrupted migration is killed at most so long after its start.
const LONGEST_LEASH: Duration = Duration::from_millis(2000);

/// What is rehearsed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This program.
    pub exe: PathBuf,
    /// etcd.
    pub etcd: Binary,
    /// The members' addresses.
    pub addresses: Vec<Ipv4Addr>,
    /// Speak v2 to the cluster instead of the v3 gateway.
    pub v2: bool,
    /// Go back to HTTP afterwards.
    pub rollback: bool,
    /// Kill the migration so often, each time at a random moment.
    pub interrupt: u32,
    /// What the random moments come from.
    pub seed: u64,
    /// Where everything goes; a new directory below the system's temporary directory when absent.
    pub dir: Option<PathBuf>,
}

/// A cluster that was left running, and where things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The rehearsal's directory.
    pub dir: PathBuf,
    /// The PKI directory.
    pub pki: PathBuf,
    /// A member's client URL.
    pub url: String,
    /// Whether it speaks TLS.
    pub is_tls: bool,
}

/// A rehearsal: its cluster runs until this is dropped or kept.
#[derive(Debug)]
pub struct Rehearsal {
    // Dropped in this order: the load, the members, and only then their directory.
    load: Option<Load>,
    cluster: Cluster,
    scratch: Scratch,
    settings: Settings,
    api: Api,
    before: Before,
    random: Random,
    killed: u32,
    parts_left: u32,
    is_tls: bool,
}

impl Rehearsal {
    /// Starts the cluster and the load.
    ///
    /// # Errors
    /// [`RehearseError`]; nothing is left behind.
    pub fn start(
        settings: Settings,
        timeline: &Timeline<'_>,
        stop: &AtomicBool,
    ) -> Result<Self, RehearseError> {
        cluster::check_ports(&settings.addresses)?;
        let scratch = Scratch::new(settings.dir.as_deref())?;
        let (count, version) = (settings.addresses.len(), &settings.etcd.version);
        let (first, path) = (settings.addresses[0], scratch.path.display());
        timeline.phase(format!("starting {count} × etcd {version} from {first} on, in {path}"));
        let cluster = Cluster::start(
            &settings.exe,
            &scratch.path,
            &settings.etcd,
            &settings.addresses,
            settings.v2,
            stop,
        )?;
        let before = Before::of(&cluster)?;
        let api = if settings.v2 { Api::V2 } else { detect(&cluster)? };
        let load = Load::start(&settings.addresses, api).map_err(RehearseError::Load)?;
        timeline.phase("all healthy on plain HTTP; 4 writers (100 writes a second) and a watcher begin");
        let random = Random(settings.seed);
        let load = Some(load);
        let parts_left = if settings.rollback { 4 } else { 2 };
        Ok(Self {
            load,
            cluster,
            scratch,
            settings,
            api,
            before,
            random,
            killed: 0,
            parts_left,
            is_tls: false,
        })
    }

    /// Does it all; the figures are those of the whole way.
    ///
    /// # Errors
    /// [`RehearseError`]
    pub fn run(&mut self, timeline: &Timeline<'_>, stop: &AtomicBool) -> Result<Figures, RehearseError> {
        let exe = self.settings.exe.clone();
        let tool = Tool::new(&exe, timeline, stop);
        pause(BREATH, stop)?;
        let (dir, pki) = (self.scratch.path.clone(), self.pki());
        let inventory = dir.join("cluster.toml");
        self.cluster.write_inventory(&inventory, CLIENT)?;
        let (pki, inventory) = (text(&pki)?, text(&inventory)?);
        tool.run(&["init-ca", "--pki-dir", pki], None)?.expect(&[0])?;
        tool.run(&["issue", "--from", inventory, "--pki-dir", pki], None)?.expect(&[0])?;
        let clients = self.read_clients()?;

        let words = |way: &'static str| ["migrate", way, "--inventory", inventory, "--pki-dir", pki, "--yes"];
        let (apply, back) = (words("apply"), words("rollback"));
        let https = (Speak::Https, Some(Arc::clone(&clients.with_pair)));
        self.two_rolls(&tool, &apply, "plaintext-clients", https, timeline)?;
        self.is_tls = true;
        pause(BREATH, stop)?;
        proved(proof::of_https(&self.cluster, &clients, self.api))?;
        timeline
            .phase("proved: https everywhere, no certificate and plain HTTP refused, loopback 4001 answers");

        if self.settings.rollback {
            self.two_rolls(&tool, &back, "tls-clients", (Speak::Http, None), timeline)?;
            self.is_tls = false;
            pause(BREATH, stop)?;
            proved(proof::of_http(&self.cluster, &clients, self.api, &self.before))?;
            timeline.phase("proved: plain HTTP as before, every file as it was");
        }
        self.finish(&clients)
    }

    /// How the load fares so far.
    pub fn figures(&self) -> Figures {
        self.load.as_ref().map(Load::so_far).unwrap_or_default()
    }

    /// How often the migration was killed.
    pub const fn killed(&self) -> u32 {
        self.killed
    }

    /// Leaves the cluster running, without the load.
    ///
    /// # Errors
    /// [`RehearseError`] when a supervisor is gone.
    pub fn keep(mut self) -> Result<Kept, RehearseError> {
        self.load = None;
        let scheme = if self.is_tls { Scheme::Https } else { Scheme::Http };
        let url = self.cluster.members[0].url(scheme, ports::CLIENT).to_string();
        let kept = Kept { dir: self.scratch.path.clone(), pki: self.pki(), url, is_tls: self.is_tls };
        self.cluster
            .keep()
            .map_err(|error| RehearseError::Load(format!("cannot keep it running: {error}")))?;
        self.scratch.is_temporary = false;
        Ok(kept)
    }

    fn pki(&self) -> PathBuf {
        self.scratch.path.join("pki")
    }

    fn load(&self) -> &Load {
        self.load.as_ref().expect("it runs until it is finished")
    }

    fn read_clients(&self) -> Result<Clients, RehearseError> {
        let pki = self.pki();
        let read = |name: &str| -> Result<Vec<u8>, RehearseError> {
            let path = pki.join(name);
            let image = files::read(&path)?;
            Ok(image.ok_or(RehearseError::Directory { path, what: "was not made" })?.bytes)
        };
        let ca = read("ca.pem")?;
        let key = zeroize::Zeroizing::new(read(&format!("{CLIENT}-key.pem"))?);
        let pair = Tls::with_pair(&ca, &read(&format!("{CLIENT}.pem"))?, &key);
        let wrong = |error: crate::etcd::TlsError| RehearseError::Load(error.to_string());
        let without_pair = Arc::new(Tls::new(&ca).map_err(wrong)?);
        Ok(Clients { with_pair: Arc::new(pair.map_err(wrong)?), without_pair })
    }

    /// Runs the migration until it stops between its rolls because of the clients (`code`), moves them, and runs it
    /// again to its end.
    fn two_rolls(
        &mut self,
        tool: &Tool<'_>,
        words: &[&str],
        code: &str,
        (speak, tls): (Speak, Option<Arc<Tls>>),
        timeline: &Timeline<'_>,
    ) -> Result<(), RehearseError> {
        let first = self.persist(tool, words, timeline)?;
        match (first.exit, first.code.as_deref()) {
            (Some(1), Some(found)) if found == code => {}
            // It must not go on over the heads of its clients.
            (Some(0), _) => {
                return Err(RehearseError::Load("the migration did not wait for its clients".into()));
            }
            _ => return Err(first.failure()),
        }
        timeline.phase(format!("the clients are moved to {speak}"));
        self.load().move_to(speak, tls).map_err(RehearseError::Load)?;
        self.persist(tool, words, timeline)?.expect(&[0]).map(drop)
    }

    /// Runs the migration, killing it at random moments as often as is this part's share, until it ends by itself.
    fn persist(
        &mut self,
        tool: &Tool<'_>,
        words: &[&str],
        timeline: &Timeline<'_>,
    ) -> Result<End, RehearseError> {
        // Spread over the parts that are to come: two there, and two back if wanted.
        let mut share = (self.settings.interrupt - self.killed).div_ceil(self.parts_left.max(1));
        self.parts_left = self.parts_left.saturating_sub(1);
        loop {
            let leash = (share > 0).then(|| self.random.below(LONGEST_LEASH));
            let end = tool.run(words, leash)?;
            match leash {
                Some(leash) if end.exit.is_none() => {
                    timeline.phase(format!("killed it after {} ms, and run it again", leash.as_millis()));
                    (share, self.killed) = (share - 1, self.killed + 1);
                }
                _ => return Ok(end),
            }
        }
    }

    fn finish(&mut self, clients: &Clients) -> Result<Figures, RehearseError> {
        let load = self.load.take().expect("it runs until it is finished");
        let (scheme, tls) = match self.is_tls {
            true => (Scheme::Https, Some(&clients.with_pair)),
            false => (Scheme::Http, None),
        };
        let mut trouble = None;
        let figures = load.finish(|| {
            proof::keys(&self.cluster, scheme, tls, self.api).unwrap_or_else(|error| {
                trouble = Some(error);
                Vec::new()
            })
        });
        match trouble {
            Some(error) => Err(RehearseError::Load(format!("cannot read the keys back: {error}"))),
            None => Ok(figures),
        }
    }
}

/// SplitMix64: small, seeded, good enough to pick moments.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, longest: Duration) -> Duration {
        let micros = u64::try_from(longest.as_micros()).expect("a few seconds");
        Duration::from_micros(self.next() % micros)
    }
}

fn detect(cluster: &Cluster) -> Result<Api, RehearseError> {
    let url = cluster.members[0].url(Scheme::Http, ports::CLIENT);
    Client::new(Endpoint::direct(url, None)).api().map_err(|error| RehearseError::Load(error.to_string()))
}

fn pause(time: Duration, stop: &AtomicBool) -> Result<(), RehearseError> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if stop.load(Ordering::Relaxed) {
            return Err(RehearseError::Interrupted);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn proved(wrong: Vec<String>) -> Result<(), RehearseError> {
    if wrong.is_empty() { Ok(()) } else { Err(RehearseError::Proof(wrong)) }
}

fn text(path: &Path) -> Result<&str, RehearseError> {
    path.to_str().ok_or_else(|| RehearseError::Directory { path: path.to_owned(), what: "is not UTF-8" })
}
