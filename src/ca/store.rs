//! The PKI directory: `ca.pem`, `ca-key.pem`, `NAME.pem`, `NAME-key.pem`, the ledger, the lock, `templates/`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ::time::OffsetDateTime;
use zeroize::Zeroizing;

use super::authority::Authority;
use super::certificate::CaCertificate;
use super::key::Passphrase;
use super::ledger::{LEDGER_FILE, Ledger, LedgerWriter};
use super::pending::Pending;
use super::stored::{CaKey, certificates, first_certificate, read_key};
use super::{CaError, CertName, PrivateKey, Profiles};
use crate::files::{self, DirLock, FileImage};

/// The trust anchor's file.
pub const CA_FILE: &str = "ca.pem";
/// The CA's key.
pub const CA_KEY_FILE: &str = "ca-key.pem";
/// The certificate of the CA that issues, where it is an intermediate, and those between it and the root.
pub const ISSUING_CA_FILE: &str = "issuing-ca.pem";
/// The intermediate's key.
pub const ISSUING_CA_KEY_FILE: &str = "issuing-ca-key.pem";
const LOCK_FILE: &str = "lock";

/// How long a writer waits for another: long enough for a batch of several hundred.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A certificate and its key, as they stand in the PKI directory.
#[derive(Clone)]
pub struct Pair {
    /// The certificate's file: the leaf, and the intermediate after it where there is one.
    pub cert_pem: Vec<u8>,
    /// The key's file.
    pub key_pem: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pair({} bytes of certificate)", self.cert_pem.len())
    }
}

