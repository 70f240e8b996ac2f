//! Certificates as Go before 1.17 reads them, with `encoding/asn1`: the two algorithms need not be the same, a version may be
//! any number and have extensions, and names may hold values of any type.

use super::super::asn1::{self, Fields, Kind, Value};
use super::super::extensions;
use super::super::go::GoVersion;
use super::super::parse_error::ParseError;
use super::super::public_key::PublicKey;
use super::super::signature::SignatureAlgorithm;
use super::super::when;
use super::{Certificate, is_bmp, is_printable};

/// Reads one DER certificate.
pub(super) fn parse(raw: &[u8], go: GoVersion) -> Result<Certificate<'_>, ParseError> {
    let mut file = Fields::of(raw);
    let mut fields = file.sequence("certificate")?;
    let tbs_raw = fields.read(Kind::sequence("tbsCertificate"))?;
    let tbs = ToBeSigned::read(tbs_raw.content)?;
    algorithm(&mut fields)?;
    let signature = fields.bit_string()?.right_aligned();
    if !file.is_empty() {
        return Err(ParseError::syntax("trailing data"));
    }
    let (oid, parameters) = tbs.algorithm;
    let key = tbs.key.read(go)?;
    check_name(tbs.subject, "subject")?;
    check_name(tbs.issuer, "issuer")?;
    Ok(Certificate {
        raw,
        tbs: tbs_raw.full,
        // It overflows as it does in Go.
        version: tbs.version.wrapping_add(1),
        serial: tbs.serial,
        issuer: tbs.issuer,
        subject: tbs.subject,
        not_before: tbs.not_before,
        not_after: tbs.not_after,
        spki: tbs.key.full,
        key,
        algorithm: SignatureAlgorithm::of(oid, parameters),
        signature,
        extensions: extensions::by_asn1::read(&tbs.extensions, go)?,
    })
}

/// What is signed, its fields sound by themselves.
struct ToBeSigned<'a> {
    version: i64,
    serial: &'a [u8],
    algorithm: (&'a [u8], &'a [u8]),
    issuer: &'a [u8],
    not_before: time::OffsetDateTime,
    not_after: time::OffsetDateTime,
    subject: &'a [u8],
    key: KeyInfo<'a>,
    extensions: Vec<extensions::by_asn1::Extension<'a>>,
}

/// A SubjectPublicKeyInfo.
struct KeyInfo<'a> {
    full: &'a [u8],
    algorithm: (&'a [u8], &'a [u8]),
    bits: Vec<u8>,
}

impl KeyInfo<'_> {
    fn read(&self, go: GoVersion) -> Result<PublicKey, ParseError> {
        let (oid, parameters) = self.algorithm;
        PublicKey::by_asn1(oid, parameters, &self.bits, go)
    }
}

impl<'a> ToBeSigned<'a> {
    fn read(content: &'a [u8]) -> Result<Self, ParseError> {
        let mut fields = Fields::of(content);
        let version = match fields.explicit(0, Kind::INT)? {
            Some(value) => asn1::int64(value.content)?,
            None => 0,
        };
        let serial = fields.integer()?;
        let algorithm = algorithm(&mut fields)?;
        let issuer = fields.any()?.full;
        let mut validity = fields.sequence("validity")?;
        let not_before = when::by_asn1::read(&mut validity)?;
        let not_after = when::by_asn1::read(&mut validity)?;
        let subject = fields.any()?.full;
        let key = key_info(&mut fields)?;
        for number in [1, 2] {
            if let Some(id) = fields.tagged(number, Some(false))? {
                asn1::bit_string(id.content)?;
            }
        }
        let extensions = match fields.explicit(3, Kind::LIST)? {
            Some(list) => extensions::by_asn1::list(list.content)?,
            None => Vec::new(),
        };
        Ok(Self { version, serial, algorithm, issuer, not_before, not_after, subject, key, extensions })
    }
}

fn key_info<'a>(fields: &mut Fields<'a>) -> Result<KeyInfo<'a>, ParseError> {
    let value = fields.read(Kind::sequence("publicKeyInfo"))?;
    let mut inner = Fields::of(value.content);
    let algorithm = algorithm(&mut inner)?;
    Ok(KeyInfo { full: value.full, algorithm, bits: inner.bit_string()?.right_aligned() })
}

