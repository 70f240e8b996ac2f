//! `install`: a pair and its CA, placed where etcd reads them: here, on another machine, or on all of a cluster's.

mod failure;
mod fleet;
mod place;
mod report;

use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::reach::{ReachArgs, connect, destination, operator};
use super::{Context, Exit, Failure, Outcome};
use crate::files::FileMode;
use crate::host::Host;
use crate::host::bundle::{Bundle, BundleError};
use crate::host::install::InstallError;
use crate::host::local::Local;
use crate::host::ssh::Ssh;
use place::{Job, Placed};

/// Where etcd's certificates are when nothing else is said.
const SSL_DIR: &str = "/etc/ssl/etcd";

/// Place a certificate, its key and the CA where etcd reads them.
///
/// Writes NAME.pem, NAME-key.pem and ca.pem into a directory of this machine, or of another by ssh: certificates 0644,
/// the key 0600, owned by the user that etcd runs as there. Key, certificate and CA are checked to belong together, and
/// judged as `verify` does, before anything is written. Files are replaced atomically; a second run changes nothing. The
/// CA's own key is never placed.
///
/// With --from, every member, every proxy, and every client that has an ssh address gets its own pair, all at once.
///
/// What another CA or another name has in that place is not replaced without --force; a ca.pem that holds this CA
/// and others, as during a CA rotation, is kept.
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// The name of the pair, as given to `issue`; with --from, which nodes (all when none is named).
    #[arg(value_name = "NAME", required_unless_present = "from", add = ArgValueCompleter::new(super::completions::installable_names))]
    names: Vec<String>,
    /// The machine to install on, as ssh knows it, instead of this one.
    #[arg(long, value_name = "[USER@]HOST", value_parser = destination, conflicts_with = "root")]
    host: Option<String>,
    /// Install on the members, proxies and clients of a cluster.toml, where its ssh = "…" says.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["root", "host"])]
    from: Option<PathBuf>,
    /// The directory on the node. [default: the inventory's ssl-dir, else /etc/ssl/etcd]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Who owns the files: names or numbers. [default: the User= of etcd's unit, else etcd]
    #[arg(long, value_name = "USER[:GROUP]")]
    owner: Option<String>,
    /// The directory's mode. [default: 0755 when it is made; one that exists is left as it is]
    #[arg(long, value_name = "MODE", value_parser = parse_mode)]
    dir_mode: Option<FileMode>,
    /// Put the CA into the system's trust store as well, so that every program there trusts it: a file beside the
    /// administrator's own CAs, and update-ca-certificates or update-ca-trust.
    #[arg(long)]
    trust_store: bool,
    /// A file tree to install into, such as a mounted image: paths, symlinks and users are those of that tree.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Replace what another CA or another name has in that place.
    #[arg(long)]
    force: bool,
    /// Print what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    reach: ReachArgs,
}

/// Runs `install`.
///
/// # Errors
/// [`Failure`]
pub fn run(context: &Context, args: &InstallArgs) -> Outcome {
    if let Some(path) = &args.from {
        return fleet::run(context, args, path);
    }
    let [name] = args.names.as_slice() else {
        return Err(Failure::usage("many-names", "one pair is installed at a time")
            .hint("for a whole cluster: `etcd-pki install --from cluster.toml`"));
    };
    let job = Job {
        name: name.clone(),
        to: args.to.clone().unwrap_or_else(|| SSL_DIR.into()),
        owner: args.owner.clone(),
        unit: None,
        is_image: args.root.is_some(),
    };
    let bundle = place::bundle(context, name)?;
    let placed = match &args.host {
        Some(destination) => {
            let host = connect(destination, destination, &args.reach.options(false))?;
            place_remote(context, args, &host, &job, bundle)?
        }
        None => place::place(&local(args)?, &job, args, bundle, tell(context, None))?,
    };
    for warning in &placed.plan.warnings {
        context.out.warning(warning);
    }
    report::single(context, &placed, args.dry_run);
    if !args.dry_run {
        context.out.check()?;
    }
    Ok(Exit::Done)
}

impl InstallArgs {
    /// The inventory that it works through.
    pub(super) fn inventory(&self) -> Option<&Path> {
        self.from.as_deref()
    }
}

/// Places a pair on a machine that other operators reach too: one of them at a time.
fn place_remote(
    context: &Context,
    args: &InstallArgs,
    host: &Ssh,
    job: &Job,
    bundle: (Bundle, Vec<String>),
) -> Result<Placed, Failure> {
    let lock = if args.dry_run { None } else { Some(host.lock(&operator())) };
    let _lock = lock.transpose().map_err(|error| failure::of_install(&InstallError::Host(error), &job.to))?;
    place::place(host, job, args, bundle, tell(context, Some(host.name())))
}

/// What `-v` hears of each change.
fn tell(context: &Context, host: Option<&str>) -> impl FnMut(&str, &Path) {
    let (out, host) = (context.out, host.map_or_else(String::new, |host| format!("{host}: ")));
    move |what, path| out.detail(format_args!("{host}{what} {}", path.display()))
}

fn local(args: &InstallArgs) -> Result<Local, Failure> {
    match &args.root {
        Some(root) => Local::rooted(root).map_err(|error| {
            Failure::usage("unreadable-root", error.to_string()).hint("--root names a directory")
        }),
        None => Ok(Local::new()),
    }
}

/// What a bundle that was refused is told as.
pub(super) fn bundle_failure(error: &BundleError, name: &str, dir: &Path) -> Failure {
    failure::of_bundle(error, name, &dir.display().to_string())
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
