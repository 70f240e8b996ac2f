//! Changes that are whole or not there, whatever kills the process.
//!
//! A pair is two files and a ledger line, and no system call writes all three at once. So each change goes through a
//! transaction, under the lock:
//!
//! 1. The new files are written under names of their own (`.NAME.pem.staged`), keys with mode 0600 from the moment they
//!    exist, each synced. `.transaction.json` says what will be done: for each certificate its serial, its files in the
//!    order in which they are to appear (keys before certificates), and under which name an old file is kept. Then the
//!    directory is synced.
//! 2. The ledger lines are appended and synced. **This is the moment at which the change has happened.**
//! 3. Old files step aside (certificate before key), then the new ones are renamed into place (key before certificate);
//!    a batch goes through each of these turns together. At no moment do a certificate and a key that do not match have
//!    their names. The directory is synced after each of the two, since a disk may write names in any order: a new file
//!    must not be there while the old one's new name is not.
//! 4. The caller prints what it did. Then `.transaction.json` is removed: the user knows.
//!
//! A new pair so costs six syncs: two files, the transaction, the directory, the ledger, the directory. One that takes the
//! place of another costs seven.
//!
//! The next run that takes the lock and finds `.transaction.json` knows that its owner died. A certificate whose serial is
//! in the ledger is put into place (step 3 again, which skips what was already done); the files of one whose serial is
//! not are removed: nobody has seen them. What was finished that way is reported to the caller, so that a command that
//! was killed and is run again reports the certificate it had made instead of complaining that it exists. A serial in the
//! ledger is never used again, and a serial that is not was never in a file that anybody could use.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::ledger::Ledger;
use super::listing::Listing;
use super::{CaError, Passphrase, PrivateKey, pem};
use crate::files::{self, FileMode, Meta};

const INTENT: &str = ".transaction.json";

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

    /// A file that everybody may read.
    pub(super) fn public(name: &str, bytes: Vec<u8>) -> Self {
        Self { name: name.into(), bytes: Zeroizing::new(bytes), mode: FileMode::PUBLIC }
    }

    /// Certificates.
    pub(super) fn certificates(name: &str, certificates: &[&[u8]]) -> Self {
        let text: String =
            certificates.iter().map(|der| pem::encode("CERTIFICATE", der).to_string()).collect();
        Self::public(name, text.into_bytes())
    }
}

/// What happens to the files that have the names already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Old {
    /// There must be none.
    Refuse,
    /// They are kept as `FILE.1`, `FILE.2`, …
    Keep,
    /// They are replaced.
    Replace,
}

/// What shows in the ledger that a change has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mark {
    /// The serial of a certificate.
    Serial(String),
    /// The number of a revocation list.
    Crl(u64),
    /// Nothing: the ledger has no line for it. It has happened once the transaction is durable.
    None,
}

impl Mark {
    fn is_in(&self, ledger: &Ledger) -> bool {
        match self {
            Self::Serial(serial) => ledger.has_serial(serial),
            Self::Crl(number) => ledger.last_crl().is_some_and(|last| last >= *number),
            Self::None => true,
        }
    }
}

/// Something that is to appear, with its files in order: keys before certificates.
pub(super) struct Change {
    /// Its name: a certificate's, `ca`, `issuing-ca`, `crl`.
    pub(super) name: String,
    /// What shows in the ledger that it has happened.
    pub(super) mark: Mark,
    /// The files, keys first.
    pub(super) files: Vec<NewFile>,
    /// What happens to files of the same names.
    pub(super) old: Old,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Intent {
    items: Vec<Item>,
}

/// What a transaction puts into place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    /// The name of the change.
    pub(super) name: String,
    /// What shows in the ledger that it has happened.
    pub(super) mark: Mark,
    files: Vec<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    file: String,
    /// The name under which the old file is kept, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep_as: Option<String>,
    /// Whether the old file is replaced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    replaces: bool,
}

impl Place {
    fn staged(&self) -> String {
        staged(&self.file)
    }

    /// Names of this directory and no path out of it.
    fn is_plain(&self) -> bool {
        std::iter::once(&self.file)
            .chain(&self.keep_as)
            .all(|name| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']))
    }
}

fn staged(file: &str) -> String {
    format!(".{file}{STAGED}")
}

const STAGED: &str = ".staged";

/// The transaction of a PKI directory whose lock is held.
#[derive(Debug)]
pub(super) struct Transaction {
    dir: PathBuf,
    has_intent: bool,
    recovered: Vec<Item>,
}

impl Transaction {
    /// Finishes or undoes what an interrupted run left, and removes the temporary files of processes that have died.
    pub(super) fn recover(dir: &Path, ledger: &Ledger, names: &mut Listing) -> Result<Self, CaError> {
        let mut this = Self { dir: dir.to_owned(), has_intent: names.has(INTENT), recovered: Vec::new() };
        let image = if this.has_intent { files::read(&dir.join(INTENT))? } else { None };
        // It is written atomically; one that cannot be read is not ours, and nothing was done for it.
        let intent = image.and_then(|image| serde_json::from_slice::<Intent>(&image.bytes).ok());
        let items = intent.map(|intent| intent.items).unwrap_or_default();
        let is_plain = |item: &Item| item.files.iter().all(Place::is_plain);
        this.recovered = items.into_iter().filter(|item| is_plain(item) && item.mark.is_in(ledger)).collect();
        if !this.recovered.is_empty() {
            this.place(&this.recovered, names)?;
        }
        let left: Vec<String> = names
            .iter()
            .filter(|name| name.starts_with('.') && name.ends_with(STAGED))
            .map(str::to_owned)
            .collect();
        for name in left {
            files::unlink(&dir.join(&name))?;
            names.removed(&name);
        }
        for name in files::sweep(dir, names.clone().iter()) {
            names.removed(&name);
        }
        if this.recovered.is_empty() {
            this.forget(names)?;
        }
        Ok(this)
    }

