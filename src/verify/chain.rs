//! Path building and validation: `x509.Certificate.Verify` with its order of questions, its candidates and its
//! limits. Roots are tried first; whatever leads to one root is enough.

use ::time::OffsetDateTime;

use super::certificate::Certificate;
use super::constraints::{self, Violation};
use super::extensions::{CERT_SIGN, Usage};
use super::go::GoVersion;
use super::names;
use super::policies;
use super::signature::{self, SignatureError};
use super::when::rfc3339;

/// How many signatures one verification may check (Go's maxChainSignatureChecks).
const MAX_SIGNATURE_CHECKS: u32 = 100;

/// Why Go does not accept a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ChainError {
    /// A critical extension that Go does not handle; whose, and which.
    UnhandledCritical { subject: String, oids: Vec<String> },
    /// Outside its dates; `depth` is 0 for the leaf.
    Expired { subject: String, depth: usize, now: OffsetDateTime, bound: OffsetDateTime, early: bool },
    /// The name is not among the SANs; Go's words.
    Host { host: String, words: String },
    /// Nobody that is trusted signed it.
    UnknownAuthority { subject: String, issuer: String, hint: Option<(SignatureError, String)> },
    /// An intermediate of version 1 or 2: no CA.
    NotAuthorizedToSign { subject: String },
    /// Too many certificates below one that limits them.
    PathLength { subject: String, limit: u64 },
    /// A name constraint is violated; Go's detail.
    Constraint { detail: String },
    /// More constraint comparisons than Go makes.
    TooManyConstraints,
    /// The usage that is wanted was struck out on the way down.
    IncompatibleUsage { subject: String },
    /// More than 100 signatures were checked.
    SignatureLimit,
    /// The chain demands a policy and has none.
    Policies { details: String },
}

impl std::fmt::Display for ChainError {
    /// Go's words.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnhandledCritical { .. } => f.write_str("x509: unhandled critical extension"),
            Self::Expired { now, bound, early, .. } => write!(
                f,
                "x509: certificate has expired or is not yet valid: current time {} is {} {}",
                rfc3339(*now),
                if *early { "before" } else { "after" },
                rfc3339(*bound)
            ),
            Self::Host { words, .. } => f.write_str(words),
            Self::UnknownAuthority { hint, .. } => {
                f.write_str("x509: certificate signed by unknown authority")?;
                match hint {
                    Some((error, name)) => write!(
                        f,
                        " (possibly because of {:?} while trying to verify candidate authority certificate {name:?})",
                        error.to_string()
                    ),
                    None => Ok(()),
                }
            }
            Self::NotAuthorizedToSign { .. } => {
                f.write_str("x509: certificate is not authorized to sign other certificates")
            }
            Self::PathLength { .. } => f.write_str("x509: too many intermediates for path length constraint"),
            Self::Constraint { detail } => write!(
                f,
                "x509: a root or intermediate certificate is not authorized to sign for this name: {detail}"
            ),
            Self::TooManyConstraints => f.write_str("x509: unknown error"),
            Self::IncompatibleUsage { .. } => {
                f.write_str("x509: certificate specifies an incompatible key usage")
            }
            Self::SignatureLimit => {
                f.write_str("x509: signature check attempts limit reached while verifying certificate chain")
            }
            Self::Policies { details } => write!(f, "x509: no valid chains built: {details}"),
        }
    }
}

/// A set of certificates, each once.
#[derive(Debug, Default)]
pub(super) struct Pool<'a> {
    certificates: Vec<&'a Certificate<'a>>,
    by_subject: std::collections::HashMap<&'a [u8], Vec<usize>>,
}

impl<'a> Pool<'a> {
    pub(super) fn new(certificates: impl IntoIterator<Item = &'a Certificate<'a>>) -> Self {
        let mut pool = Self::default();
        let mut seen = std::collections::HashSet::new();
        for certificate in certificates {
            if seen.insert(certificate.raw) {
                pool.by_subject.entry(certificate.subject).or_default().push(pool.certificates.len());
                pool.certificates.push(certificate);
            }
        }
        pool
    }

    pub(super) fn contains(&self, certificate: &Certificate<'_>) -> bool {
        self.by_subject
            .get(certificate.subject)
            .is_some_and(|found| found.iter().any(|&at| self.certificates[at].raw == certificate.raw))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'a Certificate<'a>> + '_ {
        self.certificates.iter().copied()
    }

