//! From our types to rcgen's: serials, key identifiers, subjects, names, usages.

use rcgen::{DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose, SanType};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

use super::key::random;
use super::profile::{KeyUsage, Profile, Usage};
use super::{CaError, CertName, San};

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

/// The key identifier of RFC 5280 4.2.1.2 (1), as OpenSSL and Go make it: SHA-1 of the public key bits. It only
/// orders candidates; nothing rests on SHA-1's strength.
pub(super) fn key_id(public_bits: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, public_bits).as_ref().to_vec()
}

/// SHA-256 of a certificate's DER in hexadecimal.
pub fn fingerprint(der: &[u8]) -> String {
    digest(&SHA256, der).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
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

pub(super) fn key_usages(profile: &Profile, is_rsa: bool) -> Vec<KeyUsagePurpose> {
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

pub(super) const fn extended(usage: Usage) -> ExtendedKeyUsagePurpose {
    match usage {
        Usage::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
        Usage::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
    }
}
