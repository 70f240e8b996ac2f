//! Whether a chain has the policies that it demands: RFC 5280, 6.1, as updated by RFC 9618, judged by Go from 1.24 on. etcd
//! asks for no policy, so only a chain that demands one of itself and has none can fail.

use std::collections::{BTreeMap, BTreeSet};

use super::certificate::Certificate;

/// anyPolicy, 2.5.29.32.0.
const ANY: &[u8] = &[0x55, 0x1d, 0x20, 0x00];

/// A node of the policy graph; parents and children are named by their policy in the stratum above or below.
#[derive(Debug, Default)]
struct Node {
    expected: Vec<Vec<u8>>,
    parents: BTreeSet<Vec<u8>>,
    children: BTreeSet<Vec<u8>>,
}

type Stratum = BTreeMap<Vec<u8>, Node>;

#[derive(Debug)]
struct Graph {
    strata: Vec<Stratum>,
}

impl Graph {
    fn new() -> Self {
        let root = Node { expected: vec![ANY.to_vec()], ..Node::default() };
        Self { strata: vec![Stratum::from([(ANY.to_vec(), root)])] }
    }

    fn depth(&self) -> usize {
        self.strata.len() - 1
    }

    fn leaves(&mut self) -> &mut Stratum {
        self.strata.last_mut().expect("a graph has its root stratum")
    }

    fn insert(&mut self, policy: &[u8], parents: BTreeSet<Vec<u8>>, expected: Vec<Vec<u8>>) {
        let depth = self.depth();
        if depth > 0 {
            for parent in &parents {
                if let Some(node) = self.strata[depth - 1].get_mut(parent) {
                    node.children.insert(policy.to_vec());
                }
            }
        }
        self.leaves().insert(policy.to_vec(), Node { expected, parents, children: BTreeSet::new() });
    }

    fn remove(&mut self, depth: usize, policy: &[u8]) {
        let Some(node) = self.strata[depth].remove(policy) else { return };
        for parent in &node.parents {
            if let Some(node) = depth.checked_sub(1).and_then(|above| self.strata[above].get_mut(parent)) {
                node.children.remove(policy);
            }
        }
    }

    fn prune(&mut self) {
        for depth in (1..self.depth()).rev() {
            let barren = self.strata[depth].iter().filter(|(_, node)| node.children.is_empty());
            let barren: Vec<_> = barren.map(|(policy, _)| policy.clone()).collect();
            for policy in barren {
                self.remove(depth, &policy);
            }
        }
    }

    /// Adds a certificate's policies below what is there.
    fn descend(&mut self, policies: &[&[u8]], any_allowed: bool) {
        let mut by_expected: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>> = BTreeMap::new();
        for (policy, node) in self.leaves().iter() {
            for expected in &node.expected {
                by_expected.entry(expected.clone()).or_default().insert(policy.clone());
            }
        }
        let any_above = self.leaves().contains_key(ANY);
        self.strata.push(Stratum::new());
        for &policy in policies.iter().filter(|policy| **policy != ANY) {
            let parents = match by_expected.get(policy) {
                Some(parents) => parents.clone(),
                None if any_above => BTreeSet::from([ANY.to_vec()]),
                None => continue,
            };
            self.insert(policy, parents, vec![policy.to_vec()]);
        }
        if any_allowed && policies.contains(&ANY) {
            for (policy, parents) in by_expected {
                if !self.leaves().contains_key(&policy) {
                    let expected = vec![policy.clone()];
                    self.insert(&policy, parents, expected);
                }
            }
        }
        self.prune();
    }

    /// Applies a certificate's policy mappings; `false` when one of them is not allowed.
    fn map(&mut self, mappings: &[(&[u8], &[u8])], allowed: bool) -> bool {
        let mut wanted: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
        for &(issuer, subject) in mappings {
            if !allowed {
                let depth = self.depth();
                self.remove(depth, issuer);
            } else if issuer == ANY || subject == ANY {
                return false;
            } else {
                wanted.entry(issuer.to_vec()).or_default().push(subject.to_vec());
            }
        }
        self.prune();
        for (issuer, subjects) in wanted {
            if let Some(node) = self.leaves().get_mut(&issuer) {
                node.expected = subjects;
            } else if self.leaves().contains_key(ANY) {
                // Go hangs the new node below the any-policy leaf of its own stratum.
                self.leaves().insert(
                    issuer,
                    Node { expected: subjects, parents: BTreeSet::from([ANY.to_vec()]), ..Node::default() },
                );
            }
        }
        true
    }

    fn has_valid_policy(&self) -> bool {
        let valid = |(policy, node): (&Vec<u8>, &Node)| {
            policy != ANY && node.parents.len() == 1 && node.parents.contains(ANY)
        };
        self.strata.iter().any(|stratum| stratum.iter().any(valid))
            || self.strata.last().is_some_and(|leaves| leaves.contains_key(ANY))
    }
}

/// Whether a chain, leaf first and root last, satisfies the policies that it demands itself.
pub(super) fn are_valid(chain: &[&Certificate<'_>]) -> bool {
    let [certificates @ .., _root] = chain else { return true };
    if certificates.is_empty() {
        return true;
    }
    let limit = i64::try_from(chain.len()).expect("a chain is short");
    let (mut inhibit_any, mut explicit, mut mapping) = (limit, limit, limit);
    let mut graph = Some(Graph::new());
    for (at, certificate) in certificates.iter().enumerate().rev() {
        let said = &certificate.extensions.policies;
        let self_issued = certificate.is_self_issued();
        if said.policies.is_empty() {
            graph = None;
        }
        if explicit == 0 && graph.is_none() {
            return false;
        }
        if let Some(graph) = graph.as_mut() {
            graph.descend(&said.policies, inhibit_any > 0 || (at > 0 && self_issued));
            if at != 0 && !said.mappings.is_empty() && !graph.map(&said.mappings, mapping > 0) {
                return false;
            }
        }
        if at != 0 {
            if !self_issued {
                explicit = (explicit - 1).max(0);
                mapping = (mapping - 1).max(0);
                inhibit_any = (inhibit_any - 1).max(0);
            }
            let tighter = |current: i64, wanted: Option<i64>| match wanted {
                Some(wanted) if wanted >= 0 => current.min(wanted),
                _ => current,
            };
            explicit = tighter(explicit, said.require_explicit);
            mapping = tighter(mapping, said.inhibit_mapping);
            inhibit_any = tighter(inhibit_any, said.inhibit_any);
        }
    }
    explicit = (explicit - 1).max(0);
    if certificates[0].extensions.policies.require_explicit == Some(0) {
        explicit = 0;
    }
    explicit > 0 || graph.is_some_and(|graph| graph.has_valid_policy())
}
