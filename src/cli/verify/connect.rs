//! `--connect`: what a port really serves, and what it says to the pair that it is shown.

use std::path::Path;
use std::time::Duration;

use super::super::{Failure, named};
use super::places::no_ca;
use super::settings::{Settings, Wanted};
use crate::advice::CommandLine;
use crate::verify::probe::{self, Asked, Pair, ProbeError, Served, host_of, probe};
use crate::verify::report::Judged;
use crate::verify::{
    Code, Finding, Judgement, Request, Role, Severity, Sides, Verdict, judge, leaf_of, served, target,
};

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
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The pair that is shown to a port that asks for one.
struct Ours {
    chain: Vec<u8>,
    pair: Pair,
}

impl Settings<'_> {
    /// What a port serves, judged as those who dial it do.
    pub(super) fn judge_port(&self, address: &str, targets: &[Wanted]) -> Result<Vec<Judged>, Failure> {
        let role = self.args.role.map_or(Role::Server, Role::from);
        let done = |judgement| Ok(vec![Judged::new(address, role, judgement)]);
        let ours = self.ours()?;
        let (chain, asked) = match probe(address, ours.as_ref().map(|ours| &ours.pair), PROBE_TIMEOUT)? {
            Served::Plain => return done(plain_port(address)),
            Served::Tls { chain, asked, .. } => (chain, asked),
        };
        let found;
        let ca: &[u8] = match &self.ca {
            Some(given) => given,
            None => {
                let path = self.ca_path(Path::new(""))?.ok_or_else(|| no_ca(Path::new(address)))?;
                found = target::read(&path)?;
                &found
            }
        };
        let mut hosts = vec![host_of(address).to_owned()];
        hosts.extend(self.args.hosts.iter().cloned());
        let request = Request {
            extra_chain: self.extra_chain(),
            hosts: &hosts,
            source_ip: self.args.source_ip,
            at: self.at,
            go: self.go,
            client_cert_auth: self.args.client_cert_auth || (asked.is_some() && role == Role::Server),
            crl: self.crl.as_ref(),
            issuer: self.issuer.as_deref(),
            ..Request::new(&chain, ca, role)
        };
        let mut judgement = judge(&request);
        judgement.findings.extend(self.expiry(judgement.leaf.as_ref(), &request));
        judgement.findings.extend(self.differs(address, &chain, targets));
        if let Some(asked) = asked {
            let finding = self.asks(address, role, &asked, ours.as_ref(), ca);
            if finding.severity == Severity::Error {
                judgement.verdict = Verdict::Reject;
            }
            judgement.findings.push(finding);
        }
        judgement.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        done(judgement)
    }

    fn ours(&self) -> Result<Option<Ours>, Failure> {
        let path = match (&self.args.show_as, &self.args.cert) {
            (Some(name), _) => self.pki_dir.join(format!("{name}.pem")),
            (None, Some(cert)) => named::certificate(self.pki_dir, cert)?,
            (None, None) => return Ok(None),
        };
        let path = &path;
        let chain = target::read(path)?.to_vec();
        let key = match &self.args.key {
            Some(key) => Some(key.clone()),
            None => target::key_beside(path)?,
        };
        let key = match key {
            Some(key) => target::read(&key)?,
            None => {
                return Err(Failure::usage("no-key", format!("there is no key beside {}", path.display()))
                    .hint("give it with --key FILE"));
            }
        };
        let pair = Pair::new(&chain, &key).map_err(|what| {
            Failure::usage("unusable-pair", format!("{} cannot be shown: {what}", path.display()))
                .hint(CommandLine::new("verify").arg(path.display()))
        })?;
        Ok(Some(Ours { chain, pair }))
    }

    /// What a port that asks for a certificate said to ours.
    fn asks(&self, address: &str, role: Role, asked: &Asked, ours: Option<&Ours>, ca: &[u8]) -> Finding {
        let whose = match asked.authorities.as_slice() {
            [] => String::new(),
            names => format!(" signed by {}", names.join(" or ")),
        };
        let demand = format!("{address} asks its clients for a certificate{whose}");
        let info = |message| Finding {
            code: Code::NoClientCertificate,
            severity: Severity::Info,
            message,
            etcd_says: None,
            fix: None,
        };
        let Some(ours) = ours else { return info(demand) };
        let leaf = leaf_of(&ours.chain, self.go);
        let who = leaf.map_or_else(|| "ours".to_owned(), |leaf| leaf.subject);
        let Err(words) = &asked.answered else {
            return info(format!("{demand}, and accepts {who}"));
        };
        // Why it was refused is said in the server's log only; our own judgement names the likely reason.
        let role = if role == Role::Peer { Role::Peer } else { Role::Client };
        let request = Request {
            sides: Sides::Dialling,
            source_ip: self.args.source_ip,
            at: self.at,
            go: self.go,
            crl: self.crl.as_ref(),
            issuer: self.issuer.as_deref(),
            ..Request::new(&ours.chain, ca, role)
        };
        let likely = judge(&request).findings.into_iter().find(|finding| finding.severity == Severity::Error);
        let (code, why, fix) = match likely {
            Some(likely) => (likely.code, format!(": {}", likely.message), likely.fix),
            None if role == Role::Peer && words == probe::CLOSED && self.args.source_ip.is_none() => (
                Code::PeerSourceAddress,
                ": its SANs do not hold the address that we come from, most likely".to_owned(),
                Some(CommandLine::parse("etcd-pki verify CERT --role peer --source-ip ADDRESS").into()),
            ),
            None => {
                let (code, why) = unexplained(words);
                (code, why, Some(CommandLine::parse("journalctl -u etcd | etcd-pki explain -").into()))
            }
        };
        Finding {
            code,
            severity: Severity::Error,
            message: format!("{demand}, and refuses {who}{why}"),
            etcd_says: Some(words.clone()),
            fix,
        }
    }

    /// Whether something else is served than what lies here under the same subject.
    fn differs(&self, address: &str, chain: &[u8], targets: &[Wanted]) -> Option<Finding> {
        let own = target::find(self.pki_dir).unwrap_or_default();
        let files = targets.iter().map(|wanted| &wanted.target).chain(&own);
        let disk = files.filter_map(|file| target::read(&file.certificate).ok());
        let same = disk.filter(|bytes| served::same_subject(chain, bytes, self.go));
        let findings: Vec<_> = same.map(|bytes| served::differs(chain, &bytes, address, self.go)).collect();
        // Any of them that is served is enough.
        if findings.iter().any(Option::is_none) { None } else { findings.into_iter().flatten().next() }
    }
}

