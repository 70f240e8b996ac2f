//! A certificate as Go's `crypto/x509.ParseCertificate` reads it: what Go refuses is refused with Go's words, what
//! Go ignores is ignored, and the facts that decide a verdict are kept.

pub(super) mod by_asn1;

use std::borrow::Cow;

use time::OffsetDateTime;
use x509_parser::prelude::FromDer;

use super::der::{self, Der};
use super::extensions::{self, Extensions};
use super::go::GoVersion;
use super::godebug::Rule;
use super::parse_error::ParseError;
use super::public_key::PublicKey;
use super::signature::SignatureAlgorithm;
use super::when;

/// A parsed certificate; it borrows the bytes it was read from.
#[derive(Debug, Clone)]
pub struct Certificate<'a> {
    /// The whole DER.
    pub(crate) raw: &'a [u8],
    /// What is signed.
    pub(crate) tbs: &'a [u8],
    /// 1, 2 or 3.
    pub(crate) version: i64,
    /// Big-endian two's complement.
    pub(crate) serial: &'a [u8],
    /// The issuer's DER: names are compared byte by byte.
    pub(crate) issuer: &'a [u8],
    /// The subject's DER.
    pub(crate) subject: &'a [u8],
    /// Valid from here, inclusive.
    pub(crate) not_before: OffsetDateTime,
    /// Valid up to here, inclusive.
    pub(crate) not_after: OffsetDateTime,
    /// The key's DER.
    pub(crate) spki: &'a [u8],
    /// The key.
    pub(crate) key: PublicKey,
    /// How it is signed.
    pub(crate) algorithm: SignatureAlgorithm,
    /// The signature.
    pub(crate) signature: Vec<u8>,
    /// What version 3 adds.
    pub(crate) extensions: Extensions<'a>,
}

impl<'a> Certificate<'a> {
    /// Reads one DER certificate the way Go `go` does.
    ///
    /// # Errors
    /// [`ParseError`] with Go's words, also for bytes that follow the certificate.
    pub fn parse(raw: &'a [u8], go: GoVersion) -> Result<Self, ParseError> {
        if go < GoVersion::CRYPTOBYTE {
            return by_asn1::parse(raw, go);
        }
        let certificate = Self::parse_first(raw, go)?;
        if certificate.raw.len() == raw.len() {
            Ok(certificate)
        } else {
            Err(ParseError::new("trailing data"))
        }
    }

    fn parse_first(bytes: &'a [u8], go: GoVersion) -> Result<Self, ParseError> {
        let err = ParseError::new;
        let raw = Der(bytes).element(der::SEQUENCE).ok_or_else(|| err("malformed certificate"))?;
        let mut input = Der(raw).read(der::SEQUENCE).ok_or_else(|| err("malformed certificate"))?;
        let tbs_raw = input.element(der::SEQUENCE).ok_or_else(|| err("malformed tbs certificate"))?;
        let mut tbs = Der(tbs_raw).read(der::SEQUENCE).ok_or_else(|| err("malformed tbs certificate"))?;

        let version = version(&mut tbs)?;
        let serial = tbs.integer().ok_or_else(|| err("malformed serial number"))?;
        let strict = go >= GoVersion::NO_NEGATIVE_SERIAL && !go.relaxes(Rule::NoNegativeSerial);
        if strict && serial[0] & 0x80 != 0 {
            return Err(err("negative serial number"));
        }
        let inner = tbs.read(der::SEQUENCE).ok_or_else(|| err("malformed signature algorithm identifier"))?;
        let outer = input.read(der::SEQUENCE).ok_or_else(|| err("malformed algorithm identifier"))?;
        if inner != outer {
            return Err(err("inner and outer signature algorithm identifiers don't match"));
        }
        let algorithm = SignatureAlgorithm::parse(inner, go)?;

        let issuer = tbs.element(der::SEQUENCE).ok_or_else(|| err("malformed issuer"))?;
        check_name(issuer, go)?;
        let mut validity = tbs.read(der::SEQUENCE).ok_or_else(|| err("malformed validity"))?;
        let not_before = when::read(&mut validity, go)?;
        let not_after = when::read(&mut validity, go)?;
        let subject = tbs.element(der::SEQUENCE).ok_or_else(|| err("malformed issuer"))?;
        check_name(subject, go)?;
        let spki = tbs.element(der::SEQUENCE).ok_or_else(|| err("malformed spki"))?;
        let key = PublicKey::parse(spki, go)?;

        let extensions = extensions(&mut tbs, version, go)?;
        let signature = input.bit_string().ok_or_else(|| err("malformed signature"))?.right_aligned();
        Ok(Self {
            raw,
            tbs: tbs_raw,
            version,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            spki,
            key,
            algorithm,
            signature,
            extensions,
        })
    }

