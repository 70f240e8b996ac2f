//! The etcd settings that each stage needs: pure functions of what the member would run with if this tool had never been
//! there.

use std::net::IpAddr;
use std::path::Path;

use crate::etcd::flags::default_of;
use crate::etcd::ports;
use crate::etcd::types::{ClientSide, PeerSide, dedup, join, with_scheme};
use crate::etcd::{ClientUrl, Scheme, Url, UrlError};
use crate::inventory::pair_files::{self, CA_FILE};
use crate::systemd::drop_ins;

use super::settings::{Settings, differences};
use super::stage::Stage;

/// Where etcd sees its certificates in Container Linux' container.
pub(super) const CONTAINED_SSL_DIR: &str = "/etc/ssl/certs";

/// The flag with the client URLs that others are told.
const ADVERTISED: &str = "advertise-client-urls";

/// How the stages are made, as the operator wants it.
#[derive(Debug, Clone, Copy)]
pub struct Wishes {
    /// Clients must show a certificate.
    pub client_auth: bool,
    /// https shares the client port with http where the version can.
    pub shared_port: bool,
}

/// What the stages of one member are made from.
#[derive(Debug, Clone)]
pub struct Recipe<'a> {
    /// The relevant settings without our layers, defaults filled in.
    pub base: &'a Settings,
    /// The directory of the certificates on the machine.
    pub ssl_dir: &'a Path,
    /// etcd runs in Container Linux' container.
    pub contained: bool,
    /// The name of its pair there.
    pub pair: &'a str,
    /// The address only this machine reaches.
    pub loopback: IpAddr,
    /// Whether http and https may share a client port on this version.
    pub shared_port: bool,
    /// Whether clients must show a certificate.
    pub client_auth: bool,
}

/// Whether one client address may serve http and https together without the data race that was fixed in etcd
/// 3.4.25 and 3.5.8.
pub fn can_share_port(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version = [parts.next(), parts.next(), parts.next()].map(Option::unwrap_or_default);
    version >= [3, 5, 8] || ([3, 4, 25]..[3, 5, 0]).contains(&version)
}

impl Recipe<'_> {
    /// The relevant settings of a stage.
    ///
    /// # Errors
    /// [`UrlError`] when a URL in the base is not well formed.
    pub fn settings(&self, stage: Stage) -> Result<Settings, UrlError> {
        let mut settings = self.base.clone();
        for layer in self.layers(stage)? {
            settings.extend(layer.1);
        }
        Ok(settings)
    }

    /// The layers that bring a stage about, by name: later ones win.
    ///
    /// # Errors
    /// [`UrlError`] when a URL in the base is not well formed.
    pub fn layers(&self, stage: Stage) -> Result<Vec<(&'static str, Settings)>, UrlError> {
        let mut layers = Vec::new();
        let plain = self.plain_client_urls()?;
        let legacy = self.legacy_as_before()?;
        if stage >= Stage::Loopback {
            let mut loopback = one("listen-client-urls", &dedup([plain.clone(), legacy.clone()].concat()));
            // etcd refuses listeners without an advertised URL, though it has a default for both.
            if self.base.get(ADVERTISED).map(String::as_str) == default_of(ADVERTISED) {
                loopback.extend(one(ADVERTISED, &self.urls::<ClientSide>(ADVERTISED)?));
            }
            layers.push((drop_ins::LOOPBACK, loopback));
        }
        if stage >= Stage::Certs {
            let mut certs = self.certificates();
            let beside = dedup([plain.clone(), self.https_beside(&plain), legacy].concat());
            certs.insert("listen-client-urls".into(), join(&beside));
            layers.push((drop_ins::CERTIFICATES, certs));
        }
        if stage >= Stage::Tls {
            let https = secured(&plain);
            let listen = if stage == Stage::Sealed { https } else { [https, vec![self.loopback()]].concat() };
            let mut tls = one("listen-client-urls", &listen);
            if self.base.contains_key(ADVERTISED) {
                tls.extend(one(ADVERTISED, &secured(&without_legacy(self.urls(ADVERTISED)?))));
            }
            for flag in ["listen-peer-urls", "initial-advertise-peer-urls"] {
                if self.base.contains_key(flag) {
                    tls.extend(one(flag, &secured::<PeerSide>(&self.urls(flag)?)));
                }
            }
            if let Some(cluster) = self.base.get("initial-cluster") {
                tls.insert("initial-cluster".into(), secured_cluster(cluster));
            }
            layers.push((drop_ins::TLS, tls));
        }
        Ok(layers)
    }

    fn urls<Side>(&self, flag: &str) -> Result<Vec<Url<Side>>, UrlError> {
        Url::list(self.base.get(flag).map_or("", String::as_str))
    }

    /// The base's client listeners without the legacy port.
    fn plain_client_urls(&self) -> Result<Vec<ClientUrl>, UrlError> {
        Ok(without_legacy(self.urls("listen-client-urls")?))
    }

    /// Who listens on the legacy port while HTTP is served: the loopback address, and whoever did before. Where it is open
    /// to others they keep it until their turn comes, in the second roll.
    fn legacy_as_before(&self) -> Result<Vec<ClientUrl>, UrlError> {
        let mut urls: Vec<ClientUrl> = self.urls("listen-client-urls")?;
        urls.retain(|url| url.at().port() == ports::LEGACY);
        if !urls.iter().any(|url| url.at().ip().is_some_and(|ip| ip.is_unspecified())) {
            urls.push(self.loopback());
        }
        Ok(urls)
    }

    fn loopback(&self) -> ClientUrl {
        ClientUrl::new(Scheme::Http, std::net::SocketAddr::new(self.loopback, ports::LEGACY).into())
    }

    fn https_beside(&self, plain: &[ClientUrl]) -> Vec<ClientUrl> {
        let free = |url: &&ClientUrl| url.scheme() == Scheme::Http;
        let urls = plain.iter().filter(free).map(|url| match self.shared_port {
            true => url.with_scheme(Scheme::Https),
            false => ClientUrl::new(Scheme::Https, url.at().with_port(ports::TEMPORARY_HTTPS)),
        });
        dedup(urls)
    }

    fn certificates(&self) -> Settings {
        let seen = if self.contained { Path::new(CONTAINED_SSL_DIR) } else { self.ssl_dir };
        let file = |name: &str| seen.join(name).to_string_lossy().into_owned();
        let mut settings = Settings::new();
        if self.contained {
            // No flag of etcd's: the wrapper reads `ETCD_SSL_DIR`.
            settings.insert("ssl-dir".into(), self.ssl_dir.to_string_lossy().into_owned());
        }
        for prefix in ["", "peer-"] {
            settings.insert(format!("{prefix}cert-file"), file(&pair_files::cert_file(self.pair)));
            settings.insert(format!("{prefix}key-file"), file(&pair_files::key_file(self.pair)));
            // A trusted CA alone already makes etcd demand certificates of clients (its `ServerConfig`).
            if self.client_auth || !prefix.is_empty() {
                settings.insert(format!("{prefix}trusted-ca-file"), file(CA_FILE));
                settings.insert(format!("{prefix}client-cert-auth"), "true".into());
            }
        }
        settings
    }
}

