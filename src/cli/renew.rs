//! `renew`: new certificates for the same names.

use std::collections::HashSet;

use ::time::{Duration, OffsetDateTime};
use clap::Args;
use clap_complete::ArgValueCompleter;
use serde_json::json;

use super::issue::{describe, planned_json, print};
use super::output::Style;
use super::passphrase::PassphraseArgs;
use super::pki::{Signing, acknowledge, expiry, key_type_parser, parse_span, signing, store, writer};
use super::{Context, Exit, Failure, Outcome};
use crate::ca::catalogue::{Listed, Standing, catalogue};
use crate::ca::issue::issue;
use crate::ca::planned::Planned;
use crate::ca::renew::{RenewOptions, is_due, plan};
use crate::ca::{Authority, CertName, KeyType, Store, Writer};

/// Renew certificates: the same names and profile, a new serial, time and key.
///
/// The old pair is kept as NAME.pem.1. A certificate that was made from a request keeps its key, which is elsewhere.
#[derive(Debug, Args)]
pub struct RenewArgs {
    /// The certificates.
    #[arg(required_unless_present = "all", value_name = "NAME", add = ArgValueCompleter::new(super::completions::certificate_names))]
    names: Vec<String>,
    /// All certificates that are in use.
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Of these only those that end within this time, such as 30d; for a certificate that lasts less than twice as long,
    /// those whose second half has begun, so that it is not renewed on every run.
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
    const WHAT: &str = "renew";
    let now = OffsetDateTime::now_utc();
    if args.dry_run {
        return dry_run(context, args, now);
    }
    // Chosen behind the lock: what an interrupted run left is in place, and no other run changes it meanwhile.
    let writer = writer(context, WHAT)?;
    let mut names = names(context, args, writer.store(), &recovered(&writer), now)?;
    if names.is_empty() {
        return nothing(context, args, Some(writer));
    }
    let Signing { mut writer, authority, was_unlocked } =
        signing(context, &args.passphrase, writer, WHAT, now)?;
    if was_unlocked {
        names = self::names(context, args, writer.store(), &recovered(&writer), now)?;
    }
    let plans = plans(args, writer.store(), &authority, &names, now)?;
    let renewed = issue(&mut writer, &authority, &plans, now)?;
    drop(authority);
    let out = &context.out;
    if context.global.json {
        out.json(&json!({"dry_run": false, "renewed": renewed}));
    }
    for (one, plan) in renewed.iter().zip(&plans) {
        print(context, one, plan);
    }
    out.note("etcd reads a certificate at every handshake: install the new ones, no restart is needed");
    acknowledge(context, writer, renewed.iter().map(|one| one.name.as_str()))?;
    Ok(Exit::Done)
}

fn dry_run(context: &Context, args: &RenewArgs, now: OffsetDateTime) -> Outcome {
    let out = &context.out;
    let store = store(context)?;
    let names = names(context, args, &store, &HashSet::new(), now)?;
    if names.is_empty() {
        return nothing(context, args, None);
    }
    let key = store.ca_key()?;
    let passphrase = args.passphrase.for_ca(context, &key)?;
    let authority = store.authority(key, passphrase.as_ref(), now)?;
    let plans = plans(args, &store, &authority, &names, now)?;
    if context.global.json {
        out.json(&json!({"dry_run": true, "renewed": [],
            "would_renew": plans.iter().map(planned_json).collect::<Vec<_>>()}));
    }
    for plan in &plans {
        let name = out.paint(&plan.name, Style::Bold);
        out.line(format_args!("would renew {name}  {} {}", plan.profile.name, plan.key_type()));
        describe(context, plan);
    }
    Ok(Exit::Done)
}

fn nothing(context: &Context, args: &RenewArgs, writer: Option<Writer>) -> Outcome {
    if context.global.json {
        context.out.json(&json!({"dry_run": args.dry_run, "renewed": []}));
    } else {
        context.out.line("nothing is due");
    }
    if let Some(writer) = writer {
        acknowledge(context, writer, std::iter::empty())?;
    }
    Ok(Exit::Done)
}

fn plans(
    args: &RenewArgs,
    store: &Store,
    authority: &Authority,
    names: &[CertName],
    now: OffsetDateTime,
) -> Result<Vec<Planned>, Failure> {
    let profiles = store.profiles()?;
    let options = RenewOptions { days: args.days, keep_key: args.keep_key, key_type: args.key_type };
    let one = |name| plan(store, &profiles, authority, name, options, now);
    Ok(names.iter().map(one).collect::<Result<_, _>>()?)
}

/// The names that an interrupted run had renewed: they are reported as this run's, and not renewed once more.
fn recovered(writer: &Writer) -> HashSet<String> {
    let is_renewal = |name: &&str| {
        writer.ledger().latest(name).is_some_and(|entry| entry.event == crate::ca::ledger::Event::Renew)
    };
    writer.recovered().filter(is_renewal).map(str::to_owned).collect()
}

fn names(
    context: &Context,
    args: &RenewArgs,
    store: &Store,
    recovered: &HashSet<String>,
    now: OffsetDateTime,
) -> Result<Vec<CertName>, Failure> {
    let given = args.names.iter().map(|name| name.parse()).collect::<Result<Vec<CertName>, _>>()?;
    if !args.all && args.within.is_none() {
        let mut seen = HashSet::new();
        return Ok(given.into_iter().filter(|name| seen.insert(name.to_string())).collect());
    }
    let in_use = catalogue(store, now)?.into_iter().filter(|one| one.standing.is_in_use());
    let due = |one: &Listed| {
        let ends = |within| is_due(one.not_before, one.not_after, within, now);
        recovered.contains(&one.name) || args.within.is_none_or(ends)
    };
    let (due, others): (Vec<Listed>, Vec<Listed>) = in_use.partition(due);
    let is_leaf = |one: &Listed| one.profile.as_deref() != Some("ca") && one.standing != Standing::Missing;
    let is_asked_for = |one: &&Listed| args.all || given.iter().any(|name| name.as_str() == one.name);
    let ends_soon = |one: &&Listed| args.within.is_some_and(|within| one.not_after - now <= within);
    let early = others.iter().filter(|one| is_leaf(one)).filter(is_asked_for).filter(ends_soon);
    for one in early {
        context.out.note(format_args!(
            "{} is not renewed yet: it ends on {}, and less than half of its lifetime has passed",
            one.name,
            expiry(one.not_after, now)
        ));
    }
    if args.all {
        let mut names = Vec::new();
        for one in due.into_iter().filter(is_leaf) {
            match one.name.parse() {
                Ok(name) => names.push(name),
                Err(error) => context.out.warning(format_args!("{} is not renewed: {error}", one.name)),
            }
        }
        return Ok(names);
    }
    let due: HashSet<String> = due.into_iter().map(|one| one.name).collect();
    let mut seen = HashSet::new();
    let is_wanted = |name: &CertName| due.contains(name.as_str()) && seen.insert(name.to_string());
    Ok(given.into_iter().filter(is_wanted).collect())
}
