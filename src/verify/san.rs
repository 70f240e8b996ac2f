//! A certificate's subject alternative names (RFC 5280, 4.2.1.6) as Go reads them.

use std::net::IpAddr;

use super::asn1::Fields;
use super::der::{self, Der};
use super::go::GoVersion;
use super::names;
use super::parse_error::ParseError;
use super::uris;

/// A kind of name that Go knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Mail,
    Dns,
    Uri,
    Ip,
}

/// subjectAltName, by kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct SubjectAltName<'a> {
    /// The extension's value.
    pub(crate) raw: &'a [u8],
    /// dNSName.
    pub(crate) dns: Vec<&'a str>,
    /// iPAddress.
    pub(crate) ips: Vec<IpAddr>,
    /// rfc822Name.
    pub(crate) emails: Vec<&'a str>,
    /// The kinds of the names, in their order.
    pub(super) order: Vec<Kind>,
    /// The hosts of uniformResourceIdentifiers, with the text of each.
    pub(crate) uris: Vec<uris::Uri<'a>>,
}

impl SubjectAltName<'_> {
    /// Whether there is no name of a kind that Go knows.
    pub(super) fn is_empty(&self) -> bool {
        self.dns.is_empty() && self.ips.is_empty() && self.emails.is_empty() && self.uris.is_empty()
    }
}

/// Reads the extension's value as Go before 1.17 does: names are known by their tag's number, whatever its class.
pub(super) fn by_asn1(value: &[u8], go: GoVersion) -> Result<SubjectAltName<'_>, ParseError> {
    let mut file = Fields::of(value);
    let sequence = file.any()?;
    if !file.is_empty() {
        return Err(ParseError::new("trailing data after X.509 extension"));
    }
    if (sequence.class, sequence.number, sequence.constructed) != (0, 16, true) {
        return Err(ParseError::structure("bad SAN sequence"));
    }
    let mut san = SubjectAltName { raw: value, ..SubjectAltName::default() };
    let mut names = Fields::of(sequence.content);
    while !names.is_empty() {
        let name = names.any()?;
        san.put(name.number, name.content, go)?;
    }
    Ok(san)
}

/// Reads the extension's value.
pub(super) fn parse(value: &[u8], go: GoVersion) -> Result<SubjectAltName<'_>, ParseError> {
    let mut names =
        Der(value).read(der::SEQUENCE).ok_or_else(|| ParseError::new("invalid subject alternative names"))?;
    let mut san = SubjectAltName { raw: value, ..SubjectAltName::default() };
    while !names.is_empty() {
        let name = names.any().ok_or_else(|| ParseError::new("invalid subject alternative name"))?;
        // Go looks at the tag with the context bit flipped.
        san.put(u32::from(name.tag ^ 0x80), name.content, go)?;
    }
    Ok(san)
}

impl<'a> SubjectAltName<'a> {
    fn put(&mut self, kind: u32, content: &'a [u8], go: GoVersion) -> Result<(), ParseError> {
        self.order.push(match kind {
            1 => {
                self.emails.push(text(content, "rfc822Name", go)?);
                Kind::Mail
            }
            2 => {
                self.dns.push(text(content, "dNSName", go)?);
                Kind::Dns
            }
            6 => {
                let text = text(content, "uniformResourceIdentifier", go)?;
                self.uris.push(uris::Uri::parse(content, text, go)?);
                Kind::Uri
            }
            7 => {
                self.ips.push(address(content, go)?);
                Kind::Ip
            }
            _ => return Ok(()),
        });
        Ok(())
    }
}

fn text<'a>(content: &'a [u8], what: &str, go: GoVersion) -> Result<&'a str, ParseError> {
    // What is no text at all is no name that can be covered or constrained, and neither is this.
    const NO_TEXT: &str = "\u{fffd}";
    if go >= GoVersion::ASCII_SANS && !content.is_ascii() {
        return Err(ParseError::new(format!("SAN {what} is malformed")));
    }
    Ok(std::str::from_utf8(content).unwrap_or(NO_TEXT))
}

fn address(bytes: &[u8], go: GoVersion) -> Result<IpAddr, ParseError> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Ok(IpAddr::from(four));
    }
    let Ok(sixteen) = <[u8; 16]>::try_from(bytes) else {
        return Err(ParseError::new(format!("cannot parse IP address of length {}", bytes.len())));
    };
    if go >= GoVersion::NO_MAPPED && bytes.starts_with(&names::V4_MAPPED) {
        return Err(ParseError::new("SAN iPAddress contains IPv4-mapped IPv6 address"));
    }
    Ok(IpAddr::from(sixteen))
}
