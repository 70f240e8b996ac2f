//! The certificate authority: the CA that issues, its key, those above it, and signing.

use std::path::Path;

use ::time::{Duration, OffsetDateTime};
use rcgen::{CertificateParams, IsCa, Issuer, KeyIdMethod, PublicKeyData, SerialNumber, SigningKey};

use super::certificate::CaCertificate;
use super::encode::{Serial, crypto, extended, key_id, key_usages, san_type, subject_of};
use super::profile::Profile;
use super::{CaError, CertName, PrivateKey, San, der, pem};

/// How far a certificate's start lies before its making, so that a clock that is a little behind accepts it.
pub const BACKDATE: Duration = Duration::minutes(5);

/// The CA that issues, its key, and the CAs above it.
#[derive(Debug)]
pub struct Authority {
    certificate: CaCertificate,
    /// From the next above to the root.
    above: Vec<CaCertificate>,
    key: PrivateKey,
}

/// What a leaf certificate is made from.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// The name for the subject.
    pub name: CertName,
    /// The profile decides usages, key usage and the subject's fields.
    pub profile: Profile,
    /// The names it is valid for.
    pub sans: Vec<San>,
    /// The serial.
    pub serial: Serial,
    /// Start and end.
    pub validity: Validity,
}

/// From when to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The start.
    pub not_before: OffsetDateTime,
    /// The end.
    pub not_after: OffsetDateTime,
    /// Whether the CA's own end cut it short.
    pub capped: bool,
}

impl Authority {
    /// Puts a certificate and its key together.
    ///
    /// # Errors
    /// [`CaError::KeyMismatch`] when they do not belong together.
    pub fn new(certificate: CaCertificate, key: PrivateKey, key_path: &Path) -> Result<Self, CaError> {
        if !certificate.is_of(&key) {
            return Err(CaError::KeyMismatch { key: key_path.to_owned(), cert: certificate.path });
        }
        Ok(Self { certificate, above: Vec::new(), key })
    }

    /// The same below other CAs, given from the next above to the root.
    ///
    /// # Errors
    /// [`CaError::BrokenChain`] when one of them has not signed the one below it.
    pub fn below(mut self, above: Vec<CaCertificate>) -> Result<Self, CaError> {
        let mut lower = &self.certificate;
        for upper in &above {
            if !upper.has_signed(&lower.der) {
                return Err(CaError::BrokenChain { lower: lower.path.clone(), upper: upper.path.clone() });
            }
            lower = upper;
        }
        self.above = above;
        Ok(self)
    }

    /// Refuses a CA that may not sign, or not now, on any level.
    ///
    /// # Errors
    /// [`CaError::CaMayNotSign`], [`CaError::CaExpired`], [`CaError::CaNotYetValid`].
    pub fn check(&self, now: OffsetDateTime) -> Result<(), CaError> {
        for (cas_below, certificate) in (0u32..).zip(self.chain()) {
            certificate.check(now)?;
            if certificate.path_len.is_some_and(|length| length < cas_below) {
                let why = "its path length forbids the CAs below it";
                return Err(CaError::CaMayNotSign { path: certificate.path.clone(), why });
            }
        }
        Ok(())
    }

    /// Refuses a name that a CA on any level may not certify.
    ///
    /// # Errors
    /// [`CaError::OutsideConstraints`]
    pub fn check_name(&self, san: &San) -> Result<(), CaError> {
        self.chain().try_for_each(|certificate| certificate.constraints.check(san))
    }

    /// Refuses a profile whose usages a CA on any level does not allow.
    ///
    /// # Errors
    /// [`CaError::UsageNotAllowed`]
    pub fn check_usages(&self, profile: &Profile) -> Result<(), CaError> {
        for certificate in self.chain() {
            let Some(allowed) = &certificate.usages else { continue };
            if let Some(usage) = profile.usages.iter().find(|usage| !allowed.contains(usage)) {
                return Err(CaError::UsageNotAllowed { path: certificate.path.clone(), usage: *usage });
            }
        }
        Ok(())
    }

