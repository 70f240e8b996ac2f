//! `inspect`: what is in a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ::time::OffsetDateTime;
use clap::Args;
use clap_complete::ArgValueCompleter;
use serde_json::json;
use zeroize::Zeroizing;

use super::output::Style;
use super::pki::{date, expiry};
use super::{Context, Exit, Failure, Outcome, address, named};
use crate::ca::inspect::{Certificate, Crl, Item, Key, Request, items};
use crate::files::{self, FileError, FileKind};
use crate::limits;
use crate::text::path_text;
use crate::verify::probe::{Served, probe};

/// Show what is in a file, or what a port serves: certificates, keys (never their secret), requests, revocation lists.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Files (PEM or DER), directories whose files are shown, names in the PKI directory, or HOST:PORT or a URL for what
    /// is served there.
    #[arg(required = true, value_name = "FILE|NAME|HOST:PORT", add = ArgValueCompleter::new(super::completions::certificates_or_paths))]
    paths: Vec<PathBuf>,
}

/// Runs it.
pub fn run(context: &Context, args: &InspectArgs) -> Outcome {
    let mut documents = Vec::new();
    let mut found_any = false;
    for path in &args.paths {
        for (file, items) in read(context, path)? {
            found_any |= !items.is_empty();
            if context.global.json {
                documents.push(json!({"file": path_text(&file), "items": items}));
            } else if items.is_empty() {
                context.out.note(format_args!(
                    "{}: no certificate, key, request or revocation list",
                    file.display()
                ));
            } else {
                show(context, &file, &items);
            }
        }
    }
    if context.global.json {
        context.out.json(&json!({"files": documents}));
    }
    Ok(if found_any { Exit::Done } else { Exit::No })
}

/// How long a port may take to answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The address, where a path that is no file can be read as HOST:PORT or as a URL.
fn live(path: &Path) -> Result<Option<String>, Failure> {
    let Some(text) = path.to_str() else { return Ok(None) };
    if text.starts_with("https://") || text.starts_with("http://") {
        return match address::endpoint(text) {
            Ok(address) => Ok(Some(address)),
            Err(_) => Err(Failure::usage("bad-address", format!("{text} names no host and port"))
                .hint("give HOST:PORT or a URL with a port, such as https://etcd-1:2379")),
        };
    }
    let address = if text.contains('/') { None } else { address::endpoint(text).ok() };
    Ok(if address.is_some() && files::kind_at(path)?.is_none() { address } else { None })
}

/// The files of a path with what is in them. In a directory, files that hold nothing of ours are passed over, and hidden
/// ones, which are not in place yet.
fn read(context: &Context, path: &Path) -> Result<Vec<(PathBuf, Vec<Item>)>, Failure> {
    let unreadable = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::usage("unreadable", format!("cannot read {}: {error}", path.display()))
            .hint("give a file or a directory that you may read")
    };
    if let Some(address) = live(path)? {
        return match probe(&address, None, PROBE_TIMEOUT)? {
            Served::Tls { chain, .. } => Ok(vec![(path.to_owned(), items(path, &chain))]),
            Served::Plain => Err(Failure::no("plain-http", format!("{address} speaks plain HTTP, not TLS"))
                .hint("it has no certificate to show")),
        };
    }
    let path = &named::certificate(&context.global.pki_dir, path)?;
    if files::kind_at(path)? != Some(FileKind::Directory) {
        let bytes = Zeroizing::new(files::read_input(path, limits::PKI)?.bytes);
        return Ok(vec![(path.to_owned(), items(path, &bytes))]);
    }
    let mut found = Vec::new();
    let is_hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
    let walk = walkdir::WalkDir::new(path).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry.file_name())) {
        let entry = entry.map_err(|error| unreadable(path, &error))?;
        if !entry.file_type().is_file() {
            continue;
        }
        // A directory may hold anything: what is too large is nothing of ours.
        let image = match files::read_up_to(entry.path(), limits::PKI) {
            Err(FileError::TooLarge { .. }) => continue,
            read => read?,
        };
        let bytes = Zeroizing::new(image.map_or_else(Vec::new, |image| image.bytes));
        let items = items(entry.path(), &bytes);
        if !items.is_empty() {
            found.push((entry.path().to_owned(), items));
        }
    }
    Ok(found)
}

