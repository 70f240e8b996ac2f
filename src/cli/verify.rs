//! `verify`: judge certificates the way etcd does.

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ::time::format_description::well_known::Rfc3339;
use ::time::{Duration, OffsetDateTime};
use clap::Args;
use rayon::prelude::*;
use zeroize::Zeroizing;

use super::output::Style;
use super::pki::{date, expiry, parse_span};
use super::{Context, Exit, Failure, Outcome};
use crate::verify::probe::{ProbeError, Served, host_of, probe};
use crate::verify::report::{self, Judged};
use crate::verify::target::{self, Target, Unreadable};
use crate::verify::{
    Code, CrlFile, EtcdVersion, Finding, GoVersion, Judgement, Leaf, Request, Role, Severity, Verdict, judge,
    leaf_of, on_disk,
};

/// Judge certificates the way etcd, a Go program, does: what it accepts, what it refuses and why, and what will bite.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 accepted, 1 refused or a finding at or above --fail-on, 2 wrong usage."
)]
pub struct VerifyArgs {
    /// PEM files with the leaf first, or directories (X.pem goes with X-key.pem, X.crt with X.key), or names in the
    /// PKI directory; the PKI directory itself when none is given.
    #[arg(value_name = "PATH")]
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
    /// A name or address that is dialled; may be repeated, each must be covered.
    #[arg(long = "host", value_name = "NAME_OR_IP")]
    hosts: Vec<String>,
    /// The address a peer dials from, as the other members see it.
    #[arg(long, value_name = "IP")]
    source_ip: Option<IpAddr>,
    /// Judge as of another time, such as 2027-01-01T00:00:00Z.
    #[arg(long, value_name = "RFC3339", value_parser = parse_time)]
    at: Option<OffsetDateTime>,
    /// Judge by the Go that this etcd release was built with, such as 3.5.16.
    #[arg(long, value_name = "X.Y", conflicts_with = "go_version")]
    etcd_version: Option<EtcdVersion>,
    /// Judge by this Go release, such as 1.22.
    #[arg(long, value_name = "X.Y")]
    go_version: Option<GoVersion>,
    /// The server demands client certificates, so that its own gateway must have one.
    #[arg(long)]
    client_cert_auth: bool,
    /// Fail for certificates that end within this time, such as 30d.
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    expires_within: Option<Duration>,
    /// Judge what is really served at a client or peer port; may be repeated.
    #[arg(long, value_name = "HOST:PORT")]
    connect: Vec<String>,
    /// How to print the results.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// From which severity on a finding makes the command fail.
    #[arg(long, value_enum, default_value_t = FailOn::Error)]
    fail_on: FailOn,
}

/// A role on the command line.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum RoleArg {
    /// A member's client port.
    Server,
    /// A member's peer port, and what it dials the others with.
    Peer,
    /// Whoever dials a client port.
    Client,
    /// A proxy.
    Proxy,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Server => Self::Server,
            RoleArg::Peer => Self::Peer,
            RoleArg::Client => Self::Client,
            RoleArg::Proxy => Self::Proxy,
        }
    }
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// JUnit XML.
    Junit,
    /// GitHub's annotations.
    Github,
    /// SARIF 2.1.0.
    Sarif,
}

/// A severity on the command line.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum FailOn {
    /// What etcd refuses, and what ends soon.
    Error,
    /// Also what will bite.
    Warning,
}

impl From<FailOn> for Severity {
    fn from(fail_on: FailOn) -> Self {
        match fail_on {
            FailOn::Error => Self::Error,
            FailOn::Warning => Self::Warning,
        }
    }
}

impl From<Unreadable> for Failure {
    fn from(error: Unreadable) -> Self {
        Self::usage("unreadable", error.to_string()).hint("give a file or directory that you may read")
    }
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::Address { .. } => Self::usage("bad-address", error.to_string())
                .hint("give HOST:PORT, such as 172.16.0.101:2379"),
            _ => Self::no("unreachable", error.to_string())
                .hint("does etcd run there, and listen on that address?"),
        }
    }
}

