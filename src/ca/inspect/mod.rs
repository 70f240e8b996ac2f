//! What a file holds, described: certificates, keys (never their secret), requests and revocation lists, in PEM or DER.

mod words;

use std::path::Path;

use ::time::OffsetDateTime;
use serde::Serialize;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::*;

use super::constraints::Constraints;
use super::encode::{Serial, fingerprint, key_id};
use super::key::{KeyError, kind_of};
use super::pem::{self, Block};
use super::{CaError, PrivateKey};
use words::{hex, key_usages, sans, signature, usages};

/// One thing in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Item {
    /// A certificate.
    Certificate(Box<Certificate>),
    /// A private key.
    Key(Key),
    /// A certificate request (PKCS#10).
    Request(Request),
    /// A revocation list.
    Crl(Crl),
    /// Something else.
    Other {
        /// The PEM label, or what was tried.
        label: String,
        /// Why it is not described.
        what: String,
    },
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// The subject.
    pub subject: String,
    /// The issuer.
    pub issuer: String,
    /// The serial in hexadecimal, as the ledger has it.
    pub serial: String,
    /// The start.
    #[serde(with = "::time::serde::rfc3339")]
    pub not_before: OffsetDateTime,
    /// The end.
    #[serde(with = "::time::serde::rfc3339")]
    pub not_after: OffsetDateTime,
    /// The names, as `DNS:…`, `IP:…`.
    pub sans: Vec<String>,
    /// The kind of key, such as `p256` or `rsa2048`.
    pub key_type: String,
    /// The signature's algorithm.
    pub signature: String,
    /// The key usages; empty when there is no such extension.
    pub key_usages: Vec<String>,
    /// The extended key usages; empty when there is no such extension.
    pub usages: Vec<String>,
    /// Whether basicConstraints say that it is a CA.
    pub ca: bool,
    /// How many CAs may stand below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_len: Option<u32>,
    /// What it may certify, where that is limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraints: Option<String>,
    /// The subject key identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_key_id: Option<String>,
    /// The authority key identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority_key_id: Option<String>,
    /// SHA-1 of the public key: a key and a certificate that belong together have the same.
    pub public_key_id: String,
    /// SHA-256 of the DER.
    pub fingerprint: String,
}

/// A private key, as far as it may be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Key {
    /// The form: PKCS#8, SEC1, PKCS#1.
    pub form: String,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// The kind of key, where it can be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_type: Option<String>,
    /// SHA-1 of the public key, where it can be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key_id: Option<String>,
    /// Why it cannot be used, where it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A certificate request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request {
    /// The subject that it asks for.
    pub subject: String,
    /// The names that it asks for.
    pub sans: Vec<String>,
    /// The kind of key.
    pub key_type: String,
    /// Whether its own key has signed it.
    pub signature_holds: bool,
    /// SHA-1 of the public key.
    pub public_key_id: String,
}

/// A revocation list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Crl {
    /// Who made it.
    pub issuer: String,
    /// Its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// When it was made.
    #[serde(with = "::time::serde::rfc3339")]
    pub this_update: OffsetDateTime,
    /// When the next one is due.
    #[serde(with = "::time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub next_update: Option<OffsetDateTime>,
    /// What it revokes.
    pub revoked: Vec<Revoked>,
}

/// A revoked serial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Revoked {
    /// The serial in hexadecimal.
    pub serial: String,
    /// Since when.
    #[serde(with = "::time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// Why, as RFC 5280 5.3.1 calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Everything in a file, in its order.
pub fn items(path: &Path, bytes: &[u8]) -> Vec<Item> {
    let blocks = pem::blocks(bytes);
    if !blocks.is_empty() {
        return blocks.iter().map(|block| describe(path, block)).collect();
    }
    match der(path, bytes) {
        Some(item) => vec![item],
        None => Vec::new(),
    }
}

fn describe(path: &Path, block: &Block) -> Item {
    let other = |what: String| Item::Other { label: block.label.clone(), what };
    match block.label.as_str() {
        "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => certificate(path, &block.der)
            .map_or_else(|error| other(reason(&error)), |found| Item::Certificate(Box::new(found))),
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
            request(&block.der).map_or_else(|| other("it cannot be read".into()), Item::Request)
        }
        "X509 CRL" => crl(&block.der).map_or_else(|| other("it cannot be read".into()), Item::Crl),
        label if label.ends_with("PRIVATE KEY") => Item::Key(key(block)),
        _ => other("not described".into()),
    }
}

fn reason(error: &CaError) -> String {
    match error {
        CaError::Unreadable { what, .. } => what.clone(),
        other => other.to_string(),
    }
}

fn der(path: &Path, bytes: &[u8]) -> Option<Item> {
    if bytes.first() != Some(&0x30) {
        return None;
    }
    if let Ok(found) = certificate(path, bytes) {
        return Some(Item::Certificate(Box::new(found)));
    }
    if let Some(found) = crl(bytes) {
        return Some(Item::Crl(found));
    }
    if let Some(found) = request(bytes) {
        return Some(Item::Request(found));
    }
    PrivateKey::from_pkcs8(bytes).ok().map(|found| Item::Key(usable("PKCS#8 (DER)", &found)))
}

