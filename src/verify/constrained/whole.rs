//! Name constraints as Go from 1.26 on judges them: once the chain stands, over sorted and pruned sets.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use super::super::certificate::Certificate;
use super::super::constraints::{NameConstraints, Range, Subtrees};
use super::super::go::GoVersion;
use super::super::names::{self, Mailbox};
use super::super::quote::quoted;
use super::super::san::SubjectAltName;
use super::{Violation, mailboxes, octets, parent};

/// Judges a whole chain, leaf first, as Go from 1.26 on does once the chain stands.
pub(in super::super) fn check_chain(chain: &[&Certificate<'_>], go: GoVersion) -> Result<(), Violation> {
    let sets = chain.iter().map(|one| {
        let constraints = one.extensions.name_constraints.as_ref();
        constraints.map(|some| Sets::new(some, go))
    });
    let sets: Vec<Option<Sets<'_>>> = sets.collect();
    for (at, certificate) in chain.iter().enumerate() {
        let Some(san) = certificate.extensions.san.as_ref() else { continue };
        let mut above = sets[at + 1..].iter().flatten().peekable();
        if above.peek().is_none() {
            continue;
        }
        let hosts = san.uris.iter().map(|uri| uri.constrained_host(go)).collect::<Result<Vec<_>, _>>();
        let hosts = hosts.map_err(Violation::Name)?;
        let mails = mailboxes(san, go)?;
        for constraints in above {
            constraints.check(san, &hosts, &mails, go).map_err(Violation::Name)?;
        }
    }
    Ok(())
}

/// One certificate's constraints, sorted and pruned so that one look finds the nearest one.
struct Sets<'a> {
    permitted: Vec<Kind<'a>>,
    excluded: Vec<Kind<'a>>,
}

/// A set for one kind of name; absent where nothing of that kind is constrained.
struct Kind<'a> {
    kind: &'static str,
    domains: Option<Domains<'a>>,
    mails: HashSet<Mailbox>,
    ranges: Vec<Range>,
}

impl<'a> Sets<'a> {
    fn new(constraints: &NameConstraints<'a>, go: GoVersion) -> Self {
        let masked = go >= GoVersion::NO_MAPPED;
        let kinds = |tree: &Subtrees<'a>, permitted: bool| {
            let mut kinds = Vec::new();
            if !tree.ips.is_empty() {
                kinds.push(Kind {
                    kind: "IP address",
                    domains: None,
                    mails: HashSet::new(),
                    ranges: prune(
                        tree.ips
                            .iter()
                            .map(|range| if masked { range.masked() } else { range.clone() })
                            .collect(),
                        |a, b| {
                            (a.network.len(), &a.network, &a.mask).cmp(&(
                                b.network.len(),
                                &b.network,
                                &b.mask,
                            ))
                        },
                        Range::covers,
                    ),
                });
            }
            for (kind, domains) in [("DNS name", &tree.dns), ("URI", &tree.uris)] {
                if !domains.is_empty() {
                    let domains = Some(Domains::new(domains.clone(), permitted));
                    kinds.push(Kind { kind, domains, mails: HashSet::new(), ranges: Vec::new() });
                }
            }
            if !tree.emails.is_empty() {
                let domains: Vec<_> =
                    tree.emails.iter().copied().filter(|mail| !mail.contains('@')).collect();
                let mails = tree.emails.iter().filter(|mail| mail.contains('@'));
                kinds.push(Kind {
                    kind: "email address",
                    domains: (!domains.is_empty()).then(|| Domains::new(domains, permitted)),
                    mails: mails.filter_map(|mail| Mailbox::parse(mail, go)).collect(),
                    ranges: Vec::new(),
                });
            }
            kinds
        };
        Self { permitted: kinds(&constraints.permitted, true), excluded: kinds(&constraints.excluded, false) }
    }

    fn check(
        &self,
        san: &SubjectAltName<'_>,
        hosts: &[String],
        mails: &[Mailbox],
        go: GoVersion,
    ) -> Result<(), String> {
        for ip in &san.ips {
            self.one("IP address", &ip.to_canonical().to_string(), |kind| {
                let ip = octets(*ip);
                nearest(&kind.ranges, |range| (range.network.len(), &range.network).cmp(&(ip.len(), &ip)))
                    .filter(|range| range.contains(&ip))
                    .map(ToString::to_string)
            })?;
        }
        for name in &san.dns {
            if !names::is_domain(name, false, go) {
                return Err(format!("x509: cannot parse dnsName {}", quoted(name.as_bytes())));
            }
            self.one("DNS name", name, |kind| kind.domains.as_ref()?.find(name))?;
        }
        for (uri, host) in san.uris.iter().zip(hosts) {
            self.one("URI", uri.text, |kind| kind.domains.as_ref()?.find(host))?;
        }
        for mail in mails {
            let text = format!("{}@{}", mail.local, mail.domain);
            self.one("email address", &text, |kind| {
                if kind.mails.contains(mail) {
                    return Some(text.clone());
                }
                kind.domains.as_ref()?.find(&mail.domain)
            })?;
        }
        Ok(())
    }

    fn one(&self, kind: &str, name: &str, find: impl Fn(&Kind<'a>) -> Option<String>) -> Result<(), String> {
        let name = quoted(name.as_bytes());
        let of = |kinds: &'_ [Kind<'a>]| kinds.iter().position(|one| one.kind == kind);
        if let Some(at) = of(&self.permitted)
            && find(&self.permitted[at]).is_none()
        {
            return Err(format!("{kind} {name} is not permitted by any constraint"));
        }
        if let Some(at) = of(&self.excluded)
            && let Some(constraint) = find(&self.excluded[at])
        {
            let constraint = quoted(constraint.as_bytes());
            return Err(format!("{kind} {name} is excluded by constraint {constraint}"));
        }
        Ok(())
    }
}

