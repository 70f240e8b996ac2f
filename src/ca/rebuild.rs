//! A lost ledger, written anew from the certificates in the directory.

use ::time::OffsetDateTime;

use super::ledger::{Entry, Event};
use super::renew::guess_profile;
use super::store::{CA_FILE, ISSUING_CA_FILE, Store, Writer, first_certificate};
use super::{CaError, inspect};
use crate::files;

/// Adds a line for every certificate of this CA that the ledger does not know, those kept as `NAME.pem.1` too,
/// oldest first. The profile is guessed from what a certificate may be used for. Revocations are in no certificate:
/// they are lost with the ledger, unless a revocation list is there.
///
/// Returns the lines that were added. The lock is held by what is returned.
///
/// # Errors
/// [`CaError::File`]
pub fn rebuild(store: &Store, now: OffsetDateTime) -> Result<(Vec<Entry>, Writer), CaError> {
    let authorities = store.authorities()?;
    let mut writer = store.writer_of_new("list --rebuild")?;
    let mut found: Vec<Entry> = Vec::new();
    for file in files::list(store.dir())? {
        let Some((name, rest)) = file.rsplit_once(".pem") else { continue };
        let is_history = rest.strip_prefix('.').is_some_and(|number| number.parse::<u32>().is_ok());
        if name.ends_with("-key") || !(rest.is_empty() || is_history) {
            continue;
        }
        let path = store.path(&file);
        let Some(image) = files::read(&path)? else { continue };
        let Ok(der) = first_certificate(&path, &image.bytes) else { continue };
        let Ok(seen) = inspect::certificate(&path, &der) else { continue };
        let is_ca = file == CA_FILE || file == ISSUING_CA_FILE;
        let is_known = writer.ledger().has_serial(&seen.serial)
            || found.iter().any(|entry| entry.serial.as_ref() == Some(&seen.serial));
        if is_known || !(is_ca || authorities.iter().any(|ca| ca.has_signed(&der))) {
            continue;
        }
        let event = if is_ca { Event::Import } else { Event::Rebuild };
        found.push(Entry {
            name: Some(name.to_owned()),
            subject: is_ca.then(|| seen.subject.clone()),
            profile: (!is_ca).then(|| guess_profile(&seen).to_owned()),
            serial: Some(seen.serial),
            not_before: Some(seen.not_before),
            not_after: Some(seen.not_after),
            sans: seen.sans,
            key_type: Some(seen.key_type),
            fingerprint: Some(seen.fingerprint),
            ..Entry::new(event, now)
        });
    }
    found.sort_by_key(|entry| (entry.event != Event::Import, entry.not_before));
    found.extend(revocations(store, &writer, now)?);
    if !found.is_empty() {
        writer.ledger.append(&found)?;
    }
    Ok((found, writer))
}

/// What the last revocation list still tells.
fn revocations(store: &Store, writer: &Writer, now: OffsetDateTime) -> Result<Vec<Entry>, CaError> {
    let path = store.path(super::revoke::CRL_PEM_FILE);
    let Some(image) = files::read(&path)? else { return Ok(Vec::new()) };
    let mut entries = Vec::new();
    for item in inspect::items(&path, &image.bytes) {
        let inspect::Item::Crl(list) = item else { continue };
        for revoked in list.revoked.iter().filter(|one| !writer.ledger().is_revoked(&one.serial)) {
            entries.push(Entry {
                serial: Some(revoked.serial.clone()),
                reason: Some(revoked.reason.clone().unwrap_or_else(|| "unspecified".into())),
                ..Entry::new(Event::Revoke, revoked.since)
            });
        }
        let number = list.number.and_then(|number| number.parse().ok());
        let is_known = writer.ledger().entries().iter().any(|entry| entry.number >= number);
        if number.is_some() && !is_known {
            entries.push(Entry { number, ..Entry::new(Event::Crl, now) });
        }
    }
    Ok(entries)
}