/// Describes a certificate.
///
/// # Errors
/// [`CaError::Unreadable`]
pub fn certificate(path: &Path, der: &[u8]) -> Result<Certificate, CaError> {
    let (_, parsed) = X509Certificate::from_der(der).map_err(|error| CaError::Unreadable {
        path: path.to_owned(),
        what: format!("the certificate cannot be read: {error}"),
    })?;
    let constraints = Constraints::from_certificate(&parsed);
    let basic = parsed.basic_constraints().ok().flatten().map(|found| found.value);
    let mut found = Certificate {
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        serial: Serial::from_der(parsed.raw_serial()).to_string(),
        not_before: utc(parsed.validity().not_before),
        not_after: utc(parsed.validity().not_after),
        sans: sans(parsed.subject_alternative_name().ok().flatten().map(|found| found.value)),
        key_type: kind_of(parsed.public_key()),
        signature: signature(&parsed.signature_algorithm.algorithm.to_id_string()),
        key_usages: parsed.key_usage().ok().flatten().map_or_else(Vec::new, |found| key_usages(found.value)),
        usages: parsed.extended_key_usage().ok().flatten().map_or_else(Vec::new, |found| usages(found.value)),
        ca: basic.is_some_and(|basic| basic.ca),
        path_len: basic.and_then(|basic| basic.path_len_constraint),
        constraints: (!constraints.is_empty()).then(|| constraints.to_string()),
        subject_key_id: None,
        authority_key_id: None,
        public_key_id: hex(&key_id(&parsed.public_key().subject_public_key.data)),
        fingerprint: fingerprint(der),
    };
    for extension in parsed.iter_extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => found.subject_key_id = Some(hex(id.0)),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                found.authority_key_id = id.key_identifier.as_ref().map(|id| hex(id.0));
            }
            _ => {}
        }
    }
    Ok(found)
}

fn key(block: &Block) -> Key {
    let encrypted = block.label.starts_with("ENCRYPTED") || !block.headers.is_empty();
    let form = match block.label.as_str() {
        "EC PRIVATE KEY" => "SEC1",
        "RSA PRIVATE KEY" => "PKCS#1",
        "PRIVATE KEY" => "PKCS#8",
        "ENCRYPTED PRIVATE KEY" => "PKCS#8, encrypted",
        other => other,
    };
    if encrypted {
        return Key { form: form.into(), encrypted, key_type: None, public_key_id: None, problem: None };
    }
    match PrivateKey::from_block(block, None) {
        Ok(found) => usable(form, &found),
        Err(KeyError::Unusable(problem)) => {
            Key { form: form.into(), encrypted, key_type: None, public_key_id: None, problem: Some(problem) }
        }
        Err(other) => Key {
            form: form.into(),
            encrypted,
            key_type: None,
            public_key_id: None,
            problem: Some(other.to_string()),
        },
    }
}

fn usable(form: &str, key: &PrivateKey) -> Key {
    Key {
        form: form.into(),
        encrypted: false,
        key_type: key.kind().map(|kind| kind.to_string()),
        public_key_id: Some(hex(&key_id(key.public_bits()))),
        problem: None,
    }
}

pub(super) fn request(der: &[u8]) -> Option<Request> {
    let (_, parsed) = X509CertificationRequest::from_der(der).ok()?;
    let info = &parsed.certification_request_info;
    let names = parsed.requested_extensions().into_iter().flatten().find_map(|extension| match extension {
        ParsedExtension::SubjectAlternativeName(names) => Some(names),
        _ => None,
    });
    Some(Request {
        subject: info.subject.to_string(),
        sans: sans(names),
        key_type: kind_of(&info.subject_pki),
        signature_holds: parsed.verify_signature().is_ok(),
        public_key_id: hex(&key_id(&info.subject_pki.subject_public_key.data)),
    })
}

fn crl(der: &[u8]) -> Option<Crl> {
    let (_, parsed) = x509_parser::parse_x509_crl(der).ok()?;
    Some(Crl {
        issuer: parsed.issuer().to_string(),
        number: parsed.crl_number().map(ToString::to_string),
        this_update: utc(parsed.last_update()),
        next_update: parsed.next_update().map(utc),
        revoked: parsed
            .iter_revoked_certificates()
            .map(|entry| Revoked {
                serial: Serial::from_der(entry.raw_serial()).to_string(),
                since: utc(entry.revocation_date),
                reason: entry.reason_code().map(|(_, code)| code.to_string()),
            })
            .collect(),
    })
}

/// A time in UTC. One that an odd offset moves out of the years 0 to 9999, which RFC 3339 has, is the nearest of them.
fn utc(time: ASN1Time) -> OffsetDateTime {
    const FIRST: i64 = -62_167_219_200;
    const LAST: i64 = 253_402_300_799;
    OffsetDateTime::from_unix_timestamp(time.timestamp().clamp(FIRST, LAST)).expect("it is within the limits")
}