/// Why a port may refuse a pair that nothing is wrong with here, by what it answered.
fn unexplained(words: &str) -> (Code, String) {
    let (code, why) = match words {
        probe::CLOSED => (
            Code::ClosedWithoutAlert,
            "it closes the connection after the handshake and does not say why: the pair is on its revocation list, or that \
             list cannot be read, or a proxy before it has closed the connection",
        ),
        probe::TIMEOUT => {
            let limit = PROBE_TIMEOUT.as_secs();
            return (Code::Unreachable, format!(": it does not answer within {limit} s after the handshake"));
        }
        "remote error: tls: expired certificate" => (Code::Expired, "by its clock it has expired"),
        "remote error: tls: unknown certificate authority" => {
            (Code::UnknownAuthority, "it trusts another CA")
        }
        // Older releases of Go send this alert for every refusal, newer ones not for an unknown authority.
        _ => (
            Code::UnknownAuthority,
            "it trusts another CA, most likely; or it lets in other names only, or has the pair on its revocation list",
        ),
    };
    (code, format!(": {why}"))
}

/// What is said of a port that speaks plain HTTP.
fn plain_port(address: &str) -> Judgement {
    let finding = Finding {
        code: Code::TlsToHttp,
        severity: Severity::Error,
        message: format!("{address} speaks plain HTTP, not TLS"),
        etcd_says: Some("http: server gave HTTP response to HTTPS client".to_owned()),
        fix: Some("give that listener an https URL and its certificate, or dial it with http".into()),
    };
    Judgement { verdict: Verdict::Reject, findings: vec![finding], leaf: None }
}
