//! Name constraints (RFC 5280, 4.2.1.10) as Go judges them: all SANs of the certificates below the one that
//! constrains; excluded beats permitted; permitted limits only its own kind; an IPv4 address never matches an IPv6
//! range; `example.com` covers itself and what is below, `.example.com` only what is below.

use std::cmp::Ordering;
use std::net::IpAddr;

use super::certificate::{Certificate, ParseError};
use super::der::{self, Der};
use super::extensions::SubjectAltName;
use super::go::GoVersion;
use super::names::{self, Mailbox, Uri};

/// How many comparisons one constraining certificate is worth to Go before 1.26.
const MAX_COMPARISONS: usize = 250_000;

/// A nameConstraints extension.
#[derive(Debug, Clone, Default)]
pub(crate) struct NameConstraints<'a> {
    permitted: Subtrees<'a>,
    excluded: Subtrees<'a>,
}

#[derive(Debug, Clone, Default)]
struct Subtrees<'a> {
    dns: Vec<&'a str>,
    ips: Vec<Range>,
    emails: Vec<&'a str>,
    uris: Vec<&'a str>,
}

/// An address range: 4 or 16 bytes each.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    network: Vec<u8>,
    mask: Vec<u8>,
}

impl Range {
    fn contains(&self, ip: &[u8]) -> bool {
        ip.len() == self.network.len()
            && ip.iter().zip(&self.network).zip(&self.mask).all(|((a, b), mask)| a & mask == b & mask)
    }

    fn covers(&self, other: &Self) -> bool {
        let last: Vec<u8> = other.network.iter().zip(&other.mask).map(|(net, mask)| net | !mask).collect();
        self.contains(&other.network) && self.contains(&last)
    }

    fn masked(&self) -> Self {
        let network = self.network.iter().zip(&self.mask).map(|(net, mask)| net & mask).collect();
        Self { network, mask: self.mask.clone() }
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bits: u32 = self.mask.iter().map(|byte| byte.count_ones()).sum();
        match (<[u8; 4]>::try_from(self.network.as_slice()), <[u8; 16]>::try_from(self.network.as_slice())) {
            (Ok(four), _) => write!(f, "{}/{bits}", IpAddr::from(four)),
            (_, Ok(sixteen)) => write!(f, "{}/{bits}", IpAddr::from(sixteen)),
            _ => f.write_str("?"),
        }
    }
}

impl<'a> NameConstraints<'a> {
    /// Reads the extension; the flag says whether all kinds of names in it are known to Go.
    pub(super) fn parse(value: &'a [u8], go: GoVersion) -> Result<(Self, bool), ParseError> {
        let bad = || ParseError::new("invalid NameConstraints extension");
        let mut outer = Der(value);
        let mut fields = outer.read(der::SEQUENCE).ok_or_else(bad)?;
        let permitted = fields.optional(der::explicit(0)).ok_or_else(bad)?;
        let excluded = fields.optional(der::explicit(1)).ok_or_else(bad)?;
        if !outer.is_empty() || !fields.is_empty() {
            return Err(bad());
        }
        let empty = |tree: &Option<Der<'_>>| tree.is_none_or(|tree| tree.is_empty());
        if empty(&permitted) && empty(&excluded) {
            return Err(ParseError::new("empty name constraints extension"));
        }
        let hollow = |tree: &Option<Der<'_>>| tree.is_some_and(|tree| tree.is_empty());
        if go >= GoVersion::NO_MAPPED && (hollow(&permitted) || hollow(&excluded)) {
            return Err(ParseError::new("empty name constraints subtree sequence"));
        }
        let mut all_known = true;
        let permitted = Subtrees::parse(permitted, &mut all_known, go)?;
        let excluded = Subtrees::parse(excluded, &mut all_known, go)?;
        Ok((Self { permitted, excluded }, all_known))
    }

    /// Whether there is any constraint of a kind that Go knows.
    fn is_empty(&self) -> bool {
        self.permitted.is_empty() && self.excluded.is_empty()
    }
}

impl<'a> Subtrees<'a> {
    fn is_empty(&self) -> bool {
        self.dns.is_empty() && self.ips.is_empty() && self.emails.is_empty() && self.uris.is_empty()
    }