/// How long each step of a handshake may take.
const PROBE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// What all certificates of a run are judged against.
struct Settings<'a> {
    args: &'a VerifyArgs,
    pki_dir: &'a Path,
    chain: Zeroizing<Vec<u8>>,
    ca: Option<Zeroizing<Vec<u8>>>,
    key: Option<Zeroizing<Vec<u8>>>,
    crl: Option<CrlFile>,
    at: OffsetDateTime,
    go: GoVersion,
}

/// Runs it.
pub fn run(context: &Context, args: &VerifyArgs) -> Outcome {
    let format = format(context, args)?;
    let optional = |path: &Option<PathBuf>| path.as_deref().map(target::read).transpose();
    let settings = Settings {
        args,
        pki_dir: &context.global.pki_dir,
        chain: optional(&args.chain)?.unwrap_or_default(),
        ca: optional(&args.ca)?,
        key: optional(&args.key)?,
        crl: crl(&context.global.pki_dir, args)?,
        at: args.at.unwrap_or_else(OffsetDateTime::now_utc),
        go: args.etcd_version.map(EtcdVersion::go).or(args.go_version).unwrap_or(GoVersion::NEWEST),
    };
    let targets = targets(&settings)?;
    if args.key.is_some() && targets.len() != 1 {
        return Err(Failure::usage("ambiguous-key", "--key goes with one certificate file")
            .hint("give one file, or let keys be found beside their certificates"));
    }
    let on_disk = targets.par_iter().map(|target| settings.judge(target));
    let served = args.connect.par_iter().map(|address| settings.judge_port(address));
    let results = on_disk.chain(served).collect::<Result<Vec<_>, Failure>>()?;
    let results: Vec<Judged> = results.into_iter().flatten().collect();
    if results.is_empty() {
        return Err(Failure::usage("nothing-to-verify", "there is no certificate to judge here")
            .hint("give a PEM file, or a directory with .pem or .crt files other than a CA's"));
    }
    let fail_on = Severity::from(args.fail_on);
    print(context, format, &results, fail_on, settings.at);
    let failed = results.iter().any(|one| one.fails(fail_on));
    Ok(if failed { Exit::No } else { Exit::Done })
}

/// The list that was given; else, where the PKI directory's CA is what is judged against, the list that was made there.
fn crl(pki_dir: &Path, args: &VerifyArgs) -> Result<Option<CrlFile>, Unreadable> {
    match &args.crl {
        Some(path) => CrlFile::read(path, args.etcd_version).map(Some),
        None if args.ca.is_none() && pki_dir.join("ca.pem").is_file() => {
            CrlFile::of_directory(pki_dir, args.etcd_version)
        }
        None => Ok(None),
    }
}

fn format(context: &Context, args: &VerifyArgs) -> Result<Format, Failure> {
    match args.format {
        None if context.global.json => Ok(Format::Json),
        None => Ok(Format::Text),
        Some(other) if context.global.json && other != Format::Json => {
            Err(Failure::usage("conflicting-formats", "--json and another --format exclude each other"))
        }
        Some(format) => Ok(format),
    }
}

fn parse_time(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| "give a time such as 2027-01-01T00:00:00Z".to_owned())
}

/// A certificate to judge, and whether it was named or found in a directory.
struct Wanted {
    target: Target,
    found: bool,
}

fn targets(settings: &Settings<'_>) -> Result<Vec<Wanted>, Failure> {
    let own = [settings.pki_dir.to_owned()];
    let paths = match settings.args.paths.as_slice() {
        [] if settings.args.connect.is_empty() => &own[..],
        given => given,
    };
    let mut all = Vec::new();
    for path in paths {
        let path = settings.resolve(path);
        let found = path.is_dir();
        all.extend(target::find(&path)?.into_iter().map(|target| Wanted { target, found }));
    }
    Ok(all)
}

