//! Whether a unit works: it stays up, it answers, and nothing in its log is against it.

use std::time::{Duration, Instant};

use crate::host::Service as _;

use super::super::error::MigrateError;
use super::place::trouble;
use super::process::Process;
use super::proxy;
use super::stance::Kind;
use super::station::Station;

/// Up for so long is up: one that dies of its settings dies at once. So long back its log is looked at.
const STEADY: Duration = Duration::from_secs(2);

/// How long a station may take to work again, and how often it is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) most: Duration,
    pub(super) pause: Duration,
}

impl Station<'_> {
    pub(super) fn process(&self) -> Result<Option<Process>, MigrateError> {
        Process::of(&*self.place.host, self.unit()).map_err(|what| trouble(self.place, self.unit(), what))
    }

    /// Waits until nothing of late in its log is against it, and it answers where it is a proxy: while members restart, what
    /// reaches them says so.
    pub(super) fn is_well(&self, timeout: Duration) -> Result<(), MigrateError> {
        let end = Instant::now() + timeout;
        loop {
            let quiet = || self.complaint(STEADY).map_or(Ok(()), Err);
            let Err(why) = self.answers().and_then(|()| quiet()) else {
                return Ok(());
            };
            if Instant::now() >= end {
                return Err(trouble(self.place, self.unit(), why));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Waits until it stays up, and answers where it is a proxy.
    pub(super) fn works(&self, patience: Patience) -> Result<(), MigrateError> {
        let end = Instant::now() + patience.most;
        let mut since: Option<(Instant, String)> = None;
        loop {
            let process = self.process()?;
            let mut what = format!("{} is not running", self.unit());
            match process {
                Some(process) => match &since {
                    Some((start, identity)) if *identity == process.identity => {
                        what = "it does not stay up".to_owned();
                        if start.elapsed() >= STEADY {
                            let quiet = || self.complaint(STEADY).map_or(Ok(()), Err);
                            match self.answers().and_then(|()| quiet()) {
                                Ok(()) => return Ok(()),
                                Err(why) => what = why,
                            }
                        }
                    }
                    _ => since = Some((Instant::now(), process.identity)),
                },
                None => since = None,
            }
            if Instant::now() >= end {
                return Err(trouble(self.place, self.unit(), what));
            }
            std::thread::sleep(patience.pause);
        }
    }

    /// Whether a proxy answers a request that it must ask a member for; anything that is no proxy needs no answer.
    pub(super) fn answers(&self) -> Result<(), String> {
        match self.kind {
            Kind::V2Proxy => proxy::ask(self.place, self.at(), "/v2/keys/").map(drop),
            Kind::GrpcProxy => proxy::ask(self.place, proxy::grpc_listener(&self.base)?, "/health").map(drop),
            _ => Ok(()),
        }
    }

    /// What its log has said of etcd lately that a program that reaches it would not say.
    fn complaint(&self, lately: Duration) -> Option<String> {
        const WORDS: [&str; 7] = [
            "x509",
            "bad certificate",
            "connection refused",
            "cluster is unavailable",
            "no endpoints available",
            "client: etcd",
            "zero endpoints",
        ];
        if self.kind.is_proxy() {
            // It is asked, which says more.
            return None;
        }
        let since = self.place.host.clock().ok()?.checked_sub(lately)?;
        let lines = self.service.log_since(since).ok()?;
        let telling = |line: &&String| WORDS.iter().any(|word| line.contains(word));
        lines.iter().rfind(telling).map(|line| format!("its log says: {line}"))
    }
}
