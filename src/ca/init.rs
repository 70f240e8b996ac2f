//! Making a certificate authority: a root that issues itself, or a root with an issuing CA below it.

use ::time::{Duration, OffsetDateTime};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, GeneralSubtree, IsCa, KeyIdMethod,
    KeyUsagePurpose, NameConstraints, SerialNumber,
};
use zeroize::Zeroizing;

use super::authority::{Authority, BACKDATE};
use super::certificate::CaCertificate;
use super::constraints::Cidr;
use super::encode::{Serial, crypto, dn_value, key_id};
use super::issue::fingerprint;
use super::issuing::{IssuingCa, issuing_name};
use super::ledger::{Entry, Event};
use super::pending::{Change, NewFile};
use super::store::{CA_FILE, CA_KEY_FILE, ISSUING_CA_FILE, ISSUING_CA_KEY_FILE, Store, Writer};
use super::{CaError, KeyType, Passphrase, PrivateKey, San, pem};
use crate::files::{self, FileMode, Meta};

/// What a new CA is like.
#[derive(Debug, Clone)]
pub struct CaOptions {
    /// Its common name.
    pub name: String,
    /// How long it lasts.
    pub days: u32,
    /// Its end, instead of `days`.
    pub not_after: Option<OffsetDateTime>,
    /// The kind of key.
    pub key_type: KeyType,
    /// Address ranges; when there are any, only these and loopback may be certified.
    pub permit_ips: Vec<Cidr>,
    /// Domains; when there are any, only these, what is below them, and localhost may be certified.
    pub permit_dns: Vec<String>,
    /// How many CAs may stand below it.
    pub path_len: u8,
    /// Make an issuing CA below the root, so that the root's key can be taken away.
    pub intermediate: bool,
    /// What the keys are encrypted with, if anything.
    pub passphrase: Option<Passphrase>,
}

impl Default for CaOptions {
    /// P-256 for ten years, unencrypted, without constraints.
    fn default() -> Self {
        Self {
            name: "etcd-pki CA".into(),
            days: 3650,
            not_after: None,
            key_type: KeyType::P256,
            permit_ips: Vec::new(),
            permit_dns: Vec::new(),
            path_len: 0,
            intermediate: false,
            passphrase: None,
        }
    }
}

/// A CA that was made.
#[derive(Debug, Clone)]
pub struct MadeCa {
    /// The file's name without `.pem`: `ca`, `issuing-ca`.
    pub file: String,
    /// Its common name.
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

impl MadeCa {
    /// The CA that a line of the ledger is about.
    pub(super) fn from_entry(entry: &Entry) -> Option<Self> {
        Some(Self {
            file: entry.name.clone()?,
            name: entry.subject.clone()?,
            serial: entry.serial.clone()?,
            not_before: entry.not_before?,
            not_after: entry.not_after?,
            fingerprint: entry.fingerprint.clone()?,
        })
    }
}

impl CaOptions {
    pub(super) fn end(&self, now: OffsetDateTime) -> Result<OffsetDateTime, CaError> {
        if let Some(end) = self.not_after {
            if end <= now || end.year() > 9999 {
                let hint = "give a date to come, such as 2036-01-01T00:00:00Z";
                return Err(CaError::value("--not-after", end.to_string(), "it has passed", hint));
            }
            return Ok(end);
        }
        if !(1..=36_500).contains(&self.days) {
            let hint = "a CA for a cluster lasts 3650 days";
            return Err(CaError::value("--days", self.days.to_string(), "not between 1 and 36500", hint));
        }
        Ok(now.saturating_add(Duration::days(i64::from(self.days))))
    }

    pub(super) fn constraints(&self) -> Result<Option<NameConstraints>, CaError> {
        let mut ranges = self.permit_ips.clone();
        if !ranges.is_empty() {
            ranges.extend(["127.0.0.0/8", "::1/128"].map(|range| range.parse::<Cidr>().expect("a range")));
        }
        let mut domains =
            self.permit_dns.iter().map(|domain| permitted(domain)).collect::<Result<Vec<_>, _>>()?;
        if !domains.is_empty() && !domains.iter().any(|domain| domain == "localhost") {
            domains.push("localhost".into());
        }
        let ranges = ranges.into_iter().map(|range| {
            GeneralSubtree::IpAddress(rcgen::CidrSubnet::from_addr_prefix(range.address(), range.prefix()))
        });
        let permitted_subtrees: Vec<_> =
            ranges.chain(domains.into_iter().map(GeneralSubtree::DnsName)).collect();
        Ok((!permitted_subtrees.is_empty())
            .then_some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() }))
    }
}

fn permitted(domain: &str) -> Result<String, CaError> {
    let (dot, name) = domain.strip_prefix('.').map_or(("", domain), |name| (".", name));
    let San::Dns(name) = San::dns(name)? else { unreachable!("a DNS name is one") };
    if let Some(parent) = name.strip_prefix("*.") {
        let hint = format!("leave the star off: what is below {parent} is permitted too");
        return Err(CaError::value("--permit-dns", domain, "a star does not stand in a constraint", hint));
    }
    Ok(format!("{dot}{name}"))
}

