//! What there is: the ledger's certificates and the directory's files, put side by side.

use std::collections::{BTreeMap, HashMap};

use ::time::OffsetDateTime;
use serde::Serialize;

use super::CaError;
use super::inspect::{self, Certificate};
use super::ledger::Event;
use super::store::{CA_FILE, ISSUING_CA_FILE, Store};
use super::stored::first_certificate;

/// How a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// In use and valid.
    Valid,
    /// In use, and its time has not come: a clock is wrong.
    NotYetValid,
    /// In use, and past its end.
    Expired,
    /// Revoked.
    Revoked,
    /// Another certificate has its name now.
    Replaced,
    /// In the ledger, but its file is gone.
    Missing,
    /// In the directory, but not in the ledger.
    Unrecorded,
}

impl Standing {
    /// Whether somebody may rely on it now.
    pub const fn is_in_use(self) -> bool {
        matches!(self, Self::Valid | Self::NotYetValid | Self::Expired | Self::Unrecorded | Self::Missing)
    }
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Valid => "valid",
            Self::NotYetValid => "not yet valid",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Replaced => "replaced",
            Self::Missing => "file missing",
            Self::Unrecorded => "not in the ledger",
        })
    }
}

/// A certificate that was issued, or that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its profile, where the ledger knows it; `ca` for the CA.
    pub profile: Option<String>,
    /// Whether the profile is a guess, because the ledger was lost.
    pub profile_guessed: bool,
    /// How it stands.
    #[serde(rename = "state")]
    pub standing: Standing,
    /// The serial in hexadecimal.
    pub serial: String,
    /// The start.
    #[serde(with = "::time::serde::rfc3339")]
    pub not_before: OffsetDateTime,
    /// The end.
    #[serde(with = "::time::serde::rfc3339")]
    pub not_after: OffsetDateTime,
    /// Who issued it, where a file says.
    pub issuer: Option<String>,
    /// The names.
    pub sans: Vec<String>,
    /// The kind of key.
    pub key_type: Option<String>,
    /// SHA-256 of the DER.
    pub fingerprint: Option<String>,
}

/// The CA, then every certificate by name, the newest first.
///
/// # Errors
/// [`CaError::File`]
pub fn catalogue(store: &Store, now: OffsetDateTime) -> Result<Vec<Listed>, CaError> {
    let ledger = store.ledger();
    let mut files = certificates(store)?;
    let mut found: BTreeMap<(bool, String), Vec<Listed>> = BTreeMap::new();
    for file in [CA_FILE, ISSUING_CA_FILE] {
        let name = file.trim_end_matches(".pem");
        if let Some(ca) = files.remove(name) {
            let standing = in_time(ca.not_before, ca.not_after, now);
            found.entry((false, name.to_owned())).or_default().push(from_file(
                name,
                &ca,
                Some("ca"),
                standing,
            ));
        }
    }
    let mut recorded = HashMap::new();
    for entry in ledger.entries().iter().filter(|entry| entry.is_certificate()).rev() {
        let (Some(name), Some(serial), Some(not_before), Some(not_after)) =
            (&entry.name, &entry.serial, entry.not_before, entry.not_after)
        else {
            continue;
        };
        // A rebuilt ledger may say the same twice; the newest line counts.
        if recorded.insert(serial.clone(), ()).is_some() {
            continue;
        }
        let list = found.entry((true, name.clone())).or_default();
        let file = files.get(name).filter(|file| file.serial == *serial);
        let is_there = file.is_some();
        let standing = if ledger.is_revoked(serial) {
            Standing::Revoked
        } else if is_there {
            in_time(not_before, not_after, now)
        } else if files.contains_key(name) || !list.is_empty() {
            Standing::Replaced
        } else {
            Standing::Missing
        };
        list.push(Listed {
            name: name.clone(),
            profile: entry.profile.clone(),
            profile_guessed: entry.event == Event::Rebuild,
            standing,
            serial: serial.clone(),
            not_before,
            not_after,
            issuer: file.map(|file| file.issuer.clone()),
            sans: entry.sans.clone(),
            key_type: entry.key_type.clone(),
            fingerprint: entry.fingerprint.clone(),
        });
    }
    for (name, file) in files.iter().filter(|(_, file)| !recorded.contains_key(&file.serial)) {
        let list = found.entry((true, name.clone())).or_default();
        list.insert(0, from_file(name, file, None, Standing::Unrecorded));
    }
    Ok(found.into_values().flatten().collect())
}

fn from_file(name: &str, file: &Certificate, profile: Option<&str>, standing: Standing) -> Listed {
    Listed {
        name: name.to_owned(),
        profile: profile.map(ToOwned::to_owned),
        profile_guessed: false,
        standing,
        serial: file.serial.clone(),
        not_before: file.not_before,
        not_after: file.not_after,
        issuer: Some(file.issuer.clone()),
        sans: file.sans.clone(),
        key_type: Some(file.key_type.clone()),
        fingerprint: Some(file.fingerprint.clone()),
    }
}

fn in_time(start: OffsetDateTime, end: OffsetDateTime, now: OffsetDateTime) -> Standing {
    if now > end {
        Standing::Expired
    } else if now < start {
        Standing::NotYetValid
    } else {
        Standing::Valid
    }
}

/// The certificates in use: `NAME.pem` that begins with one. History and keys are none.
fn certificates(store: &Store) -> Result<BTreeMap<String, Certificate>, CaError> {
    let mut found = BTreeMap::new();
    let is_hidden = |file: &&str| file.starts_with('.');
    for file in store.listing()?.iter().filter(|file| !is_hidden(file)) {
        let Some(name) = file.strip_suffix(".pem").filter(|name| !name.ends_with("-key")) else { continue };
        let path = store.path(file);
        let Ok(Some(image)) = store.read(file) else { continue };
        let described =
            first_certificate(&path, &image.bytes).and_then(|der| inspect::certificate(&path, &der));
        if let Ok(certificate) = described {
            found.insert(name.to_owned(), certificate);
        }
    }
    Ok(found)
}
