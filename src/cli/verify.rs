//! `verify`: judge certificates the way etcd does.

mod args;
mod connect;
mod cures;
mod inputs;
mod members;
mod output;
mod places;
mod settings;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ::time::{Duration, OffsetDateTime};
use clap::Args;
use clap_complete::ArgValueCompleter;
use rayon::prelude::*;

use super::address;
use super::named;
use super::pki::{any_store, issuer, parse_span, parse_time};
use super::reach::{ReachArgs, destination};
use super::{Context, Exit, Failure, Outcome};
use crate::host::access::Reader;
use crate::host::local::Local;
use crate::verify::report::Judged;
use crate::verify::{EtcdVersion, GoVersion, Severity, target};
use args::{FailOn, Format, RoleArg};
use inputs::targets;
use output::Report;
use places::Places;
use settings::Settings;

/// Judge certificates the way etcd, a Go program, does: what it accepts, what it refuses and why, and what will bite.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 accepted, 1 refused or a finding at or above --fail-on, 2 wrong usage."
)]
pub struct VerifyArgs {
    /// PEM files with the leaf first, or directories (X.pem goes with X-key.pem, X.crt with X.key), or names in the
    /// PKI directory; the PKI directory itself when none is given.
    #[arg(value_name = "PATH", add = ArgValueCompleter::new(super::completions::certificates_or_paths))]
    paths: Vec<PathBuf>,
    /// The CA file, as in --trusted-ca-file; the PKI directory's, or the one beside the certificate.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Further intermediates, as if they were sent along.
    #[arg(long, value_name = "FILE")]
    chain: Option<PathBuf>,
    /// The key, where it does not lie beside the certificate.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The revocation list, as in --client-crl-file; the PKI directory's when its CA is used, if there is one.
    #[arg(long, value_name = "FILE")]
    crl: Option<PathBuf>,
    /// What the certificates are for; without it, each role their extended key usage is made for.
    #[arg(long, value_enum)]
    role: Option<RoleArg>,
    /// A name or address that is dialled, or a URL for the host in it; may be repeated, each must be covered.
    #[arg(long = "host", value_name = "HOST|URL", value_parser = address::host)]
    hosts: Vec<String>,
    /// The address a peer dials from, as the other members see it.
    #[arg(long, value_name = "IP", value_parser = address::ip)]
    source_ip: Option<IpAddr>,
    /// Judge as of another time: a date such as 2027-01-31 (its beginning in UTC), or RFC 3339 such as
    /// 2027-01-31T12:00:00Z.
    #[arg(long, value_name = "DATE|TIME", value_parser = parse_time)]
    at: Option<OffsetDateTime>,
    /// Judge by the Go that this etcd release was built with, such as 3.5.16.
    #[arg(long, value_name = "X.Y", conflicts_with = "go_version")]
    etcd_version: Option<EtcdVersion>,
    /// Judge by this Go release, such as 1.22.
    #[arg(long, value_name = "X.Y")]
    go_version: Option<GoVersion>,
    /// Settings that change Go's judgement, as the GODEBUG of etcd's build or environment has them, such as
    /// x509negativeserial=1,rsa1024min=0; --node and --cluster read them there, and these come on top.
    #[arg(long, value_name = "SETTINGS", default_value = "", hide_default_value = true)]
    godebug: String,
    /// The server demands client certificates, so that its own gateway must have one.
    #[arg(long)]
    client_cert_auth: bool,
    /// Fail for certificates that end within this time, such as 30d.
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    expires_within: Option<Duration>,
    /// Judge what is really served at a client or peer port, HOST:PORT or a URL; may be repeated.
    #[arg(long, value_name = "HOST:PORT", value_parser = address::endpoint)]
    connect: Vec<String>,
    /// The pair of this name in the PKI directory is shown to a --connect port that asks for one.
    #[arg(long = "as", value_name = "NAME", requires = "connect", add = ArgValueCompleter::new(super::completions::pair_names))]
    show_as: Option<String>,
    /// The certificate that is shown to a --connect port that asks for one, or a name in the PKI directory; its key is
    /// --key, or lies beside it.
    #[arg(long, value_name = "FILE", requires = "connect", conflicts_with = "show_as")]
    cert: Option<PathBuf>,
    /// Judge the files that a member really uses, where and as whom it uses them: [user@]host by ssh, or local; may be
    /// repeated.
    #[arg(long, value_name = "[USER@]HOST|local", value_parser = destination, conflicts_with = "cluster")]
    node: Vec<String>,
    /// Judge all members of this inventory at once, and for every two of them whether one can dial the other.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "cluster.toml")]
    cluster: Option<PathBuf>,
    /// The unit that runs etcd on --node; found when not given.
    #[arg(long, value_name = "UNIT", requires = "node")]
    unit: Option<String>,
    #[command(flatten)]
    reach: ReachArgs,
    /// The user that etcd runs as: must be able to read the certificates and keys among the paths.
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// How to print the results.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// From which severity on a finding makes the command fail.
    #[arg(long, value_enum, default_value_t = FailOn::Error)]
    fail_on: FailOn,
}

