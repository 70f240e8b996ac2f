//! `init-ca`: makes a certificate authority.

use std::path::PathBuf;

use ::time::{Duration, OffsetDateTime};
use clap::Args;
use serde_json::json;

use super::output::Style;
use super::passphrase::{PassphraseArgs, ask_new};
use super::pki::{acknowledge, expiry, key_type_parser, parse_time, rfc3339, trust, writer};
use super::{Context, Exit, Failure, Outcome};
use crate::advice::Advice;
use crate::ca::constraints::Cidr;
use crate::ca::init::init;
use crate::ca::issuing::{IssuingOptions, finished_earlier, renew_issuing};
use crate::ca::made::MadeCa;
use crate::ca::options::CaOptions;
use crate::ca::{CaError, KeyType, Store};
use crate::text::path_text;

/// Make a certificate authority in the PKI directory.
///
/// Writes ca.pem (give it to every member and client), ca-key.pem (keep it: whoever has it can join the cluster) and
/// the ledger. What is there already is never overwritten.
#[derive(Debug, Args)]
pub struct InitCaArgs {
    /// The CA's common name; "etcd-pki CA" when absent.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How many days it lasts; 3650 when absent.
    #[arg(long, value_name = "DAYS")]
    days: Option<u32>,
    /// Its end, instead of --days.
    #[arg(long, value_name = "DATE|TIME", value_parser = parse_time, conflicts_with = "days")]
    not_after: Option<OffsetDateTime>,
    /// The kind of key; p256 when absent.
    #[arg(long, value_parser = key_type_parser(), value_name = "TYPE")]
    key_type: Option<KeyType>,
    /// Certify only addresses in this range (and loopback); repeatable.
    #[arg(long, value_name = "CIDR")]
    permit_ip: Vec<String>,
    /// Certify only this domain and what is below it (and localhost); repeatable.
    #[arg(long, value_name = "DOMAIN")]
    permit_dns: Vec<String>,
    /// How many CAs may stand below it.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=8))]
    path_len: u8,
    /// Make an issuing CA below the root: the root's key, ca-key.pem, can then be kept offline.
    #[arg(long)]
    intermediate: bool,
    /// Make the next issuing CA (or the first one) below the root that is there. Its name and kind of key are as
    /// before, and it lasts half of what the root has left, unless options say otherwise; a passphrase opens the
    /// root's key and encrypts the new one. The old pair is kept as issuing-ca.pem.1, and what it issued stays valid.
    #[arg(long, requires = "intermediate", conflicts_with_all = ["path_len", "encrypt_key"])]
    renew: bool,
    /// With --renew: the root's key, where it is not ca-key.pem in the PKI directory.
    #[arg(long, requires = "renew", value_name = "FILE")]
    root_key: Option<PathBuf>,
    /// Encrypt the CA key with a passphrase asked for on the terminal (--passphrase-file and -fd encrypt it too).
    #[arg(long, conflicts_with_all = ["passphrase_file", "passphrase_fd"])]
    encrypt_key: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Runs it.
pub fn run(context: &Context, args: &InitCaArgs) -> Outcome {
    let now = OffsetDateTime::now_utc();
    if args.renew {
        return renew(context, args, now);
    }
    let plain = CaOptions::default();
    let options = CaOptions {
        name: args.name.clone().unwrap_or(plain.name),
        days: args.days.unwrap_or(plain.days),
        not_after: args.not_after,
        key_type: args.key_type.unwrap_or(plain.key_type),
        permit_ips: args.ranges()?,
        permit_dns: args.permit_dns.clone(),
        path_len: args.path_len,
        intermediate: args.intermediate,
        passphrase: if args.encrypt_key { Some(ask_new()?) } else { args.passphrase.given()? },
    };
    let (made, writer) = init(&context.global.pki_dir, &trust(context), &options, now)?;
    print(context, writer.store(), &made, now)?;
    if args.intermediate {
        let key = writer.store().path("ca-key.pem");
        context
            .out
            .note(format_args!("move {} to an offline place: only a new issuing CA needs it", key.display()));
    }
    acknowledge(context, writer, ["ca"].into_iter())?;
    Ok(Exit::Done)
}

fn renew(context: &Context, args: &InitCaArgs, now: OffsetDateTime) -> Outcome {
    const WHAT: &str = "init-ca --intermediate --renew";
    let mut writer = writer(context, WHAT)?;
    let made = if let Some(made) = finished_earlier(&writer) {
        made
    } else {
        let key = writer.store().root_key(args.root_key.as_deref())?;
        let passphrase = if args.passphrase.is_asked_for(&key) {
            // Other runs may have the lock while it is asked for.
            drop(writer);
            let passphrase = args.passphrase.for_key(key.path())?;
            writer = self::writer(context, WHAT)?;
            Some(passphrase)
        } else {
            args.passphrase.given()?
        };
        let options = IssuingOptions {
            name: args.name.clone(),
            days: args.days,
            not_after: args.not_after,
            key_type: args.key_type,
            limits: CaOptions {
                permit_ips: args.ranges()?,
                permit_dns: args.permit_dns.clone(),
                ..CaOptions::default()
            },
        };
        renew_issuing(&mut writer, &key, passphrase.as_ref(), &options, now)?
    };
    let wanted = args.not_after.or_else(|| args.days.map(|days| now + Duration::days(days.into())));
    if wanted.is_some_and(|wanted| made.not_after < wanted - Duration::seconds(1)) {
        context.out.warning(format_args!("{} ends with its root; its life was cut short", made.name));
    }
    print(context, writer.store(), &[made], now)?;
    if writer.store().listing()?.has("issuing-ca.pem.1") {
        let advice = Advice::from("what the old one issued stays valid; `etcd-pki list` says until when");
        context.out.note(advice.at(&context.invocation));
    }
    acknowledge(context, writer, ["issuing-ca"].into_iter())?;
    Ok(Exit::Done)
}

impl InitCaArgs {
    fn ranges(&self) -> Result<Vec<Cidr>, CaError> {
        self.permit_ip.iter().map(|range| range.parse()).collect()
    }
}

/// Shows the CAs that were made or adopted; the root comes first.
pub(super) fn print(
    context: &Context,
    store: &Store,
    made: &[MadeCa],
    now: OffsetDateTime,
) -> Result<(), Failure> {
    let (out, listing) = (&context.out, store.listing()?);
    // The root's key is not there where an intermediate was adopted.
    let paths = |ca: &MadeCa| {
        let key = format!("{}-key.pem", ca.file);
        (store.path(&format!("{}.pem", ca.file)), listing.has(&key).then(|| store.path(&key)))
    };
    if context.global.json {
        let document = |ca: &MadeCa| {
            let (cert, key) = paths(ca);
            json!({
                "name": ca.name,
                "cert": path_text(&cert),
                "key": key.as_deref().map(path_text),
                "serial": ca.serial,
                "not_before": rfc3339(ca.not_before),
                "not_after": rfc3339(ca.not_after),
                "fingerprint": ca.fingerprint,
            })
        };
        let mut root = document(&made[0]);
        if let Some(issuing) = made.get(1) {
            root["issuing"] = document(issuing);
        }
        out.json(&root);
        return Ok(());
    }
    for ca in made {
        let (cert, key) = paths(ca);
        out.line(format_args!("{}  {}", out.paint(cert.display(), Style::Bold), ca.name));
        out.line(format_args!("  expires  {}", expiry(ca.not_after, now)));
        out.line(format_args!("  sha256   {}", ca.fingerprint));
        if let Some(key) = key {
            out.line(format_args!("{}  keep it safe: it can admit anybody to the cluster", key.display()));
        }
    }
    Ok(())
}
