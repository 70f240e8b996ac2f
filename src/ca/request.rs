//! Certificate requests: made on the node, where the key stays, and signed where the CA is.

use std::path::Path;

use ::time::OffsetDateTime;
use rcgen::CertificateParams;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::*;

use super::authority::Authority;
use super::encode::{crypto, san_type, subject_of};
use super::inspect::{self, Item};
use super::name::without_repeats;
use super::planned::{KeyPlan, Planned, PublicKey, Request};
use super::transaction::{Change, Mark, NewFile, Old};
use super::writer::Writer;
use super::{CaError, CertName, KeyType, PrivateKey, Profile, San, pem};
use crate::limits::REQUEST_NAMES;

/// The request's file name.
pub fn request_file(name: &CertName) -> String {
    format!("{name}.csr")
}

/// What was made, or was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// Key and request.
    Both,
    /// The request, for a key that was there.
    Request,
    /// Nothing: the request for these names is there.
    Nothing,
}

/// Makes a key and a request for it. No CA is needed, and no ledger. A key that is there already is used.
///
/// # Errors
/// [`CaError::Exists`] when a request for something else, or a certificate, is there.
pub fn make(
    writer: &mut Writer,
    name: &CertName,
    profile: &Profile,
    sans: &[San],
    key_type: KeyType,
) -> Result<Made, CaError> {
    check_count(&format!("the request {name}"), sans.len())?;
    let store = writer.store();
    let path = store.path(&request_file(name));
    let has_key = store.listing()?.has(&name.key_file());
    if let Some(image) = store.read(&request_file(name))? {
        let wanted: Vec<String> = sans.iter().map(San::to_string).collect();
        let is_it = |item: &Item| matches!(item, Item::Request(found) if found.sans == wanted && found.signature_holds);
        return match inspect::items(&path, &image.bytes).first() {
            Some(item) if is_it(item) && has_key => Ok(Made::Nothing),
            _ => Err(CaError::Exists { path }),
        };
    }
    if store.listing()?.has(&name.cert_file()) {
        return Err(CaError::Exists { path: store.path(&name.cert_file()) });
    }
    let mut new_files = Vec::new();
    let (key, made) = if has_key {
        (store.key(name)?, Made::Request)
    } else {
        let key = PrivateKey::generate(key_type)?;
        new_files.push(NewFile::key(&name.key_file(), &key, None)?);
        (key, Made::Both)
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = subject_of(name, profile)?;
    params.subject_alt_names = sans.iter().map(san_type).collect::<Result<_, _>>()?;
    let request = params.serialize_request(key.pair()).map_err(crypto("make the request"))?;
    let text = pem::encode("CERTIFICATE REQUEST", request.der()).to_string();
    new_files.push(NewFile::public(&request_file(name), text.into_bytes()));
    let change = Change { name: name.to_string(), mark: Mark::None, files: new_files, old: Old::Refuse };
    writer.carry_out_unrecorded(change)?;
    Ok(made)
}

/// Refuses more names than a request may ask for.
fn check_count(of: &str, count: usize) -> Result<(), CaError> {
    if count > REQUEST_NAMES {
        let what = format!("{count} names, and at most {REQUEST_NAMES} are signed from a request");
        return Err(CaError::TooManyNames { of: of.to_owned(), what });
    }
    Ok(())
}

/// A request as it was read, its signature checked.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The common name that it asks for.
    pub common_name: Option<String>,
    /// The names that it asks for.
    pub sans: Vec<String>,
    key: PublicKey,
}

impl Parsed {
    /// Reads a request in PEM or DER and checks that its own key has signed it.
    ///
    /// # Errors
    /// [`CaError::Unreadable`], [`CaError::BadRequest`], [`CaError::UnusableKey`], [`CaError::TooManyNames`].
    pub fn read(path: &Path, bytes: &[u8]) -> Result<Self, CaError> {
        let unreadable =
            || CaError::Unreadable { path: path.to_owned(), what: "it holds no certificate request".into() };
        let blocks = pem::blocks(bytes);
        let block = blocks.iter().find(|block| block.label.ends_with("CERTIFICATE REQUEST"));
        let der = match block {
            Some(block) => block.der.as_slice(),
            None if blocks.is_empty() => bytes,
            None => return Err(unreadable()),
        };
        let (_, parsed) = X509CertificationRequest::from_der(der).map_err(|_| unreadable())?;
        let info = &parsed.certification_request_info;
        let described = inspect::request(der).ok_or_else(unreadable)?;
        check_count(&path.display().to_string(), described.sans.len())?;
        // The kind first: a signature of a kind that cannot be checked is no forgery.
        let key = PublicKey::from_der(info.subject_pki.raw, &described.key_type)?;
        if !described.signature_holds {
            return Err(CaError::BadRequest { path: path.to_owned() });
        }
        let common_name = info.subject.iter_common_name().next().and_then(|name| name.as_str().ok());
        Ok(Self { common_name: common_name.map(ToOwned::to_owned), sans: described.sans, key })
    }
}

/// Works out what signing a request comes to. The profile decides what the certificate is for; the request brings
/// its key, and names that must be confirmed: each is among those of `request`, or `trusted` takes them all.
///
/// # Errors
/// [`CaError::UnconfirmedNames`], and what [`super::planned::plan`] refuses.
pub fn plan_signing(
    authority: &Authority,
    path: &Path,
    parsed: &Parsed,
    mut request: Request,
    trusted: bool,
    now: OffsetDateTime,
) -> Result<Planned, CaError> {
    if authority.chain().any(|ca| ca.has_key(rcgen::PublicKeyData::der_bytes(parsed.key.info()))) {
        return Err(CaError::UnusableKey { kind: "the CA's own key".into() });
    }
    let defaults =
        if request.only_given_names { Vec::new() } else { request.profile.default_names(&request.name)? };
    if trusted {
        let asked = parsed.sans.iter().map(|text| text.parse()).collect::<Result<Vec<San>, _>>()?;
        request.sans = without_repeats(request.sans.into_iter().chain(asked).collect());
    } else {
        let confirmed: Vec<String> = request.sans.iter().chain(&defaults).map(San::to_string).collect();
        let names: Vec<String> =
            parsed.sans.iter().filter(|name| !confirmed.contains(name)).cloned().collect();
        if !names.is_empty() {
            return Err(CaError::UnconfirmedNames { path: path.to_owned(), names });
        }
    }
    let mut planned = super::planned::plan(authority, &request, now)?;
    planned.key = KeyPlan::Public(parsed.key.clone());
    Ok(planned)
}
