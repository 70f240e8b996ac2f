//! One node: what is to be placed, looked at, judged and placed.

use std::path::PathBuf;

use super::super::pki::{any_store, issuer};
use super::super::{Context, Failure};
use super::{InstallArgs, failure};
use crate::advice::CommandLine;
use crate::files::{FileError, Owner};
use crate::host::bundle::Bundle;
use crate::host::install::{self, Change, InstallError, Plan, Target};
use crate::host::trust::{self, TrustPlan};
use crate::host::{Host, HostError};
use crate::migrate::{self, MigrateError};
use crate::verify::{GoVersion, Request, Role, Severity, Verdict, judge, leaf_of};

/// What goes where.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// The pair's name.
    pub(super) name: String,
    /// The directory on the node.
    pub(super) to: PathBuf,
    /// Who owns the files, where that was said.
    pub(super) owner: Option<String>,
    /// The unit that runs etcd there, where that was said.
    pub(super) unit: Option<String>,
    /// It is a file tree in which no program runs.
    pub(super) is_image: bool,
}

/// What was placed, or would be.
pub(super) struct Placed {
    pub(super) name: String,
    pub(super) host: String,
    pub(super) target: Target,
    pub(super) owner: String,
    pub(super) plan: Plan,
    pub(super) trust: Option<TrustPlan>,
}

impl Placed {
    /// Whether nothing is to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.plan.changes.is_empty() && self.trust.as_ref().is_none_or(TrustPlan::is_empty)
    }
}

/// The pair as it stands in the PKI directory, checked and judged; what will bite is returned beside it.
pub(super) fn bundle(context: &Context, name: &str) -> Result<(Bundle, Vec<String>), Failure> {
    // What somebody else could have put there, or another CA, is not brought to any node.
    any_store(context)?;
    let pki_dir = &context.global.pki_dir;
    let bundle = Bundle::from_dir(pki_dir, name)
        .map_err(|error| failure::of_bundle(&error, name, &pki_dir.display().to_string()))?;
    let warnings = judged(&bundle, issuer(pki_dir).as_deref())?;
    Ok((bundle, warnings))
}

/// Looks at a node, and places what is missing there unless it is a dry run. `done` is told of each change.
pub(super) fn place(
    host: &dyn Host,
    job: &Job,
    args: &InstallArgs,
    (bundle, mut warnings): (Bundle, Vec<String>),
    mut done: impl FnMut(&str, &std::path::Path),
) -> Result<Placed, Failure> {
    let wrong = |error: InstallError| failure::of_install(&error, &job.to);
    let owner = match &job.owner {
        Some(owner) => owner.clone(),
        None => install::unit_user(host, job.unit.as_deref()),
    };
    let target = Target {
        dir: job.to.clone(),
        owner: owner_of(host, &owner, job.owner.is_some())?,
        dir_mode: args.dir_mode,
        force: args.force,
    };
    let unlocked = |error| wrong(InstallError::Host(error));
    let _lock = if args.dry_run { None } else { Some(host.lock_dir(&target.dir).map_err(unlocked)?) };
    finish_earlier(host, &target, args.dry_run, &mut warnings).map_err(wrong)?;
    let mut plan = install::plan(host, &bundle, &target).map_err(wrong)?;
    warnings.append(&mut plan.warnings);
    plan.warnings = warnings;
    let trust = match args.trust_store {
        true => Some(trust::plan(host, bundle.ca_pem(), job.is_image).map_err(wrong)?),
        false => None,
    };
    if let Some(trust) = &trust
        && job.is_image
    {
        plan.warnings.push(format!(
            "the CA's file alone is placed: {} must be run in that system for its programs to trust it",
            trust.store.update()
        ));
    }
    if !args.dry_run && !job.is_image {
        migrate::account_for(host, &target.dir, &bundle).map_err(|error| of_record(&error))?;
    }
    let placed = Placed { name: job.name.clone(), host: host.name().to_owned(), target, owner, plan, trust };
    if !args.dry_run && !placed.is_empty() {
        apply(host, job, &bundle, &placed, &mut done)?;
    }
    Ok(placed)
}

