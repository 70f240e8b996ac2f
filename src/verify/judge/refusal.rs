//! Go's refusals as the pitfalls they are, each with its cure.

use ::time::OffsetDateTime;

use super::super::certificate::Certificate;
use super::super::chain::{ChainError, Verifier};
use super::super::cure::{Cures, Name, intermediate_usage};
use super::super::findings::Findings;
use super::super::pitfalls::Code;
use super::super::signature::SignatureError;
use super::super::when::rfc3339;
use super::super::{Request, Role};
use super::describe;
use crate::advice::Advice;

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
    let cures = Cures::of(request, Some(leaf));
    let (code, message, fix) = match error {
        ChainError::UnhandledCritical { subject, oids } => (
            Code::UnknownCriticalExtension,
            format!("{subject} has critical extensions that Go does not handle: {}", oids.join(", ")),
            if *subject == leaf.subject_text() { cures.reissue() } else { cures.new_ca() },
        ),
        ChainError::Expired { subject, depth, bound, early, .. } => {
            let is_root = verifier.roots.all().iter().any(|root| root.subject_text() == *subject);
            expired(subject, *depth, is_root, *bound, *early, &cures, request.at)
        }
        ChainError::UnknownAuthority { subject, issuer, hint } => {
            if verifier.roots.all().is_empty() {
                // Said already of the CA file.
                (
                    Code::EmptyCaFile,
                    "the CA file holds no certificate".to_owned(),
                    "put the CA's certificate into it, as PEM, and restart etcd".into(),
                )
            } else {
                unknown_authority(subject, issuer, hint.as_ref(), leaf, verifier, &cures)
            }
        }
        ChainError::NotAuthorizedToSign { subject } => (
            Code::NotACa,
            format!("{subject} signed, but is an intermediate without basicConstraints CA:TRUE"),
            "make that CA again with basicConstraints CA:TRUE, and issue below it".into(),
        ),
        ChainError::PathLength { subject, limit } => (
            Code::PathLength,
            format!("{subject} allows {limit} intermediates below it, there are more"),
            Advice::from(format!("issue from {subject} itself, or ")).and(cures.new_ca()),
        ),
        ChainError::UnreadableName { detail } => (
            Code::NameConstraint,
            format!("a CA constrains names, and Go cannot read one of the SANs: {detail}"),
            cures.reissue(),
        ),
        ChainError::Constraint { detail } => {
            (Code::NameConstraint, format!("a CA's name constraints forbid a SAN: {detail}"), cures.reissue())
        }
        ChainError::ConstraintsWithoutSans => (
            Code::NameConstraint,
            "a CA constrains names and the certificate has a common name alone, which is never compared"
                .to_owned(),
            cures.reissue(),
        ),
        ChainError::NameMismatch { subject, issuer } => (
            Code::SameNameOtherKey,
            format!("{subject} has the key identifier of the issuer {issuer}, and another name"),
            "take it out of the CA file or the chain; Go 1.16 and later look for issuers by name".into(),
        ),
        ChainError::TooManyConstraints => (
            Code::NameConstraint,
            "the CA's name constraints need more comparisons than Go makes".to_owned(),
            cures.new_ca(),
        ),
        ChainError::IncompatibleUsage { .. } => {
            let (code, wanted) = match side {
                Role::Server => (Code::MissingServerAuth, "serverAuth"),
                _ => (Code::MissingClientAuth, "clientAuth"),
            };
            let Some((message, fix)) = incompatible_usage(error, wanted, request, leaf) else { return };
            (code, message, fix)
        }
        ChainError::SignatureLimit => (
            Code::SignatureLimit,
            "more than 100 signatures would have to be checked to find a chain".to_owned(),
            "remove old and duplicate CAs from the CA file and the chain".into(),
        ),
        ChainError::Policies { details } => (
            Code::CertificatePolicies,
            format!("the chain demands a policy that it does not have: {details}"),
            Advice::from("issue from a CA without policyConstraints; to make one, ").and(cures.new_ca()),
        ),
    };
    findings.reject(code, message, says, fix);
}

