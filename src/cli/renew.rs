//! `renew`: new certificates for the same names.

use ::time::{Duration, OffsetDateTime};
use clap::Args;
use serde_json::json;

use super::issue::{describe, planned_json, print};
use super::output::Style;
use super::passphrase::PassphraseArgs;
use super::pki::{key_type_parser, parse_span, store};
use super::{Context, Exit, Failure, Outcome};
use crate::ca::catalogue::{Standing, catalogue};
use crate::ca::issue::issue;
use crate::ca::ledger::Ledger;
use crate::ca::planned::Planned;
use crate::ca::renew::{RenewOptions, plan};
use crate::ca::{CertName, KeyType, Store};

/// Renew certificates: the same names and profile, a new serial, time and key.
///
/// The old pair is kept as NAME.pem.1. A certificate that was made from a request keeps its key, which is elsewhere.
#[derive(Debug, Args)]
pub struct RenewArgs {
    /// The certificates.
    #[arg(required_unless_present = "all", value_name = "NAME")]
    names: Vec<String>,
    /// All certificates that are in use.
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Of these only those that end within this time, such as 30d.
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    within: Option<Duration>,
    /// Certify the same keys again.
    #[arg(long, conflicts_with = "key_type")]
    keep_key: bool,
    /// How many days; as many as before when absent.
    #[arg(long, value_name = "DAYS")]
    days: Option<u32>,
    /// Another kind of key.
    #[arg(long, value_parser = key_type_parser(), value_name = "TYPE")]
    key_type: Option<KeyType>,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Runs it.
pub fn run(context: &Context, args: &RenewArgs) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let out = &context.out;
    let store = store(context)?;
    let ledger = store.ledger()?;
    let names = names(context, args, &store, &ledger, now)?;
    if names.is_empty() {
        if context.global.json {
            out.json(&json!({"dry_run": args.dry_run, "renewed": []}));
        } else {
            out.line("nothing is due");
        }
        return Ok(Exit::Done);
    }
    let authority = store.authority(args.passphrase.for_ca(context, &store)?.as_ref(), now)?;
    let profiles = store.profiles()?;
    let options = RenewOptions { days: args.days, keep_key: args.keep_key, key_type: args.key_type };
    let planned = |ledger: &Ledger| -> Result<Vec<Planned>, Failure> {
        let one = |name| plan(&store, ledger, &profiles, &authority, name, options, now);
        Ok(names.iter().map(one).collect::<Result<_, _>>()?)
    };
    if args.dry_run {
        let plans = planned(&ledger)?;
        if context.global.json {
            out.json(&json!({"dry_run": true, "renewed": [],
                "would_renew": plans.iter().map(planned_json).collect::<Vec<_>>()}));
        }
        for plan in &plans {
            out.line(format_args!(
                "would renew {}  {} {}",
                out.paint(&plan.name, Style::Bold),
                plan.profile.name,
                plan.key_type()
            ));
            describe(context, plan);
        }
        return Ok(Exit::Done);
    }
    let mut writer = store.writer("renew")?;
    for warning in writer.ledger().warnings() {
        out.warning(warning);
    }
    // Planned under the lock: another run may have renewed meanwhile.
    let plans = planned(writer.ledger())?;
    let renewed = issue(&store, &mut writer, &authority, &plans, now)?;
    if context.global.json {
        out.json(&json!({"dry_run": false, "renewed": renewed}));
    }
    for (one, plan) in renewed.iter().zip(&plans) {
        print(context, one, plan);
    }
    out.note("etcd reads a certificate at every handshake: install the new ones, no restart is needed");
    writer.acknowledge();
    Ok(Exit::Done)
}

fn names(
    context: &Context,
    args: &RenewArgs,
    store: &Store,
    ledger: &Ledger,
    now: OffsetDateTime,
) -> Result<Vec<CertName>, Failure> {
    let given = args.names.iter().map(|name| name.parse()).collect::<Result<Vec<CertName>, _>>()?;
    let listed = catalogue(store, ledger, now)?;
    let is_due = |name: &CertName| match args.within {
        None => true,
        Some(within) => listed.iter().any(|one| {
            one.name == name.as_str() && one.standing.is_in_use() && one.not_after - now <= within
        }),
    };
    if !args.all {
        let mut names: Vec<CertName> = Vec::new();
        for name in given {
            if is_due(&name) && !names.contains(&name) {
                names.push(name);
            }
        }
        return Ok(names);
    }
    let in_use = listed.iter().filter(|one| {
        one.profile.as_deref() != Some("ca") && one.standing.is_in_use() && one.standing != Standing::Missing
    });
    let mut names = Vec::new();
    for one in in_use {
        match one.name.parse::<CertName>() {
            Ok(name) => names.push(name),
            Err(error) => context.out.warning(format_args!("{} is not renewed: {error}", one.name)),
        }
    }
    names.retain(is_due);
    Ok(names)
}
