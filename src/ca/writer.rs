//! The PKI directory as it is changed: locked, and what an interrupted run left is finished or undone, before anything is
//! read from which a command chooses what to do.

use std::path::Path;
use std::time::Duration;

use super::CaError;
use super::ledger::{Entry, LEDGER_FILE, Ledger};
use super::listing::Listing;
use super::store::{CA_FILE, Store};
use super::transaction::{Change, Item, Transaction};
use crate::files::{self, DirLock, FileMode, Meta, Trust};

const LOCK_FILE: &str = "lock";

/// How long a writer waits for another: long enough for a batch of several hundred.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// The one process that may change the directory; dropping it frees the lock.
///
/// After the user was shown what was done call [`Writer::acknowledge`]; a writer that is dropped without it leaves a note
/// that the next run of the same command finds.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    transaction: Transaction,
    has_changed: bool,
    _lock: DirLock,
}

impl Writer {
    /// Takes the lock of a directory with a CA, finishes or undoes what an interrupted run left, then reads it.
    ///
    /// # Errors
    /// [`CaError::Lock`] when another process holds it for longer than [`LOCK_TIMEOUT`]; [`CaError::LedgerMissing`];
    /// what [`Store::open`] refuses.
    pub fn open(dir: &Path, trust: &Trust, what: &str) -> Result<Self, CaError> {
        // Answered without a lock, which could not be made in a directory that is not there.
        if files::stat(&dir.join(CA_FILE))?.is_none()
            && (files::stat(dir)?.is_none() || !Transaction::is_there(dir)?)
        {
            return Err(CaError::NoCa { dir: dir.to_owned(), missing: CA_FILE });
        }
        let writer = Self::open_new(dir, trust, what)?;
        writer.store.ca_pem()?;
        if !writer.ledger().is_there() {
            return Err(CaError::LedgerMissing { path: dir.join(LEDGER_FILE) });
        }
        Ok(writer)
    }

    /// The same for a directory that need not be there yet.
    ///
    /// # Errors
    /// As [`Writer::open_new`].
    pub fn create(dir: &Path, trust: &Trust, what: &str) -> Result<Self, CaError> {
        trust.check_dir(dir)?;
        files::make_dir(dir, Meta::mode(FileMode::SECRET_DIR))?;
        Self::open_new(dir, trust, what)
    }

    /// The same for a directory that need not have a CA or a ledger yet.
    ///
    /// # Errors
    /// As [`Writer::open`].
    pub fn open_new(dir: &Path, trust: &Trust, what: &str) -> Result<Self, CaError> {
        trust.check_dir(dir)?;
        let who = format!("process {} ({what})", std::process::id());
        let lock = DirLock::take(&dir.join(LOCK_FILE), &who, LOCK_TIMEOUT)?;
        let path = dir.join(LEDGER_FILE);
        let ledger = match files::read(&path)? {
            Some(image) => {
                trust.check_file(&path, &image)?;
                Ledger::repaired(&path, &image.bytes)?
            }
            None => Ledger::default(),
        };
        let mut listing = Listing::read(dir)?;
        let transaction = Transaction::recover(dir, &ledger, &mut listing)?;
        let store = Store::with(dir, trust, ledger, listing.into())?;
        let has_changed = !transaction.recovered().is_empty();
        Ok(Self { store, transaction, has_changed, _lock: lock })
    }

    /// What is in the directory.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The ledger.
    pub const fn ledger(&self) -> &Ledger {
        self.store.ledger()
    }

    /// The names of certificates that an interrupted run had made, that are in place now and that no user was shown.
    pub fn recovered(&self) -> impl Iterator<Item = &str> {
        self.transaction.recovered().iter().map(|item| item.name.as_str())
    }

    /// What an interrupted run had made under that name.
    pub(super) fn recovered_item(&self, name: &str) -> Option<&Item> {
        self.transaction.recovered().iter().find(|item| item.name == name)
    }

    /// Whether something was changed that a user should know of.
    pub const fn has_changed(&self) -> bool {
        self.has_changed
    }

    /// Appends lines to the ledger, durably.
    pub(super) fn record(&mut self, entries: &[Entry]) -> Result<(), CaError> {
        self.has_changed = true;
        let path = self.store.path(LEDGER_FILE);
        self.store.for_writer()?.0.append(&path, entries)
    }

    /// Carries out changes that `entries` record: all of them or none.
    pub(super) fn carry_out(&mut self, changes: &[Change], entries: &[Entry]) -> Result<(), CaError> {
        self.has_changed = true;
        let path = self.store.path(LEDGER_FILE);
        let (ledger, listing) = self.store.for_writer()?;
        self.transaction.carry_out(changes, listing, || ledger.append(&path, entries))
    }

    /// Carries out a change that the ledger has no line for.
    pub(super) fn carry_out_unrecorded(&mut self, change: Change) -> Result<(), CaError> {
        self.has_changed = true;
        let (_, listing) = self.store.for_writer()?;
        self.transaction.carry_out(&[change], listing, || Ok(()))
    }

    /// The user was shown what was done: there is nothing to report any more.
    pub fn acknowledge(self) {
        self.transaction.acknowledge();
    }
}
