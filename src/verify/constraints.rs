//! Name constraints (RFC 5280, 4.2.1.10) as Go reads them.

use std::net::IpAddr;

use super::der::{self, Der};
use super::go::GoVersion;
use super::names::{self, Mailbox};
use super::parse_error::ParseError;
use super::quote::quoted;

/// A nameConstraints extension.
#[derive(Debug, Clone, Default)]
pub(crate) struct NameConstraints<'a> {
    pub(super) permitted: Subtrees<'a>,
    pub(super) excluded: Subtrees<'a>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Subtrees<'a> {
    pub(super) dns: Vec<&'a str>,
    pub(super) ips: Vec<Range>,
    pub(super) emails: Vec<&'a str>,
    pub(super) uris: Vec<&'a str>,
}

/// An address range: 4 or 16 bytes each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) network: Vec<u8>,
    pub(super) mask: Vec<u8>,
}

impl Range {
    pub(super) fn contains(&self, ip: &[u8]) -> bool {
        ip.len() == self.network.len()
            && ip.iter().zip(&self.network).zip(&self.mask).all(|((a, b), mask)| a & mask == b & mask)
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        let last: Vec<u8> = other.network.iter().zip(&other.mask).map(|(net, mask)| net | !mask).collect();
        self.contains(&other.network) && self.contains(&last)
    }

    pub(super) fn masked(&self) -> Self {
        let network = self.network.iter().zip(&self.mask).map(|(net, mask)| net & mask).collect();
        Self { network, mask: self.mask.clone() }
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bits: u32 = self.mask.iter().map(|byte| byte.count_ones()).sum();
        match (<[u8; 4]>::try_from(self.network.as_slice()), <[u8; 16]>::try_from(self.network.as_slice())) {
            (Ok(four), _) => write!(f, "{}/{bits}", IpAddr::from(four)),
            (_, Ok(sixteen)) => write!(f, "{}/{bits}", IpAddr::from(sixteen)),
            _ => f.write_str("?"),
        }
    }
}

impl<'a> NameConstraints<'a> {
    /// Reads the extension; the flag says whether all kinds of names in it are known to Go.
    pub(super) fn parse(value: &'a [u8], go: GoVersion) -> Result<(Self, bool), ParseError> {
        let bad = || ParseError::new("invalid NameConstraints extension");
        let mut outer = Der(value);
        let mut fields = outer.read(der::SEQUENCE).ok_or_else(bad)?;
        let permitted = fields.optional(der::explicit(0)).ok_or_else(bad)?;
        let excluded = fields.optional(der::explicit(1)).ok_or_else(bad)?;
        if !outer.is_empty() || !fields.is_empty() {
            return Err(bad());
        }
        let empty = |tree: &Option<Der<'_>>| tree.is_none_or(|tree| tree.is_empty());
        if empty(&permitted) && empty(&excluded) {
            return Err(ParseError::new("empty name constraints extension"));
        }
        let mut all_known = true;
        let permitted = Subtrees::parse(permitted, &mut all_known, go)?;
        let excluded = Subtrees::parse(excluded, &mut all_known, go)?;
        Ok((Self { permitted, excluded }, all_known))
    }
}

impl<'a> NameConstraints<'a> {
    /// What it permits and what it excludes of one kind.
    pub(super) fn trees<'c, T>(&'c self, of: impl Fn(&'c Subtrees<'a>) -> &'c Vec<T>) -> (&'c [T], &'c [T]) {
        (of(&self.permitted), of(&self.excluded))
    }
}

impl<'a> Subtrees<'a> {
    fn parse(tree: Option<Der<'a>>, all_known: &mut bool, go: GoVersion) -> Result<Self, ParseError> {
        let mut out = Self::default();
        let Some(mut tree) = tree else { return Ok(out) };
        while !tree.is_empty() {
            let bad = || ParseError::new("invalid NameConstraints extension");
            let mut subtree = tree.read(der::SEQUENCE).ok_or_else(bad)?;
            let base = subtree.any().ok_or_else(bad)?;
            let text = || {
                std::str::from_utf8(base.content).ok().filter(|text| text.is_ascii()).ok_or_else(|| {
                    let text = quoted(base.content);
                    ParseError::new(format!(
                        "invalid constraint value: x509: {text} cannot be encoded as an IA5String"
                    ))
                })
            };
            let fail_with = |kind: &str, text: &str, why: &str| {
                Err(ParseError::new(format!(
                    "failed to parse {kind} constraint {}{why}",
                    quoted(text.as_bytes())
                )))
            };
            let fail = |kind: &str, text: &str| fail_with(kind, text, "");
            match base.tag {
                0x82 => match text()? {
                    domain if names::is_domain(domain, true, go) => out.dns.push(domain),
                    other => return fail("dnsName", other),
                },
                0x87 => out.ips.push(range(base.content, go)?),
                0x81 => match text()? {
                    mail if mail.contains('@') && Mailbox::parse(mail, go).is_some() => out.emails.push(mail),
                    domain if !domain.contains('@') && names::is_domain(domain, true, go) => {
                        out.emails.push(domain);
                    }
                    other => return fail("rfc822Name", other),
                },
                0x86 => match text()? {
                    ip if names::ip_address(ip, go).is_some() => {
                        return fail_with("URI", ip, ": cannot be IP address");
                    }
                    domain if names::is_domain(domain, true, go) => out.uris.push(domain),
                    other => return fail("URI", other),
                },
                _ => *all_known = false,
            }
        }
        Ok(out)
    }
}

fn range(bytes: &[u8], go: GoVersion) -> Result<Range, ParseError> {
    if !matches!(bytes.len(), 8 | 32) {
        return Err(ParseError::new(format!("IP constraint contained value of length {}", bytes.len())));
    }
    let (network, mask) = bytes.split_at(bytes.len() / 2);
    let ones = mask.iter().take_while(|&&byte| byte == 0xff).count();
    let sound = match mask.get(ones..) {
        Some([edge, rest @ ..]) => {
            edge.leading_ones() == edge.count_ones() && rest.iter().all(|&byte| byte == 0)
        }
        _ => true,
    };
    if !sound {
        let hex: String = mask.iter().map(|byte| format!("{byte:02x}")).collect();
        return Err(ParseError::new(format!("IP constraint contained invalid mask {hex}")));
    }
    if go >= GoVersion::NO_MAPPED && network.len() == 16 && network.starts_with(&names::V4_MAPPED) {
        return Err(ParseError::new("IP constraint contained IPv4-mapped IPv6 address"));
    }
    Ok(Range { network: network.to_vec(), mask: mask.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_keep_to_their_own_family() {
        let range = |network: &[u8], mask: &[u8]| Range { network: network.to_vec(), mask: mask.to_vec() };
        let ten = range(&[10, 0, 0, 0], &[255, 0, 0, 0]);
        assert!(ten.contains(&[10, 1, 2, 3]) && !ten.contains(&[11, 0, 0, 0]));
        assert!(!ten.contains(&"::ffff:10.1.2.3".parse::<std::net::Ipv6Addr>().unwrap().octets()));
        assert!(ten.covers(&range(&[10, 9, 0, 0], &[255, 255, 0, 0])));
    }
}
