//! Go's refusals as the pitfalls they are, each with its cure.

use ::time::OffsetDateTime;

use super::super::certificate::Certificate;
use super::super::chain::{ChainError, Verifier};
use super::super::findings::Findings;
use super::super::pitfalls::Code;
use super::super::signature::SignatureError;
use super::super::when::rfc3339;
use super::super::{Request, Role};
use super::describe;

/// Turns Go's refusal into the pitfall it is.
pub(super) fn report(
    error: &ChainError,
    side: Role,
    request: &Request<'_>,
    leaf: &Certificate<'_>,
    verifier: &Verifier<'_>,
    findings: &mut Findings,
) {
    let says = error.to_string();
    let (code, message, fix) = match error {
        ChainError::UnhandledCritical { subject, oids } => (
            Code::UnknownCriticalExtension,
            format!("{subject} has critical extensions that Go does not handle: {}", oids.join(", ")),
            "issue it again without them, or with them not critical".to_owned(),
        ),
        ChainError::Expired { subject, depth, bound, early, .. } => {
            expired(subject, *depth, *bound, *early, request.at)
        }
        ChainError::UnknownAuthority { subject, issuer, hint } => {
            if verifier.roots.all().is_empty() {
                // Said already of the CA file.
                (
                    Code::EmptyCaFile,
                    "the CA file holds no certificate".to_owned(),
                    "put the CA's certificate into it, as PEM, and restart etcd".to_owned(),
                )
            } else {
                unknown_authority(subject, issuer, hint.as_ref(), leaf, verifier)
            }
        }
        ChainError::NotAuthorizedToSign { subject } => (
            Code::NotACa,
            format!("{subject} signed, but is an intermediate without basicConstraints CA:TRUE"),
            "make that CA again with basicConstraints CA:TRUE".to_owned(),
        ),
        ChainError::PathLength { subject, limit } => (
            Code::PathLength,
            format!("{subject} allows {limit} intermediates below it, there are more"),
            "issue from a CA that is higher up, or make it again with a larger path length".to_owned(),
        ),
        ChainError::UnreadableName { detail } => (
            Code::NameConstraint,
            format!("a CA constrains names, and Go cannot read one of the SANs: {detail}"),
            "issue it again with SANs that are well formed".to_owned(),
        ),
        ChainError::Constraint { detail } => (
            Code::NameConstraint,
            format!("a CA's name constraints forbid a SAN: {detail}"),
            "leave that SAN out, or issue from a CA whose constraints cover it".to_owned(),
        ),
        ChainError::ConstraintsWithoutSans => (
            Code::NameConstraint,
            "a CA constrains names and the certificate has a common name alone, which is never compared"
                .to_owned(),
            "issue it again with SANs: --ip and --dns".to_owned(),
        ),
        ChainError::NameMismatch { subject, issuer } => (
            Code::SameNameOtherKey,
            format!("{subject} has the key identifier of the issuer {issuer}, and another name"),
            "take it out of the CA file or the chain; Go 1.16 and later look for issuers by name".to_owned(),
        ),
        ChainError::TooManyConstraints => (
            Code::NameConstraint,
            "the CA's name constraints need more comparisons than Go makes".to_owned(),
            "make the CA again with fewer constraints".to_owned(),
        ),
        ChainError::IncompatibleUsage { subject } => incompatible_usage(subject, side, request, leaf),
        ChainError::SignatureLimit => (
            Code::SignatureLimit,
            "more than 100 signatures would have to be checked to find a chain".to_owned(),
            "remove old and duplicate CAs from the CA file and the chain".to_owned(),
        ),
        ChainError::Policies { details } => (
            Code::CertificatePolicies,
            format!("the chain demands a policy that it does not have: {details}"),
            "issue from a CA without policyConstraints".to_owned(),
        ),
    };
    findings.reject(code, message, says, fix);
}

fn expired(
    subject: &str,
    depth: usize,
    bound: OffsetDateTime,
    early: bool,
    now: OffsetDateTime,
) -> (Code, String, String) {
    let away = if early { bound - now } else { now - bound };
    let away = match (away.whole_days(), away.whole_hours()) {
        (0, 0) => format!("{} min", away.whole_minutes()),
        (0, hours) => format!("{hours} h"),
        (days, _) => format!("{days} d"),
    };
    let (ca, leaf) =
        if early { (Code::CaNotYetValid, Code::NotYetValid) } else { (Code::CaExpired, Code::Expired) };
    let code = if depth == 0 { leaf } else { ca };
    let what = if early { "is valid only from" } else { "expired on" };
    let when = if early { format!("in {away}") } else { format!("{away} ago") };
    let fix = match code {
        Code::Expired => "etcd-pki renew NAME",
        Code::CaExpired => "etcd-pki rotate-ca plan",
        _ => "set the clocks (timedatectl), or issue it again with backdating",
    };
    (code, format!("{subject} {what} {} ({when})", rfc3339(bound)), fix.to_owned())
}

