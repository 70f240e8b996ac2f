//! Issuing pairs: the names must be free, then keys and certificates are made.

use ::time::OffsetDateTime;
use rayon::prelude::*;
use serde::Serialize;
use zeroize::Zeroizing;

use super::authority::{Authority, Leaf};
use super::encode::{Serial, fingerprint};
use super::ledger::{Entry, Event};
use super::planned::{KeyPlan, Planned};
use super::store::Store;
use super::transaction::{Change, Mark, NewFile, Old};
use super::writer::Writer;
use super::{CaError, PrivateKey, San, pem};
use crate::text;

/// A certificate that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Issued {
    /// The certificate's name.
    pub name: String,
    /// The profile.
    pub profile: String,
    /// The certificate's file.
    #[serde(serialize_with = "text::path")]
    pub cert: std::path::PathBuf,
    /// The key's file; none when somebody else holds it.
    #[serde(serialize_with = "text::optional_path")]
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

/// Refuses names that are taken, or asked for twice, before anything is made.
///
/// # Errors
/// [`CaError::Exists`], [`CaError::BadValue`].
pub fn check_free(store: &Store, planned: &[Planned]) -> Result<(), CaError> {
    check_distinct(planned)?;
    planned.iter().try_for_each(|plan| refuse_taken(store, plan))
}

fn check_distinct(planned: &[Planned]) -> Result<(), CaError> {
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
    Ok(())
}

fn refuse_taken(store: &Store, plan: &Planned) -> Result<(), CaError> {
    let key_file = matches!(plan.key, KeyPlan::New(_)).then(|| plan.name.key_file());
    for file in std::iter::once(plan.name.cert_file()).chain(key_file) {
        if !plan.replace && store.listing()?.has(&file) {
            return Err(CaError::Exists { path: store.path(&file) });
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
    writer: &mut Writer,
    authority: &Authority,
    planned: &[Planned],
    now: OffsetDateTime,
) -> Result<Vec<Issued>, CaError> {
    check_distinct(planned)?;
    let earlier: Vec<Option<Issued>> = planned.iter().map(|plan| finished_earlier(writer, plan)).collect();
    let open: Vec<Planned> = planned
        .iter()
        .zip(&earlier)
        .filter(|(_, done)| done.is_none())
        .map(|(plan, _)| plan.clone())
        .collect();
    let store = writer.store();
    open.iter().try_for_each(|plan| refuse_taken(store, plan))?;
    let make = |plan: &Planned| make(store, authority, plan, now);
    // One is made sooner than a thread.
    let made: Vec<Made> = if open.len() > 1 {
        open.par_iter().map(make).collect::<Result<_, _>>()?
    } else {
        open.iter().map(make).collect::<Result<_, _>>()?
    };
    let (mut changes, mut entries, mut issued) = (Vec::new(), Vec::new(), Vec::new());
    for made in made {
        changes.push(made.change);
        entries.push(made.entry);
        issued.push(made.issued);
    }
    if !changes.is_empty() {
        writer.carry_out(&changes, &entries)?;
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

fn make(store: &Store, authority: &Authority, plan: &Planned, now: OffsetDateTime) -> Result<Made, CaError> {
    let serial = loop {
        let serial = Serial::random()?;
        if !store.ledger().has_serial(&serial.to_string()) {
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
            if store.listing()?.has(&plan.name.key_file())
                && store.key(&plan.name)?.public_bits() != rcgen::PublicKeyData::der_bytes(key.info())
            {
                return Err(CaError::KeyMismatch { key: key_path, cert: store.path(&plan.name.cert_file()) });
            }
            (authority.sign_leaf(&leaf, key.info(), key.kind().starts_with("rsa"))?, key.kind().to_owned())
        }
    };
    let cert = format!("{}{}", *pem::encode("CERTIFICATE", &der), authority.intermediates_pem());
    new_files.push(NewFile::public(&plan.name.cert_file(), cert.into_bytes()));
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
        mark: Mark::Serial(issued.serial.clone()),
        old: if plan.replace { Old::Keep } else { Old::Refuse },
        files: new_files,
    };
    Ok(Made { issued, entry, change })
}

/// The certificate that an interrupted run had made for the same request.
fn finished_earlier(writer: &Writer, plan: &Planned) -> Option<Issued> {
    let (store, item) = (writer.store(), writer.recovered_item(plan.name.as_str())?);
    let Mark::Serial(serial) = &item.mark else { return None };
    let entry = writer.ledger().latest(&item.name)?;
    let sans: Vec<String> = plan.sans.iter().map(San::to_string).collect();
    let (not_before, not_after) = (entry.not_before?, entry.not_after?);
    let wanted = plan.validity.not_after - plan.validity.not_before;
    let is_same = entry.serial.as_ref() == Some(serial)
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
        serial: serial.clone(),
        key_type: entry.key_type.clone().unwrap_or_default(),
        not_before,
        not_after,
        sans,
        fingerprint: entry.fingerprint.clone().unwrap_or_default(),
        capped: plan.validity.capped,
        finished_earlier: true,
    })
}
