//! What must hold at every moment, whatever ended the run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use x509_parser::prelude::*;

use crate::image::{Image, is_hidden};

/// The PKI directory of every scenario.
pub(crate) const PKI: &str = "pki";

/// What is wrong with keys: one that others may read, under whatever name.
pub(crate) fn open_keys(image: &Image) -> Vec<String> {
    let is_key = |path: &Path, bytes: &[u8]| {
        bytes.windows(11).any(|part| part == b"PRIVATE KEY")
            || path.extension().is_some_and(|end| end == "p12")
    };
    let open = image.files().filter(|(path, node, bytes)| is_key(path, bytes) && node.mode & 0o077 != 0);
    open.map(|(path, node, _)| format!("{} holds a key and has mode {:o}", path.display(), node.mode))
        .collect()
}

/// What is wrong with pairs: a certificate and the key of its name that do not belong together, or one that cannot be
/// read. Hidden files are nobody's pair.
pub(crate) fn torn_pairs(image: &Image) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, _, bytes) in image.files().filter(|(path, ..)| !is_hidden(path)) {
        let Some((stem, history)) = stem(path) else { continue };
        if bytes.is_empty() {
            wrong.push(format!("{} is empty", path.display()));
        }
        let key = path.with_file_name(format!("{stem}-key.pem{history}"));
        let Some(key_text) = image.file(&key.to_string_lossy()) else { continue };
        let Some(cert_key) = first_certificate(bytes).and_then(|der| public_key(&der)) else {
            wrong.push(format!("{} is next to a key and is no certificate", path.display()));
            continue;
        };
        let own = std::str::from_utf8(key_text).ok().and_then(|text| rcgen::KeyPair::from_pem(text).ok());
        if own.is_none_or(|own| rcgen::PublicKeyData::subject_public_key_info(&own) != cert_key) {
            wrong.push(format!("{} and its key do not belong together", path.display()));
        }
    }
    wrong
}

/// Hidden files: temporary ones, intents and transactions.
pub(crate) fn leftovers(image: &Image) -> Vec<String> {
    image
        .0
        .keys()
        .filter(|path| is_hidden(path))
        .map(|path| format!("{} is left over", path.display()))
        .collect()
}

/// The serials of certificates that stand in the PKI directory and that its ledger does not know.
pub(crate) fn unrecorded(image: &Image) -> Vec<String> {
    let known: BTreeSet<String> = ledger_serials(image).into_iter().collect();
    placed_serials(image)
        .into_iter()
        .filter(|(_, serial)| !known.contains(serial))
        .map(|(path, _)| format!("{} is not in the ledger", path.display()))
        .collect()
}

/// The certificates of the ledger that are nowhere in the PKI directory.
pub(crate) fn missing(image: &Image) -> Vec<String> {
    let placed: BTreeSet<String> = placed_serials(image).into_iter().map(|(_, serial)| serial).collect();
    ledger_serials(image)
        .into_iter()
        .filter(|serial| !placed.contains(serial))
        .map(|serial| format!("{serial} is in the ledger and in no file"))
        .collect()
}

/// Serials that the ledger has for two certificates.
pub(crate) fn used_twice(image: &Image) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let twice = ledger_serials(image).into_iter().filter(|serial| !seen.insert(serial.clone()));
    twice.map(|serial| format!("serial {serial} was used twice")).collect()
}

/// The list in both forms is the same one.
pub(crate) fn lists_differ(image: &Image) -> Vec<String> {
    let (Some(pem), Some(der)) =
        (image.file(&format!("{PKI}/crl.pem")), image.file(&format!("{PKI}/crl.der")))
    else {
        return Vec::new();
    };
    let block = Pem::iter_from_buffer(pem).find_map(Result::ok);
    if block.is_some_and(|block| block.contents == der) {
        Vec::new()
    } else {
        vec!["crl.pem and crl.der are not the same list".into()]
    }
}

/// The first certificate of each file `NAME.pem` and `NAME.pem.N` of the PKI directory, with its serial.
pub(crate) fn placed_serials(image: &Image) -> Vec<(PathBuf, String)> {
    let here =
        image.files().filter(|(path, ..)| path.parent() == Some(Path::new(PKI)) && stem(path).is_some());
    here.filter_map(|(path, _, bytes)| {
        let der = first_certificate(bytes)?;
        let (_, cert) = X509Certificate::from_der(&der).ok()?;
        let serial: String = cert.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect();
        Some((path.to_owned(), serial.trim_start_matches("00").to_owned()))
    })
    .collect()
}

fn ledger_serials(image: &Image) -> Vec<String> {
    let text = image.file(&format!("{PKI}/ledger.jsonl")).unwrap_or_default();
    let entries = String::from_utf8_lossy(text);
    let entries = entries.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let made = entries.filter(|entry| entry["event"] != "revoke");
    made.filter_map(|entry| Some(entry["serial"].as_str()?.trim_start_matches("00").to_owned())).collect()
}

/// `NAME` and what follows `.pem`, of a certificate's file that is in place.
fn stem(path: &Path) -> Option<(&str, &str)> {
    if is_hidden(path) {
        return None;
    }
    let (stem, history) = path.file_name()?.to_str()?.split_once(".pem")?;
    let is_other = stem.ends_with("-key") || stem.ends_with("-bundle") || stem == "crl";
    (!is_other).then_some((stem, history))
}

fn first_certificate(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut blocks = Pem::iter_from_buffer(bytes).filter_map(Result::ok);
    blocks.find(|block| block.label == "CERTIFICATE").map(|block| block.contents)
}

fn public_key(der: &[u8]) -> Option<Vec<u8>> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    Some(cert.public_key().raw.to_vec())
}