fn incompatible_usage(
    subject: &str,
    side: Role,
    request: &Request<'_>,
    leaf: &Certificate<'_>,
) -> (Code, String, String) {
    let (code, wanted) = match side {
        Role::Server => (Code::MissingServerAuth, "serverAuth"),
        _ => (Code::MissingClientAuth, "clientAuth"),
    };
    let own = *subject == leaf.subject_text();
    let message = if own {
        format!("the extended key usage lacks {wanted}, which the role {} needs", request.role.name())
    } else {
        format!("{subject}, above it, limits the extended key usage to something without {wanted}")
    };
    let profile = match request.role {
        Role::Client => " --profile client",
        Role::Proxy => " --profile proxy",
        _ => "",
    };
    (code, message, reissue(leaf, profile))
}

fn unknown_authority(
    subject: &str,
    issuer: &str,
    hint: Option<&(SignatureError, String)>,
    leaf: &Certificate<'_>,
    verifier: &Verifier<'_>,
) -> (Code, String, String) {
    match hint {
        Some((SignatureError::NotAuthorized, name)) => (
            Code::NotACa,
            format!("{name:?} signed {subject}, but may not: no CA, or its keyUsage lacks keyCertSign"),
            "make the CA again: etcd-pki init-ca".to_owned(),
        ),
        Some((SignatureError::Insecure(algorithm, _), _)) => (
            Code::WeakSignature,
            format!("{subject} is signed with {algorithm}, which Go refuses"),
            "issue it again with SHA-256 or better".to_owned(),
        ),
        Some((SignatureError::Unimplemented | SignatureError::KeyKind { .. }, _)) => (
            Code::WeakSignature,
            format!("{subject} is signed in a way that Go cannot check"),
            "issue it again with SHA-256 and an RSA, ECDSA or Ed25519 CA key".to_owned(),
        ),
        Some((SignatureError::RsaTooSmall(bits), name)) => (
            Code::RsaTooSmall,
            format!("{name:?}, which signed {subject}, has an RSA key of {bits} bits"),
            "make a new CA with a larger key".to_owned(),
        ),
        Some((_, name)) => (
            Code::SameNameOtherKey,
            format!("{subject} names {name:?} as its issuer, but that CA's key did not sign it"),
            "find the CA that signed it by its key identifier, or issue it again from this one".to_owned(),
        ),
        None if leaf.is_self_issued() && subject == leaf.subject_text() => (
            Code::UnknownAuthority,
            format!("{subject} is self-signed and not in the CA file"),
            "issue it from the CA that is trusted: etcd-pki issue NAME".to_owned(),
        ),
        None if is_related(issuer, verifier) => (
            Code::MissingIntermediate,
            format!("{subject} was signed by {issuer}, an intermediate that is neither sent nor trusted"),
            "append the intermediate: cat leaf.pem intermediate.pem > chain.pem".to_owned(),
        ),
        None => (
            Code::UnknownAuthority,
            format!(
                "{subject} was signed by {issuer}, which is not in the CA file (it has {})",
                verifier
                    .roots
                    .all()
                    .iter()
                    .map(Certificate::subject_text)
                    .take(3)
                    .collect::<Vec<_>>()
                    .join("; ")
            ),
            "add that CA to the CA file and restart, or issue it from the CA that is trusted".to_owned(),
        ),
    }
}

/// Whether an issuer shares an organisation with a root: then it is likely an intermediate of it.
fn is_related(issuer: &str, verifier: &Verifier<'_>) -> bool {
    verifier.roots.all().iter().any(|root| {
        root.organization().is_some_and(|organization| issuer.contains(&format!("O={organization}")))
    })
}

pub(super) fn report_host(host: &str, words: &str, leaf: &Certificate<'_>, findings: &mut Findings) {
    let is_ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    let sans: Vec<String> = describe(leaf).hosts;
    let have = if sans.is_empty() { "none at all".to_owned() } else { sans.join(", ") };
    let (code, message) = match () {
        () if is_ip && leaf.extensions.dns().contains(&host) => {
            (Code::IpAsDnsSan, format!("{host} is written as a DNS SAN; addresses belong into IP SANs"))
        }
        () if words.contains("legacy Common Name") => {
            (Code::CommonNameOnly, format!("{host} stands in the common name only, which Go ignores"))
        }
        () if is_ip && leaf.extensions.ips().is_empty() => {
            (Code::NoIpSan, format!("{host} is not covered: there is no IP SAN (SANs: {have})"))
        }
        () => (Code::WrongSan, format!("{host} is not covered (SANs: {have})")),
    };
    let more = if is_ip { format!(" --ip {host}") } else { format!(" --dns {host}") };
    findings.reject(code, message, words, reissue(leaf, &more));
}

/// The command that makes the certificate again with its SANs and more.
pub(super) fn reissue(leaf: &Certificate<'_>, more: &str) -> String {
    let name = leaf.name_for_commands();
    let mut command = format!("etcd-pki issue {name}");
    for ip in leaf.extensions.ips().iter().filter(|ip| !ip.is_loopback()) {
        command.push_str(&format!(" --ip {ip}"));
    }
    for dns in leaf.extensions.dns() {
        let plain = dns.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-*".contains(&byte));
        if plain && *dns != "localhost" && *dns != name && dns.parse::<std::net::IpAddr>().is_err() {
            command.push_str(&format!(" --dns '{dns}'"));
        }
    }
    format!("{command}{more} --force")
}
