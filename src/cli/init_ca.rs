//! `init-ca`: makes a certificate authority.

use ::time::OffsetDateTime;
use clap::Args;
use serde_json::json;

use super::output::Style;
use super::passphrase::{PassphraseArgs, ask_new};
use super::pki::{expiry, key_type_parser, parse_time, rfc3339};
use super::{Context, Exit, Outcome};
use crate::ca::constraints::Cidr;
use crate::ca::init::{CaOptions, MadeCa, init};
use crate::ca::{KeyType, Store};

/// Make a certificate authority in the PKI directory.
///
/// Writes ca.pem (give it to every member and client), ca-key.pem (keep it: whoever has it can join the cluster) and
/// the ledger. What is there already is never overwritten.
#[derive(Debug, Args)]
pub struct InitCaArgs {
    /// The CA's common name.
    #[arg(long, default_value = "etcd-pki CA", value_name = "NAME")]
    name: String,
    /// How many days it lasts.
    #[arg(long, default_value_t = 3650, value_name = "DAYS")]
    days: u32,
    /// Its end, instead of --days.
    #[arg(long, value_name = "RFC3339", value_parser = parse_time, conflicts_with = "days")]
    not_after: Option<OffsetDateTime>,
    /// The kind of key.
    #[arg(long, default_value = "p256", value_parser = key_type_parser(), value_name = "TYPE")]
    key_type: KeyType,
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
    /// Encrypt the CA key with a passphrase asked for on the terminal (--passphrase-file and -fd encrypt it too).
    #[arg(long, conflicts_with_all = ["passphrase_file", "passphrase_fd"])]
    encrypt_key: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Runs it.
pub fn run(context: &Context, args: &InitCaArgs) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let store = Store::at(&context.global.pki_dir);
    let options = CaOptions {
        name: args.name.clone(),
        days: args.days,
        not_after: args.not_after,
        key_type: args.key_type,
        permit_ips: args.permit_ip.iter().map(|range| range.parse::<Cidr>()).collect::<Result<_, _>>()?,
        permit_dns: args.permit_dns.clone(),
        path_len: args.path_len,
        intermediate: args.intermediate,
        passphrase: if args.encrypt_key { Some(ask_new()?) } else { args.passphrase.given()? },
    };
    let (made, writer) = init(&store, &options, now)?;
    print(context, &store, &made, now);
    if args.intermediate {
        let key = store.path("ca-key.pem");
        context
            .out
            .note(format_args!("move {} to an offline place: only a new issuing CA needs it", key.display()));
    }
    writer.acknowledge();
    Ok(Exit::Done)
}

/// Shows the CAs that were made or adopted; the root comes first.
pub(super) fn print(context: &Context, store: &Store, made: &[MadeCa], now: OffsetDateTime) {
    let out = &context.out;
    let paths =
        |ca: &MadeCa| (store.path(&format!("{}.pem", ca.file)), store.path(&format!("{}-key.pem", ca.file)));
    if context.global.json {
        let document = |ca: &MadeCa| {
            let (cert, key) = paths(ca);
            json!({
                "name": ca.name,
                "cert": cert,
                "key": key.exists().then_some(key),
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
        return;
    }
    for ca in made {
        let (cert, key) = paths(ca);
        out.line(format_args!("{}  {}", out.paint(cert.display(), Style::Bold), ca.name));
        out.line(format_args!("  expires  {}", expiry(ca.not_after, now)));
        out.line(format_args!("  sha256   {}", ca.fingerprint));
        if key.exists() {
            out.line(format_args!("{}  keep it safe: it can admit anybody to the cluster", key.display()));
        }
    }
}
