//! A certificate's extensions as Go reads them: which it refuses, which it ignores, and which, marked critical,
//! make the whole certificate useless to it.

pub(super) mod by_asn1;

use std::collections::HashSet;
use std::net::IpAddr;

use super::constraints::NameConstraints;
use super::der::{self, Der};
use super::go::GoVersion;
use super::parse_error::ParseError;
use super::policies::Policies;
use super::san::{self, SubjectAltName};

/// An extended key usage that matters to etcd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    /// anyExtendedKeyUsage.
    Any,
    /// serverAuth.
    Server,
    /// clientAuth.
    Client,
    /// Netscape's or Microsoft's Server Gated Cryptography, once as good as serverAuth.
    GatedServer,
    /// Another one.
    Other,
}

impl Usage {
    /// The usage with this object identifier's content.
    fn of(oid: &[u8]) -> Self {
        match oid {
            [0x55, 0x1d, 37, 0] => Self::Any,
            [0x2b, 6, 1, 5, 5, 7, 3, 1] => Self::Server,
            [0x2b, 6, 1, 5, 5, 7, 3, 2] => Self::Client,
            [0x60, 0x86, 0x48, 1, 0x86, 0xf8, 0x42, 4, 1] => Self::GatedServer,
            [0x2b, 6, 1, 4, 1, 0x82, 0x37, 10, 3, 3] => Self::GatedServer,
            _ => Self::Other,
        }
    }
}

/// basicConstraints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BasicConstraints {
    /// The CA bit.
    pub(crate) ca: bool,
    /// How many intermediates may follow.
    pub(crate) path_length: Option<u64>,
}

/// What version 3 adds to a certificate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extensions<'a> {
    /// The bits of keyUsage, digitalSignature lowest; 0 when there is none.
    pub(crate) key_usage: u16,
    /// basicConstraints.
    pub(crate) basic_constraints: Option<BasicConstraints>,
    /// subjectAltName.
    pub(crate) san: Option<SubjectAltName<'a>>,
    /// The first of several of them.
    first_san: Option<SubjectAltName<'a>>,
    /// nameConstraints.
    pub(crate) name_constraints: Option<NameConstraints<'a>>,
    /// extendedKeyUsage; none is no limit, an empty list neither.
    pub(crate) usages: Vec<Usage>,
    /// subjectKeyIdentifier.
    pub(crate) subject_key_id: &'a [u8],
    /// authorityKeyIdentifier's key identifier.
    pub(crate) authority_key_id: &'a [u8],
    /// Policies, their mappings and constraints.
    pub(crate) policies: Policies<'a>,
    /// Critical extensions that Go does not handle, dotted.
    pub(crate) unhandled_critical: Vec<String>,
}

/// keyUsage's certSign bit.
pub(crate) const CERT_SIGN: u16 = 1 << 5;

impl<'a> Extensions<'a> {
    /// Takes another subjectAltName: of several the last one counts.
    fn put_san(&mut self, san: SubjectAltName<'a>) {
        let before = self.san.replace(san);
        self.first_san = self.first_san.take().or(before);
    }

    /// The names that are held against name constraints: of several lists the first one.
    pub(super) fn constrained_san(&self) -> Option<&SubjectAltName<'a>> {
        self.first_san.as_ref().or(self.san.as_ref())
    }

    /// The DNS names it speaks for.
    pub(crate) fn dns(&self) -> &[&str] {
        self.san.as_ref().map_or(&[], |san| san.dns.as_slice())
    }

    /// The addresses it speaks for.
    pub(crate) fn ips(&self) -> &[IpAddr] {
        self.san.as_ref().map_or(&[], |san| san.ips.as_slice())
    }
}