fn show(context: &Context, file: &Path, items: &[Item]) {
    let out = &context.out;
    for (index, item) in items.iter().enumerate() {
        let place = if items.len() > 1 {
            format!("{} [{}]", file.display(), index + 1)
        } else {
            file.display().to_string()
        };
        let place = out.paint(place, Style::Bold);
        let (title, rows) = match item {
            Item::Certificate(found) => {
                (if found.ca { "CA certificate" } else { "certificate" }, certificate(found))
            }
            Item::Key(found) => ("private key", key(found)),
            Item::Request(found) => ("certificate request", request(found)),
            Item::Crl(found) => ("revocation list", crl(found)),
            Item::Other { label, what } => {
                ("something else", vec![("label", label.clone()), ("", what.clone())])
            }
        };
        out.line(format_args!("{place}  {title}"));
        for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
            out.line(format_args!("  {name:<12}{value}"));
        }
    }
}

type Rows = Vec<(&'static str, String)>;

fn certificate(found: &Certificate) -> Rows {
    let now = OffsetDateTime::now_utc();
    let mut rows = vec![
        ("subject", found.subject.clone()),
        ("issuer", if found.issuer == found.subject { "itself".into() } else { found.issuer.clone() }),
        ("serial", found.serial.clone()),
        ("from", date(found.not_before)),
        ("expires", expiry(found.not_after, now)),
        ("key", format!("{}, signed with {}", found.key_type, found.signature)),
        ("usages", found.usages.join(", ")),
        ("key usages", found.key_usages.join(", ")),
    ];
    rows.extend(found.sans.iter().map(|san| ("valid for", san.clone())));
    rows.push(("path length", found.path_len.map(|length| length.to_string()).unwrap_or_default()));
    rows.push(("may certify", found.constraints.clone().unwrap_or_default()));
    rows.push(("key id", found.subject_key_id.clone().unwrap_or_default()));
    rows.push(("issuer's id", found.authority_key_id.clone().unwrap_or_default()));
    rows.push(("public key", found.public_key_id.clone()));
    rows.push(("sha256", found.fingerprint.clone()));
    rows
}

fn key(found: &Key) -> Rows {
    vec![
        ("form", found.form.clone()),
        ("encrypted", if found.encrypted { "yes: etcd cannot read it".into() } else { String::new() }),
        ("key", found.key_type.clone().unwrap_or_default()),
        ("public key", found.public_key_id.clone().unwrap_or_default()),
        ("problem", found.problem.clone().unwrap_or_default()),
    ]
}

fn request(found: &Request) -> Rows {
    let mut rows = vec![("subject", found.subject.clone()), ("key", found.key_type.clone())];
    rows.extend(found.sans.iter().map(|san| ("asks for", san.clone())));
    rows.push(("signature", if found.signature_holds { "holds" } else { "DOES NOT HOLD" }.into()));
    rows.push(("public key", found.public_key_id.clone()));
    rows
}

fn crl(found: &Crl) -> Rows {
    let now = OffsetDateTime::now_utc();
    let mut rows = vec![
        ("issuer", found.issuer.clone()),
        ("number", found.number.clone().unwrap_or_default()),
        ("made", date(found.this_update)),
        ("next", found.next_update.map(|next| expiry(next, now)).unwrap_or_default()),
    ];
    rows.extend(found.revoked.iter().map(|entry| {
        let reason = entry.reason.as_ref().map(|reason| format!(", {reason}")).unwrap_or_default();
        ("revoked", format!("{} on {}{reason}", entry.serial, date(entry.since)))
    }));
    rows
}
