//! Adopting a CA that another tool made: cfssl, openssl, easy-rsa, etcd-ca, step, kubeadm.

use std::path::Path;

use ::time::OffsetDateTime;
use zeroize::Zeroizing;

use super::authority::Authority;
use super::certificate::CaCertificate;
use super::init::begin;
use super::ledger::Event;
use super::made::{MadeCa, finish, recovered};
use super::profile::Usage;
use super::store::{CA_FILE, CA_KEY_FILE, ISSUING_CA_FILE, ISSUING_CA_KEY_FILE};
use super::stored::{certificates, is_encrypted, read_key};
use super::transaction::NewFile;
use super::writer::Writer;
use super::{CaError, Passphrase, inspect};
use crate::files::Trust;

/// What is adopted.
#[derive(Debug, Clone, Copy)]
pub struct Adopted<'a> {
    /// The file of the CA's certificate, alone or with those above it.
    pub cert: &'a Path,
    /// Its content.
    pub cert_pem: &'a [u8],
    /// The file of the CA's key.
    pub key: &'a Path,
    /// Its content.
    pub key_pem: &'a [u8],
    /// The root's file and content, where the CA is an intermediate and `cert` does not hold the root.
    pub root: Option<(&'a Path, &'a [u8])>,
    /// What opens the key; the copy is encrypted with the same.
    pub passphrase: Option<&'a Passphrase>,
}

/// Checks that it is a CA that may sign, with its own key, and writes it into a directory that has none.
///
/// The lock is held by what is returned: tell the user, then [`Writer::acknowledge`].
///
/// # Errors
/// [`CaError`]; nothing was changed.
pub fn import(
    dir: &Path,
    trust: &Trust,
    adopted: Adopted<'_>,
    now: OffsetDateTime,
) -> Result<(Vec<MadeCa>, Writer), CaError> {
    let key = read_key(adopted.key, adopted.key_pem, adopted.passphrase)?;
    let key_type = key.kind();
    // Encrypted if it was; an empty passphrase, which etcd-ca writes for none, protects nothing.
    let is_encrypted = is_encrypted(adopted.key_pem);
    let key_text =
        key.to_pem_with(adopted.passphrase.filter(|words| is_encrypted && !words.as_bytes().is_empty()))?;

    let mut found = certificates(adopted.cert, adopted.cert_pem)?;
    if let Some((path, bytes)) = adopted.root {
        found.extend(certificates(path, bytes)?);
    }
    let at = found
        .iter()
        .position(|certificate| certificate.is_of(&key))
        .ok_or_else(|| CaError::KeyMismatch { key: adopted.key.to_owned(), cert: adopted.cert.to_owned() })?;
    let issuing = found.swap_remove(at);
    let above = chain_above(&issuing, &found)?;
    let authority = Authority::new(issuing.clone(), key, adopted.key)?.below(above)?;
    authority.check(now)?;

    let mut writer = begin(dir, trust, "import-ca")?;
    let made = recovered(&writer);
    if !made.is_empty() {
        return Ok((made, writer));
    }
    let chain: Vec<&CaCertificate> = authority.chain().collect();
    let (root, intermediates) = chain.split_last().expect("the CA itself at least");
    let is_root = intermediates.is_empty();
    let key_file = if is_root { CA_KEY_FILE } else { ISSUING_CA_KEY_FILE };
    let mut new_files = vec![NewFile::secret(key_file, Zeroizing::new(key_text.as_bytes().to_vec()))];
    let mut made = vec![MadeCa::of(CA_FILE, name_of(root)?, root)];
    if !is_root {
        let ders: Vec<&[u8]> = intermediates.iter().map(|certificate| certificate.der()).collect();
        new_files.push(NewFile::certificates(ISSUING_CA_FILE, &ders));
        made.push(MadeCa::of(ISSUING_CA_FILE, name_of(&issuing)?, &issuing));
    }
    new_files.push(NewFile::certificates(CA_FILE, &[root.der()]));
    finish(&mut writer, new_files, &made, Event::Import, key_type, now)?;
    Ok((made, writer))
}

/// Which usages each of these CA certificates leaves out by its extended key usages: nothing that is issued below it can be
/// used for them.
///
/// # Errors
/// [`CaError::Unreadable`]
pub fn usages_left_out(path: &Path, pem: &[u8]) -> Result<Vec<(String, Usage)>, CaError> {
    let mut left_out = Vec::new();
    for ca in certificates(path, pem)? {
        let Some(usages) = &ca.usages else { continue };
        let wanted = [Usage::ServerAuth, Usage::ClientAuth].into_iter();
        left_out.extend(
            wanted.filter(|usage| !usages.contains(usage)).map(|usage| (ca.subject().to_owned(), usage)),
        );
    }
    Ok(left_out)
}

/// The CAs above one, up to the root.
fn chain_above(issuing: &CaCertificate, among: &[CaCertificate]) -> Result<Vec<CaCertificate>, CaError> {
    let mut chain: Vec<CaCertificate> = Vec::new();
    let mut top = issuing;
    // A chain cannot be longer than the certificates there are.
    for _ in 0..=among.len() {
        if top.is_root() {
            return Ok(chain);
        }
        let Some(upper) = among.iter().find(|upper| upper.has_signed(top.der())) else { break };
        chain.push(upper.clone());
        top = upper;
    }
    Err(CaError::NoRoot { path: issuing.path().to_owned(), subject: top.subject().to_owned() })
}

fn name_of(certificate: &CaCertificate) -> Result<String, CaError> {
    Ok(inspect::certificate(certificate.path(), certificate.der())?.subject)
}
