//! What is asked for, and what that comes to: names, key and validity, as far as the CA may certify them.

use ::time::OffsetDateTime;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};

use super::authority::{Authority, Validity};
use super::key::kind_of;
use super::name::without_repeats;
use super::{CaError, CertName, KeyType, Profile, San};
use crate::limits::{
    self, CERTIFICATE_NAMES, CERTIFICATE_NAMES_BYTES, RSA_BITS, RSA_EXPONENT_MAX, RSA_EXPONENT_MIN,
};

/// A pair that is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The certificate's name.
    pub name: CertName,
    /// The profile.
    pub profile: Profile,
    /// The names that were given.
    pub sans: Vec<San>,
    /// Leave out the profile's default names.
    pub only_given_names: bool,
    /// How long, when not as the profile says.
    pub days: Option<u32>,
    /// The kind of key, when not as the profile says.
    pub key_type: Option<KeyType>,
    /// Replace a pair of that name and keep the old one.
    pub replace: bool,
}

/// Where a certificate's key comes from.
#[derive(Debug, Clone)]
pub enum KeyPlan {
    /// A new one is made.
    New(KeyType),
    /// The one that is there stays.
    Keep,
    /// Somebody else holds it; only its public half is known.
    Public(PublicKey),
}

/// A public key that a request or a certificate brought.
#[derive(Debug, Clone)]
pub struct PublicKey {
    info: rcgen::SubjectPublicKeyInfo,
    kind: String,
}

impl PublicKey {
    /// From a SubjectPublicKeyInfo; `kind` is what [`kind_of`] calls it.
    ///
    /// # Errors
    /// [`CaError::Crypto`] when it is of a kind that is not certified here.
    pub fn from_der(der: &[u8], kind: &str) -> Result<Self, CaError> {
        let info = rcgen::SubjectPublicKeyInfo::from_der(der)
            .map_err(|_| CaError::UnusableKey { kind: kind.to_owned() })?;
        let (_, parsed) = SubjectPublicKeyInfo::from_der(der)
            .map_err(|_| CaError::UnusableKey { kind: kind.to_owned() })?;
        if let Some(kind) = weak_rsa(&parsed) {
            return Err(CaError::UnusableKey { kind });
        }
        Ok(Self { info, kind: kind.to_owned() })
    }

    /// The key of a certificate.
    ///
    /// # Errors
    /// [`CaError::Unreadable`], [`CaError::UnusableKey`].
    pub fn of_certificate(path: &std::path::Path, der: &[u8]) -> Result<Self, CaError> {
        let (_, parsed) = X509Certificate::from_der(der)
            .map_err(|error| CaError::Unreadable { path: path.to_owned(), what: error.to_string() })?;
        Self::from_der(parsed.public_key().raw, &kind_of(parsed.public_key()))
    }

    pub(super) const fn info(&self) -> &rcgen::SubjectPublicKeyInfo {
        &self.info
    }

    pub(super) fn kind(&self) -> &str {
        &self.kind
    }
}

/// What is wrong with an RSA key, as its kind: a length or an exponent that is not certified.
fn weak_rsa(key: &SubjectPublicKeyInfo<'_>) -> Option<String> {
    let Ok(x509_parser::public_key::PublicKey::RSA(rsa)) = key.parsed() else { return None };
    let bits = bits(rsa.modulus);
    if !RSA_BITS.contains(&bits) {
        return Some(format!("rsa{bits}"));
    }
    let exponent = (self::bits(rsa.exponent) <= 64)
        .then(|| rsa.exponent.iter().fold(0, |number: u64, &byte| number << 8 | u64::from(byte)));
    match exponent {
        Some(number) if number % 2 == 1 && (RSA_EXPONENT_MIN..=RSA_EXPONENT_MAX).contains(&number) => None,
        Some(number) => Some(format!("rsa{bits} with the public exponent {number}")),
        None => Some(format!("rsa{bits} with a public exponent of {} bits", self::bits(rsa.exponent))),
    }
}

/// The bits of a big-endian number.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    let first = number.get(zeros).map_or(0, |byte| byte.leading_zeros() as usize);
    (number.len() - zeros) * 8 - first
}

/// Refuses more names than fit into a TLS handshake with room to spare.
fn check_count(name: &CertName, sans: &[San]) -> Result<(), CaError> {
    let of = || format!("the certificate {name}");
    if sans.len() > CERTIFICATE_NAMES {
        let what = format!("{} names, and at most {CERTIFICATE_NAMES} are issued", sans.len());
        return Err(CaError::TooManyNames { of: of(), what });
    }
    // Tag and length before each; an address is shorter than its text.
    let bytes: usize = sans.iter().map(|san| san.value().len() + 4).sum();
    if bytes > CERTIFICATE_NAMES_BYTES {
        let limit = limits::size(CERTIFICATE_NAMES_BYTES as u64);
        let what = format!("{} names of {bytes} bytes, and at most {limit} are issued", sans.len());
        return Err(CaError::TooManyNames { of: of(), what });
    }
    Ok(())
}

/// A request as it will be carried out.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The certificate's name.
    pub name: CertName,
    /// The profile.
    pub profile: Profile,
    /// All names, the defaults last.
    pub sans: Vec<San>,
    /// Default names that the CA may not certify and that are left out.
    pub left_out: Vec<San>,
    /// Where the key comes from.
    pub key: KeyPlan,
    /// From when to when.
    pub validity: Validity,
    /// Replace a pair of that name and keep the old one.
    pub replace: bool,
}

impl Planned {
    /// The kind of key, where it is known before the work begins.
    pub fn key_type(&self) -> &str {
        match &self.key {
            KeyPlan::New(kind) => kind.as_str(),
            KeyPlan::Keep => "the same key",
            KeyPlan::Public(key) => &key.kind,
        }
    }
}

/// Works out what a request comes to, and refuses it before anything is made where the CA may not certify it.
///
/// # Errors
/// [`CaError::BadValue`], [`CaError::OutsideConstraints`].
pub fn plan(authority: &Authority, request: &Request, now: OffsetDateTime) -> Result<Planned, CaError> {
    check_count(&request.name, &request.sans)?;
    for san in &request.sans {
        authority.check_name(san)?;
    }
    authority.check_usages(&request.profile)?;
    let days = request.days.unwrap_or(request.profile.days);
    if !(1..=36_500).contains(&days) {
        let hint = "give a number of days between 1 and 36500";
        return Err(CaError::value("--days", days.to_string(), "no certificate lasts that long", hint));
    }
    let mut sans = request.sans.clone();
    let mut left_out = Vec::new();
    if !request.only_given_names {
        for san in request.profile.default_names(&request.name)? {
            if sans.contains(&san) {
                continue;
            }
            if authority.check_name(&san).is_ok() { &mut sans } else { &mut left_out }.push(san);
        }
    }
    let sans = without_repeats(sans);
    check_count(&request.name, &sans)?;
    if sans.is_empty() && request.profile.is_server() && request.profile.subject.common_name.is_some() {
        let what = "it would be valid for no name at all, and clients look at nothing else";
        return Err(CaError::value(
            "SANs of",
            request.name.as_str(),
            what,
            "give --ip ADDRESS or --dns NAME",
        ));
    }
    Ok(Planned {
        name: request.name.clone(),
        profile: request.profile.clone(),
        sans,
        left_out,
        key: KeyPlan::New(request.key_type.unwrap_or(request.profile.key_type)),
        validity: authority.validity(now, days),
        replace: request.replace,
    })
}