fn expired(
    subject: &str,
    depth: usize,
    is_root: bool,
    bound: OffsetDateTime,
    early: bool,
    cures: &Cures<'_>,
    now: OffsetDateTime,
) -> (Code, String, Advice) {
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
        Code::Expired => cures.renew(),
        Code::CaExpired if is_root => cures.new_ca(),
        Code::CaExpired => cures.new_intermediate(),
        Code::NotYetValid => {
            Advice::from("set the clocks (timedatectl), or issue it again: ").and(cures.reissue())
        }
        _ => "set the clocks (timedatectl); where they are right, wait until then or take another CA".into(),
    };
    (code, format!("{subject} {what} {} ({when})", rfc3339(bound)), fix)
}

/// Which certificate of the chain leaves a usage out, and what to do; `None` where that is not the error.
pub(super) fn incompatible_usage(
    error: &ChainError,
    wanted: &str,
    request: &Request<'_>,
    leaf: &Certificate<'_>,
) -> Option<(String, Advice)> {
    let ChainError::IncompatibleUsage { subject, depth, is_root } = error else { return None };
    let cures = Cures::of(request, Some(leaf));
    let role = request.role.name();
    Some(match (depth, is_root) {
        (0, _) => (
            format!("the extended key usage of {subject} lacks {wanted}, which the role {role} needs"),
            cures.reissue(),
        ),
        (_, false) => (
            format!("{subject}, an intermediate above it, has an extended key usage without {wanted}"),
            intermediate_usage(subject),
        ),
        (_, true) => (
            format!("{subject}, the root above it, has an extended key usage without {wanted}"),
            cures.new_ca(),
        ),
    })
}

fn unknown_authority(
    subject: &str,
    issuer: &str,
    hint: Option<&(SignatureError, String)>,
    leaf: &Certificate<'_>,
    verifier: &Verifier<'_>,
    cures: &Cures<'_>,
) -> (Code, String, Advice) {
    let is_leaf = subject == leaf.subject_text();
    let remade =
        |how: &str| if is_leaf { cures.reissue() } else { format!("make {subject} again {how}").into() };
    match hint {
        Some((SignatureError::NotAuthorized, name)) => (
            Code::NotACa,
            format!("{name:?} signed {subject}, but may not: no CA, or its keyUsage lacks keyCertSign"),
            cures.new_ca(),
        ),
        Some((SignatureError::Insecure(algorithm, _), _)) => (
            Code::WeakSignature,
            format!("{subject} is signed with {algorithm}, which Go refuses"),
            remade("with SHA-256 or better"),
        ),
        Some((SignatureError::Unimplemented | SignatureError::KeyKind { .. }, _)) => (
            Code::WeakSignature,
            format!("{subject} is signed in a way that Go cannot check"),
            remade("with SHA-256 and an RSA, ECDSA or Ed25519 CA key"),
        ),
        Some((SignatureError::RsaTooSmall(bits), name)) => (
            Code::RsaTooSmall,
            format!("{name:?}, which signed {subject}, has an RSA key of {bits} bits"),
            cures.new_ca(),
        ),
        Some((_, name)) => (
            Code::SameNameOtherKey,
            format!("{subject} names {name:?} as its issuer, but that CA's key did not sign it"),
            Advice::from("find the CA that signed it by its key identifier, or issue from this one: ")
                .and(cures.reissue()),
        ),
        None if leaf.is_self_issued() && subject == leaf.subject_text() => (
            Code::UnknownAuthority,
            format!("{subject} is self-signed and not in the CA file"),
            Advice::from("issue it from the CA that is trusted: ").and(cures.reissue()),
        ),
        None if is_related(issuer, verifier) => (
            Code::MissingIntermediate,
            format!("{subject} was signed by {issuer}, an intermediate that is neither sent nor trusted"),
            "append the intermediate: `cat leaf.pem intermediate.pem > chain.pem`".into(),
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
            Advice::from("add that CA to the CA file and restart, or issue it from the CA that is trusted: ")
                .and(cures.reissue()),
        ),
    }
}

/// Whether an issuer shares an organisation with a root: then it is likely an intermediate of it.
fn is_related(issuer: &str, verifier: &Verifier<'_>) -> bool {
    verifier.roots.all().iter().any(|root| {
        root.organization().is_some_and(|organization| issuer.contains(&format!("O={organization}")))
    })
}

pub(super) fn report_host(
    host: &str,
    words: &str,
    request: &Request<'_>,
    leaf: &Certificate<'_>,
    findings: &mut Findings,
) {
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
    findings.reject(code, message, words, Cures::of(request, Some(leaf)).add(Name::of(host)));
}