impl VerifyArgs {
    /// The Go that was asked for.
    fn go(&self) -> Option<GoVersion> {
        self.etcd_version.map(EtcdVersion::go).or(self.go_version)
    }

    /// The inventory whose members are verified.
    pub(super) fn inventory(&self) -> Option<&Path> {
        self.cluster.as_deref()
    }

    /// Whether something else than files is to be judged.
    fn looks_elsewhere(&self) -> bool {
        !self.connect.is_empty() || !self.node.is_empty() || self.cluster.is_some()
    }
}

/// Runs it.
pub fn run(context: &Context, args: &VerifyArgs) -> Outcome {
    let format = output::format(context, args)?;
    if args.ca.is_none() {
        refuse_foreign_ca(context)?;
    }
    let optional = |path: &Option<PathBuf>| -> Result<Option<target::Contents>, Failure> {
        let Some(path) = path else { return Ok(None) };
        Ok(Some(target::read(&named::certificate(&context.global.pki_dir, path)?)?))
    };
    let settings = Settings {
        args,
        pki_dir: &context.global.pki_dir,
        chain: optional(&args.chain)?,
        ca: optional(&args.ca)?,
        crl: inputs::crl(&context.global.pki_dir, args)?,
        reader: args.owner.as_deref().map(reader).transpose()?,
        at: args.at.unwrap_or_else(OffsetDateTime::now_utc),
        go: args.go().unwrap_or(GoVersion::NEWEST).with_godebug(&args.godebug),
        issuer: issuer(&context.global.pki_dir),
    };
    let targets = targets(&settings)?;
    let places = Places::of(&settings, &targets)?;
    let trusts = places.trusts(&settings);
    let on_disk = targets.par_iter().map(|target| settings.judge(target, &places.place(&trusts, target)));
    let served = args.connect.par_iter().map(|address| settings.judge_port(address, &targets));
    let results = on_disk.chain(served).collect::<Result<Vec<_>, Failure>>()?;
    let mut results: Vec<Judged> = results.into_iter().flatten().collect();
    let members = members::look(context, &settings)?;
    results.extend(members.judge(&settings));
    members.name_users(&mut results);
    let mut dials = if args.cluster.is_some() { Some(members.dials()) } else { None };
    if results.is_empty() {
        return Err(Failure::usage("nothing-to-verify", "there is no certificate to judge here")
            .hint("give a PEM file, or a directory with .pem or .crt files other than a CA's"));
    }
    cures::fill_in(context, args, &mut results, dials.as_deref_mut().unwrap_or_default());
    let fail_on = Severity::from(args.fail_on);
    let report = Report { results: &results, dials: dials.as_deref() };
    output::print(context, format, &report, fail_on, settings.at);
    let failed = report.fails(fail_on);
    Ok(if failed { Exit::No } else { Exit::Done })
}

/// Refuses the PKI directory's CA where somebody else could have written it, or where it is another one than the ledger's:
/// a verdict would mean nothing. What else is wrong with the directory is for the findings to say.
fn refuse_foreign_ca(context: &Context) -> Result<(), Failure> {
    match any_store(context) {
        Err(failure) if matches!(failure.code.as_str(), "untrusted" | "other-ca") => Err(failure),
        _ => Ok(()),
    }
}

fn reader(user: &str) -> Result<Reader, Failure> {
    Reader::named(&Local::new(), user).map_err(|error| {
        Failure::usage("no-such-user", error.to_string()).hint("--owner names a user of this machine")
    })
}
