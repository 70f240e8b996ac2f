//! `export`: a pair in the forms that other software wants.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCompleter;
use serde_json::json;
use zeroize::Zeroizing;

use super::output::Style;
use super::passphrase::PassphraseArgs;
use super::pki::store;
use super::{Context, Exit, Failure, Outcome};
use crate::ca::CertName;
use crate::ca::encode::fingerprint;
use crate::ca::export::{k8s_secret, p12, pem_bundle};
use crate::ca::stored::first_certificate_of;
use crate::files::{self, FileError, FileMode, Meta};
use crate::text::path_text;

/// The forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// PKCS#12 with key, certificate and CAs, for Java and browsers; it needs a passphrase, of printable ASCII.
    P12,
    /// Certificate, intermediates and key in one PEM file.
    PemBundle,
    /// A Kubernetes Secret of type kubernetes.io/tls.
    K8sSecret,
    /// The SHA-256 fingerprint, printed.
    Fingerprint,
}

/// Write a pair in another form: PKCS#12, one PEM file, a Kubernetes Secret.
///
/// The file is made with mode 0600 in the current directory, or where --out says.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The pair.
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(super::completions::pair_names))]
    name: String,
    /// The form.
    #[arg(long, value_enum, value_name = "FORM")]
    format: Form,
    /// The file to write, or - for standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
    /// The Secret's namespace.
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Runs it.
pub fn run(context: &Context, args: &ExportArgs) -> Outcome {
    let store = store(context)?;
    let name = CertName::existing(&args.name)?;
    if let Some(namespace) = &args.namespace
        && (!(1..=63).contains(&namespace.len())
            || !namespace.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'))
    {
        return Err(Failure::usage(
            "bad-value",
            format!("--namespace {namespace:?} is no Kubernetes namespace"),
        )
        .hint("lower-case letters, digits and dashes, such as kube-system"));
    }
    let (bytes, suffix) = match args.format {
        Form::Fingerprint => {
            let path = store.path(&name.cert_file());
            let fingerprint = fingerprint(&first_certificate_of(&path)?);
            if context.global.json {
                context.out.json(&json!({"name": name.as_str(), "fingerprint": fingerprint}));
            } else {
                context.out.document(format!("{fingerprint}\n").as_bytes());
            }
            return Ok(Exit::Done);
        }
        Form::P12 => (p12(&store, &name, &args.passphrase.for_new_file()?)?, ".p12"),
        Form::PemBundle => (pem_bundle(&store, &name)?, "-bundle.pem"),
        Form::K8sSecret => (k8s_secret(&store, &name, args.namespace.as_deref())?, "-secret.yaml"),
    };
    let path = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}{suffix}")));
    if path == Path::new("-") {
        return to_stdout(context, &bytes);
    }
    write(&path, &bytes, args.force)?;
    drop(bytes);
    if context.global.json {
        context.out.json(&json!({"name": name.as_str(), "file": path_text(&path)}));
    }
    context
        .out
        .line(format_args!("{}  it holds the private key", context.out.paint(path.display(), Style::Bold)));
    context.out.check()?;
    Ok(Exit::Done)
}

fn to_stdout(context: &Context, bytes: &Zeroizing<Vec<u8>>) -> Outcome {
    if context.global.json {
        return Err(Failure::usage("bad-value", "--out - and --json both want standard output")
            .hint("give a file with --out"));
    }
    context.out.document(bytes);
    Ok(Exit::Done)
}

fn write(path: &Path, bytes: &[u8], force: bool) -> Result<(), Failure> {
    let meta = Meta::mode(FileMode::SECRET);
    let write = || {
        files::sweep_for(path)?;
        if force {
            files::replace(path, bytes, meta)?;
            // A run that was killed before may have left its temporary name on the old file.
            files::sweep_for(path)
        } else {
            files::create_new(path, bytes, meta)
        }
    };
    write().map_err(|error| match error {
        FileError::Exists { .. } => Failure::no("exists", error.to_string()).hint("--force replaces it"),
        FileError::Io { action: "sync", .. } => Failure::failed("cannot-sync", error.to_string())
            .hint("the file is there; run the same command again with --force"),
        other => Failure::no("cannot-write", other.to_string()).hint("choose another place with --out"),
    })
}
