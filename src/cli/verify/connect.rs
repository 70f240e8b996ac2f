//! `--connect`: what a port really serves.

use std::path::Path;
use std::time::Duration;

use super::super::Failure;
use super::inputs::Settings;
use crate::verify::probe::{ProbeError, Served, host_of, probe};
use crate::verify::report::Judged;
use crate::verify::{Code, Finding, Judgement, Request, Role, Severity, Verdict, judge};

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

impl Settings<'_> {
    /// What a port serves, judged as those who dial it do.
    pub(super) fn judge_port(&self, address: &str) -> Result<Vec<Judged>, Failure> {
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
