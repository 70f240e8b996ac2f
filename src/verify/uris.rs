//! URIs as Go's `net/url` takes them apart. Only the host matters, and whether the whole is a URI at all.

use std::net::IpAddr;

use super::go::{GoVersion, Since};
use super::godebug::Rule;
use super::names::{ip_address, is_domain, scoped_address};
use super::parse_error::ParseError;

/// A uniformResourceIdentifier SAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uri<'a> {
    /// As written.
    pub(super) text: &'a str,
    /// The host with its port, if any; may be empty.
    host: String,
}

impl<'a> Uri<'a> {
    /// Reads one of these bytes; `text` is what stands for them where they are no text.
    pub(super) fn parse(bytes: &[u8], text: &'a str, go: GoVersion) -> Result<Self, ParseError> {
        let host = host(&String::from_utf8_lossy(bytes), go)
            .ok_or_else(|| ParseError::new(format!("cannot parse URI {text:?}")))?;
        if is_domain(&host, false, go) {
            Ok(Self { text, host })
        } else {
            Err(ParseError::new(format!("cannot parse URI {text:?}: invalid domain")))
        }
    }

    /// The host alone, for constraints; `Err` where Go cannot match it against any.
    pub(super) fn constrained_host(&self, go: GoVersion) -> Result<String, String> {
        if self.host.is_empty() {
            return Err(format!(
                "URI with empty host ({:?}) cannot be matched against constraints",
                self.text
            ));
        }
        let mut host = self.host.as_str();
        if host.contains(':') && !host.ends_with(']') {
            host = split_port(host).ok_or_else(|| format!("cannot parse URI host {host:?}"))?;
        }
        let is_ip = match go.has(&Since::ZONED_URIS) {
            true => scoped_address(host).is_some(),
            false => ip_address(host, go).is_some(),
        };
        if is_ip || (host.starts_with('[') && host.ends_with(']')) {
            return Err(format!("URI with IP ({:?}) cannot be matched against constraints", self.text));
        }
        Ok(host.to_ascii_lowercase())
    }
}

/// The host of `host:port`, as Go's `net.SplitHostPort` has it.
fn split_port(text: &str) -> Option<&str> {
    let (before, _) = text.rsplit_once(':')?;
    // From where on there must be no opening and no closing bracket.
    let (host, opening, closing) = match text.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')? + 1;
            if end + 1 != before.len() {
                return None;
            }
            (&text[1..end], 1, end + 1)
        }
        None if before.contains(':') => return None,
        None => (before, 0, 0),
    };
    (!text[opening..].contains('[') && !text[closing..].contains(']')).then_some(host)
}

/// The host of a URI; `None` where Go's `url.Parse` fails.
fn host(text: &str, go: GoVersion) -> Option<String> {
    if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return None;
    }
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    if !escapes_are_sound(fragment) {
        return None;
    }
    let (scheme, rest) = scheme(text)?;
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    if !rest.starts_with('/') {
        if !scheme.is_empty() {
            return Some(String::new());
        }
        let segment = rest.split('/').next().unwrap_or_default();
        return (!segment.contains(':') && escapes_are_sound(rest)).then(String::new);
    }
    if scheme.is_empty() && rest.starts_with("///") || !rest.starts_with("//") {
        return escapes_are_sound(rest).then(String::new);
    }
    let authority = &rest[2..];
    let (authority, path) = authority.split_at(authority.find('/').unwrap_or(authority.len()));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let user_ok =
        user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte));
    if !user_ok || !escapes_are_sound(user) || !escapes_are_sound(path) {
        return None;
    }
    bare_host(&scheme.to_ascii_lowercase(), host, go)
}

fn scheme(text: &str) -> Option<(&str, &str)> {
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return None,
            b':' => return Some((&text[..at], &text[at + 1..])),
            _ => return Some(("", text)),
        }
    }
    Some(("", text))
}

