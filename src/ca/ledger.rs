//! The ledger: one JSON line for everything the CA did, appended and synced before a certificate is shown.
//!
//! A line that was torn by a crash at the end of the file is cut off by the next writer, with a word. A broken line
//! in the middle (a text editor, a bad disk) is skipped, with a word: it is never a reason not to issue.

use std::collections::HashMap;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use ::time::OffsetDateTime;
use serde::{Deserialize, Serialize};

use super::CaError;
use crate::files::{self, FileError, FileMode};

/// The ledger's file name.
pub const LEDGER_FILE: &str = "ledger.jsonl";

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A CA was made.
    Init,
    /// A CA made elsewhere was adopted.
    Import,
    /// A pair was issued.
    Issue,
    /// A certificate request was signed.
    Sign,
    /// A pair or certificate took the place of an older one.
    Renew,
    /// A certificate was revoked.
    Revoke,
    /// A revocation list was made.
    Crl,
    /// A line was written anew from a certificate, because the ledger was lost.
    Rebuild,
}

/// One line. Fields that an event has no use for are left out; unknown ones are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    #[serde(with = "::time::serde::rfc3339")]
    pub time: OffsetDateTime,
    /// What.
    pub event: Event,
    /// The certificate's name in the directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A CA's subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The serial in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The start.
    #[serde(default, with = "::time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<OffsetDateTime>,
    /// The end.
    #[serde(default, with = "::time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub not_after: Option<OffsetDateTime>,
    /// The names, as `DNS:…`, `IP:…`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sans: Vec<String>,
    /// The kind of key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_type: Option<String>,
    /// SHA-256 of the certificate's DER in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Why it was revoked (RFC 5280 5.3.1, in kebab case).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A revocation list's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
}

impl Entry {
    /// An entry of `event` at `time` with nothing else.
    pub const fn new(event: Event, time: OffsetDateTime) -> Self {
        Self {
            time,
            event,
            name: None,
            subject: None,
            profile: None,
            serial: None,
            not_before: None,
            not_after: None,
            sans: Vec::new(),
            key_type: None,
            fingerprint: None,
            reason: None,
            number: None,
        }
    }

    /// Whether a certificate came into being with it.
    pub const fn is_certificate(&self) -> bool {
        matches!(self.event, Event::Issue | Event::Sign | Event::Renew | Event::Rebuild)
    }
}

/// The ledger as it was read, with what is looked up in it by serial and by name.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    by_serial: HashMap<String, Lines>,
    /// The last certificate of each name.
    latest: HashMap<String, usize>,
    last_crl: Option<u64>,
    warnings: Vec<String>,
    is_there: bool,
}

/// The lines about one serial, as indices of entries.
#[derive(Debug, Clone, Copy, Default)]
struct Lines {
    /// The last one with which the certificate came into being.
    certificate: Option<usize>,
    /// The first one with which it was revoked.
    revocation: Option<usize>,
}

impl Ledger {
    /// Reads its file's content; a line at its end that was not finished is passed over.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut ledger = Self { is_there: true, ..Self::default() };
        for (index, line) in bytes[..whole_lines(bytes)].split(|&byte| byte == b'\n').enumerate() {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match serde_json::from_slice(line) {
                Ok(entry) => ledger.push(entry),
                Err(error) => ledger.warnings.push(format!(
                    "{LEDGER_FILE} line {} cannot be read and was skipped: {error}",
                    index + 1
                )),
            }
        }
        ledger
    }

    /// The entries, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What should be said about lines that could not be read.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether there is one.
    pub const fn is_there(&self) -> bool {
        self.is_there
    }

    /// Whether a line holds that serial.
    pub fn has_serial(&self, serial: &str) -> bool {
        self.by_serial.contains_key(serial)
    }

    /// The entry of the certificate with that serial.
    pub fn certificate(&self, serial: &str) -> Option<&Entry> {
        self.by_serial.get(serial)?.certificate.map(|at| &self.entries[at])
    }

    /// The revocation of the certificate with that serial.
    pub fn revocation(&self, serial: &str) -> Option<&Entry> {
        self.by_serial.get(serial)?.revocation.map(|at| &self.entries[at])
    }

    /// Whether the certificate with that serial was revoked.
    pub fn is_revoked(&self, serial: &str) -> bool {
        self.revocation(serial).is_some()
    }

    /// The last certificate made under a name.
    pub fn latest(&self, name: &str) -> Option<&Entry> {
        self.latest.get(name).map(|&at| &self.entries[at])
    }

    /// The number of the last revocation list.
    pub const fn last_crl(&self) -> Option<u64> {
        self.last_crl
    }

    /// The lines of the CAs of that file: made, adopted, or renewed.
    pub fn authorities<'a>(&'a self, file: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| {
            matches!(entry.event, Event::Init | Event::Import) && entry.name.as_deref() == Some(file)
        })
    }

    fn push(&mut self, entry: Entry) {
        let at = self.entries.len();
        if let Some(serial) = &entry.serial {
            let lines = self.by_serial.entry(serial.clone()).or_default();
            if entry.is_certificate() {
                lines.certificate = Some(at);
            } else if entry.event == Event::Revoke {
                lines.revocation.get_or_insert(at);
            }
        }
        if let Some(name) = entry.name.as_ref().filter(|_| entry.is_certificate()) {
            self.latest.insert(name.clone(), at);
        }
        self.last_crl = self.last_crl.max(entry.number);
        self.entries.push(entry);
    }
}

