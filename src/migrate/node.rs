//! A member as it is reached: its host, the service that runs etcd there, its certificates, and its API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::etcd::client::{Login, User};
use crate::etcd::ports;
use crate::etcd::{Client, ClientUrl, DialFrom, Endpoint, Scheme, Tls, Url};
use crate::host::{Host, Service};

use super::error::MigrateError;
use super::settings::Settings;

/// How long a call of a gate or an observation may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A member's pair, and the CA it is judged by.
#[derive(Clone)]
pub struct Pair {
    /// The certificate file: leaf first.
    pub cert_pem: Vec<u8>,
    /// The private key.
    pub key_pem: Zeroizing<Vec<u8>>,
    /// The CA file.
    pub ca_pem: Vec<u8>,
    /// The PKI directory's CA, up to its root; none where the pair was made elsewhere.
    pub issuer: Option<Vec<u8>>,
}

/// A member as it is reached.
pub struct Node {
    /// Its name: etcd's `--name`, the inventory's, and its certificate's.
    pub name: String,
    /// Its machine.
    pub host: Arc<dyn Host>,
    /// The unit that runs etcd there.
    pub service: Box<dyn Service>,
    /// Where its certificates go.
    pub ssl_dir: PathBuf,
    /// Its pair; none when it has not been issued.
    pub pair: Option<Pair>,
    /// What it takes to speak TLS to members: the pair as a client.
    pub tls: Option<Arc<Tls>>,
    /// Who speaks, where etcd's authentication is on: one login for all calls.
    login: Option<Login>,
}

impl Node {
    /// A member; its pair is checked.
    ///
    /// # Errors
    /// [`MigrateError::NoPair`] when key, certificate and CA are not usable together.
    pub fn new(
        name: &str,
        host: Arc<dyn Host>,
        service: Box<dyn Service>,
        ssl_dir: PathBuf,
        pair: Option<Pair>,
    ) -> Result<Self, MigrateError> {
        let tls = match &pair {
            None => None,
            Some(pair) => {
                let tls = Tls::with_pair(&pair.ca_pem, &pair.cert_pem, &pair.key_pem);
                Some(Arc::new(tls.map_err(|error| MigrateError::NoPair {
                    member: name.to_owned(),
                    what: format!("its pair in the PKI directory is not usable: {error}"),
                })?))
            }
        };
        Ok(Self { name: name.to_owned(), host, service, ssl_dir, pair, tls, login: None })
    }

    /// The same, speaking as a user of etcd's authentication.
    #[must_use]
    pub fn speaking_as(self, user: User) -> Self {
        Self { login: Some(Login::new(user)), ..self }
    }

    /// Whom it is spoken to as, if as anybody.
    pub fn user(&self) -> Option<&User> {
        self.login.as_ref().map(Login::user)
    }

    /// A client of the URL, dialled from this member's machine.
    pub fn client<Side>(&self, url: &Url<Side>) -> Client {
        let client = Client::new(Endpoint {
            url: url.to_member_url(),
            tls: self.tls.clone(),
            dial: Arc::new(DialFrom(Arc::clone(&self.host))),
            timeout: PATIENCE,
        });
        match &self.login {
            Some(login) => client.with_login(login),
            None => client,
        }
    }

    /// The listeners of these settings as this machine reaches them, those that ask least of us first: plain text
    /// on the loopback port, plain text, TLS.
    pub fn client_urls(&self, settings: &Settings) -> Vec<ClientUrl> {
        let listen = settings.get("listen-client-urls").map_or("", String::as_str);
        let mut urls: Vec<_> =
            ClientUrl::list(listen).unwrap_or_default().iter().map(|url| self.reachable(url)).collect();
        urls.sort_by_key(|url| (url.scheme(), url.at().port() != ports::LEGACY));
        urls
    }

    /// A listener as this machine reaches it: an address that stands for all becomes the loopback one.
    pub fn reachable(&self, url: &ClientUrl) -> ClientUrl {
        match url.at().ip() {
            Some(ip) if ip.is_unspecified() => {
                let at = SocketAddr::new(self.host.loopback(), url.at().port());
                ClientUrl::new(url.scheme(), at.into())
            }
            _ => url.clone(),
        }
    }

    /// The https listeners of these settings as this machine reaches them.
    pub fn https_urls(&self, settings: &Settings) -> Vec<ClientUrl> {
        let mut urls = self.client_urls(settings);
        urls.retain(|url| url.scheme() == Scheme::Https);
        urls
    }
}

/// Does something for every node, by its place, at once; the first error wins.
pub(super) fn in_parallel<T: Send>(
    nodes: &[Node],
    work: impl Fn(usize, &Node) -> Result<T, MigrateError> + Sync,
) -> Result<Vec<T>, MigrateError> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            nodes.iter().enumerate().map(|(i, node)| scope.spawn(move || work(i, node))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a look at a host does not panic")).collect()
    })
}
