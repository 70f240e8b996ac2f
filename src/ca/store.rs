//! The PKI directory as it is read: `ca.pem`, `ca-key.pem`, `NAME.pem`, `NAME-key.pem`, the ledger, `templates/`.
//!
//! A [`Store`] reads each file at most once. What it holds is what was there when it was opened; a command that changes
//! something opens a [`super::Writer`], which takes the lock first.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ::time::OffsetDateTime;
use zeroize::Zeroizing;

use super::authority::Authority;
use super::certificate::CaCertificate;
use super::encode::fingerprint;
use super::key::Passphrase;
use super::ledger::{LEDGER_FILE, Ledger};
use super::listing::Listing;
use super::stored::{CaKey, certificates, first_certificate, read_key};
use super::transaction::Transaction;
use super::{CaError, CertName, PrivateKey, Profiles};
use crate::files::{self, FileImage, Trust};

/// The trust anchor's file.
pub use crate::inventory::pair_files::CA_FILE;
/// The CA's key.
pub const CA_KEY_FILE: &str = "ca-key.pem";
/// The certificate of the CA that issues, where it is an intermediate, and those between it and the root.
pub const ISSUING_CA_FILE: &str = "issuing-ca.pem";
/// The intermediate's key.
pub const ISSUING_CA_KEY_FILE: &str = "issuing-ca-key.pem";

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

/// A PKI directory, as it was when it was opened.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
    trust: Trust,
    ledger: Ledger,
    ca_pem: Option<Vec<u8>>,
    /// The CA that issues first, the root last; empty without a CA.
    authorities: Vec<CaCertificate>,
    listing: OnceLock<Listing>,
    replaced: OnceLock<Vec<CaCertificate>>,
}

impl Store {
    /// Opens a directory that holds a CA certificate.
    ///
    /// # Errors
    /// [`CaError::NoCa`] when there is none; [`CaError::File`], also when somebody whom `trust` does not name could
    /// replace it; [`CaError::OtherCa`] when the CA is not the ledger's.
    pub fn open(dir: &Path, trust: &Trust) -> Result<Self, CaError> {
        let store = Self::load(dir, trust)?;
        store.ca_pem()?;
        Ok(store)
    }

    /// Opens a directory that may not hold anything yet.
    ///
    /// # Errors
    /// As [`Store::open`], but for [`CaError::NoCa`].
    pub fn load(dir: &Path, trust: &Trust) -> Result<Self, CaError> {
        trust.check_dir(dir)?;
        let read = |file: &str| read(dir, trust, file);
        let ledger = read(LEDGER_FILE)?.map(|image| Ledger::parse(&image.bytes)).unwrap_or_default();
        Self::with(dir, trust, ledger, OnceLock::new())
    }

    /// The same with what was read already.
    pub(super) fn with(
        dir: &Path,
        trust: &Trust,
        ledger: Ledger,
        listing: OnceLock<Listing>,
    ) -> Result<Self, CaError> {
        let ca_pem = read(dir, trust, CA_FILE)?.map(|image| image.bytes);
        let mut authorities = Vec::new();
        if let Some(pem) = &ca_pem {
            if let Some(image) = read(dir, trust, ISSUING_CA_FILE)? {
                authorities.extend(certificates(&dir.join(ISSUING_CA_FILE), &image.bytes)?);
            }
            // While a CA is replaced it holds the new and the old one, and the first is meant.
            let path = dir.join(CA_FILE);
            authorities.push(CaCertificate::from_der(&path, &first_certificate(&path, pem)?)?);
        }
        for authority in [authorities.first(), authorities.last()].into_iter().flatten() {
            check_recorded(authority, &ledger)?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            trust: trust.clone(),
            ledger,
            ca_pem,
            authorities,
            listing,
            replaced: OnceLock::new(),
        })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file in the directory.
    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// The ledger.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The names of the files.
    ///
    /// # Errors
    /// [`CaError::File`]
    pub fn listing(&self) -> Result<&Listing, CaError> {
        once(&self.listing, || Listing::read(&self.dir))
    }

