//! `revoke`: says in the ledger that certificates are no longer to be trusted.

use std::collections::HashSet;

use ::time::OffsetDateTime;
use clap::Args;
use clap_complete::ArgValueCompleter;
use serde_json::json;

use super::crl::note_limits;
use super::pki::{acknowledge, writer};
use super::{Context, Exit, Outcome};
use crate::advice::Advice;
use crate::ca::revoke::{CRL_DER_FILE, REASONS, Target, find, revoke};

/// Revoke certificates by name, serial or file.
///
/// The ledger takes note; etcd learns of it from a revocation list: make it with `crl`, and give the members crl.der
/// with --client-crl-file and --peer-crl-file. `crl --help` says what a list does not do. A member is not kept out by it:
/// use `etcdctl member remove`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// Names, serials in hexadecimal, or certificate files.
    #[arg(required = true, value_name = "NAME|SERIAL|FILE", add = ArgValueCompleter::new(super::completions::certificates_or_paths))]
    targets: Vec<String>,
    /// Why.
    #[arg(long, default_value = "unspecified", value_name = "REASON",
        value_parser = clap::builder::PossibleValuesParser::new(REASONS))]
    reason: String,
}

/// Runs it.
pub fn run(context: &Context, args: &RevokeArgs) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let out = &context.out;
    let mut writer = writer(context, "revoke")?;
    let found = args.targets.iter().map(|text| find(writer.store(), text));
    let targets = found.collect::<Result<Vec<_>, _>>()?;
    let new: HashSet<Target> = revoke(&mut writer, &targets, &args.reason, now)?.into_iter().collect();
    let mut documents = Vec::new();
    for target in &targets {
        let is_new = new.contains(target);
        let name = target.name.as_deref().unwrap_or("-");
        let told = if is_new { "revoked" } else { "was revoked already" };
        out.line(format_args!("{name}  {}  {told}", target.serial));
        documents.push(json!({"name": target.name, "serial": target.serial, "new": is_new}));
    }
    if context.global.json {
        out.json(&json!({"revoked": documents, "reason": args.reason}));
    }
    if !new.is_empty() {
        let advice = Advice::from(format!(
            "etcd does not know yet: make the list with `etcd-pki crl` and place {CRL_DER_FILE} where --client-crl-file and \
             --peer-crl-file say"
        ));
        out.note(advice.at(&context.invocation));
        let ledger = writer.ledger();
        let is_member = |target: &&Target| {
            let profile = ledger.certificate(&target.serial).and_then(|entry| entry.profile.as_deref());
            matches!(profile, Some("server" | "peer"))
        };
        for member in new.iter().filter(is_member).filter_map(|target| target.name.as_deref()) {
            out.note(format_args!(
                "a list does not keep {member} out of the cluster, since the other members dial it and check no list then: \
                 etcdctl member remove"
            ));
        }
        note_limits(context);
    }
    acknowledge(context, writer, std::iter::empty())?;
    Ok(Exit::Done)
}