impl Settings<'_> {
    /// A path, or the certificate of that name in the PKI directory.
    fn resolve(&self, path: &Path) -> PathBuf {
        let bare = path.components().count() == 1 && path.extension().is_none() && !path.exists();
        let named = self.pki_dir.join(path).with_extension("pem");
        if bare && named.is_file() { named } else { path.to_owned() }
    }

    /// The CA file: the given one, the PKI directory's, or one that lies beside the certificate.
    fn ca_for(&self, certificate: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
        if let Some(ca) = &self.ca {
            return Ok(ca.clone());
        }
        let beside = |name: &str| certificate.with_file_name(name);
        let places = [self.pki_dir.join("ca.pem"), beside("ca.pem"), beside("ca.crt")];
        match places.iter().find(|path| path.is_file()) {
            Some(path) => Ok(target::read(path)?),
            None => Err(Failure::usage(
                "no-ca",
                format!("there is no CA file to judge {} against", certificate.display()),
            )
            .hint("give it with --ca FILE, or the PKI directory with --pki-dir DIR")),
        }
    }

    /// One result for each role; none for a CA's own certificate that a directory happens to hold.
    fn judge(&self, wanted: &Wanted) -> Result<Vec<Judged>, Failure> {
        let path = &wanted.target.certificate;
        let chain = target::read(path)?;
        let leaf = leaf_of(&chain, self.go);
        if wanted.found && leaf.as_ref().is_some_and(|leaf| leaf.is_ca) {
            return Ok(Vec::new());
        }
        let ca = self.ca_for(path)?;
        let key = match (&self.key, &wanted.target.key) {
            (Some(key), _) => Some(key.clone()),
            (None, Some(beside)) => Some(target::read(beside)?),
            (None, None) => None,
        };
        let disk = on_disk::findings(&wanted.target, self.pki_dir);
        let roles = self.roles(leaf.as_ref());
        let judged = roles.into_iter().map(|role| {
            let request = Request {
                key: key.as_ref().map(|key| key.as_slice()),
                extra_chain: &self.chain,
                hosts: &self.args.hosts,
                source_ip: self.args.source_ip,
                at: self.at,
                go: self.go,
                client_cert_auth: self.args.client_cert_auth,
                crl: self.crl.as_ref(),
                ..Request::new(&chain, &ca, role)
            };
            let mut judgement = judge(&request);
            judgement.findings.extend(disk.iter().cloned());
            judgement.findings.extend(self.expiry(judgement.leaf.as_ref()));
            judgement.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
            Judged { source: path.display().to_string(), role, judgement }
        });
        Ok(judged.collect())
    }

    /// What a port serves, judged as those who dial it do.
    fn judge_port(&self, address: &str) -> Result<Vec<Judged>, Failure> {
        let role = self.args.role.map_or(Role::Server, Role::from);
        let done = |judgement| Ok(vec![Judged { source: address.to_owned(), role, judgement }]);
        let (chain, asks) = match probe(address, PROBE_TIMEOUT)? {
            Served::Plain => return done(plain_port(address)),
            Served::Tls { chain, asks_for_certificate, .. } => (chain, asks_for_certificate),
        };
        let ca = self.ca_for(Path::new("."))?;
        let mut hosts = vec![host_of(address).to_owned()];
        hosts.extend(self.args.hosts.iter().cloned());
        let request = Request {
            extra_chain: &self.chain,
            hosts: &hosts,
            source_ip: self.args.source_ip,
            at: self.at,
            go: self.go,
            client_cert_auth: self.args.client_cert_auth || (asks && role == Role::Server),
            crl: self.crl.as_ref(),
            ..Request::new(&chain, &ca, role)
        };
        let mut judgement = judge(&request);
        judgement.findings.extend(self.expiry(judgement.leaf.as_ref()));
        if asks {
            judgement.findings.push(Finding {
                code: Code::NoClientCertificate,
                severity: Severity::Info,
                message: format!("{address} asks its clients for a certificate"),
                etcd_says: None,
                fix: None,
            });
        }
        judgement.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        done(judgement)
    }

    /// The given role, or each that the extended key usage is made for.
    fn roles(&self, leaf: Option<&Leaf>) -> Vec<Role> {
        if let Some(role) = self.args.role {
            return vec![role.into()];
        }
        let Some(leaf) = leaf else { return vec![Role::Server] };
        let dialled = !self.args.hosts.is_empty();
        let mut roles = Vec::new();
        if leaf.for_servers || dialled || !leaf.for_clients {
            roles.push(Role::Server);
        }
        if leaf.for_clients {
            roles.push(Role::Client);
        }
        roles
    }

    fn expiry(&self, leaf: Option<&Leaf>) -> Option<Finding> {
        let (within, leaf) = (self.args.expires_within?, leaf?);
        let soon = leaf.not_after >= self.at && leaf.not_after - self.at <= within;
        soon.then(|| Finding {
            code: Code::ExpiresSoon,
            severity: Severity::Error,
            message: format!("it ends on {}", expiry(leaf.not_after, self.at)),
            etcd_says: None,
            fix: Some(format!(
                "etcd-pki renew {}",
                if leaf.common_name.is_empty() { "NAME" } else { &leaf.common_name }
            )),
        })
    }
}