/// Changes, by the one writer that holds the lock.
impl Ledger {
    /// Takes the ledger as it was read from the file at `path`, and cuts off a line that a crash has torn.
    ///
    /// # Errors
    /// [`CaError::File`]
    pub(super) fn repaired(path: &Path, bytes: &[u8]) -> Result<Self, CaError> {
        let mut ledger = Self::parse(bytes);
        let whole = whole_lines(bytes);
        let torn = bytes.len() - whole;
        if torn > 0 {
            let file = files::open_append(path, FileMode::SECRET)?;
            file.set_len(whole as u64).and_then(|()| file.sync_data()).map_err(io("repair", path))?;
            ledger.warnings.push(format!(
                "{LEDGER_FILE} ended in a line that an interrupted run had not finished; it was cut off ({torn} bytes)"
            ));
        }
        Ok(ledger)
    }

    /// Appends entries to the file at `path` in one write and returns when they are durable. When that fails, what may
    /// have been written of them is taken back.
    ///
    /// # Errors
    /// [`CaError::File`]
    pub(super) fn append(&mut self, path: &Path, entries: &[Entry]) -> Result<(), CaError> {
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry).expect("an entry is always JSON");
            lines.push(b'\n');
        }
        let mut file = files::open_append(path, FileMode::SECRET)?;
        let before = file.seek(SeekFrom::End(0)).map_err(io("read", path))?;
        if let Err(source) = file.write_all(&lines).and_then(|()| file.sync_data()) {
            let _ = file.set_len(before).and_then(|()| file.sync_data());
            return Err(io("write", path)(source));
        }
        entries.iter().for_each(|entry| self.push(entry.clone()));
        self.is_there = true;
        Ok(())
    }
}

fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1)
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> CaError {
    let path = path.to_owned();
    move |source| FileError::Io { action, path, source }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(serial: &str) -> Entry {
        let mut entry = Entry::new(Event::Issue, OffsetDateTime::UNIX_EPOCH);
        entry.serial = Some(serial.into());
        entry.name = Some("server1".into());
        entry
    }

    #[test]
    fn lines_are_kept_and_a_torn_one_is_cut_off_with_a_word() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LEDGER_FILE);
        let mut ledger = Ledger::default();
        assert!(!ledger.is_there());
        ledger.append(&path, &[entry("01"), entry("02")]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let mut file = files::open_append(&path, FileMode::SECRET).unwrap();
        file.write_all(b"{\"time\":\"2026-01-01T00:00:00Z\",\"ev").unwrap();
        let torn = std::fs::read(&path).unwrap();
        assert_eq!(Ledger::parse(&torn).entries().len(), 2, "a reader looks past it");
        let repaired = Ledger::repaired(&path, &torn).unwrap();
        assert_eq!(repaired.entries(), [entry("01"), entry("02")]);
        assert!(repaired.warnings()[0].contains("cut off"));
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn a_broken_line_in_the_middle_costs_only_itself() {
        let good = serde_json::to_string(&entry("01")).unwrap();
        let ledger = Ledger::parse(format!("{good}\ngarbage\n\n{good}\n").as_bytes());
        assert_eq!(ledger.entries().len(), 2);
        assert!(ledger.warnings()[0].contains("line 2"), "{:?}", ledger.warnings());
        assert!(ledger.has_serial("01") && !ledger.has_serial("02"));
    }
}
