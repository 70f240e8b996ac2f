//! Names: whether a certificate speaks for a host, as Go's `VerifyHostname` has it, and the small parsers for
//! domains and mail addresses that name constraints need.

use std::net::IpAddr;

use super::certificate::Certificate;
use super::go::{GoVersion, Since};
use super::godebug::Rule;

/// The first twelve bytes of an IPv4-mapped IPv6 address.
pub(crate) const V4_MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// From how many names on Go counts them instead of listing them.
const MANY: usize = 100;

/// Whether the certificate speaks for `host`; if not, Go's words.
///
/// An address is looked for among the IP SANs only, a v4-mapped one equals its v4 form. A name is compared without
/// regard to case and to one trailing dot; `*` stands for the whole left-most label only. The common name counts only
/// where it [stands in for SANs](stands_in).
pub(crate) fn verify_host(certificate: &Certificate<'_>, host: &str, go: GoVersion) -> Result<(), String> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let found = match address(bare, go) {
        Some(ip) => certificate.extensions.ips().iter().any(|san| san.to_canonical() == ip),
        None if stands_in(certificate, go) => covers(&certificate.common_name(), host, go),
        None => certificate.extensions.dns().iter().any(|pattern| covers(pattern, host, go)),
    };
    if found { Ok(()) } else { Err(host_error(certificate, bare, go)) }
}

/// Whether the common name stands in for SANs: there are none, it could be a host's name, and Go is 1.14 or older, or was
/// told to go by it (`GODEBUG=x509ignoreCN=0`, 1.15 and 1.16).
pub(crate) fn stands_in(certificate: &Certificate<'_>, go: GoVersion) -> bool {
    let counts = go < GoVersion::NO_COMMON_NAME || go.relaxes(Rule::IgnoredCommonName);
    counts && certificate.extensions.san.is_none() && is_valid(&certificate.common_name(), true)
}

/// The address that a text is to Go; a zone (`fe80::1%eth0`) is looked over from 1.27 on.
fn address(text: &str, go: GoVersion) -> Option<IpAddr> {
    let ip = if go >= GoVersion::NO_MAPPED { scoped_address(text) } else { text.parse().ok() };
    ip.map(|ip| ip.to_canonical())
}

/// An address, of IPv6 with or without a zone.
pub(super) fn scoped_address(text: &str) -> Option<IpAddr> {
    match text.split_once('%') {
        Some((ip, zone)) => ip.parse().ok().filter(|ip: &IpAddr| ip.is_ipv6() && !zone.is_empty()),
        None => text.parse().ok(),
    }
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

fn matches(pattern: &str, host: &str) -> bool {
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

fn is_valid(host: &str, pattern: bool) -> bool {
    let host = if pattern { host } else { host.strip_suffix('.').unwrap_or(host) };
    host.split('.').enumerate().all(|(at, label)| {
        (pattern && at == 0 && label == "*")
            || (!label.is_empty()
                && label.bytes().enumerate().all(|(at, byte)| {
                    byte.is_ascii_alphanumeric() || byte == b'_' || (byte == b'-' && at != 0)
                }))
    })
}

fn host_error(certificate: &Certificate<'_>, host: &str, go: GoVersion) -> String {
    let common_name = certificate.common_name();
    let stands_in = stands_in(certificate, go);
    if certificate.extensions.san.is_none() && !stands_in && matches(&common_name, host) {
        let instead = if go < GoVersion::SANS_ONLY {
            "use SANs or temporarily enable Common Name matching with GODEBUG=x509ignoreCN=0"
        } else {
            "use SANs instead"
        };
        return format!("x509: certificate relies on legacy Common Name field, {instead}");
    }
    let (names, kind): (Vec<String>, _) = if host.parse::<IpAddr>().is_ok() {
        let ips = certificate.extensions.ips();
        if ips.is_empty() {
            return format!(
                "x509: cannot validate certificate for {host} because it doesn't contain any IP SANs"
            );
        }
        (ips.iter().map(|ip| ip.to_canonical().to_string()).collect(), "IP SANs")
    } else if stands_in {
        (vec![common_name], "names")
    } else {
        (certificate.extensions.dns().iter().map(|&name| name.to_owned()).collect(), "names")
    };
    if go.has(&Since::EXCLUDED_WILDCARDS) && names.len() >= MANY {
        return format!("x509: certificate is valid for {} {kind}, but none matched {host}", names.len());
    }
    let valid = names.join(", ");
    if valid.is_empty() {
        return format!("x509: certificate is not valid for any names, but wanted to match {host}");
    }
    format!("x509: certificate is valid for {valid}, not {host}")
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
    fn mailboxes() {
        let go = GoVersion::NEWEST;
        let mailbox = Mailbox::parse("\"a b\"@Example.com", go).unwrap();
        assert_eq!((mailbox.local.as_str(), mailbox.domain.as_str()), ("a b", "example.com"));
        assert!(Mailbox::parse("a..b@example.com", go).is_none() && Mailbox::parse("a", go).is_none());
    }
}
