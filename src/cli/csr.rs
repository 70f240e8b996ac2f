//! `csr` on the node and `sign` where the CA is: the key never leaves the node.

use std::path::{Path, PathBuf};

use ::time::OffsetDateTime;
use clap::Args;
use clap_complete::ArgValueCompleter;
use serde_json::json;

use super::issue::{describe, planned_json, print};
use super::names::{DEFAULT_PROFILE, ProfileArgs, SanArgs};
use super::output::Style;
use super::passphrase::PassphraseArgs;
use super::pki::{Signing, acknowledge, key_type_parser, signing, store, trust, writer};
use super::{Context, Exit, Failure, Outcome};
use crate::advice::{Advice, CommandLine, Directory};
use crate::ca::issue::{check_free, issue};
use crate::ca::name::without_repeats;
use crate::ca::planned::{Planned, Request};
use crate::ca::request::{Made, Parsed, make, plan_signing, request_file};
use crate::ca::{Authority, CertName, KeyType, Profile, San, Store, Writer};
use crate::files;
use crate::limits;
use crate::shell;
use crate::text::path_text;

/// Make a key and a certificate request on the node; sign the request where the CA is.
///
/// Writes NAME-key.pem and NAME.csr to the PKI directory, which needs no CA. Put the signed certificate beside them
/// as NAME.pem.
#[derive(Debug, Args)]
pub struct CsrArgs {
    /// The name: the certificate's common name, and of its files.
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(super::completions::inventory_names))]
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
    let mut writer = Writer::create(&context.global.pki_dir, &trust(context), "csr")?;
    let store = writer.store();
    let name: CertName = args.name.parse()?;
    let profile = args.profile.load(store, DEFAULT_PROFILE)?;
    let defaults = if args.only_given_names { Vec::new() } else { profile.default_names(&name)? };
    let sans = without_repeats(args.sans.sans()?.into_iter().chain(defaults).collect());
    let made = make(&mut writer, &name, &profile, &sans, args.key_type.unwrap_or(profile.key_type))?;
    let store = writer.store();
    let (request, key) = (store.path(&request_file(&name)), store.path(&name.key_file()));
    if context.global.json {
        out.json(&json!({"csr": path_text(&request), "key": path_text(&key), "sans": sans, "made": made != Made::Nothing}));
        acknowledge(context, writer, std::iter::once(name.as_str()))?;
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
    let sign = sign_command(&name, &profile, &sans, args, &request);
    let has_ca = writer.store().listing()?.has("ca.pem");
    if has_ca {
        out.note(format_args!("sign it: {}", Advice::from(sign).at(&context.invocation)));
    } else {
        let request = shell::path(&request);
        let sign = Advice::from(sign.within(Directory::Unknown));
        out.note(format_args!(
            "take {request} to where the CA is, in its PKI directory DIR, and sign it there: {sign}"
        ));
    }
    acknowledge(context, writer, std::iter::once(name.as_str()))?;
    Ok(Exit::Done)
}

/// The command that signs the request as it was made: names have to be confirmed one by one.
fn sign_command(
    name: &CertName,
    profile: &Profile,
    sans: &[San],
    args: &CsrArgs,
    request: &Path,
) -> CommandLine {
    let mut line = CommandLine::new("sign").arg(request.display());
    line = args.profile.repeated(line);
    // Else it is the request's common name.
    if profile.subject.common_name.is_none() {
        line = line.option("--name", name);
    }
    if args.only_given_names {
        line = line.arg("--only-given-names");
    }
    let defaults =
        if args.only_given_names { Vec::new() } else { profile.default_names(name).unwrap_or_default() };
    sans.iter().filter(|san| !defaults.contains(san)).fold(line, |line, san| match san {
        San::Dns(dns) => line.option("--dns", dns),
        San::Ip(ip) => line.option("--ip", ip),
        San::Uri(uri) => line.option("--uri", uri),
        San::Email(email) => line.option("--email", email),
    })
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
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(super::completions::inventory_names))]
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
    let bytes = files::read_input(&args.request, limits::REQUEST)
        .map_err(|error| {
            Failure::from(error).hint("give the request that `etcd-pki csr NAME` made on the node")
        })?
        .bytes;
    let parsed = Parsed::read(&args.request, &bytes)?;
    for san in &parsed.sans {
        out.note(format_args!("the request asks for {san}"));
    }
    if args.dry_run {
        let store = store(context)?;
        let key = store.ca_key()?;
        let passphrase = args.passphrase.for_ca(context, &key)?;
        let authority = store.authority(key, passphrase.as_ref(), now)?;
        let planned = [planned(args, &parsed, &store, &authority, now)?];
        check_free(&store, &planned)?;
        if context.global.json {
            out.json(&json!({"dry_run": true, "signed": [], "would_sign": [planned_json(&planned[0])]}));
        }
        out.line(format_args!("would sign {}", out.paint(&planned[0].name, Style::Bold)));
        describe(context, &planned[0]);
        return Ok(Exit::Done);
    }
    let Signing { mut writer, authority, .. } =
        signing(context, &args.passphrase, writer(context, "sign")?, "sign", now)?;
    let planned = [planned(args, &parsed, writer.store(), &authority, now)?];
    let issued = issue(&mut writer, &authority, &planned, now)?;
    drop(authority);
    if context.global.json {
        out.json(&json!({"dry_run": false, "signed": issued}));
    }
    for (issued, plan) in issued.iter().zip(&planned) {
        print(context, issued, plan);
    }
    acknowledge(context, writer, issued.iter().map(|one| one.name.as_str()))?;
    Ok(Exit::Done)
}

fn planned(
    args: &SignArgs,
    parsed: &Parsed,
    store: &Store,
    authority: &Authority,
    now: OffsetDateTime,
) -> Result<Planned, Failure> {
    let request = Request {
        name: name(args, parsed)?,
        profile: args.profile.load(store, DEFAULT_PROFILE)?,
        sans: args.sans.sans()?,
        only_given_names: args.only_given_names,
        days: args.days,
        key_type: None,
        replace: args.force,
    };
    Ok(plan_signing(authority, &args.request, parsed, request, args.trust_csr_names, now)?)
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