/// A PKI directory.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// Opens a directory that holds a CA certificate.
    ///
    /// # Errors
    /// [`CaError::NoCa`] when there is none, [`CaError::File`].
    pub fn open(dir: &Path) -> Result<Self, CaError> {
        let store = Self::at(dir);
        store.ca_pem()?;
        Ok(store)
    }

    /// A directory that may not hold anything yet.
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file in the directory.
    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// The trust anchor's file, as members and clients are given it.
    ///
    /// # Errors
    /// [`CaError::NoCa`], [`CaError::File`].
    pub fn ca_pem(&self) -> Result<Vec<u8>, CaError> {
        Ok(self.needed(CA_FILE)?.bytes)
    }

    /// The pair of that name; `None` when its certificate or its key is not there.
    ///
    /// # Errors
    /// [`CaError::File`]; [`CaError::KeyMismatch`] when they do not belong together.
    pub fn pair(&self, name: &str) -> Result<Option<Pair>, CaError> {
        let (cert_path, key_path) =
            (self.path(&format!("{name}.pem")), self.path(&format!("{name}-key.pem")));
        // A renewal may come between the two reads; then the next look sees the new pair.
        for attempt in 0..5 {
            if attempt > 0 {
                std::thread::sleep(Duration::from_millis(20));
            }
            let (Some(cert), Some(key)) = (files::read(&cert_path)?, files::read(&key_path)?) else {
                continue;
            };
            let pair = Pair { cert_pem: cert.bytes, key_pem: Zeroizing::new(key.bytes) };
            let der = first_certificate(&cert_path, &pair.cert_pem)?;
            let certificate = CaCertificate::from_der(&cert_path, &der)?;
            let key = read_key(&key_path, &pair.key_pem, None)?;
            if certificate.is_of(&key) {
                return Ok(Some(pair));
            }
            if attempt == 4 {
                return Err(CaError::KeyMismatch { key: key_path, cert: cert_path });
            }
        }
        Ok(None)
    }

    /// The private key of that name.
    ///
    /// # Errors
    /// [`CaError::NoSuchName`] when it is not there, [`CaError::Unreadable`], [`CaError::File`].
    pub(super) fn key(&self, name: &CertName) -> Result<PrivateKey, CaError> {
        let path = self.path(&name.key_file());
        let image = files::read(&path)?.ok_or_else(|| self.no_such(name.as_str()))?;
        read_key(&path, &Zeroizing::new(image.bytes), None)
    }

    pub(super) fn no_such(&self, name: &str) -> CaError {
        CaError::NoSuchName { dir: self.dir.clone(), name: name.to_owned() }
    }

    /// The certificates of the CAs: the one that issues first, the root last.
    ///
    /// Without an intermediate `ca.pem` holds the CA; while a CA is replaced it holds the new and the old one, and
    /// the first is meant.
    ///
    /// # Errors
    /// [`CaError::NoCa`], [`CaError::Unreadable`], [`CaError::File`].
    pub fn authorities(&self) -> Result<Vec<CaCertificate>, CaError> {
        let root_path = self.path(CA_FILE);
        let root = CaCertificate::from_der(&root_path, &first_certificate(&root_path, &self.ca_pem()?)?)?;
        let path = self.path(ISSUING_CA_FILE);
        let Some(image) = files::read(&path)? else { return Ok(vec![root]) };
        let mut chain = certificates(&path, &image.bytes)?;
        chain.push(root);
        Ok(chain)
    }

    /// The key of the CA that issues, and whether a passphrase is needed for it.
    ///
    /// # Errors
    /// [`CaError::NoCa`], [`CaError::KeyReadable`], [`CaError::File`].
    pub fn ca_key(&self) -> Result<CaKey, CaError> {
        self.settle()?;
        let file = if files::stat(&self.path(ISSUING_CA_FILE))?.is_some() {
            ISSUING_CA_KEY_FILE
        } else {
            CA_KEY_FILE
        };
        CaKey::read(self.path(file))?.ok_or_else(|| CaError::NoCa { dir: self.dir.clone(), missing: file })
    }

    /// The root's key where there is an issuing CA below it, from the directory or from where it is kept.
    ///
    /// # Errors
    /// [`CaError::NoCa`] when it is not in the directory, [`CaError::KeyReadable`], [`CaError::File`].
    pub fn root_key(&self, elsewhere: Option<&Path>) -> Result<CaKey, CaError> {
        let path = elsewhere.map_or_else(|| self.path(CA_KEY_FILE), Path::to_owned);
        CaKey::read(path.clone())?.ok_or(CaError::NoRootKey { path })
    }

    /// The CAs below which a certificate of this directory may stand: those of [`Store::authorities`], and issuing
    /// CAs that were replaced.
    ///
    /// # Errors
    /// As of [`Store::authorities`].
    pub fn all_authorities(&self) -> Result<Vec<CaCertificate>, CaError> {
        let mut all = self.authorities()?;
        for file in files::list(&self.dir)? {
            let number = file.strip_prefix(ISSUING_CA_FILE).and_then(|rest| rest.strip_prefix('.'));
            if number.is_none_or(|number| number.parse::<u32>().is_err()) {
                continue;
            }
            let path = self.path(&file);
            if let Some(image) = files::read(&path)? {
                all.extend(certificates(&path, &image.bytes)?);
            }
        }
        Ok(all)
    }

    /// Waits for, or finishes, the replacement of the issuing CA: between two of its steps there is none.
    fn settle(&self) -> Result<(), CaError> {
        let is_between = files::stat(&self.path(ISSUING_CA_FILE))?.is_none()
            && files::stat(&self.path(&format!("{ISSUING_CA_FILE}.1")))?.is_some();
        if is_between && self.has_pending() {
            self.writer("finish a new issuing CA")?;
        }
        Ok(())
    }

    /// The profiles that the directory knows.
    ///
    /// # Errors
    /// [`CaError::File`]
    pub fn profiles(&self) -> Result<Profiles, CaError> {
        Profiles::load(&self.dir)
    }

    /// The ledger, as it stands now.
    ///
    /// # Errors
    /// [`CaError::File`]
    pub fn ledger(&self) -> Result<Ledger, CaError> {
        Ledger::read(&self.dir)
    }

    /// The CA with its key, checked before it is used: the key is its own and only its owner reads it, every
    /// certificate up to the root may sign and is valid at `now`.
    ///
    /// # Errors
    /// [`CaError`], each with a hint.
    pub fn authority(
        &self,
        passphrase: Option<&Passphrase>,
        now: OffsetDateTime,
    ) -> Result<Authority, CaError> {
        self.settle()?;
        let mut chain = self.authorities()?.into_iter();
        let issuing = chain.next().expect("the root at least is there");
        let key = self.ca_key()?;
        let private = read_key(key.path(), key.bytes(), passphrase)?;
        let authority = Authority::new(issuing, private, key.path())?.below(chain.collect())?;
        authority.check(now)?;
        Ok(authority)
    }

    /// Whether an interrupted run (or one that is still at work) has left something to be finished.
    pub fn has_pending(&self) -> bool {
        Pending::is_there(&self.dir)
    }

    /// Takes the lock and finishes or undoes what an interrupted run left.
    ///
    /// # Errors
    /// [`CaError::Lock`] when another process holds it for longer than [`PATIENCE`]; [`CaError::LedgerMissing`];
    /// [`CaError::File`].
    pub fn writer(&self, what: &str) -> Result<Writer, CaError> {
        let writer = self.writer_of_new(what)?;
        if !writer.ledger().is_there() {
            return Err(CaError::LedgerMissing { path: self.path(LEDGER_FILE) });
        }
        Ok(writer)
    }

    /// The same for a directory that need not have a ledger yet.
    pub(super) fn writer_of_new(&self, what: &str) -> Result<Writer, CaError> {
        let who = format!("process {} ({what})", std::process::id());
        let lock = DirLock::take(&self.path(LOCK_FILE), &who, PATIENCE)?;
        let ledger = LedgerWriter::open(&self.dir)?;
        let pending = Pending::recover(&self.dir, ledger.ledger())?;
        Ok(Writer { ledger, pending, _lock: lock })
    }

    fn needed(&self, file: &'static str) -> Result<FileImage, CaError> {
        files::read(&self.path(file))?.ok_or_else(|| CaError::NoCa { dir: self.dir.clone(), missing: file })
    }
}

/// The one process that may change the directory; dropping it frees the lock.
///
/// After the user was told what was done call [`Writer::acknowledge`]; a writer that is dropped without it leaves a
/// note that the next run of the same command finds.
#[derive(Debug)]
pub struct Writer {
    pub(super) ledger: LedgerWriter,
    pub(super) pending: Pending,
    _lock: DirLock,
}

impl Writer {
    /// The ledger.
    pub const fn ledger(&self) -> &Ledger {
        self.ledger.ledger()
    }

    /// The names of certificates that an interrupted run had made and that are in place now.
    pub fn recovered(&self) -> Vec<String> {
        self.pending.recovered().iter().map(|item| item.name.clone()).collect()
    }

    /// The user has been told: nothing is pending any more.
    pub fn acknowledge(self) {
        self.pending.acknowledge();
    }
}
