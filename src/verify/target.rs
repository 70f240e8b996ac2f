//! What is on disk: certificates in files and directories, each with the key that goes with it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use zeroize::Zeroize;

use crate::files::{self, FileError, FileKind, FileMode};
use crate::limits;

/// How deep a directory is walked.
const MAX_DEPTH: usize = 16;

/// A certificate file, and its key where one lies beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The certificate file.
    pub certificate: PathBuf,
    /// The key beside it.
    pub key: Option<PathBuf>,
}

/// What a file holds. It is wiped from memory afterwards, unless it is plainly nothing but certificates.
pub struct Contents {
    bytes: Vec<u8>,
    /// The file's mode.
    pub mode: FileMode,
    /// The number of the user whose file it is.
    pub owner: u32,
}

impl std::ops::Deref for Contents {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        if !is_certificates(&self.bytes) {
            self.bytes.zeroize();
        }
    }
}

/// Whether a text begins with a certificate and all its blocks are certificates.
fn is_certificates(text: &[u8]) -> bool {
    const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";
    let mut begins = text.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"-----BEGIN "));
    text.starts_with(CERTIFICATE) && begins.all(|line| line.starts_with(CERTIFICATE))
}

/// Reads a file of certificates, keys or a revocation list.
///
/// # Errors
/// [`FileError`], as of [`files::read_input`].
pub fn read(path: &Path) -> Result<Contents, FileError> {
    let image = files::read_input(path, limits::PKI)?;
    Ok(Contents { bytes: image.bytes, mode: image.mode, owner: image.owner.uid })
}

/// The certificate files that a path names: itself, or those below a directory, in the order of their names.
///
/// In a directory a file counts by its ending, `.pem`, `.crt`, `.cer` or `.cert`; keys are found beside their
/// certificates as `X-key.pem` or `X.key`. Symlinks are followed, loops are not. Hidden files and directories are passed over:
/// what is written there is not in place yet. So is what `export` makes of the pairs of a PKI directory.
///
/// # Errors
/// [`FileError`] for the path itself or a directory below it.
pub fn find(path: &Path) -> Result<Vec<Target>, FileError> {
    let unreadable = |path: &Path, source| FileError::Io { action: "read", path: path.to_owned(), source };
    match files::kind_at(path)? {
        None => return Err(unreadable(path, std::io::ErrorKind::NotFound.into())),
        Some(FileKind::Directory) => {}
        Some(_) => return Ok(vec![Target { certificate: path.to_owned(), key: key_beside(path)? }]),
    }
    let (mut found, mut names) = (Vec::new(), HashSet::new());
    let walk = walkdir::WalkDir::new(path).follow_links(true).max_depth(MAX_DEPTH).sort_by_file_name();
    let is_hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
    for entry in walk.into_iter().filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry.file_name())) {
        let entry = match entry {
            Ok(entry) => entry,
            // A loop of symlinks, or one that leads nowhere: what it points to is not there to be judged.
            Err(error) if error.loop_ancestor().is_some() || is_dangling(&error) => continue,
            Err(error) => {
                let path = error.path().unwrap_or(path).to_owned();
                let source = error.into_io_error().unwrap_or_else(|| std::io::ErrorKind::Other.into());
                return Err(unreadable(&path, source));
            }
        };
        if entry.file_type().is_file() {
            if is_certificate_name(entry.path()) {
                found.push(Target { certificate: entry.path().to_owned(), key: None });
            }
            names.insert(entry.into_path());
        }
    }
    // The walk has seen every file: nobody has to be asked again.
    for target in &mut found {
        target.key = keys_of(&target.certificate).into_iter().flatten().find(|key| names.contains(key));
    }
    found.retain(|target| target.key.is_some() || !is_export(&target.certificate, &names));
    Ok(found)
}

/// Whether a file of a PKI directory is `NAME-bundle.pem`, which `export` makes of a pair: that is verified itself.
fn is_export(path: &Path, names: &HashSet<PathBuf>) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.strip_suffix("-bundle"));
    stem.is_some_and(|name| {
        names.contains(&path.with_file_name("ledger.jsonl"))
            && names.contains(&path.with_file_name(format!("{name}.pem")))
    })
}

/// Whether a text has PEM blocks and no certificate among them: a revocation list, a request, a key, DH parameters.
pub fn is_something_else(text: &[u8]) -> bool {
    const CERTIFICATES: [&[u8]; 3] = [
        b"-----BEGIN CERTIFICATE-----",
        b"-----BEGIN TRUSTED CERTIFICATE-----",
        b"-----BEGIN X509 CERTIFICATE-----",
    ];
    let mut begins =
        text.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"-----BEGIN ")).peekable();
    begins.peek().is_some()
        && begins.all(|line| !CERTIFICATES.iter().any(|certificate| line.starts_with(certificate)))
}

fn is_dangling(error: &walkdir::Error) -> bool {
    error.io_error().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

fn is_certificate_name(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    matches!(ending.to_ascii_lowercase().as_str(), "pem" | "crt" | "cer" | "cert") && !is_key_name(path)
}

/// Whether a name is that of a key: `X-key.pem`, `X.key`, `X.key.pem`, `key.pem`.
pub fn is_key_name(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_lowercase();
    let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
    name.ends_with(".key")
        || stem == "key"
        || [".key", "-key", "_key"].iter().any(|ending| stem.ends_with(ending))
}

/// The key that goes with a certificate file, by its name.
///
/// # Errors
/// [`FileError::Io`] when it cannot be known whether there is one.
pub fn key_beside(certificate: &Path) -> Result<Option<PathBuf>, FileError> {
    for path in keys_of(certificate).into_iter().flatten() {
        if files::is_file(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The names that the key of a certificate file may have.
fn keys_of(certificate: &Path) -> Option<[PathBuf; 3]> {
    if is_key_name(certificate) {
        return None;
    }
    let stem = certificate.file_stem()?.to_str()?;
    let names = [format!("{stem}-key.pem"), format!("{stem}.key"), format!("{stem}.key.pem")];
    Some(names.map(|name| certificate.with_file_name(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_plainly_certificates_is_left_in_memory() {
        let block = |label: &str| format!("-----BEGIN {label}-----\nAAEC\n-----END {label}-----\n");
        let certificates = block("CERTIFICATE").repeat(2);
        assert!(is_certificates(certificates.as_bytes()));
        for other in [certificates + &block("EC PRIVATE KEY"), block("PRIVATE KEY"), "0\u{82}".to_owned()] {
            assert!(!is_certificates(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn keys_are_told_by_their_names() {
        for key in ["server1-key.pem", "tls.key", "a.key.pem", "key.pem", "CA-KEY.PEM"] {
            assert!(is_key_name(Path::new(key)), "{key}");
        }
        for other in ["server1.pem", "keys.pem", "monkey.pem", "tls.crt"] {
            assert!(!is_key_name(Path::new(other)), "{other}");
        }
    }
}