/// Makes a CA in a directory that has none, and the directory where it is not there.
///
/// The lock is held by what is returned: tell the user, then [`Writer::acknowledge`].
///
/// # Errors
/// [`CaError::CaExists`] when there is a CA, or a part of one; it is left as it is.
pub fn init(
    store: &Store,
    options: &CaOptions,
    now: OffsetDateTime,
) -> Result<(Vec<MadeCa>, Writer), CaError> {
    let now = now.replace_nanosecond(0).expect("0 is a nanosecond");
    let (constraints, end) = (options.constraints()?, options.end(now)?);
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, dn_value(&DnType::CommonName, "--name", 64, &options.name)?);
    let mut writer = begin(store, "init-ca")?;
    let made = recovered(&writer);
    if !made.is_empty() {
        return Ok((made, writer));
    }

    let path_len = options.path_len.max(u8::from(options.intermediate));
    let root_key = PrivateKey::generate(options.key_type)?;
    let mut params = ca_params(&root_key, name, (now - BACKDATE, end), path_len)?;
    params.name_constraints = constraints.clone();
    let root = params.self_signed(root_key.pair()).map_err(crypto("make the CA certificate"))?;
    let root = CaCertificate::from_der(&store.path(CA_FILE), root.der())?;
    let mut new_files = vec![NewFile::key(CA_KEY_FILE, &root_key, options.passphrase.as_ref())?];
    let mut made = vec![describe(CA_FILE, options.name.clone(), &root)];

    if options.intermediate {
        let above = Authority::new(root.clone(), root_key, &store.path(CA_KEY_FILE))?;
        // Half of the root's life: it can be replaced below the same root.
        let life = (now - BACKDATE, now + (end - now) / 2);
        let below =
            IssuingCa::make(store, &above, issuing_name(&options.name), options.key_type, life, constraints)?;
        new_files.extend(below.files(options.passphrase.as_ref())?);
        made.push(below.made);
    }
    // Last: whoever sees ca.pem sees a whole CA.
    new_files.push(NewFile::certificates(CA_FILE, &[root.der()]));
    finish(&mut writer, new_files, &made, Event::Init, Some(options.key_type), now)?;
    Ok((made, writer))
}

/// Refuses a directory that has a CA, and takes the lock of one that has none.
pub(super) fn begin(store: &Store, what: &str) -> Result<Writer, CaError> {
    for file in [CA_FILE, CA_KEY_FILE, ISSUING_CA_FILE, ISSUING_CA_KEY_FILE] {
        // Looked at before anything is made: an existing CA is answered without a lock or a write.
        let path = store.path(file);
        if files::stat(&path)?.is_some() && !store.has_pending() {
            return Err(CaError::CaExists { path });
        }
    }
    files::make_dir(store.dir(), Meta::mode(FileMode::SECRET_DIR))?;
    store.writer_of_new(what)
}

/// Puts the files of a CA into place.
pub(super) fn finish(
    writer: &mut Writer,
    new_files: Vec<NewFile>,
    made: &[MadeCa],
    event: Event,
    key_type: Option<KeyType>,
    now: OffsetDateTime,
) -> Result<(), CaError> {
    let change =
        Change { name: CA.into(), serial: made[0].serial.clone(), replaces: false, files: new_files };
    record(writer, change, made, event, key_type, now)
}

/// Carries a change out and writes a line for each CA.
pub(super) fn record(
    writer: &mut Writer,
    change: Change,
    made: &[MadeCa],
    event: Event,
    key_type: Option<KeyType>,
    now: OffsetDateTime,
) -> Result<(), CaError> {
    let entries: Vec<Entry> = made
        .iter()
        .map(|made| Entry {
            name: Some(made.file.clone()),
            subject: Some(made.name.clone()),
            serial: Some(made.serial.clone()),
            not_before: Some(made.not_before),
            not_after: Some(made.not_after),
            key_type: key_type.map(|kind| kind.to_string()),
            fingerprint: Some(made.fingerprint.clone()),
            ..Entry::new(event, now)
        })
        .collect();
    let Writer { ledger, pending, .. } = writer;
    pending.carry_out(&[change], || ledger.append(&entries))
}

/// The name of the change that makes a CA.
const CA: &str = "ca";

/// The CAs that an interrupted run had made.
pub(super) fn recovered(writer: &Writer) -> Vec<MadeCa> {
    if !writer.pending.recovered().iter().any(|item| item.name == CA) {
        return Vec::new();
    }
    let entries = writer.ledger().entries().iter();
    let made = entries.filter(|entry| matches!(entry.event, Event::Init | Event::Import));
    made.map(MadeCa::from_entry).collect::<Option<_>>().unwrap_or_default()
}

pub(super) fn ca_params(
    key: &PrivateKey,
    name: DistinguishedName,
    (start, end): (OffsetDateTime, OffsetDateTime),
    path_len: u8,
) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = start;
    params.not_after = end;
    params.serial_number = Some(SerialNumber::from_slice(Serial::random()?.as_bytes()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_len));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.key_identifier_method = KeyIdMethod::PreSpecified(key_id(key.public_bits()));
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

pub(super) fn describe(file: &str, name: String, certificate: &CaCertificate) -> MadeCa {
    MadeCa {
        file: file.trim_end_matches(".pem").to_owned(),
        name,
        serial: certificate.serial(),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
        fingerprint: fingerprint(certificate.der()),
    }
}

impl NewFile {
    /// A private key, encrypted where there is a passphrase.
    pub(super) fn key(
        name: &str,
        key: &PrivateKey,
        passphrase: Option<&Passphrase>,
    ) -> Result<Self, CaError> {
        let text = key.to_pem_with(passphrase)?;
        Ok(Self::secret(name, Zeroizing::new(text.as_bytes().to_vec())))
    }

    /// A file that only its owner reads.
    pub(super) fn secret(name: &str, bytes: Zeroizing<Vec<u8>>) -> Self {
        Self { name: name.into(), bytes, mode: FileMode::SECRET }
    }

    /// Certificates.
    pub(super) fn certificates(name: &str, certificates: &[&[u8]]) -> Self {
        let text: String =
            certificates.iter().map(|der| pem::encode("CERTIFICATE", der).to_string()).collect();
        Self { name: name.into(), bytes: Zeroizing::new(text.into_bytes()), mode: FileMode::PUBLIC }
    }
}