    /// Whether an interrupted run, or one that is still at work, has left something to be finished.
    pub(super) fn is_there(dir: &Path) -> Result<bool, CaError> {
        Ok(files::stat(&dir.join(INTENT))?.is_some())
    }

    /// What was finished for an interrupted run and not yet reported to a user.
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
        names: &mut Listing,
        record: impl FnOnce() -> Result<(), CaError>,
    ) -> Result<(), CaError> {
        let items =
            changes.iter().map(|change| item(&self.dir, change, names)).collect::<Result<Vec<_>, _>>()?;
        if let Err(error) = self.prepare(changes, &items, names).and_then(|()| record()) {
            // A full disk must not keep us from making room again; that this may fail too changes nothing.
            for file in changes.iter().flat_map(|change| &change.files) {
                let _ = files::unlink(&self.dir.join(staged(&file.name)));
                names.removed(&staged(&file.name));
            }
            if self.recovered.is_empty() {
                let _ = self.forget(names);
            }
            return Err(error);
        }
        self.place(&items, names).map_err(|error| CaError::HalfDone { source: Box::new(error) })?;
        self.recovered.retain(|old| items.iter().all(|new| new.name != old.name));
        self.recovered.extend(items);
        Ok(())
    }

    /// The user knows: there is nothing to report any more. Best effort, since the next writer does the same.
    pub(super) fn acknowledge(mut self) {
        let _ = self.forget(&mut Listing::default());
    }

    /// Not synced: its return after a power cut does no harm.
    fn forget(&mut self, names: &mut Listing) -> Result<(), CaError> {
        if std::mem::take(&mut self.has_intent) {
            files::unlink(&self.dir.join(INTENT))?;
            names.removed(INTENT);
        }
        Ok(())
    }

    fn prepare(&mut self, changes: &[Change], items: &[Item], names: &mut Listing) -> Result<(), CaError> {
        let new_files = || changes.iter().flat_map(|change| &change.files);
        let paths: Vec<PathBuf> = new_files().map(|file| self.dir.join(staged(&file.name))).collect();
        let new: Vec<(&Path, &[u8], Meta)> = new_files()
            .zip(&paths)
            .map(|(file, path)| (path.as_path(), &file.bytes[..], Meta::mode(file.mode)))
            .collect();
        files::stage_all(&new)?;
        new_files().for_each(|file| names.added(staged(&file.name)));
        // What was recovered is kept until its own command is run again or this one reports.
        let old = self.recovered.iter().filter(|old| items.iter().all(|new| new.name != old.name));
        let intent = Intent { items: old.chain(items).cloned().collect() };
        let text = serde_json::to_vec(&intent).expect("an intent is always JSON");
        self.has_intent = true;
        // With it the directory is synced, and so are the names of the staged files.
        Ok(files::replace(&self.dir.join(INTENT), &text, Meta::mode(FileMode::SECRET))?)
    }

    /// Step 3, from wherever it was left.
    fn place(&self, items: &[Item], names: &mut Listing) -> Result<(), CaError> {
        let mut moved = false;
        for place in items.iter().flat_map(|item| item.files.iter().rev()) {
            let Some(keep_as) = &place.keep_as else { continue };
            moved |= names.has(keep_as);
            // Still to be placed, and the old one has not stepped aside yet.
            if names.has(&place.staged()) && names.has(&place.file) && !names.has(keep_as) {
                files::rename_new(&self.dir.join(&place.file), &self.dir.join(keep_as))?;
                names.renamed(&place.file, keep_as);
                moved = true;
            }
        }
        // In a recovery they may have moved before, and nobody knows whether that is on the disk.
        if moved {
            files::sync_dir(&self.dir)?;
        }
        let turns = items.iter().map(|item| item.files.len()).max().unwrap_or(0);
        for turn in 0..turns {
            for place in items.iter().filter_map(|item| item.files.get(turn)) {
                let staged = place.staged();
                if !names.has(&staged) {
                    continue;
                }
                let (from, to) = (self.dir.join(&staged), self.dir.join(&place.file));
                if place.replaces {
                    files::rename_over(&from, &to)?;
                } else {
                    files::rename_new(&from, &to)?;
                }
                names.renamed(&staged, &place.file);
            }
        }
        Ok(files::sync_dir(&self.dir)?)
    }
}

/// What a change comes to in a directory with these names.
fn item(dir: &Path, change: &Change, names: &Listing) -> Result<Item, CaError> {
    let number = match change.old {
        Old::Keep => names.free_number(change.files.iter().map(|file| file.name.as_str())),
        Old::Refuse | Old::Replace => 0,
    };
    let place = |file: &NewFile| {
        let is_there = names.has(&file.name);
        if is_there {
            let path = dir.join(&file.name);
            if change.old == Old::Refuse {
                return Err(CaError::Exists { path });
            }
            // A symlink or a directory is somebody's doing, and not ours to move.
            files::expect_file(&path)?;
        }
        Ok(Place {
            file: file.name.clone(),
            keep_as: (change.old == Old::Keep && is_there).then(|| format!("{}.{number}", file.name)),
            replaces: change.old == Old::Replace,
        })
    };
    let files = change.files.iter().map(place).collect::<Result<_, _>>()?;
    Ok(Item { name: change.name.clone(), mark: change.mark.clone(), files })
}