/// Reads the content of the `[3]` field.
pub(super) fn parse<'a>(mut list: Der<'a>, go: GoVersion) -> Result<Extensions<'a>, ParseError> {
    let strict = go >= GoVersion::STRICT_OIDS;
    let mut all = list.read(der::SEQUENCE).ok_or_else(|| ParseError::new("malformed extensions"))?;
    const FEW: usize = 16;
    let mut raw: Vec<(&[u8], bool, &[u8])> = Vec::with_capacity(FEW);
    let mut seen = HashSet::new();
    while !all.is_empty() {
        let mut one = all.read(der::SEQUENCE).ok_or_else(|| ParseError::new("malformed extension"))?;
        let oid = one.oid(strict).ok_or_else(|| ParseError::new("malformed extension OID field"))?;
        let critical = if one.peek(der::BOOLEAN) {
            one.boolean().ok_or_else(|| ParseError::new("malformed extension critical field"))?
        } else {
            false
        };
        let value =
            one.read(der::OCTET_STRING).ok_or_else(|| ParseError::new("malformed extension value field"))?;
        // Few are compared with each other, many by their hashes.
        let twice = match raw.len() {
            0..FEW => raw.iter().any(|(other, ..)| *other == oid),
            FEW => {
                seen.extend(raw.iter().map(|(other, ..)| *other));
                !seen.insert(oid)
            }
            _ => !seen.insert(oid),
        };
        if twice && go >= GoVersion::NO_DUPLICATES {
            return Err(duplicate(oid, go));
        }
        raw.push((oid, critical, value.0));
    }
    let mut out = Extensions::default();
    for (oid, critical, value) in raw {
        let handled = handle(&mut out, oid, critical, value, go)?;
        if critical && !handled {
            out.unhandled_critical.push(der::dotted(oid));
        }
    }
    Ok(out)
}

fn duplicate(oid: &[u8], go: GoVersion) -> ParseError {
    if go >= GoVersion::NO_NEGATIVE_SERIAL {
        ParseError::new(format!("certificate contains duplicate extension with OID \"{}\"", der::dotted(oid)))
    } else {
        ParseError::new("certificate contains duplicate extensions")
    }
}

