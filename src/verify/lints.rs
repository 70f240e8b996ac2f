//! Lints: what etcd accepts and what bites all the same. Never a verdict.

use std::net::IpAddr;

use super::certificate::Certificate;
use super::chain::Verifier;
use super::cure::{Cures, Name};
use super::extensions::Usage;
use super::findings::Findings;
use super::host_name;
use super::pitfalls::Code;
use super::public_key::PublicKey;
use super::when::rfc3339;
use super::{Request, Role, Severity};
use crate::advice::{Advice, CommandLine};

/// Longer than this a leaf is valid for too long: two years and a little.
const LONG_DAYS: i64 = 825;

pub(super) fn run(
    request: &Request<'_>,
    verifier: &Verifier<'_>,
    of_roots: &Findings,
    findings: &mut Findings,
) {
    let leaf = &verifier.sent.all()[0];
    let cures = Cures::of(request, Some(leaf));
    names(request, leaf, &cures, findings);
    dates(leaf, verifier, &cures, findings);
    identity(leaf, &cures, findings);
    keys(leaf, verifier, &cures, findings);
    findings.append(of_roots);
    usage(request, leaf, &cures, findings);
}

fn names(request: &Request<'_>, leaf: &Certificate<'_>, cures: &Cures<'_>, findings: &mut Findings) {
    let (ips, dns) = (leaf.extensions.ips(), leaf.extensions.dns());
    let member = matches!(request.role, Role::Server | Role::Peer);
    let loopback = ips.iter().any(|ip| ip.to_canonical().is_loopback());
    if member && !loopback {
        findings.lint(
            Code::NoLoopbackSan,
            Severity::Warning,
            "127.0.0.1 is not among the SANs: etcd's gateway, health checks and etcdctl on the node dial it",
            cures.add(Name::Ip(IpAddr::from([127, 0, 0, 1]))),
        );
    }
    if request.role == Role::Peer && ips.is_empty() && dns.iter().any(|name| name.starts_with("*.")) {
        findings.lint(
            Code::WildcardSan,
            Severity::Warning,
            "a wildcard and no IP SAN: members accept this peer only where its address has a reverse DNS name",
            match request.source_ip {
                Some(source) => cures.add(Name::Ip(source)),
                None => cures.reissue_with(None, &["--ip", "ADDRESS"]),
            },
        );
    }
    for host in request.hosts {
        let bare = host.trim_matches(['[', ']']);
        if request.role.serves() && bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
            findings.lint(
                Code::WildcardAdvertised,
                Severity::Warning,
                format!("{host} can be listened on, not dialled: nobody should be told this address"),
                "advertise the member's own address",
            );
        }
    }
    if leaf.extensions.san.is_none() && request.role.serves() && !leaf.common_name().is_empty() {
        let counts = if host_name::stands_in(leaf, request.go) {
            "stands in for it only up to Go 1.14, or where GODEBUG=x509ignoreCN=0 tells 1.15 or 1.16 so"
        } else {
            "counts for nothing with Go"
        };
        findings.lint(
            Code::CommonNameOnly,
            Severity::Warning,
            format!("there is no SAN; the common name {:?} {counts}", leaf.common_name()),
            cures.reissue(),
        );
    }
    if request.role == Role::Client && leaf.common_name() == "root" {
        findings.lint(
            Code::CommonNameUser,
            Severity::Warning,
            "where etcd's authentication is on, this certificate is the user root, without a password",
            "issue it under another name unless that is what you want",
        );
    }
}