/// Go's `parseHost`: what stands between `//` or `@` and the path, with its escapes undone.
fn bare_host(scheme: &str, host: &str, go: GoVersion) -> Option<String> {
    let bracket =
        if go.has(&Since::IP_LITERALS) { host.rfind('[') } else { host.starts_with('[').then_some(0) };
    if let Some(open) = bracket {
        if open > 0 && go.has(&Since::LEADING_BRACKETS) {
            return None;
        }
        let close = host.rfind(']')?;
        let port = &host[close + 1..];
        if !is_port(port) {
            return None;
        }
        if !go.has(&Since::IP_LITERALS) {
            return match host[..close].find("%25") {
                Some(zone) => Some(
                    unescaped(&host[..zone], false)?
                        + &unescaped(&host[zone..close], true)?
                        + &unescaped(&host[close..], false)?,
                ),
                None => unescaped(host, false),
            };
        }
        let inner = host.get(open + 1..close)?;
        let inner = match inner.find("%25") {
            Some(zone) => unescaped(&inner[..zone], false)? + &unescaped(&inner[zone..], true)?,
            None => unescaped(inner, false)?,
        };
        return scoped_address(&inner).filter(IpAddr::is_ipv6).map(|_| format!("[{inner}]{port}"));
    }
    if let Some(first) = host.find(':') {
        let strict = match () {
            () if go < GoVersion::CHAIN_CONSTRAINTS || go.relaxes(Rule::StrictColons) => false,
            () if go.has(&Since::COLONS_OF_HTTP) => matches!(scheme, "http" | "https"),
            () => !matches!(scheme, "postgres" | "postgresql"),
        };
        let colon = if strict { first } else { host.rfind(':')? };
        if !is_port(&host[colon..]) {
            return None;
        }
    }
    unescaped(host, false)
}

fn is_port(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What may stand in a host as it is.
fn may_stand(byte: u8) -> bool {
    byte >= 0x80 || byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte)
}

/// A host or a zone without its escapes: those of bytes that are not ASCII, `%25`, and in a zone also those of what
/// could stand there as it is.
fn unescaped(text: &str, zone: bool) -> Option<String> {
    let (mut out, bytes) = (Vec::with_capacity(text.len()), text.as_bytes());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte != b'%' {
            if !may_stand(byte) {
                return None;
            }
            out.push(byte);
            at += 1;
            continue;
        }
        let digits = text
            .get(at + 1..at + 3)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        let value = u8::from_str_radix(digits, 16).ok()?;
        let allowed = match zone {
            _ if digits == "25" => true,
            false => value >= 0x80,
            true => value == b' ' || (value < 0x80 && may_stand(value)),
        };
        if !allowed {
            return None;
        }
        out.push(value);
        at += 3;
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

fn escapes_are_sound(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'%')
        .all(|(at, _)| bytes.get(at + 1..at + 3).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_found() {
        let host = |text: &str| host(text, GoVersion::NEWEST);
        assert_eq!(host("https://User@Example.com:80/x?y#z").unwrap(), "Example.com:80");
        assert_eq!(host("urn:a:b").unwrap(), "");
        assert_eq!(host("spiffe://example.org/x").unwrap(), "example.org");
        assert_eq!(host("https://a%25b/").unwrap(), "a%b");
        assert_eq!(host("https://[fe80::1%25eth0]:1/").unwrap(), "[fe80::1%eth0]:1");
        for bad in [
            ":x",
            "http://a:b/",
            "http://%zz/",
            "http://a%20b/",
            "http://[x]/",
            "http://[10.0.0.1]/",
            "http://x[::1]",
        ] {
            assert_eq!(host(bad), None, "{bad}");
        }
    }

    #[test]
    fn more_colons_than_one_depend_on_the_scheme_and_the_release() {
        let old = GoVersion::new(25, 0);
        assert!(host("http://a:1:2/", old).is_some() && host("http://a:1:2/", GoVersion::NEWEST).is_none());
        assert!(host("mongodb://a:1:2/", GoVersion::NEWEST).is_some());
        assert!(host("mongodb://a:1:2/", GoVersion::new(26, 0)).is_none());
    }

    #[test]
    fn ports_are_split_off() {
        assert_eq!(split_port("a:1"), Some("a"));
        assert_eq!(split_port("[::1]:1"), Some("::1"));
        for bad in ["a:1:2", "[::1]x:1", "a[:1", "a]:1"] {
            assert_eq!(split_port(bad), None, "{bad}");
        }
    }
}
