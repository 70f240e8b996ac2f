//! Making a certificate authority.

use ::time::{Duration, OffsetDateTime};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, GeneralSubtree, IsCa, KeyIdMethod,
    KeyUsagePurpose, NameConstraints, SerialNumber,
};
use zeroize::Zeroizing;

use super::authority::{BACKDATE, Serial, crypto, dn_value, key_id};
use super::constraints::Cidr;
use super::issue::fingerprint;
use super::ledger::{Entry, Event};
use super::pending::{Change, NewFile};
use super::store::{CA_FILE, CA_KEY_FILE, Store, Writer};
use super::{CaError, KeyType, PrivateKey, San, pem};
use crate::files::{self, FileMode, Meta};

/// What a new CA is like.
#[derive(Debug, Clone)]
pub struct CaOptions {
    /// Its common name.
    pub name: String,
    /// How long it lasts.
    pub days: u32,
    /// The kind of key.
    pub key_type: KeyType,
    /// Address ranges; when there are any, only these and loopback may be certified.
    pub permit_ips: Vec<Cidr>,
    /// Domains; when there are any, only these, what is below them, and localhost may be certified.
    pub permit_dns: Vec<String>,
    /// How many CAs may stand below it.
    pub path_len: u8,
}

/// A CA that was made.
#[derive(Debug, Clone)]
pub struct MadeCa {
    /// Its subject.
    pub name: String,
    /// Its serial in hexadecimal.
    pub serial: String,
    /// Its start.
    pub not_before: OffsetDateTime,
    /// Its end.
    pub not_after: OffsetDateTime,
    /// SHA-256 of the certificate.
    pub fingerprint: String,
}

impl CaOptions {
    fn checked(&self) -> Result<Vec<GeneralSubtree>, CaError> {
        if !(1..=36_500).contains(&self.days) {
            let hint = "a CA for a cluster lasts 3650 days";
            return Err(CaError::value("--days", self.days.to_string(), "not between 1 and 36500", hint));
        }
        let mut ranges = self.permit_ips.clone();
        if !ranges.is_empty() {
            ranges.extend(["127.0.0.0/8", "::1/128"].map(|range| range.parse::<Cidr>().expect("a range")));
        }
        let mut domains = Vec::new();
        for domain in &self.permit_dns {
            let (dot, name) = domain.strip_prefix('.').map_or(("", domain.as_str()), |name| (".", name));
            match San::dns(name) {
                Ok(San::Dns(name)) if !name.contains('*') => domains.push(format!("{dot}{name}")),
                Ok(_) => {
                    let hint = format!("leave the star off: what is below {} is permitted too", &name[2..]);
                    return Err(CaError::value(
                        "--permit-dns",
                        domain,
                        "a star does not stand in a constraint",
                        hint,
                    ));
                }
                Err(error) => return Err(error),
            }
        }
        if !domains.is_empty() && !domains.iter().any(|domain| domain == "localhost") {
            domains.push("localhost".into());
        }
        let ranges = ranges.into_iter().map(|range| {
            GeneralSubtree::IpAddress(rcgen::CidrSubnet::from_addr_prefix(range.address(), range.prefix()))
        });
        Ok(ranges.chain(domains.into_iter().map(GeneralSubtree::DnsName)).collect())
    }
}

/// Makes a CA in a directory that has none, and the directory where it is not there.
///
/// The lock is held by what is returned: tell the user, then [`Writer::acknowledge`].
///
/// # Errors
/// [`CaError::Exists`] when there is a CA, or a part of one; it is left as it is.
pub fn init(store: &Store, options: &CaOptions, now: OffsetDateTime) -> Result<(MadeCa, Writer), CaError> {
    let permitted = options.checked()?;
    let common_name = dn_value(&DnType::CommonName, "--name", 64, &options.name)?;
    for file in [CA_FILE, CA_KEY_FILE] {
        // Looked at before anything is made: an existing CA is answered without a lock or a write.
        let path = store.path(file);
        if files::stat(&path)?.is_some() && !store.has_pending() {
            return Err(CaError::Exists { path });
        }
    }
    files::make_dir(store.dir(), Meta::mode(FileMode::SECRET_DIR))?;
    let mut writer = store.writer("init-ca")?;
    if let Some(entry) = recovered(&writer) {
        return Ok((entry, writer));
    }

    let key = PrivateKey::generate(options.key_type)?;
    let serial = Serial::random()?;
    let now = now.replace_nanosecond(0).expect("0 is a nanosecond");
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = now - BACKDATE;
    params.not_after = now.saturating_add(Duration::days(i64::from(options.days)));
    params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(options.path_len));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.key_identifier_method = KeyIdMethod::PreSpecified(key_id(key.public_bits()));
    params.use_authority_key_identifier_extension = true;
    if !permitted.is_empty() {
        params.name_constraints =
            Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: Vec::new() });
    }
    let (not_before, not_after) = (params.not_before, params.not_after);
    let certificate = params.self_signed(key.pair()).map_err(crypto("make the CA certificate"))?;
    let made = MadeCa {
        name: options.name.clone(),
        serial: serial.to_string(),
        not_before,
        not_after,
        fingerprint: fingerprint(certificate.der()),
    };

    let change = Change {
        name: "ca".into(),
        serial: made.serial.clone(),
        replaces: false,
        files: vec![
            NewFile {
                name: CA_KEY_FILE.into(),
                bytes: Zeroizing::new(key.to_pem().as_bytes().to_vec()),
                mode: FileMode::SECRET,
            },
            NewFile {
                name: CA_FILE.into(),
                bytes: Zeroizing::new(pem::encode("CERTIFICATE", certificate.der()).as_bytes().to_vec()),
                mode: FileMode::PUBLIC,
            },
        ],
    };
    let entry = Entry {
        name: Some(made.name.clone()),
        serial: Some(made.serial.clone()),
        not_before: Some(made.not_before),
        not_after: Some(made.not_after),
        key_type: Some(options.key_type.to_string()),
        fingerprint: Some(made.fingerprint.clone()),
        ..Entry::new(Event::Init, now)
    };
    let Writer { ledger, pending, .. } = &mut writer;
    pending.carry_out(&[change], || ledger.append(&[entry]))?;
    Ok((made, writer))
}

/// The CA that an interrupted run had made.
fn recovered(writer: &Writer) -> Option<MadeCa> {
    let item = writer.pending.recovered().iter().find(|item| item.name == "ca")?;
    let entry = writer.ledger().entries().iter().find(|entry| entry.serial.as_ref() == Some(&item.serial))?;
    Some(MadeCa {
        name: entry.name.clone()?,
        serial: item.serial.clone(),
        not_before: entry.not_before?,
        not_after: entry.not_after?,
        fingerprint: entry.fingerprint.clone()?,
    })
}
