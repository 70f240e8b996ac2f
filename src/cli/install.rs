//! `install`: a pair and its CA, placed where etcd reads them.

use std::io::ErrorKind;
use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;
use serde::Serialize;

use super::output::Style;
use super::{Context, Exit, Failure, Outcome};
use crate::files::{FileError, FileMode, Owner};
use crate::host::bundle::{Bundle, BundleError};
use crate::host::install::{self, Action, Change, InstallError, Plan, Target};
use crate::host::local::Local;
use crate::host::{Host, HostError};
use crate::verify::{GoVersion, Request, Role, Severity, Verdict, judge, leaf_of};

/// Place a certificate, its key and the CA where etcd reads them.
///
/// Writes NAME.pem, NAME-key.pem and ca.pem into a directory of this machine: certificates 0644, the key 0600, owned
/// by the user that etcd runs as. Key, certificate and CA are checked to belong together, and judged as `verify` does,
/// before anything is written. Files are replaced atomically; a second run changes nothing. The CA's own key is never
/// placed.
///
/// What another CA or another name has in that place is not replaced without --force; a ca.pem that holds this CA
/// and others, as during a CA rotation, is kept.
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// The name of the pair, as given to `issue`.
    #[arg(add = ArgValueCompleter::new(super::completions::pair_names))]
    name: String,
    /// The directory on the node.
    #[arg(long, value_name = "DIR", default_value = "/etc/ssl/etcd")]
    to: PathBuf,
    /// Who owns the files: names or numbers. [default: the User= of etcd's unit, else etcd]
    #[arg(long, value_name = "USER[:GROUP]")]
    owner: Option<String>,
    /// The directory's mode. [default: 0755 when it is made; one that exists is left as it is]
    #[arg(long, value_name = "MODE", value_parser = parse_mode)]
    dir_mode: Option<FileMode>,
    /// A file tree to install into, such as a mounted image: paths, symlinks and users are those of that tree.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Replace what another CA or another name has in that place.
    #[arg(long)]
    force: bool,
    /// Print what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    name: &'a str,
    host: &'a str,
    directory: String,
    owner: Owner,
    dry_run: bool,
    changed: bool,
    changes: &'a [Change],
    kept: &'a [PathBuf],
    warnings: &'a [String],
}

/// Runs `install`.
///
/// # Errors
/// [`Failure`]
pub fn run(context: &Context, args: &InstallArgs) -> Outcome {
    let pki_dir = &context.global.pki_dir;
    let bundle = Bundle::from_dir(pki_dir, &args.name)
        .map_err(|error| bundle_failure(&error, &args.name, &pki_dir.display().to_string()))?;
    let mut warnings = judged(&bundle)?;
    let host = match &args.root {
        Some(root) => Local::rooted(root).map_err(|error| {
            Failure::usage("unreadable-root", error.to_string()).hint("--root names a directory")
        })?,
        None => Local::new(),
    };
    let spec = args.owner.clone().unwrap_or_else(|| install::unit_user(&host));
    let target = Target {
        dir: args.to.clone(),
        owner: owner(&host, &spec, args.owner.is_some())?,
        dir_mode: args.dir_mode,
        force: args.force,
    };
    let mut plan = install::plan(&host, &bundle, &target).map_err(|error| install_failure(&error, args))?;
    warnings.append(&mut plan.warnings);
    plan.warnings = warnings;
    for warning in &plan.warnings {
        context.out.warning(warning);
    }
    if !args.dry_run {
        apply(context, args, &host, &bundle, &plan)?;
    }
    report(context, args, &host, (&target, &spec), &plan);
    Ok(Exit::Done)
}

