//! Issuing pairs: what was asked for, whether it may be, and the making of it.

use ::time::OffsetDateTime;
use rayon::prelude::*;
use ring::digest::{SHA256, digest};
use serde::Serialize;
use zeroize::Zeroizing;

use super::authority::{Authority, Leaf, Serial, Validity};
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
    /// The kind of key.
    pub key_type: KeyType,
    /// From when to when.
    pub validity: Validity,
    /// Replace a pair of that name and keep the old one.
    pub replace: bool,
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
    /// The key's file.
    pub key: std::path::PathBuf,
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

/// SHA-256 of a certificate's DER in hexadecimal.
pub fn fingerprint(der: &[u8]) -> String {
    digest(&SHA256, der).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
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
        key_type: request.key_type.unwrap_or(request.profile.key_type),
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
    for file in [plan.name.cert_file(), plan.name.key_file()] {
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
    if !made.is_empty() {
        let (changes, entries): (Vec<_>, Vec<_>) =
            made.iter().map(|made| (made.change(), made.entry.clone())).unzip();
        let Writer { ledger, pending, .. } = writer;
        pending.carry_out(&changes, || ledger.append(&entries))?;
    }
    let mut made = made.into_iter();
    Ok(earlier
        .into_iter()
        .map(|done| done.unwrap_or_else(|| made.next().expect("one was made for each that was open").issued))
        .collect())
}

struct Made {
    issued: Issued,
    entry: Entry,
    key_pem: Zeroizing<String>,
    cert_pem: Zeroizing<String>,
    name: CertName,
    replace: bool,
}

impl Made {
    fn change(&self) -> Change {
        Change {
            name: self.issued.name.clone(),
            serial: self.issued.serial.clone(),
            replaces: self.replace,
            files: vec![
                NewFile {
                    name: self.name.key_file(),
                    bytes: Zeroizing::new(self.key_pem.as_bytes().to_vec()),
                    mode: FileMode::SECRET,
                },
                NewFile {
                    name: self.name.cert_file(),
                    bytes: Zeroizing::new(self.cert_pem.as_bytes().to_vec()),
                    mode: FileMode::PUBLIC,
                },
            ],
        }
    }
}

fn make(
    store: &Store,
    ledger: &super::ledger::Ledger,
    authority: &Authority,
    plan: &Planned,
    now: OffsetDateTime,
) -> Result<Made, CaError> {
    let key = PrivateKey::generate(plan.key_type)?;
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
    let der = authority.sign_leaf(&leaf, key.pair(), plan.key_type.is_rsa())?;
    let issued = Issued {
        name: plan.name.to_string(),
        profile: plan.profile.name.clone(),
        cert: store.path(&plan.name.cert_file()),
        key: store.path(&plan.name.key_file()),
        serial: leaf.serial.to_string(),
        key_type: plan.key_type.to_string(),
        not_before: plan.validity.not_before,
        not_after: plan.validity.not_after,
        sans: plan.sans.iter().map(San::to_string).collect(),
        fingerprint: fingerprint(&der),
        capped: plan.validity.capped,
        finished_earlier: false,
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
        ..Entry::new(if plan.replace { Event::Renew } else { Event::Issue }, now)
    };
    Ok(Made {
        issued,
        entry,
        key_pem: key.to_pem(),
        cert_pem: Zeroizing::new(format!(
            "{}{}",
            *pem::encode("CERTIFICATE", &der),
            authority.intermediates_pem()
        )),
        name: plan.name.clone(),
        replace: plan.replace,
    })
}

/// The certificate that an interrupted run had made for the same request.
fn finished_earlier(store: &Store, writer: &Writer, plan: &Planned) -> Option<Issued> {
    let item = writer.pending.recovered().iter().find(|item| item.name == plan.name.as_str())?;
    let entry = writer.ledger().latest(&item.name)?;
    let sans: Vec<String> = plan.sans.iter().map(San::to_string).collect();
    let is_same = entry.serial.as_ref() == Some(&item.serial)
        && entry.profile.as_ref() == Some(&plan.profile.name)
        && entry.key_type.as_deref() == Some(plan.key_type.as_str())
        && entry.sans == sans;
    if !is_same {
        return None;
    }
    Some(Issued {
        name: item.name.clone(),
        profile: plan.profile.name.clone(),
        cert: store.path(&plan.name.cert_file()),
        key: store.path(&plan.name.key_file()),
        serial: item.serial.clone(),
        key_type: plan.key_type.to_string(),
        not_before: entry.not_before?,
        not_after: entry.not_after?,
        sans,
        fingerprint: entry.fingerprint.clone()?,
        capped: plan.validity.capped,
        finished_earlier: true,
    })
}
