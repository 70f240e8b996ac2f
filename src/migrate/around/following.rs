//! Proxies follow the members. v2 proxies ask for their peer and client URLs now and then, and are waited for. gRPC proxies
//! know all of their endpoints from the start, but try one that does not answer less and less often, up to every two
//! minutes: they are started again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::etcd::ports;
use crate::etcd::{ClientUrl, Scheme};
use crate::host::Service as _;
use crate::systemd::layers;

use super::super::clients;
use super::super::error::MigrateError;
use super::place::{Surroundings, trouble};
use super::stance::Kind;
use super::station::Station;
use super::ways::Ways;
use super::works::Patience;
use super::{find, proxy};

/// How often a v2 proxy asks, unless it is told otherwise, in milliseconds.
const INTERVAL: u64 = 30_000;

/// What a proxy may take beyond its interval.
const MARGIN: Duration = Duration::from_secs(15);

/// A pause between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// The proxies of a cluster's only member that is about to change what it speaks.
pub(in super::super) struct Followers<'a> {
    pub(super) proxies: Vec<Station<'a>>,
    pub(super) scheme: Scheme,
    pub(super) timeout: Duration,
}

impl Followers<'_> {
    /// Waits until the v2 proxies have learnt the member's next peer URL, so that they find it there after its restart.
    pub(in super::super) fn are_told(&self) -> Result<(), MigrateError> {
        let mut v2 = self.proxies.iter().filter(|proxy| proxy.kind == Kind::V2Proxy);
        v2.try_for_each(|proxy| proxy.has_learnt(self.scheme, self.timeout))
    }

    /// Has them ask at once where the member's clients are served now.
    pub(in super::super) fn ask_anew(&self) -> Result<(), MigrateError> {
        self.proxies.iter().try_for_each(|proxy| proxy.ask_anew(self.timeout))
    }
}

impl Surroundings {
    /// The proxies of a kind that run: those that the inventory names, and those on members' machines.
    pub(super) fn proxies(&self, kind: Kind, ways: &Ways) -> Result<Vec<Station<'_>>, MigrateError> {
        let mut found = Vec::new();
        for place in &self.places {
            let stations = find::stations(place, &ways.known(place))?;
            found.extend(stations.into_iter().filter(|station| station.kind == kind && !station.new));
        }
        Ok(found)
    }

    /// The processes of proxies that run on members' machines, each with the machine's name.
    pub(super) fn proxy_processes(&self, ways: &Ways) -> Result<BTreeSet<(String, u32)>, MigrateError> {
        let mut found = BTreeSet::new();
        for place in self.places.iter().filter(|place| place.member_unit.is_some()) {
            for proxy in find::stations(place, &ways.known(place))?.iter().filter(|it| it.kind.is_proxy()) {
                found.extend(proxy.service.running()?.map(|process| (place.name.clone(), process.pid)));
            }
        }
        Ok(found)
    }
}

