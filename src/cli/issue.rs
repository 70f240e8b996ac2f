//! `issue`: keys and certificates for members, clients and proxies.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use ::time::OffsetDateTime;
use clap::Args;
use clap_complete::ArgValueCompleter;
use serde_json::json;

use super::names::{DEFAULT_PROFILE, ProfileArgs, SanArgs};
use super::output::Style;
use super::passphrase::PassphraseArgs;
use super::pki::{Signing, acknowledge, expiry, key_type_parser, rfc3339, signing, store, writer};
use super::{Context, Exit, Failure, Outcome};
use crate::ca::fleet::{self, Drift, FleetOptions, State};
use crate::ca::issue::{Issued, check_free, issue};
use crate::ca::planned::{Planned, Request, plan};
use crate::ca::{Authority, CertName, KeyType, Store};
use crate::inventory::Inventory;

/// Make a key and a certificate for a member, a client or a proxy.
///
/// Writes NAME.pem and NAME-key.pem to the PKI directory. One pair of profile `server` serves an etcd member as
/// client listener, peer listener, gateway and towards the other members. A certificate has at most 1000 names, with 32
/// KiB together: more does not fit into a TLS handshake.
#[derive(Debug, Args)]
pub struct IssueArgs {
    /// The names; each becomes NAME.pem and NAME-key.pem.
    #[arg(required_unless_present = "from", value_name = "NAME", add = ArgValueCompleter::new(super::completions::inventory_names))]
    names: Vec<String>,
    #[command(flatten)]
    sans: SanArgs,
    #[command(flatten)]
    profile: ProfileArgs,
    /// How many days it lasts; the profile says when absent.
    #[arg(long, value_name = "DAYS")]
    days: Option<u32>,
    /// The kind of key; the profile says when absent.
    #[arg(long, value_parser = key_type_parser(), value_name = "TYPE")]
    key_type: Option<KeyType>,
    /// Leave out the profile's default names (the name itself, localhost, 127.0.0.1 and ::1 for members).
    #[arg(long)]
    only_given_names: bool,
    /// Issue for all members, clients and proxies of a cluster.toml that have no certificate yet.
    #[arg(long, value_name = "FILE",
        conflicts_with_all = ["names", "ip", "dns", "uri", "email", "profile", "template", "only_given_names", "force"])]
    from: Option<PathBuf>,
    /// With --from: replace certificates that differ from what the file asks for; the old ones are kept.
    #[arg(long, requires = "from")]
    fix: bool,
    /// Replace a pair of the same name; the old one is kept as NAME.pem.1.
    #[arg(long)]
    force: bool,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl IssueArgs {
    /// The inventory that it works through.
    pub(super) fn inventory(&self) -> Option<&Path> {
        self.from.as_deref()
    }
}

/// Runs it.
pub fn run(context: &Context, args: &IssueArgs) -> Outcome {
    const WHAT: &str = "issue";
    let now = OffsetDateTime::now_utc();
    if args.dry_run {
        let store = store(context)?;
        let key = store.ca_key()?;
        let passphrase = args.passphrase.for_ca(context, &key)?;
        let authority = store.authority(key, passphrase.as_ref(), now)?;
        let work = Work::of(args, &store, &[], &authority, now)?;
        check_free(&store, &work.to_do)?;
        work.print_plan(context);
        return Ok(work.exit());
    }
    let Signing { mut writer, authority, .. } =
        signing(context, &args.passphrase, writer(context, WHAT)?, WHAT, now)?;
    let recovered: Vec<String> = writer.recovered().map(str::to_owned).collect();
    let work = Work::of(args, writer.store(), &recovered, &authority, now)?;
    let issued = issue(&mut writer, &authority, &work.to_do, now)?;
    drop(authority);
    work.print_done(context, &issued);
    acknowledge(context, writer, issued.iter().map(|one| one.name.as_str()))?;
    Ok(work.exit())
}

/// What is to be made, and what is there already.
#[derive(Default)]
struct Work {
    to_do: Vec<Planned>,
    unchanged: Vec<String>,
    drifted: Vec<(String, Vec<Drift>)>,
    /// The names of those that drifted and are replaced.
    fixed: HashSet<String>,
}

impl Work {
    /// `recovered` are the names that an interrupted run had made: it is reported as this one's.
    fn of(
        args: &IssueArgs,
        store: &Store,
        recovered: &[String],
        authority: &Authority,
        now: OffsetDateTime,
    ) -> Result<Self, Failure> {
        let requests = match &args.from {
            Some(path) => {
                let options = FleetOptions { days: args.days, key_type: args.key_type };
                let inventory = Inventory::load(path)?;
                if inventory.is_empty() {
                    let message = format!("{} has no [[member]], [[client]] or [[proxy]]", path.display());
                    return Err(Failure::no("no-entries", message).hint(
                        "add a table for each that gets a certificate, such as [[member]] with its name and ips",
                    ));
                }
                fleet::requests(&inventory, &store.profiles()?, options)?
            }
            None => requests(args, store)?,
        };
        let planned =
            requests.iter().map(|request| plan(authority, request, now)).collect::<Result<Vec<_>, _>>()?;
        if args.from.is_none() {
            return Ok(Self { to_do: planned, ..Self::default() });
        }
        let mut work = Self::default();
        for mut plan in planned {
            match fleet::compare(store, &plan, now)? {
                State::Missing => work.to_do.push(plan),
                State::AsWanted if recovered.iter().any(|name| name == plan.name.as_str()) => {
                    work.to_do.push(plan);
                }
                State::AsWanted => work.unchanged.push(plan.name.to_string()),
                State::Drifted(drift) => {
                    if args.fix {
                        plan.replace = true;
                        work.fixed.insert(plan.name.to_string());
                        work.to_do.push(plan.clone());
                    }
                    work.drifted.push((plan.name.to_string(), drift));
                }
            }
        }
        Ok(work)
    }