/// Reads one extension; `false` means that Go does not handle it.
fn handle<'a>(
    out: &mut Extensions<'a>,
    oid: &[u8],
    critical: bool,
    value: &'a [u8],
    go: GoVersion,
) -> Result<bool, ParseError> {
    let forbid_critical = |what: &str| {
        if critical && go >= GoVersion::NO_NEGATIVE_SERIAL {
            return Err(ParseError::new(format!("{what} incorrectly marked critical")));
        }
        Ok(())
    };
    match oid {
        [0x55, 0x1d, 15] => {
            let bits = Der(value).bit_string().ok_or_else(|| ParseError::new("invalid key usage"))?;
            out.key_usage = usage_bits(&bits);
        }
        [0x55, 0x1d, 19] => out.basic_constraints = Some(basic_constraints(value, go)?),
        [0x55, 0x1d, 17] => {
            let san = san::parse(value, go)?;
            let known = !san.is_empty();
            out.put_san(san);
            return Ok(known);
        }
        [0x55, 0x1d, 30] => {
            let (constraints, all_known) = NameConstraints::parse(value, go)?;
            out.name_constraints = Some(constraints);
            return Ok(all_known);
        }
        [0x55, 0x1d, 31] => distribution_points(value)?,
        [0x55, 0x1d, 35] => {
            forbid_critical("authority key identifier")?;
            out.authority_key_id = authority_key_id(value)?;
        }
        [0x55, 0x1d, 14] => {
            forbid_critical("subject key identifier")?;
            out.subject_key_id = Der(value)
                .read(der::OCTET_STRING)
                .ok_or_else(|| ParseError::new("invalid subject key identifier"))?
                .0;
        }
        [0x55, 0x1d, 37] => out.usages = usages(value, go)?,
        [0x55, 0x1d, 32] => out.policies.read_policies(value, go)?,
        [0x55, 0x1d, 33 | 36 | 54] if go < GoVersion::POLICIES => return Ok(false),
        [0x55, 0x1d, 33] => out.policies.read_mappings(value)?,
        [0x55, 0x1d, 36] => out.policies.read_constraints(value)?,
        [0x55, 0x1d, 54] => out.policies.read_inhibit_any(value)?,
        [0x2b, 6, 1, 5, 5, 7, 1, 1] => {
            forbid_critical("authority info access")?;
            authority_info_access(value, go)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn usage_bits(bits: &der::BitString<'_>) -> u16 {
    (0..9).filter(|&bit| bits.bit(bit)).map(|bit| 1u16 << bit).sum()
}

fn basic_constraints(value: &[u8], go: GoVersion) -> Result<BasicConstraints, ParseError> {
    // Older releases say which part of it is wrong.
    let bad = |part: &str| {
        let part = if go < GoVersion::STRICT_OIDS { part } else { "" };
        ParseError::new(format!("invalid basic constraints{part}"))
    };
    let mut fields = Der(value).read(der::SEQUENCE).ok_or_else(|| bad(" a"))?;
    let ca = if fields.peek(der::BOOLEAN) { fields.boolean().ok_or_else(|| bad(" b"))? } else { false };
    let path_length = if fields.peek(der::INTEGER) {
        let number = fields.int64().ok_or_else(|| bad(" c"))?;
        // A negative path length is no limit to Go where it does not refuse it.
        match u64::try_from(number) {
            Ok(number) => Some(number),
            Err(_) if go < GoVersion::NO_NEGATIVE_PATH => None,
            Err(_) => return Err(bad("")),
        }
    } else {
        None
    };
    Ok(BasicConstraints { ca, path_length })
}

fn usages(value: &[u8], go: GoVersion) -> Result<Vec<Usage>, ParseError> {
    let bad = || ParseError::new("invalid extended key usages");
    let mut list = Der(value).read(der::SEQUENCE).ok_or_else(bad)?;
    let mut out = Vec::new();
    while !list.is_empty() {
        out.push(Usage::of(list.oid(go >= GoVersion::STRICT_OIDS).ok_or_else(bad)?));
    }
    Ok(out)
}

fn authority_key_id(value: &[u8]) -> Result<&[u8], ParseError> {
    let bad = || ParseError::new("invalid authority key identifier");
    let mut fields = Der(value).read(der::SEQUENCE).ok_or_else(bad)?;
    match fields.optional(der::context(0)).ok_or_else(bad)? {
        Some(id) => Ok(id.0),
        None => Ok(&[]),
    }
}

fn distribution_points(value: &[u8]) -> Result<(), ParseError> {
    let bad = || ParseError::new("invalid CRL distribution point");
    let mut points =
        Der(value).read(der::SEQUENCE).ok_or_else(|| ParseError::new("invalid CRL distribution points"))?;
    while !points.is_empty() {
        let mut point = points.read(der::SEQUENCE).ok_or_else(bad)?;
        let Some(mut name) = point.optional(der::explicit(0)).ok_or_else(bad)? else { continue };
        let mut full = name.read(der::explicit(0)).ok_or_else(bad)?;
        while full.peek(der::context(6)) {
            full.read(der::context(6)).ok_or_else(bad)?;
        }
    }
    Ok(())
}

fn authority_info_access(value: &[u8], go: GoVersion) -> Result<(), ParseError> {
    let bad = || ParseError::new("invalid authority info access");
    let mut list = Der(value).read(der::SEQUENCE).ok_or_else(bad)?;
    while !list.is_empty() {
        let mut one = list.read(der::SEQUENCE).ok_or_else(bad)?;
        one.oid(go >= GoVersion::STRICT_OIDS).ok_or_else(bad)?;
        if one.peek(der::context(6)) {
            one.read(der::context(6)).ok_or_else(bad)?;
        }
    }
    Ok(())
}
