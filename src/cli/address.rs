//! Hosts and addresses as people paste them: with a port, in brackets, or out of a URL.

use std::net::{IpAddr, Ipv6Addr};

/// A host, and the port where one is given.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    host: String,
    port: Option<u16>,
}

/// Reads `HOST`, `HOST:PORT`, `[IPv6]`, `[IPv6]:PORT`, an IPv6 address without brackets, or an http(s) URL.
fn place(text: &str) -> Result<Place, &'static str> {
    let authority = match text.split_once("://") {
        None => text,
        Some(("http" | "https", rest)) => rest.split(['/', '?', '#']).next().unwrap_or_default(),
        Some(_) => return Err("only http and https URLs have a host"),
    };
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '?' | '#' | '@');
    if authority.is_empty() || authority.contains(odd) {
        return Err("that is no host");
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("the bracket is not closed")?;
            if !is_ipv6(host) {
                return Err("brackets are for IPv6 addresses");
            }
            (
                host,
                if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or("that is no host")?) },
            )
        }
        None if is_ipv6(authority) => (authority, None),
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let is_number = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let port = match port {
        None => None,
        Some(port) if is_number(port) => Some(port.parse().map_err(|_| "that is no port")?),
        Some(_) => return Err("that is no port"),
    };
    if host.is_empty() {
        return Err("there is no host before the port");
    }
    Ok(Place { host: host.to_owned(), port })
}

/// An IPv6 address, with a zone or without.
fn is_ipv6(text: &str) -> bool {
    text.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// What is wrong, and a hint, for clap to print.
pub(super) fn refusal(what: &str, hint: &str) -> String {
    format!("{what}\nhint: {hint}")
}

/// A name or an address: the host of what is given.
pub(super) fn host(text: &str) -> Result<String, String> {
    place(text).map(|place| place.host).map_err(|what| {
        refusal(what, "give a name, an address or a URL, such as 10.0.0.1 or https://etcd-1:2379")
    })
}

/// An address: that of what is given.
pub(super) fn ip(text: &str) -> Result<IpAddr, String> {
    let form = "give an address such as 10.0.0.1; `getent hosts NAME` prints that of a name";
    let place = place(text).map_err(|what| refusal(what, form))?;
    place.host.parse().map_err(|_| refusal("that is no address", form))
}

/// `HOST:PORT`, of a URL too.
pub(super) fn endpoint(text: &str) -> Result<String, String> {
    let form = "give HOST:PORT or a URL, such as 10.0.0.1:2379 or https://etcd-1:2379";
    let Place { host, port } = place(text).map_err(|what| refusal(what, form))?;
    let port = port.ok_or_else(|| refusal("there is no port", form))?;
    Ok(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_what_people_paste() {
        for (text, expected) in [
            ("etcd-1", "etcd-1"),
            ("etcd-1.example.com:2379", "etcd-1.example.com"),
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1:2379", "10.0.0.1"),
            ("https://10.0.0.1:2379", "10.0.0.1"),
            ("http://etcd-1:2379/health?x=1", "etcd-1"),
            ("fd00::1", "fd00::1"),
            ("[fd00::1]", "fd00::1"),
            ("[fd00::1]:2379", "fd00::1"),
            ("https://[fd00::1]:2379/", "fd00::1"),
            ("[fe80::1%eth0]:2379", "fe80::1%eth0"),
        ] {
            assert_eq!(host(text).as_deref(), Ok(expected), "{text}");
        }
        for bad in [
            "",
            ":2379",
            "10.0.0.1:",
            "10.0.0.1:99999",
            "10.0.0.1:+1",
            "10.0.0.1:2379:1",
            "10.0.0.1/24",
            "[fd00::1",
            "[etcd-1]:2379",
            "unix:///run/etcd.sock",
            "https://",
            "https://user@etcd-1:2379",
            "a b",
            "etcd-1:etcd",
        ] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_endpoint_has_a_port() {
        assert_eq!(endpoint("https://[::1]:2379/v3").as_deref(), Ok("[::1]:2379"));
        assert_eq!(endpoint("etcd-1:2379").as_deref(), Ok("etcd-1:2379"));
        assert!(endpoint("etcd-1").is_err() && endpoint("::1").is_err());
        assert_eq!(ip("10.0.0.1:2380").ok(), Some(IpAddr::from([10, 0, 0, 1])));
        assert!(ip("etcd-1:2380").is_err());
    }
}