    /// The ledger and the names of the files, for the writer who changes both.
    pub(super) fn for_writer(&mut self) -> Result<(&mut Ledger, &mut Listing), CaError> {
        self.listing()?;
        Ok((&mut self.ledger, self.listing.get_mut().expect("it was read a moment ago")))
    }

    /// The trust anchor's file, as members and clients are given it.
    ///
    /// # Errors
    /// [`CaError::NoCa`]
    pub fn ca_pem(&self) -> Result<&[u8], CaError> {
        self.ca_pem.as_deref().ok_or_else(|| self.no_ca(CA_FILE))
    }

    /// A file of the directory; `None` when it is not there.
    pub(super) fn read(&self, file: &str) -> Result<Option<FileImage>, CaError> {
        read(&self.dir, &self.trust, file)
    }

    /// The pair of that name; `None` when its certificate or its key is not there.
    ///
    /// # Errors
    /// [`CaError::File`]; [`CaError::KeyMismatch`] when they do not belong together.
    pub fn pair(&self, name: &str) -> Result<Option<Pair>, CaError> {
        let (cert_file, key_file) = (format!("{name}.pem"), format!("{name}-key.pem"));
        // A renewal may come between the two reads; then the next try sees the new pair.
        for attempt in 0..5 {
            if attempt > 0 {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            let (Some(cert), Some(key)) = (self.read(&cert_file)?, self.read(&key_file)?) else { continue };
            let pair = Pair { cert_pem: cert.bytes, key_pem: Zeroizing::new(key.bytes) };
            if self.belongs_together(name, &pair)? {
                return Ok(Some(pair));
            }
            if attempt == 4 {
                return Err(CaError::KeyMismatch { key: self.path(&key_file), cert: self.path(&cert_file) });
            }
        }
        Ok(None)
    }

    /// Whether the key of a pair is its certificate's.
    pub(super) fn belongs_together(&self, name: &str, pair: &Pair) -> Result<bool, CaError> {
        let (cert, key) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}-key.pem")));
        let certificate = CaCertificate::from_der(&cert, &first_certificate(&cert, &pair.cert_pem)?)?;
        Ok(certificate.is_of(&read_key(&key, &pair.key_pem, None)?))
    }

    /// The private key of that name.
    ///
    /// # Errors
    /// [`CaError::NoSuchName`] when it is not there, [`CaError::Unreadable`], [`CaError::File`].
    pub(super) fn key(&self, name: &CertName) -> Result<PrivateKey, CaError> {
        let image = self.read(&name.key_file())?.ok_or_else(|| self.no_such(name.as_str()))?;
        read_key(&self.path(&name.key_file()), &Zeroizing::new(image.bytes), None)
    }

    pub(super) fn no_such(&self, name: &str) -> CaError {
        CaError::NoSuchName { dir: self.dir.clone(), name: name.to_owned() }
    }

    fn no_ca(&self, missing: &'static str) -> CaError {
        CaError::NoCa { dir: self.dir.clone(), missing }
    }

    /// The certificates of the CAs: the one that issues first, the root last.
    ///
    /// # Errors
    /// [`CaError::NoCa`]
    pub fn authorities(&self) -> Result<&[CaCertificate], CaError> {
        self.ca_pem()?;
        Ok(&self.authorities)
    }

    /// The key of the CA that issues, and whether a passphrase is needed for it.
    ///
    /// # Errors
    /// [`CaError::NoCa`], [`CaError::KeyReadable`], [`CaError::File`].
    pub fn ca_key(&self) -> Result<CaKey, CaError> {
        let file = if self.authorities()?.len() > 1 { ISSUING_CA_KEY_FILE } else { CA_KEY_FILE };
        CaKey::read(self.path(file), &self.trust)?.ok_or_else(|| self.no_ca(file))
    }

    /// The root's key where there is an issuing CA below it, from the directory or from where it is kept.
    ///
    /// # Errors
    /// [`CaError::NoCa`] when it is not in the directory, [`CaError::KeyReadable`], [`CaError::File`].
    pub fn root_key(&self, elsewhere: Option<&Path>) -> Result<CaKey, CaError> {
        let path = elsewhere.map_or_else(|| self.path(CA_KEY_FILE), Path::to_owned);
        if elsewhere.is_some() {
            self.trust.check_dir(files::parent(&path))?;
        }
        CaKey::read(path.clone(), &self.trust)?.ok_or(CaError::NoRootKey { path })
    }

