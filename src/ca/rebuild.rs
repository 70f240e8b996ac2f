//! A lost ledger, written anew from the certificates in the directory.

use std::collections::HashSet;

use ::time::OffsetDateTime;

use super::ledger::{Entry, Event};
use super::profile::{Profiles, Usage};
use super::store::{CA_FILE, ISSUING_CA_FILE};
use super::stored::first_certificate;
use super::writer::Writer;
use super::{CaError, CertName, Profile, San, inspect};

/// Adds a line for every certificate of this CA that the ledger does not know, those kept as `NAME.pem.1` too,
/// oldest first. The profile is a guess ([`guess_profile`]), as the line's event tells. Revocations are in no certificate:
/// they are lost with the ledger, unless a revocation list is there.
///
/// Returns the lines that were added.
///
/// # Errors
/// [`CaError::File`]
pub fn rebuild(writer: &mut Writer, now: OffsetDateTime) -> Result<Vec<Entry>, CaError> {
    let store = writer.store();
    store.ca_pem()?;
    let profiles = store.profiles()?;
    let mut found: Vec<Entry> = Vec::new();
    let mut serials = HashSet::new();
    for file in store.listing()?.iter().filter(|file| !file.starts_with('.')) {
        let Some((name, rest)) = file.rsplit_once(".pem") else { continue };
        let is_history = rest.strip_prefix('.').is_some_and(|number| number.parse::<u32>().is_ok());
        if name.ends_with("-key") || !(rest.is_empty() || is_history) {
            continue;
        }
        let path = store.path(file);
        let Some(image) = store.read(file)? else { continue };
        let Ok(der) = first_certificate(&path, &image.bytes) else { continue };
        let Ok(seen) = inspect::certificate(&path, &der) else { continue };
        let is_ca = [CA_FILE, ISSUING_CA_FILE].iter().any(|ca| ca.strip_suffix(".pem") == Some(name));
        let is_known = store.ledger().has_serial(&seen.serial) || serials.contains(&seen.serial);
        if is_known || !(is_ca || store.has_signed(&der)?) {
            continue;
        }
        serials.insert(seen.serial.clone());
        let event = if is_ca { Event::Import } else { Event::Rebuild };
        found.push(Entry {
            name: Some(name.to_owned()),
            subject: is_ca.then(|| seen.subject.clone()),
            profile: (!is_ca).then(|| guess_profile(name, &seen, &profiles)),
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
    found.extend(revocations(writer, now)?);
    if !found.is_empty() {
        writer.record(&found)?;
    }
    Ok(found)
}

/// The profile that a certificate was most likely made with: of those with its usages and subject fields the one whose
/// default names and days it has. Where none fits, what its usages allow. `server` and `peer` look alike: `server`.
pub fn guess_profile(name: &str, certificate: &inspect::Certificate, profiles: &Profiles) -> String {
    let known = profiles.names().filter_map(|known| profiles.get(known).ok());
    let fits = known.filter_map(|profile| Some((likeness(name, certificate, profile)?, profile)));
    // The last of equals is taken, so the built-in order is kept by asking for `server` first among them.
    let best = fits.max_by_key(|(likeness, profile)| (*likeness, profile.name == "server"));
    if let Some((_, profile)) = best {
        return profile.name.clone();
    }
    let is_for = |usage: &str| certificate.usages.iter().any(|has| has == usage || has == "any");
    match (is_for("serverAuth"), certificate.subject.contains("CN=")) {
        (false, _) => "client",
        (true, true) => "server",
        (true, false) => "proxy",
    }
    .to_owned()
}

/// How much speaks for a profile; none where its usages or its subject are others.
fn likeness(name: &str, certificate: &inspect::Certificate, profile: &Profile) -> Option<(usize, bool)> {
    let name: CertName = name.parse().ok()?;
    if !has_usages(certificate, profile) {
        return None;
    }
    let subject = &profile.subject;
    let fields = [
        ("C", &subject.country),
        ("ST", &subject.state),
        ("L", &subject.locality),
        ("O", &subject.organization),
        ("OU", &subject.organizational_unit),
        ("CN", &subject.common_name),
    ];
    let wanted: Vec<String> = fields
        .into_iter()
        .filter_map(|(field, value)| {
            Some(format!("{field}={}", value.as_ref()?.replace("{name}", name.as_str())))
        })
        .collect();
    let has: Vec<&str> = certificate.subject.split(", ").collect();
    if wanted.len() != has.len() || !wanted.iter().all(|field| has.contains(&field.as_str())) {
        return None;
    }
    let names: Vec<String> = profile.default_names(&name).ok()?.iter().map(San::to_string).collect();
    let days = (certificate.not_after - certificate.not_before).whole_days();
    let score = if names.iter().all(|name| certificate.sans.contains(name)) { 1 + names.len() } else { 0 };
    Some((score, days == i64::from(profile.days)))
}

/// Whether a certificate is for exactly what a profile is for.
pub(super) fn has_usages(certificate: &inspect::Certificate, profile: &Profile) -> bool {
    let text = |usage: &Usage| match usage {
        Usage::ServerAuth => "serverAuth",
        Usage::ClientAuth => "clientAuth",
    };
    certificate.usages.len() == profile.usages.len()
        && profile.usages.iter().all(|usage| certificate.usages.iter().any(|has| has == text(usage)))
}

/// What the last revocation list still tells.
fn revocations(writer: &Writer, now: OffsetDateTime) -> Result<Vec<Entry>, CaError> {
    let path = writer.store().path(super::revoke::CRL_PEM_FILE);
    let Some(image) = writer.store().read(super::revoke::CRL_PEM_FILE)? else { return Ok(Vec::new()) };
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
        let is_known = writer.ledger().last_crl() >= number;
        if number.is_some() && !is_known {
            entries.push(Entry { number, ..Entry::new(Event::Crl, now) });
        }
    }
    Ok(entries)
}