/// What is said of a port that speaks plain HTTP.
fn plain_port(address: &str) -> Judgement {
    let finding = Finding {
        code: Code::TlsToHttp,
        severity: Severity::Error,
        message: format!("{address} speaks plain HTTP, not TLS"),
        etcd_says: Some("http: server gave HTTP response to HTTPS client".to_owned()),
        fix: Some("give that listener an https URL and its certificate, or dial it with http".to_owned()),
    };
    Judgement { verdict: Verdict::Reject, findings: vec![finding], leaf: None }
}

fn print(context: &Context, format: Format, results: &[Judged], fail_on: Severity, at: OffsetDateTime) {
    match format {
        Format::Text => text(context, results, at),
        Format::Json => context.out.json(&report::json(results)),
        Format::Sarif => context.out.json(&report::sarif(results)),
        Format::Junit => raw(&report::junit(results, fail_on)),
        Format::Github => raw(&report::github(results)),
    }
}

/// Prints a document that brings its own line ends; a closed pipe is no reason to fail.
fn raw(document: &str) {
    let _ = std::io::stdout().lock().write_all(document.as_bytes());
}

fn text(context: &Context, results: &[Judged], at: OffsetDateTime) {
    let out = &context.out;
    for one in results {
        let verdict = match one.judgement.verdict {
            Verdict::Accept => out.paint("accept", Style::Green),
            Verdict::Reject => out.paint("reject", Style::Red),
        };
        let about = one.judgement.leaf.as_ref().map_or_else(String::new, |leaf| {
            let end = if leaf.not_after < at { date(leaf.not_after) } else { expiry(leaf.not_after, at) };
            format!("  {}, until {end}", leaf.subject)
        });
        let source = out.paint(&one.source, Style::Bold);
        out.line(format_args!("{verdict}  {source} as {}{about}", one.role.name()));
        for finding in &one.judgement.findings {
            show(context, finding);
        }
    }
    let rejected = results.iter().filter(|one| one.judgement.verdict == Verdict::Reject).count();
    out.note(format_args!(
        "{} judged, {} accepted, {rejected} refused",
        results.len(),
        results.len() - rejected
    ));
}

fn show(context: &Context, finding: &Finding) {
    let out = &context.out;
    let severity = match finding.severity {
        Severity::Error => out.paint("error", Style::Red),
        Severity::Warning => out.paint("warning", Style::Yellow),
        Severity::Info => out.paint("info", Style::Dim),
    };
    out.line(format_args!("  {severity} {} {}: {}", finding.code, finding.code.name(), finding.message));
    if let Some(says) = &finding.etcd_says {
        out.line(format_args!("    etcd says: {}", out.paint(says, Style::Dim)));
    }
    if let Some(fix) = &finding.fix {
        out.line(format_args!("    fix: {}", out.paint(fix, Style::Cyan)));
    }
}
