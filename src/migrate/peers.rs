//! Where the other members find a member: at its peer URL in plain text, at the second port that `--strict` opens for
//! the while, or by https.

use std::collections::BTreeSet;

use crate::etcd::{PeerUrl, Scheme};

use super::settings::Settings;

/// How far above a peer port its second one is: 2382 beside 2380. 2379 is the clients', and 2381 is where kubeadm and
/// kubespray have etcd serve its metrics.
const ABOVE: u16 = 2;

/// What a member's peer URL says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerAt {
    /// Plain text, where it was before.
    Plain,
    /// Plain text on the second port.
    Second,
    /// https, where plain text was before.
    Https,
}

/// The ports on which a member's own settings have it listen to peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerPorts(BTreeSet<u16>);

impl PeerPorts {
    /// Those of the settings that the member would run with if this tool had never been there.
    pub fn of(base: &Settings) -> Self {
        let listen = base.get("listen-peer-urls").map_or("", String::as_str);
        let urls = PeerUrl::list(listen).unwrap_or_default();
        Self(urls.iter().map(|url| url.at().port()).collect())
    }

    /// What these peer URLs say together: they are moved together.
    pub fn at(&self, urls: &[PeerUrl]) -> PeerAt {
        let is = |scheme| urls.iter().all(|url| url.scheme() == scheme);
        if is(Scheme::Https) {
            PeerAt::Https
        } else if is(Scheme::Http) && urls.iter().all(|url| self.beside(url.at().port()).is_some()) {
            PeerAt::Second
        } else {
            PeerAt::Plain
        }
    }

    /// The same places, as they are to be said.
    pub fn urls(&self, urls: &[PeerUrl], at: PeerAt) -> Vec<PeerUrl> {
        let mut moved: Vec<PeerUrl> = Vec::with_capacity(urls.len());
        for url in urls {
            let own = self.beside(url.at().port()).unwrap_or(url.at().port());
            let (scheme, port) = match at {
                PeerAt::Plain => (Scheme::Http, own),
                PeerAt::Second => (Scheme::Http, second(own)),
                PeerAt::Https => (Scheme::Https, own),
            };
            let url = PeerUrl::new(scheme, url.at().with_port(port));
            if !moved.contains(&url) {
                moved.push(url);
            }
        }
        moved
    }

    /// Whether the member listens to peers where these URLs say: on a host whose ports are mapped it does not.
    pub fn cover(&self, urls: &[PeerUrl]) -> bool {
        let covered =
            |url: &PeerUrl| self.0.contains(&url.at().port()) || self.beside(url.at().port()).is_some();
        urls.iter().all(covered)
    }

    /// Whether one of these ports is needed for a second one.
    pub fn collide(&self, taken: impl IntoIterator<Item = u16>) -> Option<u16> {
        let wanted: BTreeSet<u16> = self.0.iter().map(|&port| second(port)).collect();
        taken.into_iter().chain(self.0.iter().copied()).find(|port| wanted.contains(port))
    }

    /// The port that this one is the second of.
    fn beside(&self, port: u16) -> Option<u16> {
        if self.0.contains(&port) { None } else { self.0.iter().copied().find(|&own| second(own) == port) }
    }
}

/// The second port of a peer port.
fn second(port: u16) -> u16 {
    port.checked_add(ABOVE).unwrap_or(port - ABOVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(listen: &str) -> PeerPorts {
        PeerPorts::of(&Settings::from([("listen-peer-urls".to_owned(), listen.to_owned())]))
    }

    fn urls(text: &str) -> Vec<PeerUrl> {
        PeerUrl::list(text).unwrap()
    }

    #[test]
    fn a_peer_url_goes_to_the_second_port_to_https_and_back() {
        let ports = ports("http://0.0.0.0:2380,http://0.0.0.0:7001");
        let plain = urls("http://a:2380,http://a:7001");
        let second = ports.urls(&plain, PeerAt::Second);
        assert_eq!(second, urls("http://a:2382,http://a:7003"));
        let https = ports.urls(&second, PeerAt::Https);
        assert_eq!(https, urls("https://a:2380,https://a:7001"));
        for (at, these) in [(PeerAt::Plain, &plain), (PeerAt::Second, &second), (PeerAt::Https, &https)] {
            assert_eq!(ports.at(these), at);
            assert_eq!(ports.urls(these, PeerAt::Plain), plain);
            assert_eq!(ports.urls(these, PeerAt::Second), second);
            assert_eq!(ports.urls(these, PeerAt::Https), https);
        }
        // Half moved by hand: they are brought together.
        let mixed = urls("http://a:2382,https://a:7001");
        assert_eq!((ports.at(&mixed), ports.urls(&mixed, PeerAt::Plain)), (PeerAt::Plain, plain));
    }

    #[test]
    fn where_there_can_be_no_second_port() {
        assert!(!ports("http://0.0.0.0:2380").cover(&urls("http://a:32380")), "a mapped port");
        assert!(ports("http://0.0.0.0:2380").cover(&urls("http://a:2382")));
        assert_eq!(ports("http://0.0.0.0:2380").collide([2379, 2382]), Some(2382));
        assert_eq!(ports("http://0.0.0.0:2380,http://0.0.0.0:2382").collide([]), Some(2382));
        assert_eq!(ports("http://0.0.0.0:2380").collide([2379, 2378, 4001]), None);
    }
}
