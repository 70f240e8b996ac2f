//! Names as Go reads them: patterns for hosts, domains, mail addresses, addresses with zones.

use std::net::IpAddr;

use super::go::{GoVersion, Since};

/// The first twelve bytes of an IPv4-mapped IPv6 address.
pub(crate) const V4_MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// An address, of IPv6 with or without a zone.
pub(super) fn scoped_address(text: &str) -> Option<IpAddr> {
    match text.split_once('%') {
        Some((ip, zone)) => ip.parse().ok().filter(|ip: &IpAddr| ip.is_ipv6() && !zone.is_empty()),
        None => text.parse().ok(),
    }
}

/// The address that a text is; before Go 1.17 the numbers of an IPv4 address may begin with zeros.
pub(super) fn ip_address(text: &str, go: GoVersion) -> Option<IpAddr> {
    if go >= GoVersion::NO_LEADING_ZEROS || !text.contains('.') {
        return text.parse().ok();
    }
    let (before, four) =
        text.rsplit_once(':').map_or(("", text), |(_, four)| text.split_at(text.len() - four.len()));
    let number = |digits: &str| match digits.trim_start_matches('0') {
        "" if !digits.is_empty() => "0".to_owned(),
        rest => rest.to_owned(),
    };
    let numbers: Vec<String> = four.split('.').map(number).collect();
    format!("{before}{}", numbers.join(".")).parse().ok()
}

/// Whether a DNS SAN covers a name.
pub(crate) fn covers(pattern: &str, host: &str, go: GoVersion) -> bool {
    let host = host.to_ascii_lowercase();
    // A bare `*` is no host name any more.
    let bare = pattern == "*" && go >= GoVersion::NO_BARE_WILDCARD;
    if is_valid(&host, false) && is_valid(pattern, true) && !bare {
        matches(pattern, &host)
    } else {
        // What is no host name is compared exactly.
        !matches!(pattern, "" | ".")
            && !matches!(host.as_str(), "" | ".")
            && pattern.to_ascii_lowercase() == host
    }
}

/// Whether a pattern matches a name, label by label.
pub(super) fn matches(pattern: &str, host: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    if pattern.is_empty() || host.is_empty() {
        return false;
    }
    let (left, right): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), host.split('.').collect());
    left.len() == right.len()
        && left
            .iter()
            .zip(&right)
            .enumerate()
            .all(|(at, (want, have))| (at == 0 && *want == "*") || want == have)
}

/// Whether Go takes a text for a host's name, or a pattern of one.
pub(super) fn is_valid(host: &str, pattern: bool) -> bool {
    let host = if pattern { host } else { host.strip_suffix('.').unwrap_or(host) };
    host.split('.').enumerate().all(|(at, label)| {
        (pattern && at == 0 && label == "*")
            || (!label.is_empty()
                && label.bytes().enumerate().all(|(at, byte)| {
                    byte.is_ascii_alphanumeric() || byte == b'_' || (byte == b'-' && at != 0)
                }))
    })
}

/// Whether a text is a domain to Go: printable labels, none empty, no dot at the end. The empty text is one.
pub(super) fn is_domain(text: &str, constraint: bool, go: GoVersion) -> bool {
    if text.is_empty() {
        return true;
    }
    let text = if constraint { text.strip_prefix('.').unwrap_or(text) } else { text };
    if text.is_empty() {
        return !go.has(&Since::KEY_BYTES);
    }
    // One leading dot too many once went unseen.
    let text = if go.has(&Since::NO_LEADING_DOT) { text } else { text.strip_prefix('.').unwrap_or(text) };
    text.split('.').all(|label| !label.is_empty() && label.bytes().all(|byte| (33..=126).contains(&byte)))
}

/// A mail address: what stands before and behind the `@`, the latter in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Mailbox {
    pub(super) local: String,
    pub(super) domain: String,
}

impl Mailbox {
    /// Reads an RFC 2821 mailbox with Go's leniencies: spaces in quotes, escapes outside of them.
    pub(super) fn parse(text: &str, go: GoVersion) -> Option<Self> {
        let bytes = text.as_bytes();
        let (local, rest) = match bytes.first()? {
            b'"' => quoted(&bytes[1..])?,
            _ => dotted(bytes)?,
        };
        let domain = std::str::from_utf8(rest.strip_prefix(b"@")?).ok()?;
        let domain_ok = is_domain(domain, false, go) && !(go >= GoVersion::NO_MAPPED && domain.contains('@'));
        domain_ok.then(|| Self {
            local: String::from_utf8_lossy(&local).into_owned(),
            domain: domain.to_ascii_lowercase(),
        })
    }
}

fn quoted(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut local = Vec::new();
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b'"' => return Some((local, rest)),
            b'\\' => {
                let (&escaped, after) = rest.split_first()?;
                if !matches!(escaped, 1..=9 | 11 | 12 | 14..=127) {
                    return None;
                }
                local.push(escaped);
                rest = after;
            }
            1..=8 | 11 | 12 | 14..=33 | 35..=91 | 93..=127 => local.push(byte),
            _ => return None,
        }
    }
}

fn dotted(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut local = Vec::new();
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = match byte {
            b'\\' => {
                let (&escaped, after) = after.split_first()?;
                (escaped, after)
            }
            byte if byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte) => (byte, after),
            _ => break,
        };
        local.push(byte);
        rest = after;
    }
    let dots = local.is_empty()
        || local.starts_with(b".")
        || local.ends_with(b".")
        || local.windows(2).any(|pair| pair == b"..");
    (!dots).then_some((local, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_one_whole_label() {
        let covers = |pattern: &str, host: &str| covers(pattern, host, GoVersion::NEWEST);
        assert!(covers("*.etcd.local", "m1.etcd.local") && covers("*.etcd.local", "M1.Etcd.Local."));
        assert!(!covers("*.etcd.local", "etcd.local") && !covers("*.etcd.local", "a.m1.etcd.local"));
        assert!(!covers("m*.etcd.local", "m1.etcd.local") && !covers("*", "m1"));
        assert!(covers("m_1", "M_1") && covers("a b", "A B"), "no host names: exact");
        assert!(super::covers("*", "m1", GoVersion::new(19, 8)));
        assert!(!covers("", "") && !covers(".", "."));
    }

    #[test]
    fn leading_zeros_were_read_over() {
        let old = GoVersion::new(16, 0);
        assert_eq!(ip_address("127.000.0.01", old), "127.0.0.1".parse().ok());
        assert_eq!(ip_address("::ffff:10.0.0.07", old), "::ffff:10.0.0.7".parse().ok());
        for text in ["127.0.0..1", "127.0.0.0256", "1.2.3", "127.0.0.01"] {
            assert_eq!(ip_address(text, GoVersion::NEWEST), None, "{text}");
        }
        assert!(ip_address("127.0.0..1", old).is_none() && ip_address("127.0.0.0256", old).is_none());
    }

    #[test]
    fn mailboxes() {
        let go = GoVersion::NEWEST;
        let mailbox = Mailbox::parse("\"a b\"@Example.com", go).unwrap();
        assert_eq!((mailbox.local.as_str(), mailbox.domain.as_str()), ("a b", "example.com"));
        assert!(Mailbox::parse("a..b@example.com", go).is_none() && Mailbox::parse("a", go).is_none());
    }
}
