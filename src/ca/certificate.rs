//! A CA certificate, as far as signing needs it: whether it may be used, now and for what.

use std::path::{Path, PathBuf};

use ::time::OffsetDateTime;
use x509_parser::prelude::*;

use super::constraints::Constraints;
use super::encode::{Serial, key_id};
use super::key::kind_of;
use super::profile::Usage;
use super::{CaError, KeyType, PrivateKey};

/// A CA certificate, as far as signing needs it.
#[derive(Debug, Clone)]
pub struct CaCertificate {
    pub(super) path: PathBuf,
    pub(super) der: Vec<u8>,
    pub(super) subject: Vec<u8>,
    subject_text: String,
    pub(super) key_id: Option<Vec<u8>>,
    public_bits: Vec<u8>,
    pub(super) not_before: OffsetDateTime,
    pub(super) not_after: OffsetDateTime,
    pub(super) constraints: Constraints,
    pub(super) path_len: Option<u32>,
    pub(super) usages: Option<Vec<Usage>>,
    is_self_issued: bool,
    may_not_sign: Option<&'static str>,
    may_sign_crls: bool,
}

impl CaCertificate {
    /// Reads a certificate; whether it may be used is asked by [`CaCertificate::check`].
    ///
    /// # Errors
    /// [`CaError::Unreadable`]
    pub fn from_der(path: &Path, der: &[u8]) -> Result<Self, CaError> {
        let unreadable = |what: String| CaError::Unreadable { path: path.to_owned(), what };
        let (_, parsed) = X509Certificate::from_der(der)
            .map_err(|error| unreadable(format!("the certificate cannot be read: {error}")))?;
        let key_id = parsed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        let may_not_sign = match (parsed.basic_constraints(), parsed.key_usage()) {
            (Ok(Some(basic)), Ok(usage)) => {
                if !basic.value.ca {
                    Some("its basicConstraints say CA:FALSE")
                } else if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
                    Some("its keyUsage lacks keyCertSign")
                } else {
                    None
                }
            }
            (Ok(None), _) => Some("it has no basicConstraints"),
            _ => Some("its extensions cannot be read"),
        };
        Ok(Self {
            path: path.to_owned(),
            der: der.to_vec(),
            subject: parsed.subject().as_raw().to_vec(),
            subject_text: parsed.subject().to_string(),
            key_id,
            public_bits: parsed.public_key().subject_public_key.data.to_vec(),
            not_before: parsed.validity().not_before.to_datetime(),
            not_after: parsed.validity().not_after.to_datetime(),
            constraints: Constraints::from_certificate(&parsed),
            path_len: parsed
                .basic_constraints()
                .ok()
                .flatten()
                .and_then(|basic| basic.value.path_len_constraint),
            usages: parsed.extended_key_usage().ok().flatten().and_then(|found| usages(found.value)),
            is_self_issued: parsed.subject().as_raw() == parsed.issuer().as_raw(),
            may_not_sign,
            may_sign_crls: parsed.key_usage().ok().flatten().is_none_or(|usage| usage.value.crl_sign()),
        })
    }

    /// Refuses a certificate that may not sign, or not now.
    ///
    /// # Errors
    /// [`CaError::CaMayNotSign`], [`CaError::CaExpired`], [`CaError::CaNotYetValid`].
    pub fn check(&self, now: OffsetDateTime) -> Result<(), CaError> {
        let path = self.path.clone();
        if let Some(why) = self.may_not_sign {
            return Err(CaError::CaMayNotSign { path, why });
        }
        if now > self.not_after {
            return Err(CaError::CaExpired { path, not_after: self.not_after });
        }
        if now < self.not_before {
            return Err(CaError::CaNotYetValid { path, not_before: self.not_before, now });
        }
        Ok(())
    }

    /// Refuses a CA that may not sign revocation lists (RFC 5280 4.2.1.3).
    ///
    /// # Errors
    /// [`CaError::CaMayNotSign`]
    pub fn check_crl(&self) -> Result<(), CaError> {
        let why = "its keyUsage lacks cRLSign";
        if self.may_sign_crls { Ok(()) } else { Err(CaError::CaMayNotSign { path: self.path.clone(), why }) }
    }

    /// The key identifier that its lists carry: its own, or one of its key where it has none.
    pub(super) fn key_id_for_crl(&self) -> Vec<u8> {
        self.key_id.clone().unwrap_or_else(|| key_id(&self.public_bits))
    }

    /// Whether these are its public key's bits.
    pub(super) fn has_key(&self, public_bits: &[u8]) -> bool {
        self.public_bits == public_bits
    }

    /// Whether `key` is its key.
    pub fn is_of(&self, key: &PrivateKey) -> bool {
        self.public_bits == key.public_bits()
    }

    /// Whether it has signed the certificate `der`.
    pub fn has_signed(&self, der: &[u8]) -> bool {
        let (Ok((_, ca)), Ok((_, leaf))) =
            (X509Certificate::from_der(&self.der), X509Certificate::from_der(der))
        else {
            return false;
        };
        leaf.issuer().as_raw() == self.subject && leaf.verify_signature(Some(ca.public_key())).is_ok()
    }

    /// The subject's common name.
    pub fn common_name(&self) -> Option<String> {
        let (_, parsed) = X509Certificate::from_der(&self.der).ok()?;
        let name = parsed.subject().iter_common_name().last()?;
        name.as_str().ok().map(ToOwned::to_owned)
    }

    /// The kind of its key, where it is one of those that are made here.
    pub fn key_type(&self) -> Option<KeyType> {
        let (_, parsed) = X509Certificate::from_der(&self.der).ok()?;
        kind_of(parsed.public_key()).parse().ok()
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is a root: issued by itself.
    pub const fn is_root(&self) -> bool {
        self.is_self_issued
    }

    /// The serial in hexadecimal.
    pub fn serial(&self) -> String {
        X509Certificate::from_der(&self.der)
            .map(|(_, parsed)| Serial::from_der(parsed.raw_serial()).to_string())
            .unwrap_or_default()
    }

    /// The certificate's bytes.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The subject as text.
    pub fn subject(&self) -> &str {
        &self.subject_text
    }

    /// Its start.
    pub const fn not_before(&self) -> OffsetDateTime {
        self.not_before
    }

    /// Its end.
    pub const fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }
}

/// The extended key usages that limit what is below a CA; none when it has no such extension or allows any. Go and
/// OpenSSL want a leaf's usages to be among those of every CA above it.
fn usages(found: &x509_parser::extensions::ExtendedKeyUsage<'_>) -> Option<Vec<Usage>> {
    let known = [(Usage::ServerAuth, found.server_auth), (Usage::ClientAuth, found.client_auth)];
    (!found.any).then(|| known.into_iter().filter(|(_, has)| *has).map(|(usage, _)| usage).collect())
}
