//! Name constraints as Go before 1.26 judges them: certificate by certificate, while the chain is built.

use std::net::IpAddr;

use super::super::certificate::Certificate;
use super::super::constraints::NameConstraints;
use super::super::go::{GoVersion, Since};
use super::super::names::{self, Mailbox};
use super::super::quote::quoted;
use super::super::san::{Kind, SubjectAltName};
use super::super::uris::Uri;
use super::{Violation, octets, parent};

/// How many comparisons one constraining certificate is worth to Go before 1.26.
const MAX_COMPARISONS: usize = 250_000;

/// Judges what lies below one constraining certificate, as Go before 1.26 does while it builds the chain.
pub(in super::super) fn check_below(
    certificate: &Certificate<'_>,
    below: &[&Certificate<'_>],
    go: GoVersion,
) -> Result<(), Violation> {
    let Some(constraints) = certificate.extensions.name_constraints.as_ref() else { return Ok(()) };
    let leaf_and_self = [below[0], certificate];
    let checked = match () {
        () if go < GoVersion::OWN_NAMES => &below[..1],
        () if go < GoVersion::STRICT_OIDS => &leaf_and_self[..],
        () => below,
    };
    let mut check = Check { constraints, go, count: 0 };
    checked.iter().filter_map(|one| one.extensions.constrained_san()).try_for_each(|san| check.names(san))
}

struct Check<'c, 'a> {
    constraints: &'c NameConstraints<'a>,
    go: GoVersion,
    /// How many comparisons were made.
    count: usize,
}

impl Check<'_, '_> {
    /// All names of an extension, in its order: the first one that is wrong is the one that Go reports.
    fn names(&mut self, san: &SubjectAltName<'_>) -> Result<(), Violation> {
        let (mut mails, mut dns) = (san.emails.iter(), san.dns.iter());
        let (mut uris, mut ips) = (san.uris.iter(), san.ips.iter());
        san.order.iter().try_for_each(|kind| match kind {
            Kind::Mail => mails.next().map_or(Ok(()), |mail| self.mail(mail)),
            Kind::Dns => dns.next().map_or(Ok(()), |name| self.dns(name)),
            Kind::Uri => uris.next().map_or(Ok(()), |uri| self.uri(uri)),
            Kind::Ip => ips.next().map_or(Ok(()), |&ip| self.ip(ip)),
        })
    }

    fn mail(&mut self, text: &str) -> Result<(), Violation> {
        // Go prints the mailbox that it could not read.
        let unreadable = || Violation::Unreadable("cannot parse rfc822Name {\"\" \"\"}".to_owned());
        let mail = Mailbox::parse(text, self.go).ok_or_else(unreadable)?;
        let (trees, go) = (self.constraints.trees(|tree| &tree.emails), self.go);
        self.each("email address", text, trees, |constraint, _| mail_matches(&mail, constraint, go))
    }

    fn dns(&mut self, name: &str) -> Result<(), Violation> {
        let go = self.go;
        if !names::is_domain(name, false, go) {
            return Err(Violation::Unreadable(format!("cannot parse dnsName {}", quoted(name.as_bytes()))));
        }
        let wildcard = go.has(&Since::EXCLUDED_WILDCARDS) && name.starts_with('*');
        let trees = self.constraints.trees(|tree| &tree.dns);
        self.each("DNS name", name, trees, |constraint, excluded| {
            let over = wildcard && excluded && parent(name).is_some() && parent(name) == parent(constraint);
            Ok(domain_matches(name, constraint) || over)
        })
    }

    fn uri(&mut self, uri: &Uri<'_>) -> Result<(), Violation> {
        let (trees, go) = (self.constraints.trees(|tree| &tree.uris), self.go);
        self.each("URI", uri.text, trees, |constraint, _| {
            Ok(domain_matches(&uri.constrained_host(go)?, constraint))
        })
    }

    fn ip(&mut self, ip: IpAddr) -> Result<(), Violation> {
        let trees = self.constraints.trees(|tree| &tree.ips);
        self.each("IP address", &ip.to_canonical().to_string(), trees, |range, _| {
            Ok(range.contains(&octets(ip)))
        })
    }

    /// One name against the excluded, then the permitted constraints of its kind.
    fn each<T: ToString>(
        &mut self,
        kind: &str,
        name: &str,
        (permitted, excluded): (&[T], &[T]),
        matches: impl Fn(&T, bool) -> Result<bool, String>,
    ) -> Result<(), Violation> {
        let name = quoted(name.as_bytes());
        self.compare(excluded.len())?;
        for constraint in excluded {
            if matches(constraint, true).map_err(Violation::Name)? {
                let constraint = quoted(constraint.to_string().as_bytes());
                return Err(Violation::Name(format!("{kind} {name} is excluded by constraint {constraint}")));
            }
        }
        self.compare(permitted.len())?;
        for constraint in permitted {
            if matches(constraint, false).map_err(Violation::Name)? {
                return Ok(());
            }
        }
        if permitted.is_empty() {
            return Ok(());
        }
        Err(Violation::Name(format!("{kind} {name} is not permitted by any constraint")))
    }

    fn compare(&mut self, more: usize) -> Result<(), Violation> {
        self.count += more;
        if self.count > MAX_COMPARISONS { Err(Violation::TooMany) } else { Ok(()) }
    }
}

fn mail_matches(mail: &Mailbox, constraint: &str, go: GoVersion) -> Result<bool, String> {
    if constraint.contains('@') {
        let wanted = Mailbox::parse(constraint, go);
        return wanted.map(|wanted| wanted == *mail).ok_or_else(|| {
            format!("x509: internal error: cannot parse constraint {}", quoted(constraint.as_bytes()))
        });
    }
    Ok(domain_matches(&mail.domain, constraint))
}

pub(super) fn domain_matches(domain: &str, constraint: &str) -> bool {
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