    /// The certificate of the CA that issues.
    pub const fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    /// The CAs from the issuing one to the root.
    pub fn chain(&self) -> impl Iterator<Item = &CaCertificate> {
        std::iter::once(&self.certificate).chain(&self.above)
    }

    /// What follows a leaf in its file: every CA but the root, which is in `ca.pem`.
    pub fn intermediates_pem(&self) -> String {
        let below_root = self.chain().filter(|certificate| !certificate.is_root());
        below_root.map(|certificate| pem::encode("CERTIFICATE", certificate.der()).to_string()).collect()
    }

    /// The dates of a leaf made now: backdated a little, and within the CA's own.
    pub fn validity(&self, now: OffsetDateTime, days: u32) -> Validity {
        let now = now.replace_nanosecond(0).expect("0 is a nanosecond");
        let wanted = now.saturating_add(Duration::days(i64::from(days)));
        let start = self.chain().fold(now - BACKDATE, |start, ca| start.max(ca.not_before));
        let end = self.chain().fold(wanted, |end, ca| end.min(ca.not_after));
        Validity { not_before: start, not_after: end, capped: end < wanted }
    }

    /// Signs a leaf certificate for a public key; returns its DER.
    ///
    /// # Errors
    /// [`CaError::OutsideConstraints`] when the CA may not certify a name; [`CaError::Crypto`].
    pub fn sign_leaf(
        &self,
        leaf: &Leaf,
        public: &impl PublicKeyData,
        is_rsa: bool,
    ) -> Result<Vec<u8>, CaError> {
        for san in &leaf.sans {
            self.check_name(san)?;
        }
        self.check_usages(&leaf.profile)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = subject_of(&leaf.name, &leaf.profile)?;
        params.not_before = leaf.validity.not_before;
        params.not_after = leaf.validity.not_after;
        params.serial_number = Some(SerialNumber::from_slice(leaf.serial.as_bytes()));
        params.subject_alt_names = leaf.sans.iter().map(san_type).collect::<Result<_, _>>()?;
        // ExplicitNoCa: with NoCa rcgen leaves out SKI and basicConstraints.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = key_usages(&leaf.profile, is_rsa);
        params.extended_key_usages = leaf.profile.usages.iter().copied().map(extended).collect();
        params.key_identifier_method = KeyIdMethod::PreSpecified(key_id(public.der_bytes()));
        self.sign(params, public)
    }

    /// Signs any certificate for a public key, with this CA's exact subject for its issuer.
    ///
    /// # Errors
    /// [`CaError::Crypto`]
    pub(super) fn sign(
        &self,
        mut params: CertificateParams,
        public: &impl PublicKeyData,
    ) -> Result<Vec<u8>, CaError> {
        params.use_authority_key_identifier_extension = self.certificate.key_id.is_some();
        let unsigned = params.signed_by(public, &self.issuer()).map_err(crypto("encode a certificate"))?;
        self.sign_unsigned(&der::Unsigned::parse(unsigned.der())?)
    }

    /// Signs a structure with this CA's exact subject for its issuer.
    pub(super) fn sign_unsigned(&self, unsigned: &der::Unsigned<'_>) -> Result<Vec<u8>, CaError> {
        unsigned.sign(&self.certificate.subject, |tbs| self.key.sign(tbs))
    }

    pub(super) fn issuer(&self) -> Issuer<'static, NoSign<'_>> {
        let mut params = CertificateParams::default();
        params.key_identifier_method =
            KeyIdMethod::PreSpecified(self.certificate.key_id.clone().unwrap_or_default());
        Issuer::new(params, NoSign(&self.key))
    }
}

/// A CA's key that leaves the signature empty: the issuer's name is put in before it is signed.
pub(super) struct NoSign<'a>(&'a PrivateKey);

impl PublicKeyData for NoSign<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.pair().der_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        PublicKeyData::algorithm(self.0.pair())
    }
}

impl SigningKey for NoSign<'_> {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(Vec::new())
    }
}
