//! The judgement: etcd's questions in its order, each answer a finding.

mod pair;
mod refusal;
mod sides;

use super::certificate::Certificate;
use super::chain::{Pool, Verifier};
use super::extensions::Usage;
use super::input::{CaFile, Sent};
use super::pem;
use super::pitfalls::Code;
use super::{Finding, GoVersion, Judgement, Leaf, Request, Role, Severity, Sides, Verdict, lints, revoked};
use pair::{judge_handshake, judge_pair};
pub(super) use refusal::name_for_commands;
use sides::{judge_as_client, judge_as_server};

/// What was found so far, and whether any of it makes etcd refuse.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    rejected: bool,
}

impl Findings {
    fn append(&mut self, more: &Self) {
        self.rejected |= more.rejected;
        self.list.extend(more.list.iter().cloned());
    }

    /// The verdict that they make, what decided it first.
    fn judgement(mut self, leaf: Option<Leaf>) -> Judgement {
        self.list.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let verdict = if self.rejected { Verdict::Reject } else { Verdict::Accept };
        Judgement { verdict, findings: self.list, leaf }
    }

    /// etcd refuses because of this.
    pub(super) fn reject(
        &mut self,
        code: Code,
        message: impl Into<String>,
        etcd_says: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.rejected = true;
        self.push(code, Severity::Error, message.into(), Some(etcd_says.into()), Some(fix.into()));
    }

    /// etcd accepts this, and it will bite.
    pub(super) fn lint(
        &mut self,
        code: Code,
        severity: Severity,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.push(code, severity, message.into(), None, Some(fix.into()));
    }

    fn push(
        &mut self,
        code: Code,
        severity: Severity,
        message: String,
        etcd_says: Option<String>,
        fix: Option<String>,
    ) {
        let same = |one: &Finding| one.code == code && one.etcd_says == etcd_says && one.message == message;
        if !self.list.iter().any(same) {
            self.list.push(Finding { code, severity, message, etcd_says, fix });
        }
    }

    /// etcd accepts this here, and refuses it elsewhere in these words.
    pub(super) fn warn(
        &mut self,
        code: Code,
        message: impl Into<String>,
        says: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.push(code, Severity::Warning, message.into(), Some(says.into()), Some(fix.into()));
    }
}

/// Says what etcd would do with a certificate, and why.
///
/// Pure: no file, clock, network or resolver is asked. Whatever the bytes hold is a finding, never an error.
pub fn judge(request: &Request<'_>) -> Judgement {
    judge_each(request, &[request.role]).pop().expect("a role has its judgement")
}

/// As [`judge`], in each of the roles: what does not depend on the role is read once.
pub fn judge_each(request: &Request<'_>, roles: &[Role]) -> Vec<Judgement> {
    let mut before = Findings::default();
    let alike = |findings: &Findings| roles.iter().map(|_| findings.clone().judgement(None)).collect();
    let Some(sent) = Sent::read(request.chain, request.extra_chain, &mut before) else {
        return alike(&before);
    };
    let Some(certificates) = sent.parse(request.go, &mut before) else { return alike(&before) };
    let (leaf, rest) = certificates.split_first().expect("the chain file has a certificate");
    judge_pair(request, &certificates, &mut before);
    let mut of_ca = Findings::default();
    let ca_file = CaFile::read(request.ca);
    let trusted = ca_file.parse(request.go, &mut of_ca);
    let verifier = Verifier {
        roots: Pool::new(&trusted),
        intermediates: Pool::new(rest),
        now: request.at,
        go: request.go,
    };
    let in_role = |&role: &Role| {
        let request = &Request { role, ..*request };
        let mut findings = before.clone();
        judge_handshake(request, leaf, &certificates, &mut findings);
        findings.append(&of_ca);
        judge_role(request, &verifier, leaf, &mut findings);
        revoked::check(request, &certificates, &trusted, &mut findings);
        lints::run(request, leaf, &verifier, &mut findings);
        findings.judgement(Some(describe(leaf)))
    };
    roles.iter().map(in_role).collect()
}

fn judge_role<'a>(
    request: &Request<'_>,
    verifier: &Verifier<'a>,
    leaf: &'a Certificate<'a>,
    findings: &mut Findings,
) {
    if request.role.serves() && request.sides != Sides::Dialling {
        judge_as_server(request, verifier, leaf, findings);
    }
    if request.role.dials() && request.sides != Sides::Dialled {
        judge_as_client(request, verifier, leaf, findings);
    }
    if request.role == Role::Proxy && !leaf.common_name().is_empty() {
        findings.reject(
            Code::ProxyCommonName,
            format!("a gRPC proxy does not start with a common name ({})", leaf.common_name()),
            format!("cert has non empty Common Name ({})", leaf.common_name()),
            "etcd-pki issue NAME --profile proxy --force",
        );
    }
}

/// What the first certificate of a PEM file says of itself; `None` where there is none that can be read.
pub fn leaf_of(chain: &[u8], go: GoVersion) -> Option<Leaf> {
    let blocks = pem::blocks(chain);
    let block = blocks.iter().find(|block| block.is_certificate())?;
    Certificate::parse(&block.der, go).ok().map(|leaf| describe(&leaf))
}

fn describe(leaf: &Certificate<'_>) -> Leaf {
    let usages = &leaf.extensions.usages;
    let allows = |usage| usages.is_empty() || usages.iter().any(|&one| one == Usage::Any || one == usage);
    let dns = leaf.extensions.dns().iter().map(|&name| name.to_owned());
    Leaf {
        subject: leaf.subject_text(),
        common_name: leaf.common_name(),
        not_after: leaf.not_after,
        hosts: dns.chain(leaf.extensions.ips().iter().map(ToString::to_string)).collect(),
        for_servers: allows(Usage::Server),
        for_clients: allows(Usage::Client),
        is_ca: leaf.extensions.basic_constraints.is_some_and(|basic| basic.ca),
        self_issued: leaf.is_self_issued(),
    }
}