impl Station<'_> {
    /// How a setting of its etcd stands now, ours included.
    fn setting(&self, flag: &str) -> Option<String> {
        layers::config(&self.service.definition().ok()?).ok()?.get(flag).map(str::to_owned)
    }

    /// The plain-text listeners of a v2 proxy.
    fn listeners(&self) -> Vec<ClientUrl> {
        let urls = self.setting("listen-client-urls").unwrap_or_default();
        let urls = ClientUrl::list(&urls).unwrap_or_default();
        urls.into_iter().filter(|url| url.scheme() == Scheme::Http).collect()
    }

    /// Where a v2 proxy is asked on its own machine.
    pub(super) fn at(&self) -> SocketAddr {
        let at = |url: &ClientUrl| {
            let ip = url.at().ip()?;
            Some(SocketAddr::new(
                if ip.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { ip },
                url.at().port(),
            ))
        };
        self.listeners()
            .iter()
            .find_map(at)
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], ports::CLIENT)))
    }

    /// How long it may take until a v2 proxy has asked again.
    fn interval(&self) -> Duration {
        let told = self.setting("proxy-refresh-interval").and_then(|text| text.parse().ok());
        Duration::from_millis(told.unwrap_or(INTERVAL)) + MARGIN
    }

    fn wait(
        &self,
        timeout: Duration,
        mut look: impl FnMut() -> Result<(), String>,
    ) -> Result<(), MigrateError> {
        let end = Instant::now() + timeout.max(self.interval());
        loop {
            let Err(why) = look() else { return Ok(()) };
            if Instant::now() >= end {
                return Err(trouble(self.place, self.unit(), why));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until a v2 proxy lists a member's client URL of a scheme, and answers a request that it must pass on.
    pub(super) fn knows(&self, scheme: Scheme, timeout: Duration) -> Result<(), MigrateError> {
        let at = self.at();
        self.wait(timeout, || {
            let body = proxy::ask(self.place, at, "/v2/config/local/proxy")?;
            if !body.contains(&format!("\"{scheme}://")) {
                return Err(format!("it knows no member by {scheme}: {}", body.trim()));
            }
            self.answers()
        })
    }

    /// Waits until a v2 proxy has learnt a peer URL of a scheme: it keeps them in a file. From then on it asks there, and
    /// finds nobody until the member speaks that scheme.
    fn has_learnt(&self, scheme: Scheme, timeout: Duration) -> Result<(), MigrateError> {
        let dir = self.setting("data-dir").unwrap_or_default();
        let file = Path::new(&dir).join("proxy/cluster");
        self.wait(timeout, || {
            let image = self.place.host.read(&file).map_err(|error| error.to_string())?;
            let text =
                image.map(|image| String::from_utf8_lossy(&image.bytes).into_owned()).unwrap_or_default();
            match text.contains(&format!("\"{scheme}://")) {
                true => Ok(()),
                false => Err(format!(
                    "it has not learnt a peer URL by {scheme}: {}: {}",
                    file.display(),
                    text.trim()
                )),
            }
        })
    }

    /// Starts a proxy again, so that it asks or dials at once.
    pub(super) fn ask_anew(&self, timeout: Duration) -> Result<(), MigrateError> {
        self.service.restart()?;
        self.works(Patience { most: timeout, pause: Duration::from_millis(200) })
    }

    /// Who would be cut off when a proxy listens on the loopback address alone: whoever reaches it by another.
    pub(super) fn outside(&self) -> Result<Vec<String>, MigrateError> {
        if self.place.member_unit.is_some() {
            return Ok(Vec::new());
        }
        let open = |url: &ClientUrl| !url.at().ip().is_some_and(|ip| ip.is_loopback());
        let ports: Vec<u16> =
            self.listeners().iter().filter(|url| open(url)).map(|url| url.at().port()).collect();
        if ports.is_empty() {
            return Ok(Vec::new());
        }
        let mut seen: BTreeMap<(String, u16), usize> = BTreeMap::new();
        for look in 0..clients::LOOKS {
            if look > 0 {
                std::thread::sleep(clients::BETWEEN);
            }
            let mut now: BTreeMap<(String, u16), usize> = BTreeMap::new();
            let loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
            for connection in self.place.host.connections(&ports)?.iter().filter(|c| !loopback(c.local.ip()))
            {
                *now.entry((clients::who(connection), connection.local.port())).or_default() += 1;
            }
            for (client, count) in now {
                let most = seen.entry(client).or_default();
                *most = count.max(*most);
            }
        }
        let line = |((who, port), count): (&(String, u16), &usize)| {
            let name = &self.place.name;
            let plural = if *count == 1 { "" } else { "s" };
            format!(
                "{who} on port {port} of {name} ({count} connection{plural}; a v2 proxy that is about to listen on the \
                 loopback address alone: give it a proxy of its own, or the members' https)"
            )
        };
        Ok(seen.iter().map(line).collect())
    }
}
