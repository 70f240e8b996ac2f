//! What the files themselves give away: modes, owners, and a CA's key where it does not belong.

use std::path::Path;

use super::target::{self, Contents};
use super::{Code, Finding, GoVersion, Severity, leaf_of};
use crate::advice::{Advice, CommandLine};
use crate::files::{self, FileError};
use crate::shell;

/// Findings about a certificate's files.
pub fn findings(certificate: &Contents, key: Option<(&Path, &Contents)>) -> Vec<Finding> {
    let mut found = Vec::new();
    let Some((path, key)) = key else { return found };
    if key.mode.bits() & 0o077 != 0 {
        found.push(finding(
            Code::KeyExposed,
            format!("{} has mode {}: others may use the key", path.display(), key.mode),
            CommandLine::program("chmod").arg("0600").arg(path.display()),
        ));
    }
    if certificate.owner != key.owner {
        found.push(finding(
            Code::KeyOwner,
            format!(
                "{} belongs to user {}, the certificate to user {}: can etcd read both?",
                path.display(),
                key.owner,
                certificate.owner
            ),
            CommandLine::program("chown").arg("etcd:etcd").arg(path.display()),
        ));
    }
    found
}

/// A CA's certificate and its key in a directory of certificates, unless that is where they are made (`pki_dir`).
///
/// # Errors
/// [`FileError::Io`] when it cannot be known whether they are there.
pub fn ca_key(directory: &Path, pki_dir: &Path) -> Result<Option<Finding>, FileError> {
    let same = |path: &Path| {
        let whole = |path: &Path| {
            std::fs::canonicalize(if path.as_os_str().is_empty() { Path::new(".") } else { path })
        };
        matches!((whole(path), whole(directory)), (Ok(left), Ok(right)) if left == right)
    };
    if same(pki_dir) || files::kind_at(&directory.join("ledger.jsonl"))?.is_some() {
        return Ok(None);
    }
    for name in ["ca.pem", "ca.crt"] {
        let certificate = directory.join(name);
        let Some(key) = target::key_beside(&certificate)? else { continue };
        let is_ca = target::read(&certificate)
            .ok()
            .and_then(|bytes| leaf_of(&bytes, GoVersion::NEWEST))
            .is_some_and(|leaf| leaf.is_ca);
        if is_ca {
            return Ok(Some(finding(
                Code::CaKeyOnNode,
                format!("{} is a CA's key: it does not belong on a node", key.display()),
                format!("move {} to where certificates are issued", shell::path(&key)),
            )));
        }
    }
    Ok(None)
}

fn finding(code: Code, message: String, fix: impl Into<Advice>) -> Finding {
    Finding { code, severity: Severity::Warning, message, etcd_says: None, fix: Some(fix.into()) }
}