    /// Whose subject is the child's issuer, those whose key identifier matches first.
    fn parents(&self, child: &Certificate<'_>) -> Vec<&'a Certificate<'a>> {
        let wanted = child.extensions.authority_key_id;
        let found = self.by_subject.get(child.issuer).map_or(&[][..], Vec::as_slice);
        let mut found: Vec<_> = found.iter().map(|&at| self.certificates[at]).collect();
        found.sort_by_key(|parent| {
            let have = parent.extensions.subject_key_id;
            match (have == wanted, have.is_empty() != wanted.is_empty()) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => 2,
            }
        });
        found
    }
}

/// What a chain is judged against.
#[derive(Debug)]
pub(super) struct Verifier<'a> {
    pub(super) roots: Pool<'a>,
    pub(super) intermediates: Pool<'a>,
    pub(super) now: OffsetDateTime,
    pub(super) go: GoVersion,
}

/// One verification's running count and its chains.
struct Search<'v, 'a> {
    verifier: &'v Verifier<'a>,
    signature_checks: u32,
    chains: Vec<Vec<&'a Certificate<'a>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Leaf,
    Intermediate,
    Root,
}

impl<'a> Verifier<'a> {
    /// Go's `Verify`: the leaf itself, the name, the chains, then policies, usage and name constraints of each.
    ///
    /// Returns the first acceptable chain, leaf first.
    pub(super) fn verify(
        &self,
        leaf: &'a Certificate<'a>,
        host: Option<&str>,
        usage: Usage,
    ) -> Result<Vec<&'a Certificate<'a>>, ChainError> {
        self.check_one(leaf, Place::Leaf, &[])?;
        if let Some(host) = host.filter(|host| !host.is_empty()) {
            names::verify_host(leaf, host, self.go)
                .map_err(|words| ChainError::Host { host: host.to_owned(), words })?;
        }
        let chains = if self.roots.contains(leaf) {
            vec![vec![leaf]]
        } else {
            let mut search = Search { verifier: self, signature_checks: 0, chains: Vec::new() };
            search.build(leaf, &mut vec![leaf])?;
            search.chains
        };
        self.pick(chains, usage)
    }

    fn pick(
        &self,
        chains: Vec<Vec<&'a Certificate<'a>>>,
        usage: Usage,
    ) -> Result<Vec<&'a Certificate<'a>>, ChainError> {
        let (mut no_policy, mut no_usage, mut constraint) = (0, None, None);
        let mut usage_count = 0;
        for chain in chains {
            if self.go >= GoVersion::POLICIES && !policies::are_valid(&chain) {
                no_policy += 1;
                continue;
            }
            if let Some(blocker) = usage_blocker(&chain, usage) {
                no_usage.get_or_insert_with(|| blocker.subject_text());
                usage_count += 1;
                continue;
            }
            if self.go >= GoVersion::CHAIN_CONSTRAINTS
                && let Err(violation) = constraints::check_chain(&chain, self.go)
            {
                constraint.get_or_insert_with(|| violation.into());
                continue;
            }
            return Ok(chain);
        }
        if let Some(constraint) = constraint {
            return Err(constraint);
        }
        match no_usage {
            Some(subject) if no_policy == 0 => Err(ChainError::IncompatibleUsage { subject }),
            Some(_) => Err(ChainError::Policies {
                details: format!(
                    "{usage_count} candidate chains with incompatible key usage, {no_policy} candidate chains with invalid policies"
                ),
            }),
            None => Err(ChainError::Policies {
                details: format!("{no_policy} candidate chains with invalid policies"),
            }),
        }
    }

