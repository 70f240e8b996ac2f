//! The issuing CA below a root: the first one, and the next one below the same root.

use std::path::Path;

use ::time::OffsetDateTime;
use rcgen::{DistinguishedName, DnType, NameConstraints};

use super::authority::{Authority, BACKDATE};
use super::certificate::CaCertificate;
use super::encode::dn_value;
use super::ledger::Event;
use super::made::{MadeCa, record};
use super::options::{CaOptions, ca_params};
use super::store::{ISSUING_CA_FILE, ISSUING_CA_KEY_FILE};
use super::stored::{CaKey, read_key};
use super::transaction::{Change, Mark, NewFile, Old};
use super::writer::Writer;
use super::{CaError, KeyType, Passphrase, PrivateKey};

/// An issuing CA that is not written yet.
pub(super) struct IssuingCa {
    key: PrivateKey,
    certificate: CaCertificate,
    pub(super) made: MadeCa,
}

impl IssuingCa {
    /// Signs one with the CA above it.
    pub(super) fn make(
        dir: &Path,
        above: &Authority,
        common_name: String,
        key_type: KeyType,
        life: (OffsetDateTime, OffsetDateTime),
        constraints: Option<NameConstraints>,
    ) -> Result<Self, CaError> {
        let key = PrivateKey::generate(key_type)?;
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, dn_value(&DnType::CommonName, "--name", 64, &common_name)?);
        let path_len = above.certificate().path_len.map_or(0, |length| length.saturating_sub(1).min(8));
        let mut params = ca_params(&key, name, life, u8::try_from(path_len).unwrap_or(0))?;
        params.name_constraints = constraints;
        let der = above.sign(params, key.pair())?;
        let certificate = CaCertificate::from_der(&dir.join(ISSUING_CA_FILE), &der)?;
        let made = MadeCa::of(ISSUING_CA_FILE, common_name, &certificate);
        Ok(Self { key, certificate, made })
    }

    /// Its files, the key first.
    pub(super) fn files(&self, passphrase: Option<&Passphrase>) -> Result<[NewFile; 2], CaError> {
        Ok([
            NewFile::key(ISSUING_CA_KEY_FILE, &self.key, passphrase)?,
            NewFile::certificates(ISSUING_CA_FILE, &[self.certificate.der()]),
        ])
    }
}

/// What an issuing CA is called when nobody says.
pub(super) fn issuing_name(root: &str) -> String {
    format!("{} issuing", root.chars().take(56).collect::<String>())
}

/// What the next issuing CA is like, where it is not as the one before it.
#[derive(Debug, Default)]
pub struct IssuingOptions {
    /// Its common name.
    pub name: Option<String>,
    /// How many days it lasts; half of what the root has left when absent.
    pub days: Option<u32>,
    /// Its end, instead of `days`.
    pub not_after: Option<OffsetDateTime>,
    /// The kind of key.
    pub key_type: Option<KeyType>,
    /// Narrower limits than the root's; its other fields are not used.
    pub limits: CaOptions,
}

/// Makes an issuing CA with a new key below the root of a directory, and keeps the one before it as
/// `issuing-ca.pem.1`: what that one issued carries its certificate along and stays valid.
///
/// `root_key` may come from elsewhere; `passphrase` opens it and encrypts the new key.
///
/// # Errors
/// [`CaError::KeyMismatch`] when it is another root's key, [`CaError::CaMayNotSign`] when the root allows no CA below
/// it, [`CaError::CaExpired`].
pub fn renew_issuing(
    writer: &mut Writer,
    root_key: &CaKey,
    passphrase: Option<&Passphrase>,
    options: &IssuingOptions,
    now: OffsetDateTime,
) -> Result<MadeCa, CaError> {
    let now = now.replace_nanosecond(0).expect("0 is a nanosecond");
    let (root, chain) = writer.store().authorities()?.split_last().expect("the root at least is there");
    let before = chain.first();
    let key = read_key(root_key.path(), root_key.bytes(), passphrase)?;
    let root_kind = key.kind();
    let above = Authority::new(root.clone(), key, root_key.path())?;
    above.check(now)?;
    let root = above.certificate();
    if root.path_len == Some(0) {
        let why = "its path length is 0, so no CA may stand below it";
        return Err(CaError::CaMayNotSign { path: root.path().to_owned(), why });
    }

    let name = match (&options.name, before) {
        (Some(name), _) => name.clone(),
        (None, Some(before)) => before.common_name().unwrap_or_else(|| issuing_name("etcd-pki CA")),
        (None, None) => issuing_name(&root.common_name().unwrap_or_else(|| "etcd-pki CA".into())),
    };
    let key_type = options.key_type.or_else(|| before.and_then(CaCertificate::key_type)).or(root_kind);
    let end = match (options.days, options.not_after) {
        (None, None) => now + (root.not_after() - now) / 2,
        (days, not_after) => {
            CaOptions { days: days.unwrap_or(1), not_after, ..CaOptions::default() }.end(now)?
        }
    };
    let life = ((now - BACKDATE).max(root.not_before()), end.min(root.not_after()));
    let constraints = options.limits.constraints()?;
    let dir = writer.store().dir();
    let below = IssuingCa::make(dir, &above, name, key_type.unwrap_or(KeyType::P256), life, constraints)?;
    let change = Change {
        name: ISSUING_CA.into(),
        mark: Mark::Serial(below.made.serial.clone()),
        old: Old::Keep,
        files: below.files(passphrase)?.into(),
    };
    let made = [below.made];
    record(writer, change, &made, Event::Init, key_type, now)?;
    let [made] = made;
    Ok(made)
}

/// The name of the change that replaces an issuing CA.
const ISSUING_CA: &str = "issuing-ca";

/// The issuing CA that an interrupted run of [`renew_issuing`] had made.
pub fn finished_earlier(writer: &Writer) -> Option<MadeCa> {
    let Mark::Serial(serial) = &writer.recovered_item(ISSUING_CA)?.mark else { return None };
    let mut made =
        writer.ledger().authorities(ISSUING_CA).filter(|entry| entry.serial.as_ref() == Some(serial));
    MadeCa::from_entry(made.next()?)
}