/// What a run that ended early has left in the directory comes first: what there is to do depends on it.
fn finish_earlier(
    host: &dyn Host,
    target: &Target,
    dry_run: bool,
    warnings: &mut Vec<String>,
) -> Result<(), InstallError> {
    let dir = target.dir.display();
    if dry_run {
        if install::is_unfinished(host, &target.dir)? {
            warnings.push(format!("an install into {dir} was interrupted: the next one completes it first"));
        }
        return Ok(());
    }
    let placed = install::complete(host, &target.dir, target.force)?;
    if !placed.is_empty() {
        let names: Vec<_> = placed.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        warnings.push(format!("an interrupted install into {dir} was completed: {}", names.join(", ")));
    }
    Ok(())
}

fn apply(
    host: &dyn Host,
    job: &Job,
    bundle: &Bundle,
    placed: &Placed,
    done: &mut dyn FnMut(&str, &std::path::Path),
) -> Result<(), Failure> {
    let mut count = 0usize;
    let of = placed.plan.changes.len() + placed.trust.as_ref().map_or(0, |trust| trust.to_place().count());
    let applied = install::apply(host, bundle, &placed.plan, |change: &Change| {
        done(change.action.describe(), &change.path);
        count += 1;
    });
    let applied = applied.and_then(|()| match &placed.trust {
        None => Ok(()),
        Some(trust) => trust::apply(host, trust, |path| {
            done("create", path);
            count += 1;
        }),
    });
    applied.map_err(|error| {
        // A directory or a single file that could not be made durable is there all the same.
        let is_there = matches!(
            &error,
            InstallError::Host(HostError::File { source: FileError::Io { action: "sync", .. }, .. })
        );
        let mut failure = failure::of_install(&error, &job.to);
        if count > 0 || is_there {
            failure.exit = super::Exit::Failed;
            failure.message.push_str(&format!(" ({count} of {of} changes were made)"));
            failure = failure.hint("run it again: it completes what was begun");
        }
        failure
    })
}

/// What etcd would say of the pair in each role that its extended key usage is made for: refusals are errors, and
/// what will bite is returned.
fn judged(bundle: &Bundle, issuer: Option<&[u8]>) -> Result<Vec<String>, Failure> {
    let leaf = leaf_of(bundle.cert_pem(), GoVersion::NEWEST);
    let roles = match leaf {
        Some(leaf) if leaf.for_servers && leaf.for_clients => vec![Role::Server, Role::Client],
        Some(leaf) if leaf.for_clients => vec![Role::Client],
        _ => vec![Role::Server],
    };
    let mut warnings = Vec::new();
    for role in roles {
        let request = Request {
            key: Some(bundle.key_pem()),
            issuer,
            ..Request::new(bundle.cert_pem(), bundle.ca_pem(), role)
        };
        let judgement = judge(&request);
        for finding in judgement.findings {
            let what = format!("{} {}: {}", finding.code, finding.code.name(), finding.message);
            if judgement.verdict == Verdict::Reject && finding.severity == Severity::Error {
                let message = format!("etcd would refuse {} as {}: {what}", bundle.cert_file(), role.name());
                let fix = finding.fix.unwrap_or_else(|| CommandLine::new("explain").arg(finding.code).into());
                return Err(Failure::no("certificate-refused", message).hint(fix));
            }
            let warning = format!("{}: {what}", bundle.cert_file());
            if finding.severity == Severity::Warning && !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
    }
    Ok(warnings)
}

/// The record of a migration on the node could not be kept.
fn of_record(error: &MigrateError) -> Failure {
    Failure::no(error.code(), error.to_string()).hint(error.hint())
}

fn owner_of(host: &dyn Host, spec: &str, is_given: bool) -> Result<Owner, Failure> {
    host.owner(spec).map_err(|error| match (&error, is_given) {
        (HostError::NoSuchUser { .. }, true) => Failure::usage("no-such-owner", error.to_string())
            .hint("--owner takes USER, USER:GROUP or UID:GID"),
        (HostError::NoSuchUser { .. }, false) => Failure::no("no-such-owner", error.to_string())
            .hint("install etcd there first, or say who runs it with --owner USER[:GROUP]"),
        (HostError::Ssh(error), _) => Failure::no(error.code(), error.to_string()).hint(error.hint()),
        _ => Failure::no("owner-unknown", error.to_string()),
    })
}