/// An AlgorithmIdentifier: the object identifier and its parameters, header and all.
fn algorithm<'a>(fields: &mut Fields<'a>) -> Result<(&'a [u8], &'a [u8]), ParseError> {
    let mut inner = fields.sequence("AlgorithmIdentifier")?;
    let oid = inner.oid()?;
    Ok((oid, inner.optional_any()?.map_or(&[], |value| value.full)))
}

fn check_name(raw: &[u8], whose: &str) -> Result<(), ParseError> {
    let mut name = Fields::of(raw);
    check_sets(name.read(Kind::sequence("RDNSequence"))?.content)?;
    if name.is_empty() { Ok(()) } else { Err(ParseError::new(format!("trailing data after X.509 {whose}"))) }
}

/// Whether the sets of a name are sound.
pub(in super::super) fn check_sets(content: &[u8]) -> Result<(), ParseError> {
    let mut sets = Fields::list(content, Some(Kind::SET))?;
    while !sets.is_empty() {
        let mut pairs = Fields::list(sets.read(Kind::SET)?.content, Some(Kind::LIST))?;
        while !pairs.is_empty() {
            let mut pair = pairs.sequence("AttributeTypeAndValue")?;
            pair.oid()?;
            check_value(pair.any()?)?;
        }
    }
    Ok(())
}

/// A value of a type that Go knows must be sound; what it does not know is passed over.
fn check_value(value: Value<'_>) -> Result<(), ParseError> {
    if value.constructed || value.class != 0 {
        return Ok(());
    }
    let content = value.content;
    let all = |ok: fn(u8) -> bool, what: &str| {
        let bad = || ParseError::syntax(format!("{what} contains invalid character"));
        content.iter().all(|&byte| ok(byte)).then_some(()).ok_or_else(bad)
    };
    match value.number {
        2 => asn1::int64(content).map(|_| ()),
        3 => asn1::bit_string(content).map(|_| ()),
        6 => asn1::oid(content).map(|_| ()),
        12 if std::str::from_utf8(content).is_err() => Err(ParseError::plain("asn1: invalid UTF-8 string")),
        18 => all(|byte| byte.is_ascii_digit() || byte == b' ', "NumericString"),
        19 => all(is_printable, "PrintableString"),
        22 => all(|byte| byte.is_ascii(), "IA5String"),
        23 => when::by_asn1::utc(content).map(|_| ()),
        24 => when::by_asn1::generalized(content).map(|_| ()),
        30 if !is_bmp(content, GoVersion::new(16, 0)) => {
            Err(ParseError::plain("pkcs12: odd-length BMP string"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der() -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["m1.etcd.test".to_owned()]).unwrap();
        params.subject_alt_names.push(rcgen::SanType::IpAddress([127, 0, 0, 1].into()));
        params.subject_alt_names.push(rcgen::SanType::URI("https://m1.etcd.test/".try_into().unwrap()));
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(1));
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn both_readings_of_a_sound_certificate_are_the_same() {
        let der = der();
        let (old, new) = (parse(&der, GoVersion::new(16, 0)), Certificate::parse(&der, GoVersion::NEWEST));
        assert_eq!(format!("{:?}", old.unwrap()), format!("{:?}", new.unwrap()));
    }

    #[test]
    fn every_prefix_and_every_changed_byte_is_survived() {
        let der = der();
        for go in [GoVersion::new(15, 0), GoVersion::new(16, 0)] {
            assert!((0..der.len()).all(|length| parse(&der[..length], go).is_err()));
            for at in 0..der.len() {
                for value in [0, 0x1f, 0x30, 0x80, 0xff, der[at] ^ 1, der[at] ^ 0x20, der[at] ^ 0x80] {
                    let mut changed = der.clone();
                    changed[at] = value;
                    let _ = parse(&changed, go);
                }
            }
        }
    }

    #[test]
    fn what_only_older_releases_read() {
        let sound = der();
        // The version, [0] { INTEGER 2 }, is the first thing of what is signed.
        let version = sound.windows(5).position(|bytes| bytes == [0xa0, 3, 2, 1, 2]).unwrap() + 4;
        let mut fourth = sound.clone();
        fourth[version] = 3;
        assert_eq!(parse(&fourth, GoVersion::new(16, 0)).unwrap().version, 4);
        let newer = Certificate::parse(&fourth, GoVersion::CRYPTOBYTE).unwrap_err();
        assert_eq!(newer.to_string(), "x509: invalid version");
        let longer = [&sound[..], &[0]].concat();
        assert_eq!(
            parse(&longer, GoVersion::new(16, 0)).unwrap_err().to_string(),
            "asn1: syntax error: trailing data"
        );
    }
}
