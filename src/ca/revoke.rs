//! Revoking certificates, and the list of those that are.

use ::time::{Duration, OffsetDateTime};
use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};

use super::authority::Authority;
use super::encode::crypto;
use super::ledger::{Entry, Event};
use super::store::Store;
use super::stored::first_certificate;
use super::transaction::{Change, Mark, NewFile, Old};
use super::writer::Writer;
use super::{CaError, CertName, der, inspect, pem};
use crate::files;

/// Why a certificate was revoked (RFC 5280 5.3.1), without those that are not for leaves.
pub const REASONS: [&str; 6] = [
    "unspecified",
    "key-compromise",
    "affiliation-changed",
    "superseded",
    "cessation-of-operation",
    "privilege-withdrawn",
];

/// The revocation list in PEM.
pub const CRL_PEM_FILE: &str = "crl.pem";
/// The revocation list in DER, as etcd from 3.6 on wants it.
pub const CRL_DER_FILE: &str = "crl.der";

/// A certificate that is to be revoked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Its serial in hexadecimal.
    pub serial: String,
}

/// Finds the certificate that `text` means: a file, a name, or a serial in the ledger.
///
/// # Errors
/// [`CaError::NoSuchName`], [`CaError::NotOurs`], [`CaError::Unreadable`].
pub fn find(store: &Store, text: &str) -> Result<Target, CaError> {
    let ledger = store.ledger();
    let by_name = CertName::existing(text).ok();
    let in_store = match &by_name {
        Some(name) if store.listing()?.has(&name.cert_file()) => store.read(&name.cert_file())?,
        _ => None,
    };
    let file = match (in_store, &by_name) {
        (Some(image), Some(name)) => Some((store.path(&name.cert_file()), image.bytes)),
        _ => {
            let path = std::path::PathBuf::from(text);
            match files::is_file(&path)? {
                true => Some((path.clone(), files::read_input(&path, crate::limits::PKI)?.bytes)),
                // A serial, or a name of the ledger.
                false => None,
            }
        }
    };
    if let Some((path, bytes)) = file {
        let der = first_certificate(&path, &bytes)?;
        let found = inspect::certificate(&path, &der)?;
        if !store.has_signed(&der)? || store.is_authority(&der)? {
            return Err(CaError::NotOurs { path });
        }
        let recorded = ledger.certificate(&found.serial).and_then(|entry| entry.name.clone());
        return Ok(Target { name: recorded.or(by_name.map(|name| name.to_string())), serial: found.serial });
    }
    let serial = text.trim_start_matches("0x").replace(':', "").to_ascii_lowercase();
    if let Some(entry) = ledger.certificate(&serial) {
        return Ok(Target { name: entry.name.clone(), serial });
    }
    match ledger.latest(text) {
        Some(Entry { name, serial: Some(serial), .. }) => {
            Ok(Target { name: name.clone(), serial: serial.clone() })
        }
        _ => Err(store.no_such(text)),
    }
}

/// Writes revocations into the ledger; those that are there already are left as they are. Returns the new ones.
///
/// # Errors
/// [`CaError::File`]
pub fn revoke(
    writer: &mut Writer,
    targets: &[Target],
    reason: &str,
    now: OffsetDateTime,
) -> Result<Vec<Target>, CaError> {
    let mut seen = std::collections::HashSet::new();
    let mut new = Vec::new();
    for target in targets {
        if !writer.ledger().is_revoked(&target.serial) && seen.insert(target) {
            new.push(target.clone());
        }
    }
    let entry = |target: &Target| Entry {
        name: target.name.clone(),
        serial: Some(target.serial.clone()),
        reason: Some(reason.to_owned()),
        ..Entry::new(Event::Revoke, now)
    };
    let entries: Vec<Entry> = new.iter().map(entry).collect();
    if !entries.is_empty() {
        writer.record(&entries)?;
    }
    Ok(new)
}

/// A revocation list that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeCrl {
    /// Its number, one more than the last.
    pub number: u64,
    /// When the next one is due.
    pub next_update: OffsetDateTime,
    /// How many serials are on it.
    pub revoked: usize,
}

/// Makes the list of all that are revoked, in PEM and DER, each replaced by a rename: etcd reads it at every handshake, and
/// refuses everybody while it is not whole.
///
/// # Errors
/// [`CaError`]
pub fn make_crl(
    writer: &mut Writer,
    authority: &Authority,
    days: u32,
    now: OffsetDateTime,
) -> Result<MadeCrl, CaError> {
    if !(1..=3650).contains(&days) {
        let hint = "give a number of days between 1 and 3650";
        return Err(CaError::value("--days", days.to_string(), "no list lasts that long", hint));
    }
    authority.certificate().check_crl()?;
    let now = now.replace_nanosecond(0).expect("0 is a nanosecond");
    let entries = writer.ledger().entries();
    let revoked: Vec<RevokedCertParams> = entries.iter().filter_map(revoked).collect();
    let number = 1 + writer.ledger().last_crl().unwrap_or(0);
    let made = MadeCrl { number, next_update: now + Duration::days(i64::from(days)), revoked: revoked.len() };
    let params = CertificateRevocationListParams {
        this_update: now,
        next_update: made.next_update,
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: revoked,
        key_identifier_method: KeyIdMethod::PreSpecified(authority.certificate().key_id_for_crl()),
    };
    let der = authority.sign_crl(&params)?;

    let entry =
        Entry { number: Some(number), not_after: Some(made.next_update), ..Entry::new(Event::Crl, now) };
    let text = pem::encode("X509 CRL", &der).to_string();
    let change = Change {
        name: "crl".into(),
        mark: Mark::Crl(number),
        files: vec![NewFile::public(CRL_PEM_FILE, text.into_bytes()), NewFile::public(CRL_DER_FILE, der)],
        old: Old::Replace,
    };
    writer.carry_out(&[change], &[entry])?;
    Ok(made)
}

fn revoked(entry: &Entry) -> Option<RevokedCertParams> {
    if entry.event != Event::Revoke {
        return None;
    }
    let serial = unhex(entry.serial.as_deref()?)?;
    let reason = match entry.reason.as_deref()? {
        "key-compromise" => Some(RevocationReason::KeyCompromise),
        "affiliation-changed" => Some(RevocationReason::AffiliationChanged),
        "superseded" => Some(RevocationReason::Superseded),
        "cessation-of-operation" => Some(RevocationReason::CessationOfOperation),
        "privilege-withdrawn" => Some(RevocationReason::PrivilegeWithdrawn),
        // RFC 5280 5.3.1: unspecified is left out.
        _ => None,
    };
    let time = entry.time.replace_nanosecond(0).expect("0 is a nanosecond");
    Some(RevokedCertParams {
        serial_number: SerialNumber::from_slice(&serial),
        revocation_time: time,
        reason_code: reason,
        invalidity_date: None,
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

impl Authority {
    /// Signs a list with this CA's exact subject for its issuer.
    fn sign_crl(&self, params: &CertificateRevocationListParams) -> Result<Vec<u8>, CaError> {
        let unsigned = params.signed_by(&self.issuer()).map_err(crypto("make the revocation list"))?;
        self.sign_unsigned(&der::Unsigned::parse(unsigned.der())?)
    }
}
