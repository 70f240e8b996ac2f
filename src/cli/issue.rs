//! `issue`: keys and certificates for members, clients and proxies.

use std::path::PathBuf;

use ::time::OffsetDateTime;
use clap::Args;
use serde_json::json;

use super::output::Style;
use super::pki::{expiry, key_type_parser, store};
use super::{Context, Exit, Failure, Outcome};
use crate::ca::issue::{Issued, Planned, Request, check_free, issue, plan};
use crate::ca::{CertName, KeyType, San};

/// Make a key and a certificate for a member, a client or a proxy.
///
/// Writes NAME.pem and NAME-key.pem to the PKI directory. One pair of profile `server` serves an etcd member as
/// client listener, peer listener, gateway and towards the other members.
#[derive(Debug, Args)]
pub struct IssueArgs {
    /// The names; each becomes NAME.pem and NAME-key.pem.
    #[arg(required_unless_present = "from", value_name = "NAME")]
    names: Vec<String>,
    /// An address that it is valid for; repeatable, with one NAME.
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<String>,
    /// A DNS name that it is valid for; repeatable, with one NAME.
    #[arg(long, value_name = "HOST")]
    dns: Vec<String>,
    /// server, peer, client, proxy, or a template of your own.
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
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
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "ip", "dns", "profile", "only_given_names"])]
    from: Option<PathBuf>,
    /// Replace a pair of the same name; the old one is kept as NAME.pem.1.
    #[arg(long)]
    force: bool,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

const DEFAULT_PROFILE: &str = "server";

/// Runs it.
pub fn run(context: &Context, args: &IssueArgs) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let store = store(context)?;
    let requests = requests(args, &store)?;
    let authority = store.authority(None, now)?;
    let planned: Vec<Planned> =
        requests.iter().map(|request| plan(&authority, request, now)).collect::<Result<_, _>>()?;
    let out = &context.out;
    if args.dry_run {
        check_free(&store, &planned, &[])?;
        if context.global.json {
            out.json(&json!({"dry_run": true, "issued": [], "would_issue":
                planned.iter().map(planned_json).collect::<Vec<_>>()}));
        }
        for plan in &planned {
            out.line(format_args!(
                "would issue {} ({})",
                out.paint(&plan.name, Style::Bold),
                plan.profile.name
            ));
            describe(context, plan);
        }
        return Ok(Exit::Done);
    }
    // Looked at before the lock is taken, so that an answer that is no needs no write; and again under it.
    if !store.path(".pending").exists() {
        check_free(&store, &planned, &[])?;
    }
    let mut writer = store.writer("issue")?;
    for warning in writer.ledger().warnings() {
        out.warning(warning);
    }
    let issued = issue(&store, &mut writer, &authority, &planned, now)?;
    if context.global.json {
        out.json(&json!({"dry_run": false, "issued": issued}));
    }
    for (issued, plan) in issued.iter().zip(&planned) {
        print(context, issued, plan);
    }
    writer.acknowledge();
    Ok(Exit::Done)
}

fn requests(args: &IssueArgs, store: &crate::ca::Store) -> Result<Vec<Request>, Failure> {
    if args.names.len() > 1 && !(args.ip.is_empty() && args.dns.is_empty()) {
        return Err(Failure::usage(
            "one-name",
            "--ip and --dns belong to one certificate, and several names are given",
        )
        .hint("issue each by itself, or describe them in a cluster.toml and give it with --from"));
    }
    let profiles = store.profiles()?;
    let profile = profiles.get(args.profile.as_deref().unwrap_or(DEFAULT_PROFILE))?;
    let ips = args.ip.iter().map(|text| San::ip(text));
    let names = args.dns.iter().map(|text| San::dns(text));
    let sans = names.chain(ips).collect::<Result<Vec<_>, _>>()?;
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

fn print(context: &Context, issued: &Issued, plan: &Planned) {
    let out = &context.out;
    let cert = out.paint(issued.cert.display(), Style::Bold);
    out.line(format_args!("{cert}  {} {}, key {}", issued.profile, issued.key_type, issued.key.display()));
    describe(context, plan);
    if issued.finished_earlier {
        out.note(format_args!("{} was made by an earlier run that was interrupted", issued.name));
    }
}

fn describe(context: &Context, plan: &Planned) {
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

fn planned_json(plan: &Planned) -> serde_json::Value {
    json!({
        "name": plan.name.as_str(),
        "profile": plan.profile.name,
        "key_type": plan.key_type,
        "sans": plan.sans,
        "left_out": plan.left_out,
        "not_before": plan.validity.not_before.unix_timestamp(),
        "not_after": plan.validity.not_after.unix_timestamp(),
        "capped": plan.validity.capped,
    })
}
