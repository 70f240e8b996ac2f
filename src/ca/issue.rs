//! Issuing pairs: what was asked for, whether it may be, and the making of it.

use ::time::OffsetDateTime;
use rayon::prelude::*;
use serde::Serialize;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::authority::{Authority, Leaf, Validity};
use super::encode::{Serial, fingerprint};
use super::key::kind_of;
use super::ledger::{Entry, Event};
use super::name::without_repeats;
use super::pending::{Change, NewFile};
use super::store::{Store, Writer};
use super::{CaError, CertName, KeyType, PrivateKey, Profile, San, pem};
use crate::files::{self, FileMode};

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

/// A certificate that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Issued {
    /// The certificate's name.
    pub name: String,
    /// The profile.
    pub profile: String,
    /// The certificate's file.
    pub cert: std::path::PathBuf,
    /// The key's file; none when somebody else holds it.
    pub key: Option<std::path::PathBuf>,
    /// The serial in hexadecimal.
    pub serial: String,
    /// The kind of key.
    pub key_type: String,
    /// The start.
    #[serde(with = "::time::serde::rfc3339")]
    pub not_before: OffsetDateTime,
    /// The end.
    #[serde(with = "::time::serde::rfc3339")]
    pub not_after: OffsetDateTime,
    /// The names, as `DNS:…`, `IP:…`.
    pub sans: Vec<String>,
    /// SHA-256 of the certificate's DER in hexadecimal.
    pub fingerprint: String,
    /// Whether the CA's own end cut its life short.
    pub capped: bool,
    /// Whether an interrupted run had made it already.
    pub finished_earlier: bool,
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

/// Refuses names that are taken, or asked for twice, before a lock is taken or anything is made.
///
/// # Errors
/// [`CaError::Exists`], [`CaError::BadValue`].
pub fn check_free(store: &Store, planned: &[Planned]) -> Result<(), CaError> {
    let mut seen = std::collections::HashSet::new();
    for plan in planned {
        // Two names that differ in case alone are one file on some file systems.
        if !seen.insert(plan.name.as_str().to_ascii_lowercase()) {
            return Err(CaError::value(
                "NAME",
                plan.name.as_str(),
                "it is asked for twice",
                "give each name once",
            ));
        }
    }
    // What an interrupted run left may be what is asked for; that is known once the lock is held.
    if store.has_pending() { Ok(()) } else { planned.iter().try_for_each(|plan| refuse_taken(store, plan)) }
}

fn refuse_taken(store: &Store, plan: &Planned) -> Result<(), CaError> {
    let key_file = matches!(plan.key, KeyPlan::New(_)).then(|| plan.name.key_file());
    for file in std::iter::once(plan.name.cert_file()).chain(key_file) {
        let path = store.path(&file);
        if !plan.replace && files::stat(&path)?.is_some() {
            return Err(CaError::Exists { path });
        }
    }
    Ok(())
}

/// Makes keys and certificates on all cores, then the ledger lines, then the files: all of them or none.
///
/// A certificate that an interrupted run of the same request had made is reported instead of made again. The lock
/// stays held until the caller has told its user and calls [`Writer::acknowledge`].
///
/// # Errors
/// [`CaError`]; nothing was changed unless it is [`CaError::HalfDone`].
pub fn issue(
    store: &Store,
    writer: &mut Writer,
    authority: &Authority,
    planned: &[Planned],
    now: OffsetDateTime,
) -> Result<Vec<Issued>, CaError> {
    let earlier: Vec<Option<Issued>> =
        planned.iter().map(|plan| finished_earlier(store, writer, plan)).collect();
    let open: Vec<Planned> = planned
        .iter()
        .zip(&earlier)
        .filter(|(_, done)| done.is_none())
        .map(|(plan, _)| plan.clone())
        .collect();
    open.iter().try_for_each(|plan| refuse_taken(store, plan))?;

    let made: Vec<Made> = open
        .par_iter()
        .map(|plan| make(store, writer.ledger(), authority, plan, now))
        .collect::<Result<_, _>>()?;
    let (mut changes, mut entries, mut issued) = (Vec::new(), Vec::new(), Vec::new());
    for made in made {
        changes.push(made.change);
        entries.push(made.entry);
        issued.push(made.issued);
    }
    if !changes.is_empty() {
        let Writer { ledger, pending, .. } = writer;
        pending.carry_out(&changes, || ledger.append(&entries))?;
    }
    let mut issued = issued.into_iter();
    Ok(earlier
        .into_iter()
        .map(|done| done.unwrap_or_else(|| issued.next().expect("one was made for each that was open")))
        .collect())
}

struct Made {
    issued: Issued,
    entry: Entry,
    change: Change,
}

