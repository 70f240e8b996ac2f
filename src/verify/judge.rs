//! The judgement: etcd's questions in its order, each answer a finding.

mod pair;
mod refusal;
mod sides;

use super::certificate::Certificate;
use super::chain::{Paths, Verifier};
use super::cure::Cures;
use super::extensions::Usage;
use super::findings::Findings;
use super::input::{CaFile, Sent};
use super::pem;
use super::pitfalls::Code;
use super::pool::Pool;
use super::{GoVersion, Judgement, Leaf, Request, Role, Sides, lints, revoked};
use pair::{judge_handshake, judge_pair};
use sides::{judge_as_client, judge_as_server};

/// Says what etcd would do with a certificate, and why.
///
/// Pure: no file, clock, network or resolver is asked. Whatever the bytes hold is a finding, never an error.
pub fn judge(request: &Request<'_>) -> Judgement {
    judge_each(request, |_| vec![request.role]).pop().expect("a role has its judgement").1
}

/// As [`judge`], in each of the roles that the leaf is for: what does not depend on the role is read once. `roles` is
/// given the leaf, where it can be read.
pub fn judge_each(
    request: &Request<'_>,
    roles: impl FnOnce(Option<&Leaf>) -> Vec<Role>,
) -> Vec<(Role, Judgement)> {
    let mut before = Findings::default();
    let alike = |roles: Vec<Role>, findings: &Findings| {
        roles.into_iter().map(|role| (role, findings.clone().judgement(None))).collect()
    };
    let Some(blocks) = Sent::read(request, &mut before) else {
        return alike(roles(None), &before);
    };
    let (certificates, all) = blocks.parse(request, &mut before);
    let leaf = certificates.first().map(describe);
    let roles = roles(leaf.as_ref());
    if !all || roles.is_empty() {
        return alike(roles, &before);
    }
    let sent = Pool::sent(certificates);
    let ca_file;
    let own;
    let trust = match request.trust {
        Some(trust) => trust,
        None => {
            ca_file = CaFile::read(request.ca, request.go);
            own = ca_file.trust(request.go);
            &own
        }
    };
    let request = &Request { trust: Some(trust), ..*request };
    judge_pair(request, sent.all(), &mut before);
    let verifier = Verifier { roots: &trust.roots, sent: &sent, now: request.at, go: request.go };
    let paths = verifier.paths();
    let in_role = |role: Role| {
        let request = &Request { role, ..*request };
        let mut findings = before.clone();
        judge_handshake(request, sent.all(), &mut findings);
        findings.append(&trust.findings);
        judge_role(request, &verifier, &paths, &mut findings);
        revoked::check(request, sent.all(), trust.roots.all(), &mut findings);
        lints::run(request, &verifier, &trust.lints, &mut findings);
        (role, findings.judgement(leaf.clone()))
    };
    roles.into_iter().map(in_role).collect()
}

fn judge_role(request: &Request<'_>, verifier: &Verifier<'_>, paths: &Paths<'_>, findings: &mut Findings) {
    let leaf = &verifier.sent.all()[0];
    if request.role.serves() && request.sides != Sides::Dialling {
        judge_as_server(request, verifier, paths, findings);
    }
    if request.role.dials() && request.sides != Sides::Dialled {
        judge_as_client(request, verifier, paths, findings);
    }
    if request.role == Role::Proxy && !leaf.common_name().is_empty() {
        findings.reject(
            Code::ProxyCommonName,
            format!("a gRPC proxy does not start with a common name ({})", leaf.common_name()),
            format!("cert has non empty Common Name ({})", leaf.common_name()),
            Cures::of(request, Some(leaf)).reissue(),
        );
    }
}

/// What the first certificate of a PEM file says of itself; `None` where there is none that can be read.
pub fn leaf_of(chain: &[u8], go: GoVersion) -> Option<Leaf> {
    let blocks = pem::blocks(chain, go);
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
