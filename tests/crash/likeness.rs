//! A tree in words, in which two runs of a command are the same: keys, serials and times are left out.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use x509_parser::prelude::*;

use crate::image::{Body, Image, Node};

/// Each path with what is there.
pub(crate) fn describe(image: &Image) -> BTreeMap<PathBuf, String> {
    let line = |(path, node): (&PathBuf, &Node)| {
        let what = match &node.body {
            Body::Directory => "directory".to_owned(),
            Body::Symlink(target) => format!("symlink to {}", target.display()),
            Body::File(bytes) => content(path, bytes),
        };
        (path.clone(), format!("{:04o} {}:{} {what}", node.mode, node.uid, node.gid))
    };
    image.0.iter().map(line).collect()
}

/// What one has and the other has not; none when they are the same.
pub(crate) fn difference(
    wanted: &BTreeMap<PathBuf, String>,
    found: &BTreeMap<PathBuf, String>,
) -> Option<String> {
    let mut lines = Vec::new();
    for (path, what) in wanted {
        match found.get(path) {
            None => lines.push(format!("{} is missing", path.display())),
            Some(other) if other != what => {
                lines.push(format!("{} is\n      {other}\n    instead of\n      {what}", path.display()));
            }
            Some(_) => {}
        }
    }
    let more = found.keys().filter(|path| !wanted.contains_key(*path));
    lines.extend(more.map(|path| format!("{} is left over", path.display())));
    (!lines.is_empty()).then(|| lines.join("\n    "))
}

fn content(path: &Path, bytes: &[u8]) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name == "lock" {
        return "the lock".into();
    }
    if name == "ledger.jsonl" {
        return ledger(bytes);
    }
    if name.ends_with(".p12") {
        return p12(bytes);
    }
    if name == "crl.der" {
        return crl(bytes);
    }
    let blocks = blocks(bytes);
    if blocks.is_empty() { String::from_utf8_lossy(bytes).into_owned() } else { blocks.join("; ") }
}

fn blocks(bytes: &[u8]) -> Vec<String> {
    Pem::iter_from_buffer(bytes)
        .filter_map(Result::ok)
        .map(|block| pem(&block.label, &block.contents))
        .collect()
}

fn pem(label: &str, der: &[u8]) -> String {
    match label {
        "CERTIFICATE" => certificate(der),
        "CERTIFICATE REQUEST" => request(der),
        "X509 CRL" => crl(der),
        other => other.to_owned(),
    }
}

fn certificate(der: &[u8]) -> String {
    let Ok((_, cert)) = X509Certificate::from_der(der) else { return "a broken certificate".into() };
    let life = cert.validity().not_after.timestamp() - cert.validity().not_before.timestamp();
    let extensions: Vec<String> = cert.extensions().iter().filter_map(extension).collect();
    format!(
        "certificate of {} by {}, {} days, key {} {:?}, {}",
        cert.subject(),
        cert.issuer(),
        (life + 43_200).div_euclid(86_400),
        cert.public_key().algorithm.algorithm,
        cert.public_key().algorithm.parameters.as_ref().map(|any| any.data.to_vec()),
        extensions.join(" ")
    )
}

/// All but those that identify keys.
fn extension(extension: &X509Extension<'_>) -> Option<String> {
    let oid = extension.oid.to_id_string();
    let is_key_id = matches!(oid.as_str(), "2.5.29.14" | "2.5.29.35");
    (!is_key_id).then(|| format!("{oid}({})={:x?}", extension.critical, extension.value))
}

fn request(der: &[u8]) -> String {
    let Ok((_, request)) = X509CertificationRequest::from_der(der) else { return "a broken request".into() };
    let info = &request.certification_request_info;
    let asked: Vec<String> =
        info.iter_attributes().map(|attribute| format!("{:x?}", attribute.value)).collect();
    format!("request of {}, key {}, {}", info.subject, info.subject_pki.algorithm.algorithm, asked.join(" "))
}

fn crl(der: &[u8]) -> String {
    let Ok((_, list)) = CertificateRevocationList::from_der(der) else { return "a broken list".into() };
    let revoked: Vec<String> =
        list.iter_revoked_certificates().map(|one| one.raw_serial_as_string()).collect();
    format!("list by {}, revoked {}", list.issuer(), revoked.join(" "))
}

/// As OpenSSL opens it.
fn p12(bytes: &[u8]) -> String {
    let words = format!("pass:{}", crate::scenarios::PASSPHRASE);
    let mut openssl = Command::new("openssl");
    openssl.args(["pkcs12", "-nodes", "-passin", &words]);
    let mut child =
        openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // It may end before it has read all of a broken file.
    let _ = child.stdin.take().unwrap().write_all(bytes);
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        format!("a store with {}", blocks(&output.stdout).join("; "))
    } else {
        "a broken store".into()
    }
}

/// The lines without what differs from run to run. A revocation list's number may be left out when the run that took it
/// was interrupted: two lines of lists in a row count as one.
fn ledger(bytes: &[u8]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in String::from_utf8_lossy(bytes).lines() {
        let Ok(mut entry) = serde_json::from_str::<serde_json::Value>(line) else {
            lines.push(format!("a broken line: {line}"));
            continue;
        };
        let is_revocation = entry["event"] == "revoke";
        if let Some(fields) = entry.as_object_mut() {
            fields.retain(|field, _| {
                !matches!(field.as_str(), "time" | "not_before" | "not_after" | "fingerprint" | "number")
                    && (is_revocation || field != "serial")
            });
        }
        let text = entry.to_string();
        if !(entry["event"] == "crl" && lines.last() == Some(&text)) {
            lines.push(text);
        }
    }
    lines.join("\n      ")
}
