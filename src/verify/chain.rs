//! Path building and validation: `x509.Certificate.Verify` with its order of questions, its candidates and its
//! limits. Roots are tried first; whatever leads to one root is enough.

mod error;

use std::cell::OnceCell;
use std::collections::HashMap;

use ::time::OffsetDateTime;

use super::certificate::Certificate;
use super::constrained;
use super::extensions::{CERT_SIGN, Usage};
use super::go::{GoVersion, Since};
use super::host_name;
use super::memo;
use super::policy_graph;
use super::pool::Pool;
use super::signature::{self, SignatureError};
pub(super) use error::ChainError;

/// How many signatures one verification may check (Go's maxChainSignatureChecks).
const MAX_SIGNATURE_CHECKS: u32 = 100;

/// How many chains are kept before Go 1.19, which has no limit. From then on the one on signatures is one on chains too.
const MAX_CHAINS: usize = 1000;

/// What a chain is judged against.
#[derive(Debug)]
pub(super) struct Verifier<'a> {
    pub(super) roots: &'a Pool<'a>,
    /// The leaf, and what came with it.
    pub(super) sent: &'a Pool<'a>,
    pub(super) now: OffsetDateTime,
    pub(super) go: GoVersion,
}

/// A chain from the leaf to a root, and what is said of it whatever it is used for.
#[derive(Debug)]
struct Path<'a> {
    certificates: Vec<&'a Certificate<'a>>,
    go: GoVersion,
    has_policy: OnceCell<bool>,
    violation: OnceCell<Option<ChainError>>,
}

impl Path<'_> {
    fn has_policy(&self) -> bool {
        let judge = || self.go < GoVersion::POLICIES || policy_graph::are_valid(&self.certificates);
        *self.has_policy.get_or_init(judge)
    }

    fn violation(&self) -> Option<&ChainError> {
        let late = self.go >= GoVersion::CHAIN_CONSTRAINTS;
        let judge = || constrained::check_chain(&self.certificates, self.go).err().map(ChainError::from);
        self.violation.get_or_init(|| if late { judge() } else { None }).as_ref()
    }
}

/// All chains of a leaf: the same for whoever judges it.
#[derive(Debug)]
pub(super) struct Paths<'a>(Result<Vec<Path<'a>>, ChainError>);

/// One verification's running count and its chains.
struct Search<'v, 'a> {
    verifier: &'v Verifier<'a>,
    signature_checks: u32,
    chains: Vec<Vec<&'a Certificate<'a>>>,
    /// Before Go 1.19: the chains that went through an intermediate when it was first met, by its bytes.
    known: HashMap<&'a [u8], Vec<Vec<&'a Certificate<'a>>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Leaf,
    Intermediate,
    Root,
}

impl Paths<'_> {
    /// The end of Go's `Verify`: whether one of the chains may be used for this.
    pub(super) fn allow(&self, usage: Usage) -> Result<(), ChainError> {
        let paths = self.0.as_ref().map_err(ChainError::clone)?;
        let (mut no_policy, mut usage_count) = (0, 0);
        let (mut no_usage, mut constraint) = (None, None);
        for path in paths {
            let blocker = usage_blocker(&path.certificates, usage, path.go);
            if !path.has_policy() && (blocker.is_none() || path.go >= GoVersion::POLICIES_FIRST) {
                no_policy += 1;
            } else if let Some(blocker) = blocker {
                no_usage.get_or_insert_with(|| ChainError::IncompatibleUsage {
                    subject: path.certificates[blocker].subject_text(),
                    depth: blocker,
                    is_root: blocker + 1 == path.certificates.len(),
                });
                usage_count += 1;
            } else if let Some(error) = path.violation() {
                constraint.get_or_insert_with(|| error.clone());
            } else {
                return Ok(());
            }
        }
        if let Some(constraint) = constraint {
            return Err(constraint);
        }
        if let (Some(error), 0) = (no_usage, no_policy) {
            return Err(error);
        }
        let go = paths.first().map_or(GoVersion::NEWEST, |path| path.go);
        let late = go >= GoVersion::CHAIN_CONSTRAINTS;
        let chains = if late { "candidate chains" } else { "chains" };
        if !late && go >= GoVersion::POLICIES_FIRST && no_policy == paths.len() {
            return Err(ChainError::Policies {
                details: "all candidate chains have invalid policies".to_owned(),
            });
        }
        let mut details = Vec::new();
        if usage_count > 0 {
            details.push(format!("{usage_count} {chains} with incompatible key usage"));
        }
        if no_policy > 0 {
            details.push(format!("{no_policy} {chains} with invalid policies"));
        }
        Err(ChainError::Policies { details: details.join(", ") })
    }
}

