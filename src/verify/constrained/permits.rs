//! Whether name constraints permit a single name.

use std::net::IpAddr;

use super::super::constraints::NameConstraints;
use super::building::domain_matches;
use super::octets;

pub(in super::super) fn dns(constraints: &NameConstraints<'_>, name: &str) -> bool {
    let matches = |constraint: &&str| domain_matches(name, constraint);
    decide(&constraints.permitted.dns, &constraints.excluded.dns, matches)
}

pub(in super::super) fn ip(constraints: &NameConstraints<'_>, ip: IpAddr) -> bool {
    let ip = octets(ip.to_canonical());
    decide(&constraints.permitted.ips, &constraints.excluded.ips, |range| range.contains(&ip))
}

/// Excluded beats permitted; nothing permitted of a kind is no limit.
fn decide<T>(permitted: &[T], excluded: &[T], matches: impl Fn(&T) -> bool) -> bool {
    !excluded.iter().any(&matches) && (permitted.is_empty() || permitted.iter().any(&matches))
}
