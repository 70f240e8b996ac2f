//! Whether a chain keeps to its name constraints (RFC 5280, 4.2.1.10), as Go judges it: all SANs of the certificates below the
//! one that constrains; excluded beats permitted; permitted limits only its own kind; an IPv4 address never matches an IPv6
//! range; `example.com` covers itself and what is below, `.example.com` only what is below.

mod building;
pub(super) mod permits;
mod whole;

use std::net::IpAddr;

use super::go::GoVersion;
use super::names::Mailbox;
use super::quote::quoted;
use super::san::SubjectAltName;
pub(super) use building::check_below;
pub(super) use whole::check_chain;

/// Why a name is not permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Violation {
    /// A name that Go cannot read, before 1.26.
    Unreadable(String),
    /// A name that is excluded, not permitted, or cannot be matched; Go's detail.
    Name(String),
    /// More comparisons than Go before 1.26 makes.
    TooMany,
}

fn mailboxes(san: &SubjectAltName<'_>, go: GoVersion) -> Result<Vec<Mailbox>, Violation> {
    san.emails
        .iter()
        .map(|mail| {
            Mailbox::parse(mail, go).ok_or_else(|| {
                Violation::Name(format!("cannot parse rfc822Name {}", quoted(mail.as_bytes())))
            })
        })
        .collect()
}

/// What stands behind a name's first label, with its dot.
fn parent(domain: &str) -> Option<String> {
    domain.find('.').map(|dot| domain[dot..].to_ascii_lowercase())
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(four) => four.octets().to_vec(),
        IpAddr::V6(six) => six.octets().to_vec(),
    }
}