    /// Whether subject and issuer are the same bytes.
    pub(crate) fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// The subject for people, such as `CN=server1`.
    pub(crate) fn subject_text(&self) -> String {
        name_text(self.subject)
    }

    /// The issuer for people.
    pub(crate) fn issuer_text(&self) -> String {
        name_text(self.issuer)
    }

    /// The last common name of the subject; empty when there is none.
    pub(crate) fn common_name(&self) -> String {
        attribute(self.subject, &[0x55, 4, 3]).last().unwrap_or_default().into_owned()
    }

    /// The subject's first organisation, if any.
    pub(crate) fn organization(&self) -> Option<String> {
        attribute(self.subject, &[0x55, 4, 10]).next().map(Cow::into_owned)
    }
}

fn version(tbs: &mut Der<'_>) -> Result<i64, ParseError> {
    let version = match tbs.optional(der::explicit(0)) {
        None => None,
        Some(None) => Some(0),
        Some(Some(mut inner)) => inner.int64().filter(|_| inner.is_empty()),
    };
    match version {
        Some(version @ 0..=2) => Ok(version + 1),
        Some(3..) => Err(ParseError::new("invalid version")),
        _ => Err(ParseError::new("malformed version")),
    }
}

fn extensions<'a>(tbs: &mut Der<'a>, version: i64, go: GoVersion) -> Result<Extensions<'a>, ParseError> {
    if version > 1 {
        tbs.optional(der::context(1)).ok_or_else(|| ParseError::new("malformed issuerUniqueID"))?;
        tbs.optional(der::context(2)).ok_or_else(|| ParseError::new("malformed subjectUniqueID"))?;
    }
    if version < 3 {
        return Ok(Extensions::default());
    }
    match tbs.optional(der::explicit(3)) {
        None => Err(ParseError::new("malformed extensions")),
        Some(None) => Ok(Extensions::default()),
        Some(Some(list)) => extensions::parse(list, go),
    }
}

/// Go reads both names whole; their string types and characters must be right.
fn check_name(raw: &[u8], go: GoVersion) -> Result<(), ParseError> {
    let bad = |what: &str| ParseError::new(format!("invalid RDNSequence{what}"));
    let mut sequence = Der(raw).read(der::SEQUENCE).ok_or_else(|| bad(""))?;
    while !sequence.is_empty() {
        let mut set = sequence.read(der::SET).ok_or_else(|| bad(""))?;
        while !set.is_empty() {
            let mut pair = set.read(der::SEQUENCE).ok_or_else(|| bad(": invalid attribute"))?;
            pair.oid(go >= GoVersion::STRICT_OIDS).ok_or_else(|| bad(": invalid attribute type"))?;
            let value = pair.any().ok_or_else(|| bad(": invalid attribute value"))?;
            check_string(value, go).map_err(|why| bad(&format!(": invalid attribute value: {why}")))?;
        }
    }
    Ok(())
}

fn check_string(value: der::Element<'_>, go: GoVersion) -> Result<(), String> {
    let bytes = value.content;
    let (ok, what) = match value.tag {
        der::T61_STRING => (true, ""),
        der::PRINTABLE_STRING => (bytes.iter().all(|&byte| is_printable(byte)), "PrintableString"),
        der::UTF8_STRING => (std::str::from_utf8(bytes).is_ok(), "UTF-8 string"),
        der::BMP_STRING => (is_bmp(bytes, go), "BMPString"),
        der::IA5_STRING => (bytes.is_ascii(), "IA5String"),
        der::NUMERIC_STRING => {
            (bytes.iter().all(|&byte| byte.is_ascii_digit() || byte == b' '), "NumericString")
        }
        tag => return check_other(tag, value, go),
    };
    if ok { Ok(()) } else { Err(format!("invalid {what}")) }
}