    fn is_fixed(&self, name: &str) -> bool {
        self.fixed.contains(name)
    }

    /// Drift that stays is an answer of no.
    fn exit(&self) -> Exit {
        if self.drifted.iter().all(|(name, _)| self.is_fixed(name)) { Exit::Done } else { Exit::No }
    }

    fn print_plan(&self, context: &Context) {
        if context.global.json {
            let would: Vec<_> = self.to_do.iter().map(planned_json).collect();
            context.out.json(&json!({
                "dry_run": true, "issued": [], "would_issue": would,
                "unchanged": self.unchanged, "drifted": self.drifted_json(),
            }));
        }
        for plan in &self.to_do {
            let name = context.out.paint(&plan.name, Style::Bold);
            context.out.line(format_args!("would issue {name}  {} {}", plan.profile.name, plan.key_type()));
            describe(context, plan);
        }
        self.print_rest(context);
    }

    fn print_done(&self, context: &Context, issued: &[Issued]) {
        if context.global.json {
            context.out.json(&json!({
                "dry_run": false, "issued": issued,
                "unchanged": self.unchanged, "drifted": self.drifted_json(),
            }));
        }
        for (issued, plan) in issued.iter().zip(&self.to_do) {
            print(context, issued, plan);
        }
        self.print_rest(context);
    }

    fn print_rest(&self, context: &Context) {
        if !self.unchanged.is_empty() {
            context.out.line(format_args!("as wanted, left alone: {}", self.unchanged.join(", ")));
        }
        for (name, drift) in &self.drifted {
            let fixed = self.is_fixed(name);
            for drift in drift {
                let told =
                    if fixed { format!("{name}: {drift}: replaced") } else { format!("{name}: {drift}") };
                context.out.warning(told);
            }
        }
        if self.exit() == Exit::No {
            context.out.note("these were left as they are; --fix replaces them and keeps the old ones");
        }
    }

    fn drifted_json(&self) -> Vec<serde_json::Value> {
        let one = |(name, drift): &(String, Vec<Drift>)| json!({"name": name, "drift": drift, "fixed": self.is_fixed(name)});
        self.drifted.iter().map(one).collect()
    }
}

fn requests(args: &IssueArgs, store: &Store) -> Result<Vec<Request>, Failure> {
    if args.names.len() > 1 && !args.sans.is_empty() {
        return Err(Failure::usage(
            "one-name",
            "--ip, --dns, --uri and --email belong to one certificate, and several names are given",
        )
        .hint("issue each by itself, or describe them in a cluster.toml and give it with --from"));
    }
    let profile = args.profile.load(store, DEFAULT_PROFILE)?;
    let sans = args.sans.sans()?;
    args.names
        .iter()
        .map(|name| {
            Ok(Request {
                name: name.parse::<CertName>()?,
                profile: profile.clone(),
                sans: sans.clone(),
                only_given_names: args.only_given_names,
                days: args.days,
                key_type: args.key_type,
                replace: args.force,
            })
        })
        .collect()
}

pub(super) fn print(context: &Context, issued: &Issued, plan: &Planned) {
    let out = &context.out;
    let cert = out.paint(issued.cert.display(), Style::Bold);
    let key = issued
        .key
        .as_ref()
        .map_or_else(|| "its key is elsewhere".into(), |key| format!("key {}", key.display()));
    out.line(format_args!("{cert}  {} {}, {key}", issued.profile, issued.key_type));
    describe(context, plan);
    if issued.finished_earlier {
        out.note(format_args!("{} was made by an earlier run that was interrupted", issued.name));
    }
}

pub(super) fn describe(context: &Context, plan: &Planned) {
    let out = &context.out;
    for san in &plan.sans {
        out.line(format_args!("  {san}"));
    }
    if plan.sans.is_empty() {
        out.line("  no names: it is accepted from any address");
    }
    out.line(format_args!("  expires {}", expiry(plan.validity.not_after, OffsetDateTime::now_utc())));
    if plan.validity.capped {
        out.warning(format_args!("{}: its life is cut short, since the CA ends on that day", plan.name));
    }
    for san in &plan.left_out {
        out.note(format_args!("{}: {san} is left out, since the CA may not certify it", plan.name));
    }
}

pub(super) fn planned_json(plan: &Planned) -> serde_json::Value {
    json!({
        "name": plan.name.as_str(),
        "profile": plan.profile.name,
        "key_type": plan.key_type(),
        "sans": plan.sans,
        "left_out": plan.left_out,
        "not_before": rfc3339(plan.validity.not_before),
        "not_after": rfc3339(plan.validity.not_after),
        "capped": plan.validity.capped,
    })
}
