//! The ledger: one JSON line for everything the CA did, appended and synced before a certificate is shown.
//!
//! A line that was torn by a crash at the end of the file is cut off by the next writer, with a word. A broken line
//! in the middle (a text editor, a bad disk) is skipped, with a word: it is never a reason not to issue.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

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

/// The ledger as it was read.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    warnings: Vec<String>,
    is_there: bool,
}

impl Ledger {
    /// Reads it without changing it; a missing one is empty.
    ///
    /// # Errors
    /// [`CaError::File`]
    pub fn read(pki_dir: &Path) -> Result<Self, CaError> {
        let path = pki_dir.join(LEDGER_FILE);
        let Some(image) = files::read(&path)? else {
            return Ok(Self::default());
        };
        Ok(Self::parse(&image.bytes))
    }

    fn parse(bytes: &[u8]) -> Self {
        let mut ledger = Self { is_there: true, ..Self::default() };
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        for (index, line) in bytes[..whole].split(|&byte| byte == b'\n').enumerate() {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match serde_json::from_slice(line) {
                Ok(entry) => ledger.entries.push(entry),
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

    /// Whether the file is there.
    pub const fn is_there(&self) -> bool {
        self.is_there
    }

    /// Whether a serial stands in it.
    pub fn has_serial(&self, serial: &str) -> bool {
        self.entries.iter().any(|entry| entry.serial.as_deref() == Some(serial))
    }

    /// The entry of the certificate with that serial.
    pub fn certificate(&self, serial: &str) -> Option<&Entry> {
        let is_it = |entry: &&Entry| entry.is_certificate() && entry.serial.as_deref() == Some(serial);
        self.entries.iter().rev().find(is_it)
    }

    /// The revocation of the certificate with that serial.
    pub fn revocation(&self, serial: &str) -> Option<&Entry> {
        let is_it = |entry: &&Entry| entry.event == Event::Revoke && entry.serial.as_deref() == Some(serial);
        self.entries.iter().find(is_it)
    }

    /// Whether the certificate with that serial was revoked.
    pub fn is_revoked(&self, serial: &str) -> bool {
        self.revocation(serial).is_some()
    }

    /// The last certificate made under a name.
    pub fn latest(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.is_certificate() && entry.name.as_deref() == Some(name))
    }
}

/// The ledger opened by the one writer that holds the lock.
#[derive(Debug)]
pub struct LedgerWriter {
    path: PathBuf,
    ledger: Ledger,
}

impl LedgerWriter {
    /// Reads the ledger and cuts off a line that a crash has torn.
    ///
    /// # Errors
    /// [`CaError::File`]
    pub(super) fn open(pki_dir: &Path) -> Result<Self, CaError> {
        let path = pki_dir.join(LEDGER_FILE);
        let Some(image) = files::read(&path)? else {
            return Ok(Self { path, ledger: Ledger::default() });
        };
        let mut bytes = image.bytes;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let torn = bytes.split_off(whole);
        let mut ledger = Ledger::parse(&bytes);
        if !torn.is_empty() {
            let file = files::open_append(&path, FileMode::SECRET)?;
            file.set_len(whole as u64).and_then(|()| file.sync_data()).map_err(io("repair", &path))?;
            ledger.warnings.push(format!(
                "{LEDGER_FILE} ended in a line that an interrupted run had not finished; it was cut off ({} bytes)",
                torn.len()
            ));
        }
        Ok(Self { path, ledger })
    }

    /// What it holds.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Appends entries in one write and returns when they are durable. When that fails, what may have been written
    /// of them is taken back.
    ///
    /// # Errors
    /// [`CaError::File`]
    pub(super) fn append(&mut self, entries: &[Entry]) -> Result<(), CaError> {
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry).expect("an entry is always JSON");
            lines.push(b'\n');
        }
        let mut file = files::open_append(&self.path, FileMode::SECRET)?;
        let before = file.seek(SeekFrom::End(0)).map_err(io("read", &self.path))?;
        if let Err(source) = file.write_all(&lines).and_then(|()| file.sync_data()) {
            let _ = file.set_len(before).and_then(|()| file.sync_data());
            return Err(io("write", &self.path)(source));
        }
        self.ledger.entries.extend_from_slice(entries);
        self.ledger.is_there = true;
        Ok(())
    }

    /// Reads back what is on the disk; for tests of the writer itself.
    #[cfg(test)]
    fn raw(&self) -> String {
        let mut text = String::new();
        use std::io::Read;
        std::fs::File::open(&self.path).unwrap().read_to_string(&mut text).unwrap();
        text
    }
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
        let mut writer = LedgerWriter::open(dir.path()).unwrap();
        assert!(!writer.ledger().is_there());
        writer.append(&[entry("01"), entry("02")]).unwrap();
        let whole = writer.raw();
        let mut file = files::open_append(&dir.path().join(LEDGER_FILE), FileMode::SECRET).unwrap();
        file.write_all(b"{\"time\":\"2026-01-01T00:00:00Z\",\"ev").unwrap();
        assert_eq!(Ledger::read(dir.path()).unwrap().entries().len(), 2, "a reader looks past it");
        let writer = LedgerWriter::open(dir.path()).unwrap();
        assert_eq!(writer.ledger().entries(), [entry("01"), entry("02")]);
        assert!(writer.ledger().warnings()[0].contains("cut off"));
        assert_eq!(writer.raw(), whole);
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