/// Attribute values that are no strings: refused before Go 1.27, read from then on.
fn check_other(tag: u8, value: der::Element<'_>, go: GoVersion) -> Result<(), String> {
    if go < GoVersion::NO_MAPPED {
        return Err(format!("unsupported string type: {tag}"));
    }
    let mut full = Der(value.full);
    let ok = match tag {
        der::INTEGER => full.int64().is_some(),
        der::BIT_STRING => full.bit_string().is_some(),
        der::OID => full.oid(true).is_some(),
        der::BOOLEAN => full.boolean().is_some(),
        der::UTC_TIME | der::GENERALIZED_TIME => when::read(&mut full, go).is_ok(),
        _ => true,
    };
    if ok { Ok(()) } else { Err("invalid ASN.1 element".to_owned()) }
}

fn is_text(tag: u8) -> bool {
    matches!(
        tag,
        der::UTF8_STRING
            | der::NUMERIC_STRING
            | der::PRINTABLE_STRING
            | der::T61_STRING
            | der::IA5_STRING
            | der::BMP_STRING
    )
}

fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()*+,-./:=?&".contains(&byte)
}

fn is_bmp(bytes: &[u8], go: GoVersion) -> bool {
    if !bytes.len().is_multiple_of(2) {
        return false;
    }
    let bytes = bytes.strip_suffix(&[0, 0]).unwrap_or(bytes);
    go < GoVersion::NO_NEGATIVE_PATH
        || bytes.chunks_exact(2).all(|pair| {
            !matches!(u16::from_be_bytes([pair[0], pair[1]]), 0xfffe | 0xffff | 0xfdd0..=0xfdef | 0xd800..=0xdfff)
        })
}

/// A name for people.
pub(super) fn name_text(raw: &[u8]) -> String {
    match x509_parser::x509::X509Name::from_der(raw) {
        Ok((_, name)) => name.to_string(),
        Err(_) => "a name that cannot be shown".to_owned(),
    }
}

/// The values of an attribute of a name, as far as they are texts to Go.
fn attribute<'a>(raw: &'a [u8], oid: &'static [u8]) -> impl Iterator<Item = Cow<'a, str>> {
    let mut sets = Der(raw).read(der::SEQUENCE).unwrap_or(Der(&[]));
    let mut pairs = Der(&[]);
    std::iter::from_fn(move || {
        loop {
            if pairs.is_empty() {
                pairs = sets.read(der::SET)?;
            }
            let mut pair = pairs.read(der::SEQUENCE)?;
            let (kind, value) = (pair.oid(false)?, pair.any()?);
            if kind == oid && is_text(value.tag) {
                return Some(text(value));
            }
        }
    })
}

fn text(value: der::Element<'_>) -> Cow<'_, str> {
    if value.tag != der::BMP_STRING {
        return String::from_utf8_lossy(value.content);
    }
    let pairs = value.content.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    char::decode_utf16(pairs).map(|one| one.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

impl Certificate<'_> {
    /// The serial number in decimal, as Go prints it.
    pub(crate) fn serial_decimal(&self) -> String {
        let negative = self.serial[0] & 0x80 != 0;
        let mut magnitude: Vec<u8> = self.serial.to_vec();
        if negative {
            let mut carry = true;
            for byte in magnitude.iter_mut().rev() {
                let (sum, over) = (!*byte).overflowing_add(u8::from(carry));
                (*byte, carry) = (sum, over);
            }
        }
        let mut digits = Vec::new();
        while magnitude.iter().any(|&byte| byte != 0) {
            let mut rest = 0u16;
            for byte in &mut magnitude {
                let value = rest << 8 | u16::from(*byte);
                *byte = u8::try_from(value / 10).expect("below 256");
                rest = value % 10;
            }
            digits.push(char::from(b'0' + u8::try_from(rest).expect("below 10")));
        }
        if digits.is_empty() {
            digits.push('0');
        }
        if negative {
            digits.push('-');
        }
        digits.iter().rev().collect()
    }
}
