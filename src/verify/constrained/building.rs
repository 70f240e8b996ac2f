//! Name constraints as Go before 1.26 judges them: certificate by certificate, while the chain is built.

use super::super::certificate::Certificate;
use super::super::go::{GoVersion, Since};
use super::super::names::{self, Mailbox};
use super::{Violation, mailboxes, octets, parent};

/// How many comparisons one constraining certificate is worth to Go before 1.26.
const MAX_COMPARISONS: usize = 250_000;

/// Judges what lies below one constraining certificate, as Go before 1.26 does while it builds the chain.
pub(in super::super) fn check_below(
    certificate: &Certificate<'_>,
    below: &[&Certificate<'_>],
    go: GoVersion,
) -> Result<(), Violation> {
    let Some(constraints) = certificate.extensions.name_constraints.as_ref() else { return Ok(()) };
    let mut count = 0;
    let leaf_and_self = [below[0], certificate];
    let judged = match () {
        () if go < GoVersion::OWN_NAMES => &below[..1],
        () if go < GoVersion::STRICT_OIDS => &leaf_and_self[..],
        () => below,
    };
    for san in judged.iter().filter_map(|one| one.extensions.constrained_san()) {
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
            let wildcard = go.has(&Since::EXCLUDED_WILDCARDS);
            each(&mut count, "DNS name", name, trees, |constraint, excluded| {
                let over =
                    wildcard && excluded && parent(name).is_some() && parent(name) == parent(constraint);
                Ok(domain_matches(name, constraint) || (over && name.starts_with('*')))
            })?;
        }
        for uri in &san.uris {
            let trees = (&constraints.permitted.uris, &constraints.excluded.uris);
            each(&mut count, "URI", uri.text, trees, |constraint, _| {
                Ok(domain_matches(&uri.constrained_host(go)?, constraint))
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
