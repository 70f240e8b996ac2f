//! Changes that are whole or not there, whatever kills the process.
//!
//! A pair is two files and a ledger line, and no system call writes all three at once. So each change goes through
//! `.pending/`, a directory of its own in the PKI directory, under the lock:
//!
//! 1. `.pending.json` says what will be done: for each certificate its serial, its files in the order in
//!    which they are to appear (keys before certificates), and under which name an old file is kept.
//! 2. The new files are written into `.pending/`, keys with mode 0600 from the moment they exist, each synced.
//! 3. The ledger lines are appended and synced. **This is the moment at which the change has happened.**
//! 4. Old files step aside (certificate before key), then the new ones are renamed into place (key before
//!    certificate); a batch goes through each of these turns together, so that the directory is synced once a turn. At no moment do a certificate and a key that do not match stand side by side.
//! 5. The caller prints what it did. Then `.pending/` is removed, and with the very last system call `.pending.json`:
//!    the receipt has been handed over.
//!
//! Whoever takes the lock next and finds `.pending.json` knows that its owner died. A certificate whose serial is in the
//! ledger is put into place (step 4 again, which skips what was already done); one whose serial is not has never been
//! seen by anybody, and its files are removed. What was finished that way is told to the caller, so that a command
//! that was killed and is run again reports the certificate it had made instead of complaining that it exists.
//! A serial in the ledger is never used again, and a serial that is not was never in a file that anybody could use.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::ledger::Ledger;
use super::{CaError, Passphrase, PrivateKey, pem};
use crate::files::{self, FileMode, Meta};

const DIR: &str = ".pending";
const INTENT: &str = ".pending.json";

/// A file that is to appear.
pub(super) struct NewFile {
    /// Its name in the PKI directory.
    pub(super) name: String,
    /// Its content.
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// Its mode.
    pub(super) mode: FileMode,
}

impl NewFile {
    /// A private key, encrypted where there is a passphrase.
    pub(super) fn key(
        name: &str,
        key: &PrivateKey,
        passphrase: Option<&Passphrase>,
    ) -> Result<Self, CaError> {
        let text = key.to_pem_with(passphrase)?;
        Ok(Self::secret(name, Zeroizing::new(text.as_bytes().to_vec())))
    }

    /// A file that only its owner reads.
    pub(super) fn secret(name: &str, bytes: Zeroizing<Vec<u8>>) -> Self {
        Self { name: name.into(), bytes, mode: FileMode::SECRET }
    }

    /// Certificates.
    pub(super) fn certificates(name: &str, certificates: &[&[u8]]) -> Self {
        let text: String =
            certificates.iter().map(|der| pem::encode("CERTIFICATE", der).to_string()).collect();
        Self { name: name.into(), bytes: Zeroizing::new(text.into_bytes()), mode: FileMode::PUBLIC }
    }
}

/// A certificate that is to appear, with its files in order: keys before certificates.
pub(super) struct Change {
    /// The certificate's name.
    pub(super) name: String,
    /// Its serial, as it will stand in the ledger.
    pub(super) serial: String,
    /// The files, keys first.
    pub(super) files: Vec<NewFile>,
    /// Whether files of the same names may be there, and step aside.
    pub(super) replaces: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Intent {
    items: Vec<Item>,
}

/// A certificate that an interrupted run had made, and that was put into place now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    /// The certificate's name.
    pub(super) name: String,
    /// Its serial.
    pub(super) serial: String,
    files: Vec<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    file: String,
    /// The name under which the old file is kept, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep_as: Option<String>,
}

/// The pending changes of a PKI directory whose lock is held.
#[derive(Debug)]
pub(super) struct Pending {
    dir: PathBuf,
    recovered: Vec<Item>,
}

impl Pending {
    /// Finishes or undoes what an interrupted run left.
    pub(super) fn recover(pki_dir: &Path, ledger: &Ledger) -> Result<Self, CaError> {
        let mut pending = Self { dir: pki_dir.to_owned(), recovered: Vec::new() };
        let Some(image) = files::read(&pending.dir.join(INTENT))? else {
            pending.clear()?;
            return Ok(pending);
        };
        // The intent is written atomically; one that cannot be read is not ours, and nothing was done for it.
        let Ok(intent) = serde_json::from_slice::<Intent>(&image.bytes) else {
            pending.clear()?;
            return Ok(pending);
        };
        let (made, unmade): (Vec<Item>, Vec<Item>) =
            intent.items.into_iter().partition(|item| ledger.has_serial(&item.serial));
        for place in unmade.iter().flat_map(|item| &item.files) {
            files::remove(&pending.path(&place.file))?;
        }
        pending.place(&made)?;
        pending.recovered = made;
        if pending.recovered.is_empty() {
            pending.clear()?;
        }
        Ok(pending)
    }