    /// Whether a CA of this directory has signed a certificate: those of [`Store::authorities`], or an issuing CA that
    /// was replaced.
    ///
    /// # Errors
    /// [`CaError::NoCa`], [`CaError::File`].
    pub fn has_signed(&self, der: &[u8]) -> Result<bool, CaError> {
        let has_signed = |ca: &CaCertificate| ca.has_signed(der);
        Ok(self.authorities()?.iter().any(has_signed) || self.replaced()?.iter().any(has_signed))
    }

    /// Whether a certificate is a CA of this directory.
    ///
    /// # Errors
    /// As [`Store::has_signed`].
    pub fn is_authority(&self, der: &[u8]) -> Result<bool, CaError> {
        let is_it = |ca: &CaCertificate| ca.der() == der;
        Ok(self.authorities()?.iter().any(is_it) || self.replaced()?.iter().any(is_it))
    }

    /// Issuing CAs that were replaced.
    fn replaced(&self) -> Result<&[CaCertificate], CaError> {
        let all = once(&self.replaced, || {
            let mut all = Vec::new();
            for file in self.listing()?.iter() {
                let number = file.strip_prefix(ISSUING_CA_FILE).and_then(|rest| rest.strip_prefix('.'));
                if number.is_none_or(|number| number.parse::<u32>().is_err()) {
                    continue;
                }
                if let Some(image) = self.read(file)? {
                    all.extend(certificates(&self.path(file), &image.bytes)?);
                }
            }
            Ok(all)
        })?;
        Ok(all)
    }

    /// The profiles that the directory knows.
    ///
    /// # Errors
    /// [`CaError::File`]
    pub fn profiles(&self) -> Result<Profiles, CaError> {
        Profiles::load(&self.dir, &self.trust)
    }

    /// The CA with its key, checked before it is used: the key is its own, every certificate up to the root may sign and
    /// is valid at `now`.
    ///
    /// # Errors
    /// [`CaError`], each with a hint.
    pub fn authority(
        &self,
        key: CaKey,
        passphrase: Option<&Passphrase>,
        now: OffsetDateTime,
    ) -> Result<Authority, CaError> {
        let (issuing, above) = self.authorities()?.split_first().expect("the root at least is there");
        let private = read_key(key.path(), key.bytes(), passphrase)?;
        let authority = Authority::new(issuing.clone(), private, key.path())?.below(above.to_vec())?;
        authority.check(now)?;
        Ok(authority)
    }

    /// Whether an interrupted run (or one that is still at work) has left something to be finished.
    ///
    /// # Errors
    /// [`CaError::File`]
    pub fn has_transaction(&self) -> Result<bool, CaError> {
        Transaction::is_there(&self.dir)
    }
}

fn read(dir: &Path, trust: &Trust, file: &str) -> Result<Option<FileImage>, CaError> {
    let path = dir.join(file);
    let image = files::read(&path)?;
    if let Some(image) = &image {
        trust.check_file(&path, image)?;
    }
    Ok(image)
}

/// What a cell holds, made by `fill` when it holds nothing yet.
fn once<T>(cell: &OnceLock<T>, fill: impl FnOnce() -> Result<T, CaError>) -> Result<&T, CaError> {
    match cell.get() {
        Some(value) => Ok(value),
        None => {
            let value = fill()?;
            Ok(cell.get_or_init(|| value))
        }
    }
}

/// Refuses a CA of which the ledger knows the file, and another certificate in it.
fn check_recorded(authority: &CaCertificate, ledger: &Ledger) -> Result<(), CaError> {
    let path = authority.path();
    let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let found = fingerprint(authority.der());
    let mut recorded = None;
    for known in
        ledger.authorities(file.trim_end_matches(".pem")).filter_map(|entry| entry.fingerprint.as_ref())
    {
        if *known == found {
            return Ok(());
        }
        recorded = Some(known.clone());
    }
    match recorded {
        Some(recorded) => Err(CaError::OtherCa { path: path.to_owned(), found, recorded }),
        None => Ok(()),
    }
}