/// Domain constraints in the order of their reversed names.
struct Domains<'a> {
    /// The empty constraint covers everything.
    all: bool,
    sorted: Vec<&'a str>,
    /// Of excluded names, the last one behind each first label: it excludes the wildcard that would cover it.
    behind: HashMap<String, &'a str>,
}

impl<'a> Domains<'a> {
    fn new(domains: Vec<&'a str>, permitted: bool) -> Self {
        let all = domains.iter().any(|domain| domain.is_empty());
        let sorted = prune(domains, |a, b| reversed(a, b), |a, b| is_suffix(a, b));
        let wildcards = sorted.iter().filter(|_| !permitted);
        let behind = wildcards.filter_map(|domain| Some((parent(domain)?, *domain))).collect();
        Self { all, sorted, behind }
    }

    fn find(&self, name: &str) -> Option<String> {
        if self.all {
            return Some(String::new());
        }
        let near = nearest(&self.sorted, |domain| reversed(domain, name));
        if let Some(domain) = near.filter(|domain| reversed(domain, name).is_eq() || is_suffix(domain, name))
        {
            return Some((*domain).to_owned());
        }
        if !name.starts_with('*') {
            return None;
        }
        Some(self.behind.get(&parent(name)?)?.to_ascii_lowercase())
    }
}

/// Sorts, and drops what the one before covers.
fn prune<T>(mut set: Vec<T>, order: impl Fn(&T, &T) -> Ordering, covers: impl Fn(&T, &T) -> bool) -> Vec<T> {
    set.sort_by(order);
    let mut kept: Vec<T> = Vec::with_capacity(set.len());
    for one in set {
        if !kept.last().is_some_and(|last| covers(last, &one)) {
            kept.push(one);
        }
    }
    kept
}

/// The equal element, else the one before the place where it would stand, else the first.
fn nearest<T>(sorted: &[T], order: impl Fn(&T) -> Ordering) -> Option<&T> {
    let at = sorted.partition_point(|one| order(one).is_lt());
    match sorted.get(at) {
        Some(one) if order(one).is_eq() => Some(one),
        _ => sorted.get(at.saturating_sub(1)),
    }
}

/// Compares from the end, without regard to case, the dot before every other character.
fn reversed(a: &str, b: &str) -> Ordering {
    let key = |byte: u8| if byte == b'.' { 0 } else { byte.to_ascii_lowercase() };
    a.bytes().rev().map(key).cmp(b.bytes().rev().map(key))
}

/// Whether `name` is the constraint or, at a label's edge, below it.
fn is_suffix(constraint: &str, name: &str) -> bool {
    let (constraint, name) = (constraint.as_bytes(), name.as_bytes());
    let Some(start) = name.len().checked_sub(constraint.len()) else { return false };
    name[start..].eq_ignore_ascii_case(constraint)
        && (constraint.first() == Some(&b'.') || start == 0 || name[start - 1] == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constraint_covers_itself_and_what_is_below() {
        for (constraint, name, hit) in [
            ("example.com", "example.com", true),
            ("example.com", "m1.EXAMPLE.com", true),
            ("example.com", "notexample.com", false),
            (".example.com", "m1.example.com", true),
            (".example.com", "example.com", false),
            ("", "anything", true),
        ] {
            assert_eq!(super::super::building::domain_matches(name, constraint), hit, "{constraint} {name}");
            assert_eq!(Domains::new(vec![constraint], true).find(name).is_some(), hit, "{constraint} {name}");
        }
    }

    #[test]
    fn an_excluded_name_excludes_the_wildcard_over_it() {
        let excluded = Domains::new(vec!["b.example.com", "a-a.com", "a.com"], false);
        assert_eq!(excluded.find("*.example.com").as_deref(), Some("b.example.com"));
        assert_eq!(excluded.find("x.a.com").as_deref(), Some("a.com"));
        assert_eq!(excluded.find("c.example.com"), None);
    }
}
