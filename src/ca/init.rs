//! Making a certificate authority: a root that issues itself, or a root with an issuing CA below it.

use std::path::Path;

use ::time::OffsetDateTime;
use rcgen::{DistinguishedName, DnType};

use super::authority::{Authority, BACKDATE};
use super::certificate::CaCertificate;
use super::encode::{crypto, dn_value};
use super::issuing::{IssuingCa, issuing_name};
use super::ledger::Event;
use super::made::{MadeCa, finish, recovered};
use super::options::{CaOptions, ca_params};
use super::store::{CA_FILE, CA_KEY_FILE, ISSUING_CA_FILE, ISSUING_CA_KEY_FILE};
use super::transaction::NewFile;
use super::writer::Writer;
use super::{CaError, PrivateKey};
use crate::files::Trust;

/// Makes a CA in a directory that has none, and the directory where it is not there.
///
/// The lock is held by what is returned: tell the user, then [`Writer::acknowledge`].
///
/// # Errors
/// [`CaError::CaExists`] when there is a CA, or a part of one; it is left as it is.
pub fn init(
    dir: &Path,
    trust: &Trust,
    options: &CaOptions,
    now: OffsetDateTime,
) -> Result<(Vec<MadeCa>, Writer), CaError> {
    let now = now.replace_nanosecond(0).expect("0 is a nanosecond");
    let (constraints, end) = (options.constraints()?, options.end(now)?);
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, dn_value(&DnType::CommonName, "--name", 64, &options.name)?);
    let mut writer = begin(dir, trust, "init-ca")?;
    let made = recovered(&writer);
    if !made.is_empty() {
        return Ok((made, writer));
    }

    let path_len = options.path_len.max(u8::from(options.intermediate));
    let root_key = PrivateKey::generate(options.key_type)?;
    let mut params = ca_params(&root_key, name, (now - BACKDATE, end), path_len)?;
    params.name_constraints = constraints.clone();
    let root = params.self_signed(root_key.pair()).map_err(crypto("make the CA certificate"))?;
    let root = CaCertificate::from_der(&dir.join(CA_FILE), root.der())?;
    let mut new_files = vec![NewFile::key(CA_KEY_FILE, &root_key, options.passphrase.as_ref())?];
    let mut made = vec![MadeCa::of(CA_FILE, options.name.clone(), &root)];

    if options.intermediate {
        let above = Authority::new(root.clone(), root_key, &dir.join(CA_KEY_FILE))?;
        // Half of the root's life: it can be replaced below the same root.
        let life = (now - BACKDATE, now + (end - now) / 2);
        let below =
            IssuingCa::make(dir, &above, issuing_name(&options.name), options.key_type, life, constraints)?;
        new_files.extend(below.files(options.passphrase.as_ref())?);
        made.push(below.made);
    }
    // Last: whoever sees ca.pem sees a whole CA.
    new_files.push(NewFile::certificates(CA_FILE, &[root.der()]));
    finish(&mut writer, new_files, &made, Event::Init, Some(options.key_type), now)?;
    Ok((made, writer))
}

/// Takes the lock of a directory that has no CA, and makes the directory where it is not there.
pub(super) fn begin(dir: &Path, trust: &Trust, what: &str) -> Result<Writer, CaError> {
    let writer = Writer::create(dir, trust, what)?;
    if recovered(&writer).is_empty() {
        for file in [CA_FILE, CA_KEY_FILE, ISSUING_CA_FILE, ISSUING_CA_KEY_FILE] {
            if writer.store().listing()?.has(file) {
                return Err(CaError::CaExists { path: dir.join(file) });
            }
        }
    }
    Ok(writer)
}