/// The same places, all of them https.
pub fn secured<Side>(urls: &[Url<Side>]) -> Vec<Url<Side>> {
    with_scheme(urls, Scheme::Https)
}

fn without_legacy(urls: Vec<ClientUrl>) -> Vec<ClientUrl> {
    // A member that serves the legacy port alone keeps its host, at the current port.
    if urls.iter().all(|url| url.at().port() == ports::LEGACY) {
        return dedup(urls.iter().map(|url| ClientUrl::new(url.scheme(), url.at().with_port(ports::CLIENT))));
    }
    urls.into_iter().filter(|url| url.at().port() != ports::LEGACY).collect()
}

fn secured_cluster(cluster: &str) -> String {
    cluster
        .split(',')
        .map(|entry| match entry.split_once("=http://") {
            Some((name, at)) => format!("{name}=https://{at}"),
            None => entry.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(",")
}

fn one<Side>(flag: &str, urls: &[Url<Side>]) -> Settings {
    Settings::from([(flag.to_owned(), join(urls))])
}

/// The highest stage whose settings a process runs with; none when it runs with something else.
///
/// # Errors
/// [`UrlError`] when a URL in the base is not well formed.
pub fn recognise(recipe: &Recipe<'_>, actual: &Settings) -> Result<Option<Stage>, UrlError> {
    for stage in Stage::ALL.into_iter().rev() {
        if differences(&recipe.settings(stage)?, actual).is_empty() {
            // One that served the loopback port before has nothing between plain HTTP and certificates.
            let nothing =
                stage == Stage::Loopback && differences(&recipe.settings(Stage::Plain)?, actual).is_empty();
            return Ok(Some(if nothing { Stage::Plain } else { stage }));
        }
    }
    Ok(None)
}

/// The stage with the fewest differences, and what they are.
pub(super) fn nearest(
    recipe: &Recipe<'_>,
    actual: &Settings,
) -> Result<(Stage, String), crate::etcd::UrlError> {
    let mut best = (Stage::Plain, differences(&recipe.settings(Stage::Plain)?, actual));
    for stage in Stage::ALL {
        let apart = differences(&recipe.settings(stage)?, actual);
        if apart.len() < best.1.len() {
            best = (stage, apart);
        }
    }
    let apart =
        best.1.iter().map(|(flag, wanted, actual)| format!("{flag}={actual:?} instead of {wanted:?}"));
    Ok((best.0, apart.collect::<Vec<_>>().join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(listen: &str) -> Settings {
        Settings::from([
            ("listen-client-urls".to_owned(), listen.to_owned()),
            ("advertise-client-urls".to_owned(), "http://172.16.0.101:2379".to_owned()),
            ("listen-peer-urls".to_owned(), "http://0.0.0.0:2380".to_owned()),
            ("initial-advertise-peer-urls".to_owned(), "http://172.16.0.101:2380".to_owned()),
        ])
    }

    fn recipe(base: &Settings, shared_port: bool) -> Recipe<'_> {
        Recipe {
            base,
            ssl_dir: Path::new("/etc/ssl/etcd"),
            contained: false,
            pair: "server1",
            loopback: "127.0.0.1".parse().unwrap(),
            shared_port,
            client_auth: true,
        }
    }

    #[test]
    fn it_ends_as_the_documents_do() {
        let base = base("http://0.0.0.0:2379,http://0.0.0.0:4001");
        let tls = recipe(&base, false).settings(Stage::Tls).unwrap();
        assert_eq!(tls["listen-client-urls"], "https://0.0.0.0:2379,http://127.0.0.1:4001");
        assert_eq!(tls["advertise-client-urls"], "https://172.16.0.101:2379");
        assert_eq!(tls["listen-peer-urls"], "https://0.0.0.0:2380");
        assert_eq!(tls["initial-advertise-peer-urls"], "https://172.16.0.101:2380");
        assert_eq!(tls["peer-key-file"], "/etc/ssl/etcd/server1-key.pem");
        let sealed = recipe(&base, false).settings(Stage::Sealed).unwrap();
        assert_eq!(sealed["listen-client-urls"], "https://0.0.0.0:2379");
    }

    #[test]
    fn one_with_nothing_but_defaults_is_told_what_to_advertise() {
        let base =
            [("listen-client-urls", 2379), ("advertise-client-urls", 2379), ("listen-peer-urls", 2380)];
        let base = base.map(|(flag, port)| (flag.to_owned(), format!("http://localhost:{port}"))).into();
        let recipe = recipe(&base, false);
        let first = &recipe.layers(Stage::Loopback).unwrap()[0].1;
        assert_eq!(first["listen-client-urls"], "http://localhost:2379,http://127.0.0.1:4001");
        assert_eq!(first["advertise-client-urls"], "http://localhost:2379");
        assert_eq!(recipe.settings(Stage::Tls).unwrap()["advertise-client-urls"], "https://localhost:2379");
    }

    #[test]
    fn a_container_is_told_which_directory_to_see_and_where_it_sees_it() {
        let base = base("http://0.0.0.0:2379");
        let certs = Recipe { contained: true, ..recipe(&base, false) }.settings(Stage::Certs).unwrap();
        assert_eq!(certs["ssl-dir"], "/etc/ssl/etcd");
        assert_eq!(certs["peer-key-file"], "/etc/ssl/certs/server1-key.pem");
    }

    #[test]
    fn https_stands_beside_http_until_clients_have_moved() {
        let base = base("http://0.0.0.0:2379");
        let listen =
            |shared| recipe(&base, shared).settings(Stage::Certs).unwrap()["listen-client-urls"].clone();
        assert_eq!(listen(true), "http://0.0.0.0:2379,https://0.0.0.0:2379,http://127.0.0.1:4001");
        assert_eq!(listen(false), "http://0.0.0.0:2379,https://0.0.0.0:2378,http://127.0.0.1:4001");
    }

    #[test]
    fn an_open_legacy_port_closes_to_others_when_http_does() {
        let base = base("http://0.0.0.0:2379,http://0.0.0.0:4001");
        let recipe = recipe(&base, false);
        let listen = |stage| recipe.settings(stage).unwrap()["listen-client-urls"].clone();
        assert_eq!(listen(Stage::Certs), "http://0.0.0.0:2379,https://0.0.0.0:2378,http://0.0.0.0:4001");
        assert_eq!(listen(Stage::Tls), "https://0.0.0.0:2379,http://127.0.0.1:4001");
    }

    #[test]
    fn one_that_served_the_loopback_port_before_is_plain() {
        let base = base("http://0.0.0.0:2379,http://127.0.0.1:4001");
        let recipe = recipe(&base, false);
        assert_eq!(recognise(&recipe, &base).unwrap(), Some(Stage::Plain));
    }

    #[test]
    fn every_stage_is_recognised_and_nothing_else() {
        let base = base("http://0.0.0.0:2379");
        let recipe = recipe(&base, true);
        for stage in Stage::ALL {
            let settings = recipe.settings(stage).unwrap();
            assert_eq!(recognise(&recipe, &settings).unwrap(), Some(stage));
        }
        let mut other = recipe.settings(Stage::Tls).unwrap();
        other.insert("client-cert-auth".into(), "false".into());
        assert_eq!(recognise(&recipe, &other).unwrap(), None);
    }

    #[test]
    fn the_versions_with_the_shared_port_fix() {
        for (version, can) in [
            ("3.3.25", false),
            ("3.4.23", false),
            ("3.4.25", true),
            ("3.5.1", false),
            ("3.5.8", true),
            ("3.6.0", true),
        ] {
            assert_eq!(can_share_port(version), can, "{version}");
        }
    }
}
