//! Certificates and keys as they stand in files.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::certificate::CaCertificate;
use super::key::{KeyError, Passphrase};
use super::{CaError, PrivateKey, pem};
use crate::files::{self, Trust};

/// The file of the key of the CA that issues.
pub struct CaKey {
    path: PathBuf,
    bytes: Zeroizing<Vec<u8>>,
}

impl CaKey {
    /// Reads it, unless others can, or could put another one in its place.
    pub(super) fn read(path: PathBuf, trust: &Trust) -> Result<Option<Self>, CaError> {
        let Some(image) = files::read(&path)? else { return Ok(None) };
        trust.check_file(&path, &image)?;
        let (mode, bytes) = (image.mode.bits(), Zeroizing::new(image.bytes));
        if mode & 0o077 != 0 {
            return Err(CaError::KeyReadable { path, mode });
        }
        Ok(Some(Self { path, bytes }))
    }

    /// The content.
    pub const fn bytes(&self) -> &Zeroizing<Vec<u8>> {
        &self.bytes
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a passphrase is needed.
    pub fn is_encrypted(&self) -> bool {
        is_encrypted(&self.bytes)
    }
}

impl std::fmt::Debug for CaKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CaKey({})", self.path.display())
    }
}

/// The first CERTIFICATE block of a file.
pub(super) fn first_certificate(path: &Path, bytes: &[u8]) -> Result<Vec<u8>, CaError> {
    let blocks = pem::blocks(bytes);
    let block = blocks.iter().find(|block| block.label == "CERTIFICATE").ok_or_else(|| {
        CaError::Unreadable { path: path.to_owned(), what: "it holds no certificate in PEM form".into() }
    })?;
    Ok(block.der.to_vec())
}

/// Refuses to put a revocation list where a certificate is.
///
/// # Errors
/// [`CaError::NotACrl`], [`CaError::File`].
pub fn check_crl_file(path: &Path) -> Result<(), CaError> {
    match files::read(path)? {
        Some(image) if first_certificate(path, &image.bytes).is_ok() => {
            Err(CaError::NotACrl { path: path.to_owned() })
        }
        _ => Ok(()),
    }
}

/// The first certificate of a file, as DER.
///
/// # Errors
/// [`CaError::File`], [`CaError::Unreadable`].
pub fn first_certificate_of(path: &Path) -> Result<Vec<u8>, CaError> {
    let image = files::read(path)?.ok_or_else(|| files::FileError::Io {
        action: "read",
        path: path.to_owned(),
        source: std::io::ErrorKind::NotFound.into(),
    })?;
    first_certificate(path, &image.bytes)
}

/// Every certificate of a file, in its order; at least one.
pub(super) fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CaCertificate>, CaError> {
    first_certificate(path, bytes)?;
    let blocks = pem::blocks(bytes);
    let certificates = blocks.iter().filter(|block| block.label == "CERTIFICATE");
    certificates.map(|block| CaCertificate::from_der(path, &block.der)).collect()
}

/// Whether the private key of a file is encrypted.
pub fn is_encrypted(bytes: &[u8]) -> bool {
    pem::blocks(bytes)
        .iter()
        .find(|block| block.label.ends_with("PRIVATE KEY"))
        .is_some_and(|block| block.label.starts_with("ENCRYPTED") || !block.headers.is_empty())
}

/// Whether the private key of a file is encrypted with an empty passphrase, as etcd-ca writes one that has none.
pub fn has_empty_passphrase(bytes: &[u8]) -> bool {
    is_encrypted(bytes) && PrivateKey::from_pem(bytes, Some(&Passphrase::new(Zeroizing::default()))).is_ok()
}

/// Refuses an encrypted key that costs too much to open, before anybody is asked for its passphrase.
///
/// # Errors
/// [`CaError::CostlyKey`]
pub fn check_cost(path: &Path, bytes: &[u8]) -> Result<(), CaError> {
    match read_key(path, bytes, None) {
        Err(error @ CaError::CostlyKey { .. }) => Err(error),
        _ => Ok(()),
    }
}

/// The private key of a file.
pub(super) fn read_key(
    path: &Path,
    bytes: &[u8],
    passphrase: Option<&Passphrase>,
) -> Result<PrivateKey, CaError> {
    let path = path.to_owned();
    PrivateKey::from_pem(bytes, passphrase).map_err(|error| match error {
        KeyError::Encrypted => CaError::PassphraseNeeded { path },
        KeyError::WrongPassphrase => CaError::WrongPassphrase { path },
        KeyError::TooCostly(what) => CaError::CostlyKey { path, what },
        KeyError::NoKey | KeyError::Unusable(_) => CaError::Unreadable { path, what: error.to_string() },
    })
}
