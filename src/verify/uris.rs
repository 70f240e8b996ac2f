//! URIs as Go's `net/url` takes them apart. Only the host matters, and whether the whole is a URI at all.

use std::net::IpAddr;

use super::go::{GoVersion, Since};
use super::godebug::Rule;
use super::names::{ip_address, is_domain, scoped_address};
use super::parse_error::ParseError;
use super::quote::quoted;

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
        let whole = String::from_utf8_lossy(bytes);
        let refuse = |why: &str| ParseError::new(format!("cannot parse URI {}: {why}", quoted(bytes)));
        let host = host(&whole, go).map_err(|error| {
            // The fragment is cut off before anything else is looked at.
            let end = if error.of_fragment { bytes.len() } else { whole.find('#').unwrap_or(bytes.len()) };
            let read = bytes.get(..end).unwrap_or(bytes);
            refuse(&format!("parse {}: {}", quoted(read), error.words))
        })?;
        if is_domain(&host, false, go) { Ok(Self { text, host }) } else { Err(refuse("invalid domain")) }
    }

    /// The host alone, for constraints; `Err` where Go cannot match it against any.
    pub(super) fn constrained_host(&self, go: GoVersion) -> Result<String, String> {
        if self.host.is_empty() {
            return Err(format!(
                "URI with empty host ({}) cannot be matched against constraints",
                quoted(self.text.as_bytes())
            ));
        }
        let mut host = self.host.as_str();
        if host.contains(':') && !host.ends_with(']') {
            host = split_port(host).map_err(|why| {
                let words = format!("address {host}: {why}");
                match go < GoVersion::CHAIN_CONSTRAINTS {
                    true => words,
                    false => format!("cannot parse URI host {}: {words}", quoted(host.as_bytes())),
                }
            })?;
        }
        let is_ip = match go.has(&Since::ZONED_URIS) {
            true => scoped_address(host).is_some(),
            false => ip_address(host, go).is_some(),
        };
        if is_ip || (host.starts_with('[') && host.ends_with(']')) {
            let text = quoted(self.text.as_bytes());
            return Err(format!("URI with IP ({text}) cannot be matched against constraints"));
        }
        Ok(host.to_ascii_lowercase())
    }
}

/// The host of `host:port`, as Go's `net.SplitHostPort` has it; else what is wrong with the address.
fn split_port(text: &str) -> Result<&str, &'static str> {
    let (before, _) = text.rsplit_once(':').ok_or("missing port in address")?;
    // From where on there must be no opening and no closing bracket.
    let (host, opening, closing) = match text.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']').ok_or("missing ']' in address")? + 1;
            match end + 1 {
                next if next == text.len() => return Err("missing port in address"),
                next if next == before.len() => {}
                next if text.as_bytes()[next] == b':' => return Err("too many colons in address"),
                _ => return Err("missing port in address"),
            }
            (&text[1..end], 1, end + 1)
        }
        None if before.contains(':') => return Err("too many colons in address"),
        None => (before, 0, 0),
    };
    if text[opening..].contains('[') {
        return Err("unexpected '[' in address");
    }
    if text[closing..].contains(']') { Err("unexpected ']' in address") } else { Ok(host) }
}

/// Why Go's `url.Parse` fails.
#[derive(Debug, PartialEq, Eq)]
struct UrlError {
    words: String,
    of_fragment: bool,
}

impl From<String> for UrlError {
    fn from(words: String) -> Self {
        Self { words, of_fragment: false }
    }
}

impl From<&str> for UrlError {
    fn from(words: &str) -> Self {
        words.to_owned().into()
    }
}

/// The host of a URI.
fn host(text: &str, go: GoVersion) -> Result<String, UrlError> {
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    let host = host_before_fragment(text, go)?;
    escapes_are_sound(fragment).map_err(|words| UrlError { words, of_fragment: true })?;
    Ok(host)
}