impl<'a> Verifier<'a> {
    /// Go's `Verify` up to where it asks for the usage: the leaf itself, its chains, their policies and name
    /// constraints. (The name that is dialled is asked for by others.)
    pub(super) fn paths(&self) -> Paths<'a> {
        let path = |certificates| Path {
            certificates,
            go: self.go,
            has_policy: OnceCell::new(),
            violation: OnceCell::new(),
        };
        Paths(self.chains().map(|chains| chains.into_iter().map(path).collect()))
    }

    fn chains(&self) -> Result<Vec<Vec<&'a Certificate<'a>>>, ChainError> {
        let leaf = &self.sent.all()[0];
        self.check_one(leaf, Place::Leaf, &[])?;
        if self.roots.contains(leaf) {
            return Ok(vec![vec![leaf]]);
        }
        let mut search =
            Search { verifier: self, signature_checks: 0, chains: Vec::new(), known: HashMap::new() };
        search.build(leaf, &mut vec![leaf])?;
        Ok(search.chains)
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
        if let Some(child) = below.last().filter(|child| child.issuer != certificate.subject) {
            return Err(ChainError::NameMismatch {
                subject: certificate.subject_text(),
                issuer: child.issuer_text(),
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
        let constrains = place != Place::Leaf && extensions.name_constraints.is_some();
        if constrains && below.first().is_some_and(|leaf| host_name::stands_in(leaf, self.go)) {
            return Err(ChainError::ConstraintsWithoutSans);
        }
        if place != Place::Leaf && self.go < GoVersion::CHAIN_CONSTRAINTS {
            constrained::check_below(certificate, below, self.go)?;
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

impl<'a> Search<'_, 'a> {
    /// Adds every chain from `child` to a root; the error is that of the last candidate that had one, as in Go.
    fn build(
        &mut self,
        child: &'a Certificate<'a>,
        chain: &mut Vec<&'a Certificate<'a>>,
    ) -> Result<(), ChainError> {
        let (before, go) = (self.chains.len(), self.verifier.go);
        let (mut error, mut hint) = (None, None);
        let candidates = [
            (Place::Root, self.verifier.roots.parents(child, go)),
            (Place::Intermediate, self.verifier.sent.parents(child, go)),
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
        let go = self.verifier.go;
        let counted = go.has(&Since::COUNTED_LOOPS);
        if !counted && already_in(parent, chain, go) {
            return;
        }
        self.signature_checks += 1;
        if self.signature_checks > MAX_SIGNATURE_CHECKS {
            *error = Some(ChainError::SignatureLimit);
            return;
        }
        if counted && already_in(parent, chain, go) {
            return;
        }
        // An intermediate is above many leaves; a leaf is looked at once.
        let again = chain.len() > 1;
        if let Err(why) = signed_by(child, parent, go, again) {
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
            *error = self.build_above(parent, chain).err();
        }
        chain.pop();
    }

    /// Adds the chains through an intermediate; before Go 1.19 those that were found when it was first met.
    fn build_above(
        &mut self,
        parent: &'a Certificate<'a>,
        chain: &mut Vec<&'a Certificate<'a>>,
    ) -> Result<(), ChainError> {
        if self.verifier.go >= GoVersion::OWN_NAMES {
            return self.build(parent, chain);
        }
        if let Some(known) = self.known.get(parent.raw) {
            let room = MAX_CHAINS.saturating_sub(self.chains.len());
            self.chains.extend(known.iter().take(room).cloned());
            return Ok(());
        }
        let before = self.chains.len();
        let built = self.build(parent, chain);
        self.known.insert(parent.raw, self.chains[before..].to_vec());
        built
    }
}

/// Whether subject, key and SANs of the candidate are in the chain already: loops and cross-signatures end here.
fn already_in<'a>(candidate: &'a Certificate<'a>, chain: &[&'a Certificate<'a>], go: GoVersion) -> bool {
    if go < GoVersion::OWN_NAMES {
        return chain.iter().any(|one| one.raw == candidate.raw);
    }
    let san = |certificate: &Certificate<'a>| certificate.extensions.san.as_ref().map(|san| san.raw);
    for one in chain {
        let same_key = if go.has(&Since::KEY_BYTES) {
            one.spki == candidate.spki
        } else {
            one.key.is_same(&candidate.key)
        };
        if one.subject != candidate.subject || !same_key {
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

/// Go's `CheckSignatureFrom`: the parent must be allowed to sign, and the signature must hold. `again` says that the same
/// two will likely be asked about again.
pub(super) fn signed_by(
    child: &Certificate<'_>,
    parent: &Certificate<'_>,
    go: GoVersion,
    again: bool,
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
    let check = || signature::check(child.algorithm, child.tbs, &child.signature, &parent.key, go);
    if again { memo::once(&[child.raw, parent.raw, &go.bytes()], check) } else { check() }
}

/// How Go names a candidate in its hint.
fn authority_name(certificate: &Certificate<'_>) -> String {
    let name = certificate.common_name();
    if !name.is_empty() {
        return name;
    }
    certificate.organization().unwrap_or_else(|| format!("serial:{}", certificate.serial_decimal()))
}

/// Which certificate, from the root down, strikes the usage out; `None` when the chain allows it.
fn usage_blocker(chain: &[&Certificate<'_>], usage: Usage, go: GoVersion) -> Option<usize> {
    let gated = usage == Usage::Server && go < GoVersion::NO_GATED_CRYPTO;
    chain.iter().rposition(|certificate| {
        let usages = &certificate.extensions.usages;
        !usages.is_empty()
            && !usages
                .iter()
                .any(|&one| one == Usage::Any || one == usage || (gated && one == Usage::GatedServer))
    })
}
