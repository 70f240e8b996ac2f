//! One who dials every member at the peer URL that the members list tells, again and again, as the other members would:
//! is it served?

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::cluster::{PEER_PORT, SECOND_PEER_PORT, url};
use crate::etcd::client::{Client, Endpoint};
use crate::etcd::tls::Tls;
use crate::etcd::{Fault, MemberList, PeerUrl, Scheme};

/// Between two looks at all members.
const PAUSE: Duration = Duration::from_millis(40);
/// How long one dial may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// A member that stops closes one peer port after the other; one that answers on another port for longer than this has not
/// stopped.
const STOPPING: Duration = Duration::from_secs(5);

/// What was seen of peer URLs.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct PeerFigures {
    /// How often a peer URL was dialled.
    pub looks: u64,
    /// How often it was not served although its member served peers otherwise: in another scheme, or on another port.
    pub unserved: u64,
    /// How often nothing was served, or nothing to the end: its member was restarting.
    pub restarting: u64,
    /// The first URL that was not served.
    pub first: Option<String>,
}

/// A running watch. Dropping it stops it.
#[derive(Debug)]
pub struct PeerWatch {
    stop: Arc<AtomicBool>,
    figures: Arc<Mutex<PeerFigures>>,
    thread: Option<JoinHandle<()>>,
}

impl PeerWatch {
    /// Watches the members at these addresses, with a pair that their peer ports take.
    pub fn start(addresses: &[Ipv4Addr], tls: Arc<Tls>) -> Self {
        let (stop, figures) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (ends, told) = (Arc::clone(&stop), Arc::clone(&figures));
        let addresses = addresses.to_vec();
        let thread = std::thread::spawn(move || {
            let mut watcher = Watcher { addresses, tls, refused: BTreeMap::new() };
            while !ends.load(Ordering::Relaxed) {
                watcher.look(&told);
                std::thread::sleep(PAUSE);
            }
        });
        Self { stop, figures, thread: Some(thread) }
    }

    /// What was seen so far.
    pub fn so_far(&self) -> PeerFigures {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops; returns what was seen.
    pub fn finish(mut self) -> PeerFigures {
        self.end();
        self.so_far()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for PeerWatch {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a dial at a peer URL came to.
enum Seen {
    Served,
    Unserved,
    Restarting,
}

struct Watcher {
    addresses: Vec<Ipv4Addr>,
    tls: Arc<Tls>,
    /// Since when a URL is refused while its member serves peers on another port.
    refused: BTreeMap<String, Instant>,
}

impl Watcher {
    fn look(&mut self, figures: &Mutex<PeerFigures>) {
        let Some(list) = self.list() else { return };
        for member in &list.members {
            for text in &member.peer_urls {
                let Ok(url) = text.parse::<PeerUrl>() else { continue };
                let Some(seen) = self.dial(&url) else { continue };
                let mut figures = figures.lock().unwrap_or_else(PoisonError::into_inner);
                figures.looks += 1;
                match seen {
                    Seen::Served => {}
                    Seen::Restarting => figures.restarting += 1,
                    Seen::Unserved => {
                        figures.unserved += 1;
                        figures.first.get_or_insert_with(|| format!("{text} of {}", member.name));
                    }
                }
            }
        }
    }

    /// None where the list has changed meanwhile: nobody is to look for it there any more.
    fn dial(&mut self, url: &PeerUrl) -> Option<Seen> {
        let text = url.to_string();
        let Err(fault) = self.ask(url) else {
            self.refused.remove(&text);
            return Some(Seen::Served);
        };
        let other = if url.scheme() == Scheme::Http { Scheme::Https } else { Scheme::Http };
        let mut seen = Seen::Restarting;
        if fault == Fault::Refused {
            let port = if url.at().port() == PEER_PORT { SECOND_PEER_PORT } else { PEER_PORT };
            let beside = |scheme| PeerUrl::new(scheme, url.at().with_port(port));
            let up =
                [Scheme::Http, Scheme::Https].into_iter().any(|scheme| self.ask(&beside(scheme)).is_ok());
            let since = *self.refused.entry(text.clone()).or_insert_with(Instant::now);
            if !up {
                self.refused.remove(&text);
            } else if since.elapsed() > STOPPING {
                seen = Seen::Unserved;
            }
        } else if self.ask(&url.with_scheme(other)).is_ok() {
            seen = Seen::Unserved;
        }
        self.is_told(url, &text).then_some(seen)
    }

    /// Whether every other member that answers tells it. One that was restarted tells what its log once said until it
    /// has read it to the end (seen with 3.5.30), so a single one proves nothing; and none dials itself.
    fn is_told(&self, url: &PeerUrl, text: &str) -> bool {
        let own = url.at().ip();
        let is_other = |address: &&Ipv4Addr| self.addresses.len() == 1 || own != Some((**address).into());
        let mut lists =
            self.addresses.iter().filter(is_other).filter_map(|&address| self.list_of(address)).peekable();
        lists.peek().is_some()
            && lists.all(|list| {
                list.members.iter().any(|member| member.peer_urls.iter().any(|told| told == text))
            })
    }

    fn ask(&self, url: &PeerUrl) -> Result<(), Fault> {
        self.client(url).version().map(drop).map_err(|error| error.fault)
    }

    fn client(&self, url: &PeerUrl) -> Client {
        let tls = (url.scheme() == Scheme::Https).then(|| Arc::clone(&self.tls));
        Client::new(Endpoint { timeout: PATIENCE, ..Endpoint::direct(url.clone(), tls) })
    }

    /// The members list of the first that tells it.
    fn list(&self) -> Option<MemberList> {
        self.addresses.iter().find_map(|&address| self.list_of(address))
    }

    /// The members list as one member tells it on a peer port: whoever asked on a client port would be one of the clients
    /// that have to move.
    fn list_of(&self, address: Ipv4Addr) -> Option<MemberList> {
        let ways = [(Scheme::Https, PEER_PORT), (Scheme::Http, PEER_PORT), (Scheme::Http, SECOND_PEER_PORT)];
        ways.iter().find_map(|&(scheme, port)| self.client(&url(address, scheme, port)).peer_members().ok())
    }
}