    fn parse(tree: Option<Der<'a>>, all_known: &mut bool, go: GoVersion) -> Result<Self, ParseError> {
        let mut out = Self::default();
        let Some(mut tree) = tree else { return Ok(out) };
        while !tree.is_empty() {
            let bad = || ParseError::new("invalid NameConstraints extension");
            let mut subtree = tree.read(der::SEQUENCE).ok_or_else(bad)?;
            let base = subtree.any().ok_or_else(bad)?;
            let text = || {
                std::str::from_utf8(base.content)
                    .ok()
                    .filter(|text| text.is_ascii())
                    .ok_or_else(|| ParseError::new("invalid constraint value: not an IA5String"))
            };
            let fail = |kind: &str, text: &str| {
                Err(ParseError::new(format!("failed to parse {kind} constraint {text:?}")))
            };
            match base.tag {
                0x82 => match text()? {
                    domain if names::is_domain(domain, true, go) => out.dns.push(domain),
                    other => return fail("dnsName", other),
                },
                0x87 => out.ips.push(range(base.content, go)?),
                0x81 => match text()? {
                    mail if mail.contains('@') && Mailbox::parse(mail, go).is_some() => out.emails.push(mail),
                    domain if !domain.contains('@') && names::is_domain(domain, true, go) => {
                        out.emails.push(domain);
                    }
                    other => return fail("rfc822Name", other),
                },
                0x86 => match text()? {
                    ip if ip.parse::<IpAddr>().is_ok() => return fail("URI", ip),
                    domain if names::is_domain(domain, true, go) => out.uris.push(domain),
                    other => return fail("URI", other),
                },
                _ => *all_known = false,
            }
        }
        Ok(out)
    }
}

fn range(bytes: &[u8], go: GoVersion) -> Result<Range, ParseError> {
    if !matches!(bytes.len(), 8 | 32) {
        return Err(ParseError::new(format!("IP constraint contained value of length {}", bytes.len())));
    }
    let (network, mask) = bytes.split_at(bytes.len() / 2);
    let ones = mask.iter().take_while(|&&byte| byte == 0xff).count();
    let sound = match mask.get(ones..) {
        Some([edge, rest @ ..]) => {
            edge.leading_ones() == edge.count_ones() && rest.iter().all(|&byte| byte == 0)
        }
        _ => true,
    };
    if !sound {
        let hex: String = mask.iter().map(|byte| format!("{byte:02x}")).collect();
        return Err(ParseError::new(format!("IP constraint contained invalid mask {hex}")));
    }
    if go >= GoVersion::NO_MAPPED && network.len() == 16 && network.starts_with(&names::V4_MAPPED) {
        return Err(ParseError::new("IP constraint contained IPv4-mapped IPv6 address"));
    }
    Ok(Range { network: network.to_vec(), mask: mask.to_vec() })
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(four) => four.octets().to_vec(),
        IpAddr::V6(six) => six.octets().to_vec(),
    }
}

/// Why a name is not permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Violation {
    /// A name that is excluded, not permitted, or cannot be matched; Go's detail.
    Name(String),
    /// More comparisons than Go before 1.26 makes.
    TooMany,
}

