//! Certificates among which an issuer is looked for.

use std::collections::{HashMap, HashSet};

use super::certificate::Certificate;
use super::go::GoVersion;

/// A set of certificates, each once, found by their subjects.
#[derive(Debug, Default)]
pub(super) struct Pool<'a> {
    all: Vec<Certificate<'a>>,
    /// Where those that can be issuers are, each once.
    distinct: Vec<usize>,
    by_subject: HashMap<&'a [u8], Vec<usize>>,
}

impl<'a> Pool<'a> {
    /// The roots of a CA file.
    pub(super) fn roots(certificates: Vec<Certificate<'a>>) -> Self {
        Self::after(0, certificates)
    }

    /// The certificates of a handshake: the leaf is no issuer, the others are.
    pub(super) fn sent(certificates: Vec<Certificate<'a>>) -> Self {
        Self::after(1, certificates)
    }

    fn after(first: usize, all: Vec<Certificate<'a>>) -> Self {
        let mut by_subject: HashMap<_, Vec<usize>> = HashMap::new();
        let (mut seen, mut distinct) = (HashSet::new(), Vec::new());
        for (at, certificate) in all.iter().enumerate().skip(first) {
            if seen.insert(certificate.raw) {
                distinct.push(at);
                by_subject.entry(certificate.subject).or_default().push(at);
            }
        }
        Self { all, distinct, by_subject }
    }

    /// Whether it is one of them, byte for byte.
    pub(super) fn contains(&self, certificate: &Certificate<'_>) -> bool {
        self.by_subject
            .get(certificate.subject)
            .is_some_and(|found| found.iter().any(|&at| self.all[at].raw == certificate.raw))
    }

    /// All of them, as they were given.
    pub(super) fn all(&self) -> &[Certificate<'a>] {
        &self.all
    }

    /// Those with this subject.
    pub(super) fn named(&self, subject: &[u8]) -> impl Iterator<Item = &Certificate<'a>> {
        self.by_subject.get(subject).into_iter().flatten().map(|&at| &self.all[at])
    }

    /// Whose subject is the child's issuer, those whose key identifier matches first. Before Go 1.16 those whose key
    /// identifier matches, whatever their subject, and the others where there is none of them.
    pub(super) fn parents(&self, child: &Certificate<'_>, go: GoVersion) -> Vec<&Certificate<'a>> {
        let wanted = child.extensions.authority_key_id;
        let mut found: Vec<_> = self.named(child.issuer).collect();
        if go < GoVersion::ISSUERS_BY_NAME {
            let all = self.distinct.iter().map(|&at| &self.all[at]);
            let keyed: Vec<_> = all.filter(|one| one.extensions.subject_key_id == wanted).collect();
            return if wanted.is_empty() || keyed.is_empty() { found } else { keyed };
        }
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