fn host_before_fragment(text: &str, go: GoVersion) -> Result<String, UrlError> {
    if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return Err("net/url: invalid control character in URL".into());
    }
    let (scheme, rest) = scheme(text).ok_or("missing protocol scheme")?;
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    if !rest.starts_with('/') {
        if !scheme.is_empty() {
            return Ok(String::new());
        }
        if rest.split('/').next().unwrap_or_default().contains(':') {
            return Err("first path segment in URL cannot contain colon".into());
        }
        escapes_are_sound(rest)?;
        return Ok(String::new());
    }
    if scheme.is_empty() && rest.starts_with("///") || !rest.starts_with("//") {
        escapes_are_sound(rest)?;
        return Ok(String::new());
    }
    let authority = &rest[2..];
    let (authority, path) = authority.split_at(authority.find('/').unwrap_or(authority.len()));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let host = bare_host(&scheme.to_ascii_lowercase(), host, go)?;
    let user_ok =
        user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte));
    if !user_ok {
        return Err("net/url: invalid userinfo".into());
    }
    escapes_are_sound(user)?;
    escapes_are_sound(path)?;
    Ok(host)
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
fn bare_host(scheme: &str, host: &str, go: GoVersion) -> Result<String, String> {
    let bracket =
        if go.has(&Since::IP_LITERALS) { host.rfind('[') } else { host.starts_with('[').then_some(0) };
    if let Some(open) = bracket {
        if open > 0 && go.has(&Since::LEADING_BRACKETS) {
            return Err("invalid IP-literal".to_owned());
        }
        return literal(host, open, go);
    }
    if let Some(first) = host.find(':') {
        let strict = match () {
            () if go < GoVersion::CHAIN_CONSTRAINTS || go.relaxes(Rule::StrictColons) => false,
            () if go.has(&Since::COLONS_OF_HTTP) => matches!(scheme, "http" | "https"),
            () => !matches!(scheme, "postgres" | "postgresql"),
        };
        check_port(&host[if strict { first } else { host.rfind(':').unwrap_or(first) }..])?;
    }
    unescaped(host, false)
}

/// A host in brackets, the first of them at `open`, and its port.
fn literal(host: &str, open: usize, go: GoVersion) -> Result<String, String> {
    let close = host.rfind(']').ok_or("missing ']' in host")?;
    let port = &host[close + 1..];
    check_port(port)?;
    if !go.has(&Since::IP_LITERALS) {
        let Some(zone) = host[..close].find("%25") else { return unescaped(host, false) };
        return Ok(unescaped(&host[..zone], false)?
            + &unescaped(&host[zone..close], true)?
            + &unescaped(&host[close..], false)?);
    }
    let inner = host.get(open + 1..close).ok_or("invalid IP-literal")?;
    let inner = match inner.find("%25") {
        Some(zone) => unescaped(&inner[..zone], false)? + &unescaped(&inner[zone..], true)?,
        None => unescaped(inner, false)?,
    };
    match scoped_address(&inner) {
        Some(IpAddr::V6(_)) => Ok(format!("[{inner}]{port}")),
        Some(IpAddr::V4(_)) => Err("invalid IP-literal".to_owned()),
        None => Err(format!("invalid host: ParseAddr({}): unable to parse IP", quoted(inner.as_bytes()))),
    }
}

fn check_port(text: &str) -> Result<(), String> {
    let sound = text.is_empty()
        || text.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    if sound { Ok(()) } else { Err(format!("invalid port {} after host", quoted(text.as_bytes()))) }
}

/// What may stand in a host as it is.
fn may_stand(byte: u8) -> bool {
    byte >= 0x80 || byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte)
}

/// A host or a zone without its escapes: those of bytes that are not ASCII, `%25`, and in a zone also those of what
/// could stand there as it is.
fn unescaped(text: &str, zone: bool) -> Result<String, String> {
    escapes_are_sound(text)?;
    let (mut out, bytes) = (Vec::with_capacity(text.len()), text.as_bytes());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte != b'%' {
            if !may_stand(byte) {
                return Err(format!("invalid character {} in host name", quoted(&[byte])));
            }
            out.push(byte);
            at += 1;
            continue;
        }
        let digits = text.get(at + 1..at + 3).unwrap_or_default();
        let value = u8::from_str_radix(digits, 16).unwrap_or_default();
        let allowed = match zone {
            _ if digits == "25" => true,
            false => value >= 0x80,
            true => value == b' ' || (value < 0x80 && may_stand(value)),
        };
        if !allowed {
            return Err(bad_escape(&bytes[at..at + 3]));
        }
        out.push(value);
        at += 3;
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn bad_escape(text: &[u8]) -> String {
    format!("invalid URL escape {}", quoted(&text[..text.len().min(3)]))
}

/// Whether every `%` has its two digits; else Go's words.
fn escapes_are_sound(text: &str) -> Result<(), String> {
    let bytes = text.as_bytes();
    let bad = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%').find(|(at, _)| {
        !bytes.get(at + 1..at + 3).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit))
    });
    bad.map_or(Ok(()), |(at, _)| Err(bad_escape(&bytes[at..])))
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
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn more_colons_than_one_depend_on_the_scheme_and_the_release() {
        let old = GoVersion::new(25, 0);
        assert!(host("http://a:1:2/", old).is_ok() && host("http://a:1:2/", GoVersion::NEWEST).is_err());
        assert!(host("mongodb://a:1:2/", GoVersion::NEWEST).is_ok());
        assert!(host("mongodb://a:1:2/", GoVersion::new(26, 0)).is_err());
    }

    #[test]
    fn ports_are_split_off() {
        assert_eq!(split_port("a:1"), Ok("a"));
        assert_eq!(split_port("[::1]:1"), Ok("::1"));
        for bad in ["a:1:2", "[::1]x:1", "a[:1", "a]:1"] {
            assert!(split_port(bad).is_err(), "{bad}");
        }
    }
}