/// Judges a whole chain, leaf first, as Go from 1.26 on does once the chain stands.
pub(super) fn check_chain(chain: &[&Certificate<'_>], go: GoVersion) -> Result<(), Violation> {
    for (at, certificate) in chain.iter().enumerate() {
        let Some(san) = certificate.extensions.san.as_ref() else { continue };
        let above = chain[at + 1..].iter().filter_map(|above| above.extensions.name_constraints.as_ref());
        let above: Vec<_> = above.filter(|constraints| !constraints.is_empty()).collect();
        if above.is_empty() {
            continue;
        }
        let hosts = san.uris.iter().map(Uri::constrained_host).collect::<Result<Vec<_>, _>>();
        let hosts = hosts.map_err(Violation::Name)?;
        let mails = mailboxes(san, go)?;
        for constraints in above {
            Sets::new(constraints, go).check(san, &hosts, &mails, go).map_err(Violation::Name)?;
        }
    }
    Ok(())
}

fn mailboxes(san: &SubjectAltName<'_>, go: GoVersion) -> Result<Vec<Mailbox>, Violation> {
    san.emails
        .iter()
        .map(|mail| {
            Mailbox::parse(mail, go)
                .ok_or_else(|| Violation::Name(format!("cannot parse rfc822Name {mail:?}")))
        })
        .collect()
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
    mails: Vec<Mailbox>,
    ranges: Vec<Range>,
}

impl<'a> Sets<'a> {
    fn new(constraints: &NameConstraints<'a>, go: GoVersion) -> Self {
        let kinds = |tree: &Subtrees<'a>, permitted: bool| {
            let mut kinds = Vec::new();
            if !tree.ips.is_empty() {
                kinds.push(Kind {
                    kind: "IP address",
                    domains: None,
                    mails: Vec::new(),
                    ranges: prune(
                        tree.ips.iter().map(Range::masked).collect(),
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
                    kinds.push(Kind { kind, domains, mails: Vec::new(), ranges: Vec::new() });
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
            self.one("IP address", &ip.to_string(), |kind| {
                let ip = octets(*ip);
                nearest(&kind.ranges, |range| (range.network.len(), &range.network).cmp(&(ip.len(), &ip)))
                    .filter(|range| range.contains(&ip))
                    .map(ToString::to_string)
            })?;
        }
        for name in &san.dns {
            if !names::is_domain(name, false, go) {
                return Err(format!("x509: cannot parse dnsName {name:?}"));
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
        let of = |kinds: &'_ [Kind<'a>]| kinds.iter().position(|one| one.kind == kind);
        if let Some(at) = of(&self.permitted)
            && find(&self.permitted[at]).is_none()
        {
            return Err(format!("{kind} {name:?} is not permitted by any constraint"));
        }
        if let Some(at) = of(&self.excluded)
            && let Some(constraint) = find(&self.excluded[at])
        {
            return Err(format!("{kind} {name:?} is excluded by constraint {constraint:?}"));
        }
        Ok(())
    }
}

/// Domain constraints in the order of their reversed names.
struct Domains<'a> {
    /// The empty constraint covers everything.
    all: bool,
    permitted: bool,
    sorted: Vec<&'a str>,
}

impl<'a> Domains<'a> {
    fn new(domains: Vec<&'a str>, permitted: bool) -> Self {
        let all = domains.iter().any(|domain| domain.is_empty());
        Self { all, permitted, sorted: prune(domains, |a, b| reversed(a, b), |a, b| is_suffix(a, b)) }
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
        if self.permitted || !name.starts_with('*') {
            return None;
        }
        // An excluded name excludes the wildcard that would cover it.
        let wanted = parent(name)?;
        let hit = self.sorted.iter().rev().find(|domain| parent(domain).as_ref() == Some(&wanted))?;
        Some(hit.to_ascii_lowercase())
    }
}

/// What stands behind a name's first label, with its dot.
fn parent(domain: &str) -> Option<String> {
    domain.find('.').map(|dot| domain[dot..].to_ascii_lowercase())
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

/// Judges what lies below one constraining certificate, as Go before 1.26 does while it builds the chain.
pub(super) fn check_below(
    certificate: &Certificate<'_>,
    below: &[&Certificate<'_>],
    go: GoVersion,
) -> Result<(), Violation> {
    let Some(constraints) = certificate.extensions.name_constraints.as_ref().filter(|c| !c.is_empty()) else {
        return Ok(());
    };
    let mut count = 0;
    let leaf_and_self = [below[0], certificate];
    let judged = if go < GoVersion::STRICT_OIDS { &leaf_and_self[..] } else { below };
    for san in judged.iter().filter_map(|one| one.extensions.san.as_ref()) {
        for mail in mailboxes(san, go)? {
            let text = format!("{}@{}", mail.local, mail.domain);
            let trees = (&constraints.permitted.emails, &constraints.excluded.emails);
            each(&mut count, "email address", &text, trees, |constraint, _| {
                mail_matches(&mail, constraint, go)
            })?;
        }
        for name in &san.dns {
            if !names::is_domain(name, false, go) {
                return Err(Violation::Name(format!("x509: cannot parse dnsName {name:?}")));
            }
            let trees = (&constraints.permitted.dns, &constraints.excluded.dns);
            let wildcard = go.excludes_wildcards();
            each(&mut count, "DNS name", name, trees, |constraint, excluded| {
                let over =
                    wildcard && excluded && parent(name).is_some() && parent(name) == parent(constraint);
                Ok(domain_matches(name, constraint) || (over && name.starts_with('*')))
            })?;
        }
        for uri in &san.uris {
            let trees = (&constraints.permitted.uris, &constraints.excluded.uris);
            each(&mut count, "URI", uri.text, trees, |constraint, _| {
                Ok(domain_matches(&uri.constrained_host()?, constraint))
            })?;
        }
        for ip in &san.ips {
            let trees = (&constraints.permitted.ips, &constraints.excluded.ips);
            each(&mut count, "IP address", &ip.to_string(), trees, |range, _| {
                Ok(range.contains(&octets(*ip)))
            })?;
        }
    }
    Ok(())
}

/// One name against the excluded, then the permitted constraints of its kind.
fn each<T: ToString>(
    count: &mut usize,
    kind: &str,
    name: &str,
    (permitted, excluded): (&Vec<T>, &Vec<T>),
    matches: impl Fn(&T, bool) -> Result<bool, String>,
) -> Result<(), Violation> {
    *count += excluded.len();
    if *count > MAX_COMPARISONS {
        return Err(Violation::TooMany);
    }
    for constraint in excluded {
        if matches(constraint, true).map_err(Violation::Name)? {
            let constraint = constraint.to_string();
            let text = format!("{kind} {name:?} is excluded by constraint {constraint:?}");
            return Err(Violation::Name(text));
        }
    }
    *count += permitted.len();
    if *count > MAX_COMPARISONS {
        return Err(Violation::TooMany);
    }
    for constraint in permitted {
        if matches(constraint, false).map_err(Violation::Name)? {
            return Ok(());
        }
    }
    if permitted.is_empty() {
        return Ok(());
    }
    Err(Violation::Name(format!("{kind} {name:?} is not permitted by any constraint")))
}

fn mail_matches(mail: &Mailbox, constraint: &str, go: GoVersion) -> Result<bool, String> {
    if constraint.contains('@') {
        let wanted = Mailbox::parse(constraint, go);
        return wanted
            .map(|wanted| wanted == *mail)
            .ok_or_else(|| format!("x509: internal error: cannot parse constraint {constraint:?}"));
    }
    Ok(domain_matches(&mail.domain, constraint))
}

fn domain_matches(domain: &str, constraint: &str) -> bool {
    if constraint.is_empty() {
        return true;
    }
    let (below_only, constraint) = match constraint.strip_prefix('.') {
        Some(rest) => (true, rest),
        None => (false, constraint),
    };
    // A leading dot too many is not seen.
    let labels = |text: &str| -> Vec<String> {
        let text = text.strip_prefix('.').unwrap_or(text);
        text.rsplit('.').filter(|label| !label.is_empty()).map(str::to_ascii_lowercase).collect()
    };
    let (have, want) = (labels(domain), labels(constraint));
    have.len() >= want.len() && !(below_only && have.len() == want.len()) && have.starts_with(&want)
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
            assert_eq!(domain_matches(name, constraint), hit, "{constraint} {name}");
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

    #[test]
    fn ranges_keep_to_their_own_family() {
        let range = |network: &[u8], mask: &[u8]| Range { network: network.to_vec(), mask: mask.to_vec() };
        let ten = range(&[10, 0, 0, 0], &[255, 0, 0, 0]);
        assert!(ten.contains(&[10, 1, 2, 3]) && !ten.contains(&[11, 0, 0, 0]));
        assert!(!ten.contains(&octets("::ffff:10.1.2.3".parse().unwrap())));
        assert!(ten.covers(&range(&[10, 9, 0, 0], &[255, 255, 0, 0])));
    }
}
