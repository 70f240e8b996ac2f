//! A certificate's subject alternative names (RFC 5280, 4.2.1.6) as Go reads them.

use std::net::IpAddr;

use super::der::{self, Der};
use super::go::GoVersion;
use super::names;
use super::parse_error::ParseError;
use super::uris;

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
    /// The hosts of uniformResourceIdentifiers, with the text of each.
    pub(crate) uris: Vec<uris::Uri<'a>>,
}

/// Reads the extension's value.
pub(super) fn parse(value: &[u8], go: GoVersion) -> Result<SubjectAltName<'_>, ParseError> {
    let mut names =
        Der(value).read(der::SEQUENCE).ok_or_else(|| ParseError::new("invalid subject alternative names"))?;
    let mut san = SubjectAltName { raw: value, ..SubjectAltName::default() };
    while !names.is_empty() {
        let name = names.any().ok_or_else(|| ParseError::new("invalid subject alternative name"))?;
        let text = |what: &str| {
            std::str::from_utf8(name.content)
                .ok()
                .filter(|text| text.is_ascii())
                .ok_or_else(|| ParseError::new(format!("SAN {what} is malformed")))
        };
        // Go looks at the tag with the context bit flipped.
        match name.tag ^ 0x80 {
            1 => san.emails.push(text("rfc822Name")?),
            2 => san.dns.push(text("dNSName")?),
            6 => san.uris.push(uris::Uri::parse(text("uniformResourceIdentifier")?, go)?),
            7 => san.ips.push(address(name.content, go)?),
            _ => {}
        }
    }
    Ok(san)
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
