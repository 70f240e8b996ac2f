//! The certificate authority: its certificate, whether it may be used, and signing with it.

use std::path::{Path, PathBuf};

use ::time::{Duration, OffsetDateTime};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SigningKey,
};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use x509_parser::prelude::*;

use super::constraints::Constraints;
use super::key::random;
use super::profile::{KeyUsage, Profile, Usage};
use super::{CaError, CertName, PrivateKey, San, der, pem};

/// How far a certificate's start lies before its making, so that a clock that is a little behind accepts it.
pub const BACKDATE: Duration = Duration::minutes(5);

/// A serial number: 20 bytes, positive (RFC 5280 4.1.2.2), 158 of its bits random.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// A new one.
    ///
    /// # Errors
    /// [`CaError::Crypto`] when the system gives no random bytes.
    pub fn random() -> Result<Self, CaError> {
        let mut bytes = vec![0; 20];
        random(&mut bytes)?;
        // Positive, and never shortened by leading zeros: every serial has the same length.
        bytes[0] = (bytes[0] & 0x7f) | 0x40;
        Ok(Self(bytes))
    }

    /// From the INTEGER's bytes in a certificate; the zero that only keeps it positive is dropped.
    pub fn from_der(bytes: &[u8]) -> Self {
        let bytes = if bytes.len() > 1 { bytes.strip_prefix(&[0]).unwrap_or(bytes) } else { bytes };
        Self(bytes.to_vec())
    }

    /// The bytes, most significant first.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Display for Serial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A CA certificate, as far as signing needs it.
#[derive(Debug, Clone)]
pub struct CaCertificate {
    path: PathBuf,
    der: Vec<u8>,
    subject: Vec<u8>,
    subject_text: String,
    key_id: Option<Vec<u8>>,
    public_bits: Vec<u8>,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    constraints: Constraints,
    path_len: Option<u32>,
    usages: Option<Vec<Usage>>,
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

/// The key identifier of RFC 5280 4.2.1.2 (1), as OpenSSL and Go make it: SHA-1 of the public key bits. It only
/// orders candidates; nothing rests on SHA-1's strength.
pub(super) fn key_id(public_bits: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, public_bits).as_ref().to_vec()
}

pub(super) fn crypto(action: &'static str) -> impl Fn(rcgen::Error) -> CaError {
    move |error| CaError::Crypto { action, what: error.to_string() }
}

pub(super) fn subject_of(name: &CertName, profile: &Profile) -> Result<DistinguishedName, CaError> {
    let template = &profile.subject;
    // From the general to the particular, as openssl and cfssl write it.
    let fields = [
        (DnType::CountryName, "C", 2, &template.country),
        (DnType::StateOrProvinceName, "ST", 128, &template.state),
        (DnType::LocalityName, "L", 128, &template.locality),
        (DnType::OrganizationName, "O", 64, &template.organization),
        (DnType::OrganizationalUnitName, "OU", 64, &template.organizational_unit),
        (DnType::CommonName, "CN", 64, &template.common_name),
    ];
    let mut subject = DistinguishedName::new();
    for (kind, field, longest, text) in fields {
        let Some(text) = text else { continue };
        let text = text.replace("{name}", name.as_str());
        subject.push(kind.clone(), dn_value(&kind, field, longest, &text)?);
    }
    Ok(subject)
}

/// A subject field within RFC 5280's upper bounds (appendix A.1).
pub(super) fn dn_value(
    kind: &DnType,
    field: &'static str,
    longest: usize,
    text: &str,
) -> Result<rcgen::DnValue, CaError> {
    if text.is_empty() || text.chars().count() > longest || text.chars().any(char::is_control) {
        let what = format!("it has not 1 to {longest} printable characters");
        return Err(CaError::value(field, text, what, "shorten it"));
    }
    if *kind == DnType::CountryName {
        let printable =
            rcgen::string::PrintableString::try_from(text).map_err(crypto("encode the country"))?;
        return Ok(rcgen::DnValue::PrintableString(printable));
    }
    Ok(rcgen::DnValue::Utf8String(text.to_owned()))
}

pub(super) fn san_type(san: &San) -> Result<SanType, CaError> {
    let ia5 = |text: &str| rcgen::string::Ia5String::try_from(text).map_err(crypto("encode a name"));
    Ok(match san {
        San::Dns(name) => SanType::DnsName(ia5(name)?),
        San::Ip(address) => SanType::IpAddress(*address),
        San::Uri(uri) => SanType::URI(ia5(uri)?),
        San::Email(address) => SanType::Rfc822Name(ia5(address)?),
    })
}

fn key_usages(profile: &Profile, is_rsa: bool) -> Vec<KeyUsagePurpose> {
    let mut usages: Vec<KeyUsagePurpose> = profile
        .key_usages
        .iter()
        .map(|usage| match usage {
            KeyUsage::DigitalSignature => KeyUsagePurpose::DigitalSignature,
            KeyUsage::KeyEncipherment => KeyUsagePurpose::KeyEncipherment,
            KeyUsage::KeyAgreement => KeyUsagePurpose::KeyAgreement,
        })
        .collect();
    let enciphers = KeyUsagePurpose::KeyEncipherment;
    if is_rsa && !usages.contains(&enciphers) {
        usages.push(enciphers);
    } else if !is_rsa {
        // RFC 8813 and RFC 8410: an EC or Edwards key must not say that it enciphers keys.
        usages.retain(|usage| *usage != enciphers);
    }
    usages
}

const fn extended(usage: Usage) -> ExtendedKeyUsagePurpose {
    match usage {
        Usage::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
        Usage::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
    }
}
