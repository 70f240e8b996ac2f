//! Extensions as Go before 1.17 reads them, with `encoding/asn1`: nothing may follow the value of a known one, and the same
//! one may be there twice.

use super::super::asn1::{self, Fields, Kind, Value};
use super::super::constraints::NameConstraints;
use super::super::der;
use super::super::go::GoVersion;
use super::super::parse_error::ParseError;
use super::super::san;
use super::{BasicConstraints, Extensions, Usage, usage_bits};

/// An extension that is not yet read.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Extension<'a> {
    oid: &'a [u8],
    critical: bool,
    value: &'a [u8],
}

/// The extensions in the content of their SEQUENCE.
pub(in super::super) fn list(content: &[u8]) -> Result<Vec<Extension<'_>>, ParseError> {
    let mut all = Fields::list(content, Some(Kind::LIST))?;
    let mut out = Vec::new();
    while !all.is_empty() {
        let mut fields = all.sequence("Extension")?;
        let oid = fields.oid()?;
        let critical = match fields.optional(Kind::BOOLEAN)? {
            Some(value) => asn1::boolean(value.content)?,
            None => false,
        };
        out.push(Extension { oid, critical, value: fields.octets()? });
    }
    Ok(out)
}

/// Reads their values.
pub(in super::super) fn read<'a>(all: &[Extension<'a>], go: GoVersion) -> Result<Extensions<'a>, ParseError> {
    let mut out = Extensions::default();
    for extension in all {
        let handled = handle(&mut out, extension, go)?;
        if extension.critical && !handled {
            out.unhandled_critical.push(der::dotted(extension.oid));
        }
    }
    Ok(out)
}

fn handle<'a>(
    out: &mut Extensions<'a>,
    extension: &Extension<'a>,
    go: GoVersion,
) -> Result<bool, ParseError> {
    let value = extension.value;
    match extension.oid {
        [0x55, 0x1d, 15] => {
            let bits = whole(value, Kind::BIT_STRING, "KeyUsage")?;
            out.key_usage = usage_bits(&asn1::bit_string(bits.content)?);
        }
        [0x55, 0x1d, 19] => out.basic_constraints = Some(basic_constraints(value)?),
        [0x55, 0x1d, 17] => {
            let san = san::by_asn1(value, go)?;
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
            let mut fields = nested(value, "authKeyId", "authority key-id")?;
            out.authority_key_id = fields.tagged(0, Some(false))?.map_or(&[], |id| id.content);
        }
        [0x55, 0x1d, 14] => out.subject_key_id = whole(value, Kind::OCTETS, "key-id")?.content,
        [0x55, 0x1d, 37] => {
            let read = usages(value)?;
            // Of several, 1.15 takes all that they list, 1.16 the last.
            if go >= GoVersion::ASCII_SANS {
                out.usages.clear();
            }
            out.usages.extend(read);
        }
        [0x55, 0x1d, 32] => {
            let list = whole(value, Kind::LIST, "certificate policies")?.content;
            each(list, "policyInformation", |one| one.oid().map(|_| ()))?;
        }
        [0x2b, 6, 1, 5, 5, 7, 1, 1] => {
            let list = whole(value, Kind::LIST, "authority information")?.content;
            each(list, "authorityInfoAccess", |one| {
                one.oid()?;
                one.any().map(|_| ())
            })?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// The one element that a value holds.
fn whole<'a>(value: &'a [u8], kind: Kind, what: &str) -> Result<Value<'a>, ParseError> {
    let mut fields = Fields::of(value);
    let read = fields.read(kind)?;
    nothing_more(&fields, what)?;
    Ok(read)
}

/// The fields of the one SEQUENCE that a value holds.
fn nested<'a>(value: &'a [u8], name: &'static str, what: &str) -> Result<Fields<'a>, ParseError> {
    Ok(Fields::of(whole(value, Kind::sequence(name), what)?.content))
}

fn nothing_more(fields: &Fields<'_>, what: &str) -> Result<(), ParseError> {
    if fields.is_empty() { Ok(()) } else { Err(ParseError::new(format!("trailing data after X.509 {what}"))) }
}

/// Reads each SEQUENCE of a list.
fn each(
    content: &[u8],
    name: &'static str,
    mut read: impl FnMut(&mut Fields<'_>) -> Result<(), ParseError>,
) -> Result<(), ParseError> {
    let mut list = Fields::list(content, Some(Kind::LIST))?;
    while !list.is_empty() {
        read(&mut list.sequence(name)?)?;
    }
    Ok(())
}

fn basic_constraints(value: &[u8]) -> Result<BasicConstraints, ParseError> {
    let mut fields = nested(value, "basicConstraints", "BasicConstraints")?;
    let ca = match fields.optional(Kind::BOOLEAN)? {
        Some(value) => asn1::boolean(value.content)?,
        None => false,
    };
    let limit = fields.optional(Kind::INT)?.map(|value| asn1::int64(value.content)).transpose()?;
    // A negative path length is no limit.
    Ok(BasicConstraints { ca, path_length: limit.and_then(|limit| u64::try_from(limit).ok()) })
}

fn usages(value: &[u8]) -> Result<Vec<Usage>, ParseError> {
    let content = whole(value, Kind::LIST, "ExtendedKeyUsage")?.content;
    let mut list = Fields::list(content, Some(Kind::OID))?;
    let mut out = Vec::new();
    while !list.is_empty() {
        out.push(Usage::of(list.oid()?));
    }
    Ok(out)
}

fn distribution_points(value: &[u8]) -> Result<(), ParseError> {
    let list = whole(value, Kind::LIST, "CRL distribution point")?.content;
    each(list, "distributionPoint", |point| {
        if let Some(name) = point.tagged(0, Some(true))? {
            let mut name = Fields::of(name.content);
            if let Some(full) = name.tagged(0, Some(true))? {
                Fields::list(full.content, None)?;
            }
            if let Some(relative) = name.tagged(1, Some(true))? {
                super::super::certificate::by_asn1::check_sets(relative.content)?;
            }
        }
        if let Some(reasons) = point.tagged(1, Some(false))? {
            asn1::bit_string(reasons.content)?;
        }
        point.tagged(2, None).map(|_| ())
    })
}