fn make(
    store: &Store,
    ledger: &super::ledger::Ledger,
    authority: &Authority,
    plan: &Planned,
    now: OffsetDateTime,
) -> Result<Made, CaError> {
    let serial = loop {
        let serial = Serial::random()?;
        if !ledger.has_serial(&serial.to_string()) {
            break serial;
        }
    };
    let leaf = Leaf {
        name: plan.name.clone(),
        profile: plan.profile.clone(),
        sans: plan.sans.clone(),
        serial,
        validity: plan.validity,
    };
    let mut new_files = Vec::new();
    let key_path = store.path(&plan.name.key_file());
    let (der, key_type) = match &plan.key {
        KeyPlan::New(kind) => {
            let key = PrivateKey::generate(*kind)?;
            let text = Zeroizing::new(key.to_pem().as_bytes().to_vec());
            new_files.push(NewFile::secret(&plan.name.key_file(), text));
            (authority.sign_leaf(&leaf, key.pair(), kind.is_rsa())?, kind.to_string())
        }
        KeyPlan::Keep => {
            let key = store.key(&plan.name)?;
            let kind = key.kind().map(|kind| kind.to_string()).unwrap_or_default();
            (authority.sign_leaf(&leaf, key.pair(), kind.starts_with("rsa"))?, kind)
        }
        KeyPlan::Public(key) => {
            // A key of another certificate must not stand beside this one.
            if files::stat(&key_path)?.is_some()
                && store.key(&plan.name)?.public_bits() != rcgen::PublicKeyData::der_bytes(&key.info)
            {
                return Err(CaError::KeyMismatch { key: key_path, cert: store.path(&plan.name.cert_file()) });
            }
            (authority.sign_leaf(&leaf, &key.info, key.kind.starts_with("rsa"))?, key.kind.clone())
        }
    };
    let cert = format!("{}{}", *pem::encode("CERTIFICATE", &der), authority.intermediates_pem());
    new_files.push(NewFile {
        name: plan.name.cert_file(),
        bytes: Zeroizing::new(cert.into_bytes()),
        mode: FileMode::PUBLIC,
    });
    let issued = Issued {
        name: plan.name.to_string(),
        profile: plan.profile.name.clone(),
        cert: store.path(&plan.name.cert_file()),
        key: (!matches!(plan.key, KeyPlan::Public(_))).then_some(key_path),
        serial: leaf.serial.to_string(),
        key_type,
        not_before: plan.validity.not_before,
        not_after: plan.validity.not_after,
        sans: plan.sans.iter().map(San::to_string).collect(),
        fingerprint: fingerprint(&der),
        capped: plan.validity.capped,
        finished_earlier: false,
    };
    let event = match (plan.replace, &plan.key) {
        (true, _) => Event::Renew,
        (false, KeyPlan::Public(_)) => Event::Sign,
        (false, _) => Event::Issue,
    };
    let entry = Entry {
        name: Some(issued.name.clone()),
        profile: Some(issued.profile.clone()),
        serial: Some(issued.serial.clone()),
        not_before: Some(issued.not_before),
        not_after: Some(issued.not_after),
        sans: issued.sans.clone(),
        key_type: Some(issued.key_type.clone()),
        fingerprint: Some(issued.fingerprint.clone()),
        ..Entry::new(event, now)
    };
    let change = Change {
        name: issued.name.clone(),
        serial: issued.serial.clone(),
        replaces: plan.replace,
        files: new_files,
    };
    Ok(Made { issued, entry, change })
}

/// The certificate that an interrupted run had made for the same request.
fn finished_earlier(store: &Store, writer: &Writer, plan: &Planned) -> Option<Issued> {
    let item = writer.pending.recovered().iter().find(|item| item.name == plan.name.as_str())?;
    let entry = writer.ledger().latest(&item.name)?;
    let sans: Vec<String> = plan.sans.iter().map(San::to_string).collect();
    let (not_before, not_after) = (entry.not_before?, entry.not_after?);
    let wanted = plan.validity.not_after - plan.validity.not_before;
    let is_same = entry.serial.as_ref() == Some(&item.serial)
        && entry.profile.as_ref() == Some(&plan.profile.name)
        && (matches!(plan.key, KeyPlan::Keep) || entry.key_type.as_deref() == Some(plan.key_type()))
        && (plan.validity.capped || not_after - not_before == wanted)
        && entry.sans == sans;
    let key = store.path(&plan.name.key_file());
    is_same.then(|| Issued {
        name: item.name.clone(),
        profile: plan.profile.name.clone(),
        cert: store.path(&plan.name.cert_file()),
        key: (!matches!(plan.key, KeyPlan::Public(_))).then_some(key),
        serial: item.serial.clone(),
        key_type: entry.key_type.clone().unwrap_or_default(),
        not_before,
        not_after,
        sans,
        fingerprint: entry.fingerprint.clone().unwrap_or_default(),
        capped: plan.validity.capped,
        finished_earlier: true,
    })
}
