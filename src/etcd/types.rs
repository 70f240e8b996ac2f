//! URLs and identifiers that cannot be wrong.
//!
//! A malformed peer URL sent to the v3 members API is answered 200 and makes the other members panic, now and after
//! every restart (seen on etcd 3.3, 3.4 and 3.5). So a [`PeerUrl`] is parsed, or it does not exist.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::str::FromStr;

/// Plain text or TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// As it stands in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A host name or address with a port, as it stands in a URL (an IPv6 address in brackets).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    host: String,
    port: u16,
}

impl HostPort {
    /// The host: a name, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The address, where the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The same host at another port.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        Self { host: self.host.clone(), port }
    }
}

impl From<std::net::SocketAddr> for HostPort {
    fn from(address: std::net::SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for HostPort {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let wrong = |what| UrlError { url: text.to_owned(), what };
        let (host, port) = text.rsplit_once(':').ok_or(wrong("it has no port"))?;
        let host = if let Some(inner) = host.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(wrong("a bracket is not closed"))?;
            inner.parse::<std::net::Ipv6Addr>().map_err(|_| wrong("not an IPv6 address in brackets"))?;
            inner
        } else {
            if host.contains(':') {
                return Err(wrong("an IPv6 address stands in brackets"));
            }
            host
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || (!host.contains(':') && !host.chars().all(is_name)) {
            return Err(wrong("the host is not a name or an address"));
        }
        let digits = port.bytes().all(|b| b.is_ascii_digit());
        let port = port
            .parse::<u16>()
            .ok()
            .filter(|&p| digits && p > 0)
            .ok_or(wrong("the port is not 1 to 65535"))?;
        Ok(Self { host: host.to_owned(), port })
    }
}

/// The side of a member that its peers dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerSide {}

/// The side of a member that clients dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientSide {}

/// Either side, where it does not matter which one is dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnySide {}

/// A URL that etcd listens on or advertises: scheme http or https, a host, a port, an empty path. `Side` says whose URL it
/// is, so that a client URL cannot be sent as a peer URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Url<Side> {
    scheme: Scheme,
    at: HostPort,
    side: PhantomData<fn() -> Side>,
}

/// A URL that peers dial.
pub type PeerUrl = Url<PeerSide>;

/// A URL that clients dial.
pub type ClientUrl = Url<ClientSide>;

/// A URL of a member that is to be dialled.
pub type MemberUrl = Url<AnySide>;

impl<Side> Url<Side> {
    /// From its parts.
    pub const fn new(scheme: Scheme, at: HostPort) -> Self {
        Self { scheme, at, side: PhantomData }
    }

    /// Plain text or TLS.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Host and port.
    pub const fn at(&self) -> &HostPort {
        &self.at
    }

    /// The same place with another scheme.
    #[must_use]
    pub fn with_scheme(&self, scheme: Scheme) -> Self {
        Self::new(scheme, self.at.clone())
    }

    /// The same URL, to be dialled.
    pub fn to_member_url(&self) -> MemberUrl {
        Url::new(self.scheme, self.at.clone())
    }

    /// A comma-separated list, as etcd's settings have it; at least one.
    ///
    /// # Errors
    /// [`UrlError`] on the first that is not well formed.
    pub fn list(text: &str) -> Result<Vec<Self>, UrlError> {
        text.split(',').map(str::trim).map(str::parse).collect()
    }
}

impl<Side> fmt::Display for Url<Side> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.at)
    }
}

impl<Side> FromStr for Url<Side> {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let wrong = |what| UrlError { url: text.to_owned(), what };
        let (scheme, rest) = text.split_once("://").ok_or(wrong("it has no http:// or https://"))?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(wrong("the scheme is not http or https")),
        };
        if rest.contains(['/', '?', '#', '@']) {
            return Err(wrong("nothing may follow the port, not even a slash"));
        }
        let at = rest.parse::<HostPort>().map_err(|error| wrong(error.what))?;
        Ok(Self::new(scheme, at))
    }
}

/// The same URLs, each once, in their order.
pub fn dedup<Side>(urls: impl IntoIterator<Item = Url<Side>>) -> Vec<Url<Side>> {
    let mut seen: Vec<Url<Side>> = Vec::new();
    for url in urls {
        if !seen.iter().any(|other| other.scheme == url.scheme && other.at == url.at) {
            seen.push(url);
        }
    }
    seen
}

/// The same places with a scheme, each once.
pub fn with_scheme<Side>(urls: &[Url<Side>], scheme: Scheme) -> Vec<Url<Side>> {
    dedup(urls.iter().map(|url| url.with_scheme(scheme)))
}

/// Joins URLs as etcd's settings want them.
pub fn join<Side>(urls: &[Url<Side>]) -> String {
    urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// A member's identifier, written in hexadecimal as etcdctl does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

impl MemberId {
    /// No member's: what stands for one while nobody is up who could tell it (raft's `None`).
    pub const UNKNOWN: Self = Self(0);
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl FromStr for MemberId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// A URL that is not of the form etcd needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is not a usable URL: {what}")]
pub struct UrlError {
    /// The text.
    pub url: String,
    /// What is wrong with it.
    pub what: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_urls_exist() {
        for good in ["http://172.16.0.101:2380", "https://[fd00::1]:2380", "https://etcd-1.example.com:2380"]
        {
            assert_eq!(good.parse::<PeerUrl>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "172.16.0.101:2380",
            "https://172.16.0.101",
            "https://172.16.0.101:2380/",
            "https://:2380",
            "https://a:0",
            "https://a:+1",
            "https://a:99999",
            "ftp://a:1",
            "https://a:1?x",
            "https://u@a:1",
            "https://fd00::1:2380",
            "https://[fd00::1:2380",
            "https://a b:1",
            "https//a:1",
            "https://a:",
        ] {
            assert!(bad.parse::<PeerUrl>().is_err(), "{bad}");
        }
        assert!(PeerUrl::list("").is_err());
        assert!(PeerUrl::list("http://a:1,").is_err());
    }
}