    /// Go's `isValid`: critical extensions, dates, (name constraints,) CA bit, path length.
    fn check_one(
        &self,
        certificate: &Certificate<'_>,
        place: Place,
        below: &[&Certificate<'_>],
    ) -> Result<(), ChainError> {
        let extensions = &certificate.extensions;
        if !extensions.unhandled_critical.is_empty() {
            return Err(ChainError::UnhandledCritical {
                subject: certificate.subject_text(),
                oids: extensions.unhandled_critical.clone(),
            });
        }
        let early = self.now < certificate.not_before;
        if early || self.now > certificate.not_after {
            return Err(ChainError::Expired {
                subject: certificate.subject_text(),
                depth: below.len(),
                now: self.now,
                bound: if early { certificate.not_before } else { certificate.not_after },
                early,
            });
        }
        if place != Place::Leaf && self.go < GoVersion::CHAIN_CONSTRAINTS {
            constraints::check_below(certificate, below, self.go)?;
        }
        let basic = extensions.basic_constraints;
        if place == Place::Intermediate && !basic.is_some_and(|basic| basic.ca) {
            return Err(ChainError::NotAuthorizedToSign { subject: certificate.subject_text() });
        }
        if let Some(limit) = basic.and_then(|basic| basic.path_length) {
            // The leaf itself is judged with nothing below it: -1, never above any limit.
            if below.len().checked_sub(1).is_some_and(|intermediates| intermediates as u64 > limit) {
                return Err(ChainError::PathLength { subject: certificate.subject_text(), limit });
            }
        }
        Ok(())
    }
}

impl From<Violation> for ChainError {
    fn from(violation: Violation) -> Self {
        match violation {
            Violation::Name(detail) => Self::Constraint { detail },
            Violation::TooMany => Self::TooManyConstraints,
        }
    }
}

impl<'a> Search<'_, 'a> {
    /// Adds every chain from `child` to a root; the error is that of the last candidate that had one, as in Go.
    fn build(
        &mut self,
        child: &'a Certificate<'a>,
        chain: &mut Vec<&'a Certificate<'a>>,
    ) -> Result<(), ChainError> {
        let before = self.chains.len();
        let (mut error, mut hint) = (None, None);
        let candidates = [
            (Place::Root, self.verifier.roots.parents(child)),
            (Place::Intermediate, self.verifier.intermediates.parents(child)),
        ];
        for (place, parents) in candidates {
            for parent in parents {
                self.consider(child, parent, place, chain, &mut error, &mut hint);
            }
        }
        if self.chains.len() > before {
            return Ok(());
        }
        Err(error.unwrap_or_else(|| ChainError::UnknownAuthority {
            subject: child.subject_text(),
            issuer: child.issuer_text(),
            hint,
        }))
    }

    fn consider(
        &mut self,
        child: &'a Certificate<'a>,
        parent: &'a Certificate<'a>,
        place: Place,
        chain: &mut Vec<&'a Certificate<'a>>,
        error: &mut Option<ChainError>,
        hint: &mut Option<(SignatureError, String)>,
    ) {
        if already_in(parent, chain) {
            return;
        }
        self.signature_checks += 1;
        if self.signature_checks > MAX_SIGNATURE_CHECKS {
            *error = Some(ChainError::SignatureLimit);
            return;
        }
        if let Err(why) = signed_by(child, parent, self.verifier.go) {
            hint.get_or_insert_with(|| (why, authority_name(parent)));
            return;
        }
        *error = self.verifier.check_one(parent, place, chain).err();
        if error.is_some() {
            return;
        }
        chain.push(parent);
        if place == Place::Root {
            self.chains.push(chain.clone());
        } else {
            *error = self.build(parent, chain).err();
        }
        chain.pop();
    }
}

/// Whether subject, key and SANs of the candidate are in the chain already: loops and cross-signatures end here.
fn already_in(candidate: &Certificate<'_>, chain: &[&Certificate<'_>]) -> bool {
    let san = |certificate: &Certificate<'_>| certificate.extensions.san.as_ref().map(|san| san.raw.to_vec());
    for one in chain {
        if one.subject != candidate.subject || one.key != candidate.key {
            continue;
        }
        match (san(candidate), san(one)) {
            (None, None) => return true,
            (None, _) | (_, None) => return false,
            (left, right) if left == right => return true,
            _ => {}
        }
    }
    false
}

/// Go's `CheckSignatureFrom`: the parent must be allowed to sign, and the signature must hold.
pub(super) fn signed_by(
    child: &Certificate<'_>,
    parent: &Certificate<'_>,
    go: GoVersion,
) -> Result<(), SignatureError> {
    let basic = parent.extensions.basic_constraints;
    let usage = parent.extensions.key_usage;
    let no_ca = match basic {
        Some(basic) => !basic.ca,
        None => parent.version == 3,
    };
    if no_ca || (usage != 0 && usage & CERT_SIGN == 0) {
        return Err(SignatureError::NotAuthorized);
    }
    if matches!(parent.key, super::public_key::PublicKey::Unknown { .. }) {
        return Err(SignatureError::Unimplemented);
    }
    signature::check(child.algorithm, child.tbs, &child.signature, &parent.key, go)
}

/// How Go names a candidate in its hint.
fn authority_name(certificate: &Certificate<'_>) -> String {
    let name = certificate.common_name();
    if !name.is_empty() {
        return name;
    }
    certificate.organization().unwrap_or_else(|| format!("serial:{}", certificate.serial_decimal()))
}

/// The certificate, from the root down, that strikes the usage out; `None` when the chain allows it.
fn usage_blocker<'c>(chain: &[&'c Certificate<'c>], usage: Usage) -> Option<&'c Certificate<'c>> {
    chain.iter().rev().copied().find(|certificate| {
        let usages = &certificate.extensions.usages;
        !usages.is_empty() && !usages.iter().any(|&one| one == Usage::Any || one == usage)
    })
}
