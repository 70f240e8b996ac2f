//! What is proved at the end, each point by asking the members, not by trusting the migration.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::cluster::{Cluster, url};
use super::load::PREFIX;
use crate::etcd::client::{Api, Client, Endpoint, KeyValue};
use crate::etcd::ports;
use crate::etcd::tls::Tls;
use crate::etcd::{EtcdError, Fault, MemberUrl, Scheme};
use crate::files::{self, FileError, FileImage};
use crate::host::{HostError, Service};

/// How long a member may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// The two kinds of clients the proof dials as.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Trusts the CA and shows the client certificate.
    pub with_pair: Arc<Tls>,
    /// Trusts the CA and shows nothing.
    pub without_pair: Arc<Tls>,
}

/// The members' files before anything was done, to be compared with what a rollback leaves.
#[derive(Debug)]
pub struct Before(Vec<Vec<(PathBuf, Option<FileImage>)>>);

impl Before {
    /// Reads what a rollback must leave as it is.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn of(cluster: &Cluster) -> Result<Self, FileError> {
        let mut all = Vec::new();
        for member in &cluster.members {
            let mut files = Vec::new();
            let mut paths = vec![member.dir.base_file(), member.dir.path().join("unit.toml")];
            for dir in [member.dir.layer_dir(), member.dir.ssl()] {
                paths.extend(files::list(&dir)?.into_iter().map(|name| dir.join(name)));
            }
            for path in paths {
                files.push((path.clone(), files::read(&path)?));
            }
            all.push(files);
        }
        Ok(Self(all))
    }
}

/// Proves that the cluster speaks mutual TLS; each returned line is something that is not as it should be.
pub fn of_https(cluster: &Cluster, clients: &Clients, api: Api) -> Vec<String> {
    let mut wrong = Vec::new();
    for member in &cluster.members {
        let mut check = Check { member: &member.name, address: member.address, wrong: &mut wrong };
        check.urls(Scheme::Https, Some(&clients.with_pair), api);
        check.answers(Scheme::Https, ports::CLIENT, Some(&clients.with_pair));
        check.answers(Scheme::Https, ports::PEER, Some(&clients.with_pair));
        check.answers(Scheme::Http, ports::LEGACY, None);
        for port in [ports::CLIENT, ports::PEER] {
            check.refuses("a client without a certificate", Scheme::Https, port, Some(&clients.without_pair));
            check.refuses("plain HTTP", Scheme::Http, port, None);
        }
        check.is_closed(ports::TEMPORARY_HTTPS);
    }
    wrong
}

/// Proves that the cluster is on plain HTTP as before and nothing of the migration is left.
pub fn of_http(cluster: &Cluster, clients: &Clients, api: Api, before: &Before) -> Vec<String> {
    let mut wrong = Vec::new();
    for (member, files) in cluster.members.iter().zip(&before.0) {
        let mut check = Check { member: &member.name, address: member.address, wrong: &mut wrong };
        check.urls(Scheme::Http, None, api);
        check.answers(Scheme::Http, ports::CLIENT, None);
        check.answers(Scheme::Http, ports::PEER, None);
        for port in [ports::CLIENT, ports::PEER] {
            check.refuses("TLS", Scheme::Https, port, Some(&clients.with_pair));
        }
        check.is_closed(ports::LEGACY);
        check.is_closed(ports::TEMPORARY_HTTPS);
        check.files(files, [member.dir.layer_dir(), member.dir.ssl()]);
        match member.host().map_err(|error| error.to_string()).and_then(|host| {
            let service = host.service();
            let told = |error: HostError| error.to_string();
            Ok((service.running().map_err(told)?, service.base().map_err(told)?))
        }) {
            Ok((Some(running), base)) if running.launch == base => {}
            Ok((Some(_), _)) => check.say("runs with other settings than before"),
            Ok((None, _)) => check.say("is down"),
            Err(what) => check.say(&what),
        }
    }
    wrong
}

/// What each member has of the load's keys.
///
/// # Errors
/// The first member's that cannot be asked.
pub fn keys(
    cluster: &Cluster,
    scheme: Scheme,
    tls: Option<&Arc<Tls>>,
    api: Api,
) -> Result<Vec<Vec<KeyValue>>, EtcdError> {
    let read = |address| client(address, scheme, ports::CLIENT, tls).with_api(api).get_prefix(PREFIX);
    cluster.members.iter().map(|member| read(member.address)).collect()
}

fn client(address: Ipv4Addr, scheme: Scheme, port: u16, tls: Option<&Arc<Tls>>) -> Client {
    Client::new(Endpoint { timeout: ANSWER, ..Endpoint::direct(url(address, scheme, port), tls.cloned()) })
}

struct Check<'a> {
    member: &'a str,
    address: Ipv4Addr,
    wrong: &'a mut Vec<String>,
}

impl Check<'_> {
    fn say(&mut self, what: &str) {
        self.wrong.push(format!("{}: {what}", self.member));
    }

    /// Every URL in the member list, as this member has it.
    fn urls(&mut self, scheme: Scheme, tls: Option<&Arc<Tls>>, api: Api) {
        let list = match client(self.address, scheme, ports::CLIENT, tls).with_api(api).members() {
            Ok(list) => list,
            Err(error) => return self.say(&format!("does not list the members: {error}")),
        };
        for member in list.members {
            for (kind, urls) in [("peer", &member.peer_urls), ("client", &member.client_urls)] {
                let is_right =
                    |text: &String| text.parse::<MemberUrl>().is_ok_and(|url| url.scheme() == scheme);
                if urls.is_empty() || !urls.iter().all(is_right) {
                    let urls = urls.join(",");
                    self.say(&format!("lists {}'s {kind} URLs as {urls:?}, not {scheme}", member.name));
                }
            }
        }
    }

    fn answers(&mut self, scheme: Scheme, port: u16, tls: Option<&Arc<Tls>>) {
        if let Err(error) = client(self.address, scheme, port, tls).version() {
            self.say(&format!("does not answer: {error}"));
        }
    }

    /// Refused by whoever listens there: that nobody listens, or nobody answers, proves nothing.
    fn refuses(&mut self, whom: &str, scheme: Scheme, port: u16, tls: Option<&Arc<Tls>>) {
        match client(self.address, scheme, port, tls).version() {
            Ok(_) => self.say(&format!("{scheme} port {port} answers {whom}")),
            Err(EtcdError {
                fault: Fault::Refused | Fault::Timeout | Fault::Unreachable { .. },
                url,
                ..
            }) => self.say(&format!("nothing answers on {url}, so that nothing refuses {whom}")),
            Err(_) => {}
        }
    }

    fn is_closed(&mut self, port: u16) {
        match client(self.address, Scheme::Http, port, None).version() {
            Err(EtcdError { fault: Fault::Refused, .. }) => {}
            _ => self.say(&format!("still listens on port {port}")),
        }
    }

    fn files(&mut self, before: &[(PathBuf, Option<FileImage>)], dirs: [PathBuf; 2]) {
        for (path, image) in before {
            match files::read(path) {
                Ok(now) if now == *image => {}
                Ok(_) => self.say(&format!("{} is not as it was", path.display())),
                Err(error) => self.say(&error.to_string()),
            }
        }
        for dir in dirs {
            for name in files::list(&dir).unwrap_or_default() {
                let path = dir.join(name);
                if !before.iter().any(|(was, _)| *was == path) {
                    self.say(&format!("{} was left behind", path.display()));
                }
            }
        }
    }
}
