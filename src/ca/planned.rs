//! What is asked for, and what that comes to: names, key and validity, as far as the CA may certify them.

use ::time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authority::{Authority, Validity};
use super::key::kind_of;
use super::name::without_repeats;
use super::{CaError, CertName, KeyType, Profile, San};

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
        let is_short_rsa =
            kind.strip_prefix("rsa").and_then(|bits| bits.parse().ok()).is_some_and(|bits: u32| bits < 2048);
        if is_short_rsa {
            return Err(CaError::UnusableKey { kind: kind.to_owned() });
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
