//! A CA that was made: what is told of it, and how it comes into the PKI directory and its ledger.

use ::time::OffsetDateTime;

use super::certificate::CaCertificate;
use super::encode::fingerprint;
use super::ledger::{Entry, Event};
use super::transaction::{Change, Mark, NewFile, Old};
use super::writer::Writer;
use super::{CaError, KeyType};

/// A CA that was made.
#[derive(Debug, Clone)]
pub struct MadeCa {
    /// The file's name without `.pem`: `ca`, `issuing-ca`.
    pub file: String,
    /// Its common name.
    pub name: String,
    /// Its serial in hexadecimal.
    pub serial: String,
    /// Its start.
    pub not_before: OffsetDateTime,
    /// Its end.
    pub not_after: OffsetDateTime,
    /// SHA-256 of the certificate.
    pub fingerprint: String,
}

impl MadeCa {
    /// The CA that a line of the ledger is about.
    pub(super) fn from_entry(entry: &Entry) -> Option<Self> {
        Some(Self {
            file: entry.name.clone()?,
            name: entry.subject.clone()?,
            serial: entry.serial.clone()?,
            not_before: entry.not_before?,
            not_after: entry.not_after?,
            fingerprint: entry.fingerprint.clone()?,
        })
    }

    /// From its certificate, by the file's name.
    pub(super) fn of(file: &str, name: String, certificate: &CaCertificate) -> Self {
        Self {
            file: file.trim_end_matches(".pem").to_owned(),
            name,
            serial: certificate.serial(),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
            fingerprint: fingerprint(certificate.der()),
        }
    }
}

/// Puts the files of a CA into place.
pub(super) fn finish(
    writer: &mut Writer,
    new_files: Vec<NewFile>,
    made: &[MadeCa],
    event: Event,
    key_type: Option<KeyType>,
    now: OffsetDateTime,
) -> Result<(), CaError> {
    let mark = Mark::Serial(made[0].serial.clone());
    let change = Change { name: CA.into(), mark, old: Old::Refuse, files: new_files };
    record(writer, change, made, event, key_type, now)
}

/// Carries a change out and writes a line for each CA.
pub(super) fn record(
    writer: &mut Writer,
    change: Change,
    made: &[MadeCa],
    event: Event,
    key_type: Option<KeyType>,
    now: OffsetDateTime,
) -> Result<(), CaError> {
    let entries: Vec<Entry> = made
        .iter()
        .map(|made| Entry {
            name: Some(made.file.clone()),
            subject: Some(made.name.clone()),
            serial: Some(made.serial.clone()),
            not_before: Some(made.not_before),
            not_after: Some(made.not_after),
            key_type: key_type.map(|kind| kind.to_string()),
            fingerprint: Some(made.fingerprint.clone()),
            ..Entry::new(event, now)
        })
        .collect();
    writer.carry_out(&[change], &entries)
}

/// The name of the change that makes a CA.
const CA: &str = "ca";

/// The CAs that an interrupted run had made.
pub(super) fn recovered(writer: &Writer) -> Vec<MadeCa> {
    if writer.recovered_item(CA).is_none() {
        return Vec::new();
    }
    let entries = writer.ledger().entries().iter();
    let made = entries.filter(|entry| matches!(entry.event, Event::Init | Event::Import));
    made.map(MadeCa::from_entry).collect::<Option<_>>().unwrap_or_default()
}
