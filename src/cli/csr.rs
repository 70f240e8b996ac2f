//! `csr` on the node and `sign` where the CA is: the key never leaves the node.

use std::path::PathBuf;

use ::time::OffsetDateTime;
use clap::Args;
use serde_json::json;

use super::issue::{describe, planned_json, print};
use super::names::{DEFAULT_PROFILE, ProfileArgs, SanArgs};
use super::output::Style;
use super::passphrase::PassphraseArgs;
use super::pki::{key_type_parser, store};
use super::{Context, Exit, Failure, Outcome};
use crate::ca::issue::{check_free, issue};
use crate::ca::name::without_repeats;
use crate::ca::planned::Request;
use crate::ca::request::{Made, Parsed, make, plan_signing, request_file};
use crate::ca::{CertName, KeyType, Store};
use crate::files;
use crate::limits;

/// Make a key and a certificate request on the node; sign the request where the CA is.
///
/// Writes NAME-key.pem and NAME.csr to the PKI directory, which needs no CA. Put the signed certificate beside them
/// as NAME.pem.
#[derive(Debug, Args)]
pub struct CsrArgs {
    /// The name: the certificate's common name, and of its files.
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    sans: SanArgs,
    #[command(flatten)]
    profile: ProfileArgs,
    /// Leave out the profile's default names.
    #[arg(long)]
    only_given_names: bool,
    /// The kind of key; the profile says when absent.
    #[arg(long, value_parser = key_type_parser(), value_name = "TYPE")]
    key_type: Option<KeyType>,
}

/// Runs `csr`.
pub fn run_csr(context: &Context, args: &CsrArgs) -> Outcome {
    let out = &context.out;
    let store = Store::at(&context.global.pki_dir);
    let name: CertName = args.name.parse()?;
    let profile = args.profile.load(&store, DEFAULT_PROFILE)?;
    let defaults = if args.only_given_names { Vec::new() } else { profile.default_names(&name)? };
    let sans = without_repeats(args.sans.sans()?.into_iter().chain(defaults).collect());
    let made = make(&store, &name, &profile, &sans, args.key_type.unwrap_or(profile.key_type))?;
    let (request, key) = (store.path(&request_file(&name)), store.path(&name.key_file()));
    if context.global.json {
        out.json(&json!({"csr": request, "key": key, "sans": sans, "made": made != Made::Nothing}));
        return Ok(Exit::Done);
    }
    out.line(format_args!("{}  key {}", out.paint(request.display(), Style::Bold), key.display()));
    for san in &sans {
        out.line(format_args!("  {san}"));
    }
    match made {
        Made::Both => {}
        Made::Request => out.note(format_args!("{} was there and is used", key.display())),
        Made::Nothing => out.note("it was there already; nothing was changed"),
    }
    out.note(format_args!("sign it where the CA is: etcd-pki sign {}.csr", name));
    Ok(Exit::Done)
}

/// Sign a certificate request that was made on a node.
///
/// The profile decides what the certificate is for, not the request. The names that the request asks for are shown
/// and must be confirmed: by giving them with --ip and --dns, or all at once with --trust-csr-names. A request for more
/// than 100 names, larger than 128 KiB, or with an RSA key of an odd length or exponent is refused.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// The request, in PEM or DER.
    #[arg(value_name = "FILE")]
    request: PathBuf,
    /// The certificate's name; the request's common name, or its file's, when absent.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    sans: SanArgs,
    #[command(flatten)]
    profile: ProfileArgs,
    /// Take all names that the request asks for.
    #[arg(long)]
    trust_csr_names: bool,
    /// Leave out the profile's default names.
    #[arg(long)]
    only_given_names: bool,
    /// How many days it lasts; the profile says when absent.
    #[arg(long, value_name = "DAYS")]
    days: Option<u32>,
    /// Replace a certificate of the same name; the old one is kept as NAME.pem.1.
    #[arg(long)]
    force: bool,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Runs `sign`.
pub fn run_sign(context: &Context, args: &SignArgs) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let out = &context.out;
    let store = store(context)?;
    let bytes = files::read_input(&args.request, limits::REQUEST)
        .map_err(|error| {
            Failure::from(error).hint("give the request that `etcd-pki csr NAME` made on the node")
        })?
        .bytes;
    let parsed = Parsed::read(&args.request, &bytes)?;
    for san in &parsed.sans {
        out.note(format_args!("the request asks for {san}"));
    }
    let request = Request {
        name: name(args, &parsed)?,
        profile: args.profile.load(&store, DEFAULT_PROFILE)?,
        sans: args.sans.sans()?,
        only_given_names: args.only_given_names,
        days: args.days,
        key_type: None,
        replace: args.force,
    };
    let authority = store.authority(args.passphrase.for_ca(context, &store)?.as_ref(), now)?;
    let planned = [plan_signing(&authority, &args.request, &parsed, request, args.trust_csr_names, now)?];
    check_free(&store, &planned)?;
    if args.dry_run {
        if context.global.json {
            out.json(&json!({"dry_run": true, "signed": [], "would_sign": [planned_json(&planned[0])]}));
        }
        out.line(format_args!("would sign {}", out.paint(&planned[0].name, Style::Bold)));
        describe(context, &planned[0]);
        return Ok(Exit::Done);
    }
    let mut writer = store.writer("sign")?;
    for warning in writer.ledger().warnings() {
        out.warning(warning);
    }
    let issued = issue(&store, &mut writer, &authority, &planned, now)?;
    if context.global.json {
        out.json(&json!({"dry_run": false, "signed": issued}));
    }
    for (issued, plan) in issued.iter().zip(&planned) {
        print(context, issued, plan);
    }
    writer.acknowledge();
    Ok(Exit::Done)
}

fn name(args: &SignArgs, parsed: &Parsed) -> Result<CertName, Failure> {
    if let Some(name) = &args.name {
        return Ok(name.parse()?);
    }
    match parsed.common_name.as_ref().map(|name| (name, name.parse::<CertName>())) {
        Some((_, Ok(name))) => return Ok(name),
        // It would do but for being reserved: another name is not chosen silently.
        Some((name, Err(error))) if CertName::existing(name).is_ok() => {
            let hint = format!("it is the request's common name; choose another with --name etcd-{name}");
            return Err(Failure::from(error).hint(hint));
        }
        _ => {}
    }
    let stem = args.request.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(stem.parse()?)
}