    /// Whether there is anything pending.
    pub(super) fn is_there(pki_dir: &Path) -> bool {
        !matches!(files::kind_at(&pki_dir.join(INTENT)), Ok(None))
    }

    /// What was finished for an interrupted run and not yet reported to anybody.
    pub(super) fn recovered(&self) -> &[Item] {
        &self.recovered
    }

    /// Carries out changes: `record` makes them durable in the ledger, and is called once the files are prepared.
    ///
    /// # Errors
    /// Before `record` has succeeded everything is taken back; an error after that is [`CaError::HalfDone`].
    pub(super) fn carry_out(
        &mut self,
        changes: &[Change],
        record: impl FnOnce() -> Result<(), CaError>,
    ) -> Result<(), CaError> {
        let items = changes.iter().map(|change| self.item(change)).collect::<Result<Vec<_>, _>>()?;
        if let Err(error) = self.prepare(changes, &items).and_then(|()| record()) {
            // A full disk must not keep us from making room again; that this may fail too changes nothing.
            let _ = self.clear();
            return Err(error);
        }
        self.place(&items).map_err(|error| CaError::HalfDone { source: Box::new(error) })?;
        self.recovered.retain(|old| items.iter().all(|new| new.name != old.name));
        self.recovered.extend(items);
        Ok(())
    }

    /// The caller has told its user: nothing is pending any more. Best effort, since the next writer does the same.
    pub(super) fn acknowledge(self) {
        let _ = self.clear();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(DIR).join(name)
    }

    fn clear(&self) -> Result<(), CaError> {
        files::remove_tree(&self.dir.join(DIR))?;
        // Last: until then a removal that was killed is taken up again.
        Ok(files::drop_note(&self.dir.join(INTENT))?)
    }

    fn prepare(&self, changes: &[Change], items: &[Item]) -> Result<(), CaError> {
        files::make_dir(&self.dir.join(DIR), Meta::mode(FileMode::SECRET_DIR))?;
        // What was recovered stays in the intent until its own command is run again or this one reports.
        let old = self.recovered.iter().filter(|old| items.iter().all(|new| new.name != old.name));
        let intent = Intent { items: old.chain(items).cloned().collect() };
        let text = serde_json::to_vec(&intent).expect("an intent is always JSON");
        files::replace(&self.dir.join(INTENT), &text, Meta::mode(FileMode::SECRET))?;
        let paths: Vec<(PathBuf, &NewFile)> = changes
            .iter()
            .flat_map(|change| &change.files)
            .map(|file| (self.path(&file.name), file))
            .collect();
        let new: Vec<(&Path, &[u8], Meta)> = paths
            .iter()
            .map(|(path, file)| (path.as_path(), &file.bytes[..], Meta::mode(file.mode)))
            .collect();
        Ok(files::replace_all(&new)?)
    }

    fn item(&self, change: &Change) -> Result<Item, CaError> {
        let mut places = Vec::new();
        let history = if change.replaces { self.free_number(change)? } else { 0 };
        for file in &change.files {
            let path = self.dir.join(&file.name);
            let keep_as = match files::read(&path)? {
                None => None,
                Some(_) if change.replaces => Some(format!("{}.{history}", file.name)),
                Some(_) => return Err(CaError::Exists { path }),
            };
            places.push(Place { file: file.name.clone(), keep_as });
        }
        Ok(Item { name: change.name.clone(), serial: change.serial.clone(), files: places })
    }

    /// The first number that no old file of the change has.
    fn free_number(&self, change: &Change) -> Result<u32, CaError> {
        let mut number = 1;
        loop {
            let taken =
                |file: &NewFile| self.dir.join(format!("{}.{number}", file.name)).symlink_metadata().is_ok();
            if !change.files.iter().any(taken) {
                return Ok(number);
            }
            number += 1;
        }
    }

    /// Step 4, from wherever it was left. What must not be seen before something else waits until that is durable;
    /// the certificates of a batch wait together.
    fn place(&self, items: &[Item]) -> Result<(), CaError> {
        let mut aside = Vec::new();
        for place in items.iter().flat_map(|item| item.files.iter().rev()) {
            let Some(keep_as) = &place.keep_as else { continue };
            let (path, old) = (self.dir.join(&place.file), self.dir.join(keep_as));
            // Still to be placed, and the old one has not stepped aside yet.
            if files::kind_at(&self.path(&place.file))?.is_some() && files::kind_at(&old)?.is_none() {
                aside.push((path, old));
            }
        }
        files::rename_each(&aside)?;
        let turns = items.iter().map(|item| item.files.len()).max().unwrap_or(0);
        for turn in 0..turns {
            let files = items.iter().filter_map(|item| item.files.get(turn));
            let new = files.map(|place| (self.path(&place.file), self.dir.join(&place.file)));
            files::rename_each(&new.collect::<Vec<_>>())?;
        }
        Ok(())
    }
}
