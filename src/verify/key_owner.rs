//! Which certificate a key belongs to that is in another pair's place.

use std::path::{Path, PathBuf};

use super::certificate::Certificate;
use super::public_key::PublicKey;
use super::target::{self, Target};
use super::{Code, Finding, GoVersion, key, pem};
use crate::shell;

/// In a directory with more certificates than these, nothing is searched.
const MOST: usize = 100;

/// Completes the finding that a key is not its certificate's: which certificate of the same directory has that key, and
/// where this certificate's own key is.
pub fn name_owner(finding: &mut Finding, target: &Target, chain: &[u8], key_pem: &[u8], go: GoVersion) {
    if finding.code != Code::KeyMismatch {
        return;
    }
    let directory = target.certificate.parent().filter(|dir| !dir.as_os_str().is_empty());
    let others = target::find(directory.unwrap_or(Path::new("."))).unwrap_or_default();
    let Some(own) = key_of_certificate(chain, go).filter(|_| others.len() <= MOST) else { return };
    let others = others.iter().filter(|other| !is_same(&other.certificate, &target.certificate));
    if let Some(found) = key_of_key(key_pem, &own, go)
        && let Some(owner) = others.clone().find(|other| {
            target::read(&other.certificate).ok().and_then(|pem| key_of_certificate(&pem, go)).as_ref()
                == Some(&found)
        })
    {
        finding.message += &format!("; it is the key of {}", owner.certificate.display());
    }
    let is_own = |path: &&PathBuf| {
        target::read(path).ok().and_then(|pem| key_of_key(&pem, &own, go)).as_ref() == Some(&own)
    };
    if let Some(place) = others.filter_map(|other| other.key.as_ref()).find(is_own) {
        finding.message += &format!("; this certificate's key is {}", place.display());
        finding.fix = Some(format!("put {} in its place", shell::path(place)).into());
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    std::fs::canonicalize(one).is_ok_and(|one| std::fs::canonicalize(other).is_ok_and(|other| one == other))
}

fn key_of_certificate(chain: &[u8], go: GoVersion) -> Option<PublicKey> {
    let blocks = pem::blocks(chain, go);
    let block = blocks.iter().find(|block| block.is_certificate())?;
    Certificate::parse(&block.der, go).ok().map(|leaf| leaf.key)
}

fn key_of_key(pem: &[u8], likely: &PublicKey, go: GoVersion) -> Option<PublicKey> {
    key::public_of(&pem::blocks(pem, go), likely, go).ok()
}