fn dates(leaf: &Certificate<'_>, verifier: &Verifier<'_>, cures: &Cures<'_>, findings: &mut Findings) {
    let now = verifier.now;
    let days = (leaf.not_after - leaf.not_before).whole_days();
    if days > LONG_DAYS {
        findings.lint(
            Code::LongValidity,
            Severity::Warning,
            format!("it is valid for {days} days"),
            Advice::from("issue it for a year: ")
                .and(cures.reissue())
                .and("; and renew by a timer: ")
                .and(CommandLine::parse("etcd-pki renew --all --within 30d").within(cures.directory())),
        );
    }
    let issuers = verifier.roots.named(leaf.issuer).chain(verifier.sent.named(leaf.issuer));
    let issuer = issuers.filter(|ca| ca.raw != leaf.raw).max_by_key(|ca| ca.not_after);
    if let Some(ca) = issuer.filter(|ca| now <= ca.not_after && ca.not_after < leaf.not_after) {
        findings.lint(
            Code::OutlivesCa,
            Severity::Warning,
            format!("it outlives its CA, which ends on {}", rfc3339(ca.not_after)),
            Advice::from("issue it again, to end with its CA: ")
                .and(cures.reissue())
                .and("; before that day, ")
                .and(if ca.is_self_issued() { cures.new_ca() } else { cures.new_intermediate() }),
        );
    }
}

fn identity(leaf: &Certificate<'_>, cures: &Cures<'_>, findings: &mut Findings) {
    let negative = leaf.serial[0] & 0x80 != 0;
    if leaf.serial == [0] || leaf.serial.len() > 20 || negative {
        let what = match leaf.serial {
            [0] => "zero".to_owned(),
            _ if negative => "negative, which Go refuses from 1.23 on".to_owned(),
            long => format!("{} bytes long, 20 are allowed", long.len()),
        };
        findings.lint(
            Code::OddSerial,
            Severity::Warning,
            format!("the serial number is {what}"),
            cures.reissue(),
        );
    }
    let extensions = &leaf.extensions;
    if extensions.subject_key_id.is_empty()
        || (extensions.authority_key_id.is_empty() && !leaf.is_self_issued())
    {
        findings.lint(
            Code::NoKeyIdentifier,
            Severity::Info,
            "there is no subject or authority key identifier: two CAs of one name cannot be told apart",
            cures.reissue(),
        );
    }
}

fn keys(leaf: &Certificate<'_>, verifier: &Verifier<'_>, cures: &Cures<'_>, findings: &mut Findings) {
    let weak = |one: &Certificate<'_>| matches!(one.key, PublicKey::Rsa { .. }) && one.key.bits() < 2048;
    for one in std::iter::once(leaf).chain(verifier.roots.named(leaf.issuer)) {
        if weak(one) {
            findings.lint(
                Code::WeakRsa,
                Severity::Warning,
                format!("{} has an RSA key of {} bits", one.subject_text(), one.key.bits()),
                if one.raw == leaf.raw { cures.new_key() } else { cures.new_ca() },
            );
        }
    }
}

/// What is said of a CA file's certificates, whoever is judged against it.
pub(super) fn of_roots(roots: &[Certificate<'_>]) -> Findings {
    let mut findings = Findings::default();
    for root in roots.iter().filter(|root| root.is_self_issued()) {
        if let Some(name) = root.algorithm.insecure_name() {
            findings.lint(
                Code::WeakRootSignature,
                Severity::Info,
                format!("the root {} signed itself with {name}; nobody checks that", root.subject_text()),
                "nothing has to be done now; the next CA that init-ca makes is signed with SHA-256",
            );
        }
    }
    findings
}

fn usage(request: &Request<'_>, leaf: &Certificate<'_>, cures: &Cures<'_>, findings: &mut Findings) {
    if leaf.extensions.basic_constraints.is_some_and(|basic| basic.ca) {
        findings.lint(
            Code::LeafIsCa,
            Severity::Warning,
            "it is a CA's certificate: whoever has its key can sign anything",
            Advice::from("issue a certificate of its own: ").and(cures.reissue()),
        );
    }
    let usages = &leaf.extensions.usages;
    if usages.is_empty() || usages.contains(&Usage::Any) {
        findings.lint(
            Code::NoUsageLimit,
            Severity::Info,
            format!("nothing limits it to the role {}: no extended key usage, or any", request.role.name()),
            cures.reissue(),
        );
    }
}
