//! Where the load's clients may find the members.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::etcd::Scheme;
use crate::etcd::client::{Api, Client, Endpoint};
use crate::etcd::ports;
use crate::etcd::tls::Tls;
use crate::rehearse::cluster::url;

/// What clients have been taught to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speak {
    /// Plain HTTP only.
    Http,
    /// TLS only, on the usual port or on the second one.
    Https,
    /// Whichever they are served.
    Both,
}

impl fmt::Display for Speak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Both => "http or https",
        })
    }
}

/// The endpoints that clients know, which may change while they run.
pub(super) struct Targets {
    addresses: Vec<Ipv4Addr>,
    api: Api,
    now: Mutex<(Speak, Option<Arc<Tls>>)>,
    generation: AtomicU64,
}

impl Targets {
    pub(super) fn new(addresses: Vec<Ipv4Addr>, api: Api) -> Self {
        Self { addresses, api, now: Mutex::new((Speak::Http, None)), generation: AtomicU64::new(0) }
    }

    /// Other endpoints from now on; returns their generation.
    pub(super) fn change(&self, speak: Speak, tls: Option<Arc<Tls>>) -> u64 {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = (speak, tls);
        self.generation.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Every endpoint a client may try, members in turn, each under one port before the next port.
    fn clients(&self, first: usize, timeout: Duration) -> (u64, Vec<Client>) {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.generation.load(Ordering::Acquire);
        let (speak, tls) = &*now;
        let (http, https) = ((Scheme::Http, ports::CLIENT), (Scheme::Https, ports::CLIENT));
        let second = (Scheme::Https, ports::TEMPORARY_HTTPS);
        let places: &[_] = match speak {
            Speak::Http => &[http],
            Speak::Https => &[https, second],
            Speak::Both => &[http, https, second],
        };
        let mut clients = Vec::new();
        for &(scheme, port) in places {
            for i in 0..self.addresses.len() {
                let address = self.addresses[(first + i) % self.addresses.len()];
                let tls = if scheme == Scheme::Https { tls.clone() } else { None };
                let endpoint = Endpoint { timeout, ..Endpoint::direct(url(address, scheme, port), tls) };
                clients.push(Client::keep_alive(endpoint).with_api(self.api));
            }
        }
        (generation, clients)
    }
}

/// One client's endpoints, the one it uses now, and which it tries next.
pub(super) struct Circle {
    clients: Vec<Client>,
    at: usize,
    first: usize,
    timeout: Duration,
    generation: u64,
}

impl Circle {
    /// The endpoints, beginning with the member of number `first`.
    pub(super) fn new(targets: &Targets, first: usize, timeout: Duration) -> Self {
        let (generation, clients) = targets.clients(first, timeout);
        Self { clients, at: 0, first, timeout, generation }
    }

    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Which generation of the targets it holds.
    pub(super) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether other endpoints are known by now.
    pub(super) fn is_outdated(&self, targets: &Targets) -> bool {
        self.generation != targets.generation.load(Ordering::Acquire)
    }

    /// Takes over other endpoints if there are; connections to the old ones are closed.
    pub(super) fn follow(&mut self, targets: &Targets) {
        if self.is_outdated(targets) {
            *self = Self::new(targets, self.first, self.timeout);
        }
    }

    pub(super) fn current(&self) -> &Client {
        &self.clients[self.at]
    }

    pub(super) fn advance(&mut self) {
        self.at = (self.at + 1) % self.clients.len();
    }
}
