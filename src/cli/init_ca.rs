//! `init-ca`: makes a certificate authority.

use ::time::OffsetDateTime;
use clap::Args;
use serde_json::json;

use super::output::Style;
use super::pki::{expiry, key_type_parser};
use super::{Context, Exit, Outcome};
use crate::ca::constraints::Cidr;
use crate::ca::init::{CaOptions, init};
use crate::ca::store::{CA_FILE, CA_KEY_FILE};
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
    /// The kind of key.
    #[arg(long, default_value = "p256", value_parser = key_type_parser(), value_name = "TYPE")]
    key_type: KeyType,
    /// Certify only addresses in this range (and loopback); repeatable.
    #[arg(long, value_name = "CIDR")]
    permit_ip: Vec<String>,
    /// Certify only this domain and what is below it (and localhost); repeatable.
    #[arg(long, value_name = "DOMAIN")]
    permit_dns: Vec<String>,
}

/// Runs it.
pub fn run(context: &Context, args: &InitCaArgs) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let store = Store::at(&context.global.pki_dir);
    let options = CaOptions {
        name: args.name.clone(),
        days: args.days,
        key_type: args.key_type,
        permit_ips: args.permit_ip.iter().map(|range| range.parse::<Cidr>()).collect::<Result<_, _>>()?,
        permit_dns: args.permit_dns.clone(),
        path_len: 0,
    };
    let (made, writer) = init(&store, &options, now)?;
    let (cert, key) = (store.path(CA_FILE), store.path(CA_KEY_FILE));
    let out = &context.out;
    if context.global.json {
        out.json(&json!({
            "name": made.name,
            "cert": cert,
            "key": key,
            "serial": made.serial,
            "not_before": rfc3339(made.not_before),
            "not_after": rfc3339(made.not_after),
            "fingerprint": made.fingerprint,
        }));
    } else {
        out.line(format_args!("{}  {}", out.paint(cert.display(), Style::Bold), made.name));
        out.line(format_args!("  expires  {}", expiry(made.not_after, now)));
        out.line(format_args!("  sha256   {}", made.fingerprint));
        out.line(format_args!("{}  keep it safe: it can admit anybody to the cluster", key.display()));
    }
    writer.acknowledge();
    Ok(Exit::Done)
}

fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&::time::format_description::well_known::Rfc3339).unwrap_or_default()
}