/// What etcd would say of the pair in each role that its extended key usage is made for: refusals are errors, and
/// what will bite is returned.
fn judged(bundle: &Bundle) -> Result<Vec<String>, Failure> {
    let leaf = leaf_of(bundle.cert_pem(), GoVersion::NEWEST);
    let roles = match leaf {
        Some(leaf) if leaf.for_servers && leaf.for_clients => vec![Role::Server, Role::Client],
        Some(leaf) if leaf.for_clients => vec![Role::Client],
        _ => vec![Role::Server],
    };
    let mut warnings = Vec::new();
    for role in roles {
        let request =
            Request { key: Some(bundle.key_pem()), ..Request::new(bundle.cert_pem(), bundle.ca_pem(), role) };
        let judgement = judge(&request);
        for finding in judgement.findings {
            let what = format!("{} {}: {}", finding.code, finding.code.name(), finding.message);
            if judgement.verdict == Verdict::Reject && finding.severity == Severity::Error {
                let message = format!("etcd would refuse {} as {}: {what}", bundle.cert_file(), role.name());
                let fix = finding.fix.unwrap_or_else(|| format!("etcd-pki explain {}", finding.code));
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

fn apply(context: &Context, args: &InstallArgs, host: &Local, bundle: &Bundle, plan: &Plan) -> Outcome {
    let mut done = 0usize;
    let applied = install::apply(host, bundle, plan, |change| {
        context.out.detail(format_args!("{} {}", word(change.action), change.path.display()));
        done += 1;
    });
    match applied {
        Ok(()) => Ok(Exit::Done),
        Err(error) => {
            // Before the first rename, what was written is removed again.
            let renaming = matches!(
                &error,
                HostError::File { source: FileError::Io { action: "rename into" | "sync", .. }, .. }
            );
            let mut failure = install_failure(&InstallError::Host(error), args);
            if done > 0 || renaming {
                failure.exit = Exit::Failed;
                failure.message.push_str(&format!(" ({done} of {} changes were made)", plan.changes.len()));
            }
            Err(failure)
        }
    }
}

fn report(
    context: &Context,
    args: &InstallArgs,
    host: &Local,
    (target, owner): (&Target, &str),
    plan: &Plan,
) {
    let out = &context.out;
    if out.json {
        out.json(&Document {
            name: &args.name,
            host: host.name(),
            directory: target.dir.display().to_string(),
            owner: target.owner,
            dry_run: args.dry_run,
            changed: !args.dry_run && !plan.changes.is_empty(),
            changes: &plan.changes,
            kept: &plan.kept,
            warnings: &plan.warnings,
        });
        return;
    }
    let dir = target.dir.display();
    if plan.changes.is_empty() {
        out.line(format_args!("nothing to do: {dir} holds {} and its CA as they should be", args.name));
        return;
    }
    for change in &plan.changes {
        let owner = if change.owner.is_some() { owner } else { "" };
        let path = change.path.display();
        match change.action {
            Action::RemoveLeftover => out.line(format_args!("  {:<14} {path}", word(change.action))),
            action => out.line(format_args!("  {:<14} {path}  {} {owner}", word(action), change.mode)),
        }
    }
    if args.dry_run {
        out.line(format_args!("dry run: nothing was changed; {} would be", plan.changes.len()));
    } else {
        let installed = out.paint("installed", Style::Green);
        out.line(format_args!("{installed} {} in {dir}", args.name));
    }
}

fn word(action: Action) -> &'static str {
    match action {
        Action::MakeDirectory => "make directory",
        Action::Create => "create",
        Action::Replace => "replace",
        Action::SetMode => "set mode",
        Action::RemoveLeftover => "remove",
    }
}

fn owner(host: &Local, spec: &str, is_given: bool) -> Result<Owner, Failure> {
    host.owner(spec).map_err(|error| match (&error, is_given) {
        (HostError::NoSuchUser { .. }, true) => Failure::usage("no-such-owner", error.to_string())
            .hint("--owner takes USER, USER:GROUP or UID:GID"),
        (HostError::NoSuchUser { .. }, false) => Failure::no("no-such-owner", error.to_string())
            .hint("install etcd on this machine first, or say who runs it with --owner USER[:GROUP]"),
        _ => Failure::no("owner-unknown", error.to_string()),
    })
}

fn bundle_failure(error: &BundleError, name: &str, dir: &str) -> Failure {
    let message = format!("{dir}: {error}");
    match error {
        BundleError::AuthorityItself { .. } => Failure::no("ca-key-refused", error.to_string())
            .hint("issue a pair for the node and install that: etcd-pki issue NAME --ip ADDRESS"),
        BundleError::BadName { fault, .. } => {
            Failure::usage("bad-name", error.to_string()).hint(fault.hint.clone())
        }
        BundleError::Expired { .. } => Failure::no("expired", message).hint(format!("etcd-pki renew {name}")),
        BundleError::File(source) => Failure::usage("unreadable-pki", source.to_string())
            .hint("run as the user that owns the PKI directory, or name another with --pki-dir"),
        BundleError::HoldsKey { .. } => {
            Failure::no("key-in-certificate", message).hint("keep only CERTIFICATE blocks in that file")
        }
        BundleError::KeyEncrypted { .. } => {
            Failure::no("key-encrypted", message).hint("decrypt it: openssl pkey -in KEY -out KEY.new")
        }
        BundleError::KeyMismatch { .. } => Failure::no("key-mismatch", message)
            .hint(format!("issue the pair again: etcd-pki issue {name} --force …")),
        BundleError::Missing { path } => {
            let what = if path.ends_with("ca.pem") { "init-ca" } else { "issue" };
            Failure::usage("no-such-pair", error.to_string())
                .hint(format!("make it with `etcd-pki {what}`, or name another directory with --pki-dir"))
        }
        BundleError::NotPem { .. } => {
            Failure::no("not-pem", message).hint(format!("look at it: etcd-pki inspect {dir}/{name}.pem"))
        }
        BundleError::WrongCa { .. } => Failure::no("wrong-ca", message)
            .hint("put the CA that signed it, or the intermediates, into that directory"),
    }
}

fn install_failure(error: &InstallError, args: &InstallArgs) -> Failure {
    let to = args.to.display();
    match error {
        InstallError::Directory { .. } => Failure::no("bad-directory", error.to_string())
            .hint("--to takes the absolute path of a directory on the node"),
        InstallError::Foreign { .. } => Failure::no("foreign-file", error.to_string())
            .hint("choose another directory with --to, or replace it with --force"),
        InstallError::NotRegular { .. } => Failure::no("not-a-regular-file", error.to_string())
            .hint("it is not followed or replaced: move it away, or choose another directory with --to"),
        InstallError::Host(HostError::File { source, .. }) => {
            let message = source.to_string();
            match source.io_kind() {
                Some(ErrorKind::PermissionDenied) => Failure::no("permission-denied", message).hint(
                    "run as root (sudo), or name a directory and an owner of yours with --to and --owner",
                ),
                Some(ErrorKind::ReadOnlyFilesystem) => Failure::no("read-only", message)
                    .hint(format!("{to} is on a read-only file system: choose another with --to")),
                Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                    Failure::no("disk-full", message).hint("nothing was replaced: make room and run again")
                }
                Some(ErrorKind::NotADirectory | ErrorKind::NotFound) => Failure::no("bad-directory", message)
                    .hint("--to takes the absolute path of a directory on the node"),
                _ if matches!(source, FileError::NotRegular { .. }) => {
                    Failure::no("not-a-regular-file", message).hint("move it away")
                }
                _ => Failure::no("cannot-install", message).hint("nothing was replaced: run again"),
            }
        }
        InstallError::Host(other) => Failure::no("cannot-install", other.to_string()),
    }
}

fn parse_mode(text: &str) -> Result<FileMode, String> {
    match u32::from_str_radix(text, 8) {
        Ok(bits) if bits <= 0o7777 && text.bytes().all(|b| b.is_ascii_digit()) => {
            if bits & 0o700 == 0o700 {
                Ok(FileMode::new(bits))
            } else {
                Err("its owner must be able to read, write and enter it (0700 at least)".to_owned())
            }
        }
        _ => Err("octal digits, such as 0755".to_owned()),
    }
}
