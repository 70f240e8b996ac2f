//! A whole cluster's certificates: what `cluster.toml` asks for, compared with what is there.

use ::time::OffsetDateTime;
use zeroize::Zeroizing;

use super::ledger::Event;
use super::planned::{Planned, Request};
use super::rebuild::has_usages;
use super::store::{Pair, Store};
use super::stored::first_certificate;
use super::{CaError, CertName, KeyType, Profiles, San, inspect};
use crate::inventory::Inventory;

/// What holds for all certificates of the run.
#[derive(Debug, Clone, Copy, Default)]
pub struct FleetOptions {
    /// How long, when not as the profiles say.
    pub days: Option<u32>,
    /// The kind of key, when not as the profiles say.
    pub key_type: Option<KeyType>,
}

/// The requests of an inventory: members as `server`, clients as `client`, proxies as `proxy`.
///
/// # Errors
/// [`CaError`]: the inventory has checked names and addresses already, so it is the profiles that can be missing.
pub fn requests(
    inventory: &Inventory,
    profiles: &Profiles,
    options: FleetOptions,
) -> Result<Vec<Request>, CaError> {
    let request = |name: &str, profile: &str, ips: &[std::net::IpAddr], dns: &[String]| {
        let names = dns.iter().map(|name| San::dns(name));
        let addresses = ips.iter().map(|&ip| San::from_ip(ip));
        Ok(Request {
            name: name.parse::<CertName>()?,
            profile: profiles.get(profile)?.clone(),
            sans: names.chain(addresses).collect::<Result<_, CaError>>()?,
            only_given_names: false,
            days: options.days,
            key_type: options.key_type,
            replace: false,
        })
    };
    let members = inventory.members.iter().map(|m| request(&m.name, "server", &m.ips, &m.dns));
    let clients = inventory.clients.iter().map(|c| request(&c.name, "client", &c.ips, &c.dns));
    let proxies = inventory.proxies.iter().map(|p| request(&p.name, "proxy", &p.ips, &[]));
    members.chain(clients).chain(proxies).collect()
}

/// How a certificate that is there differs from the one that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Drift {
    /// The certificate is there and its key is not, or the other way round.
    HalfThere {
        /// The file that is missing.
        missing: String,
    },
    /// It cannot be read.
    Unreadable {
        /// Why.
        what: String,
    },
    /// It was issued with another profile.
    Profile {
        /// The one that it has.
        has: String,
        /// The one that is wanted.
        wants: String,
    },
    /// Names are wanted that it does not have.
    MissingNames {
        /// The names.
        names: Vec<String>,
    },
    /// It has names that are not wanted.
    ExtraNames {
        /// The names.
        names: Vec<String>,
    },
    /// It has expired, or its last tenth (at least a week) has begun.
    Expiry {
        /// Its end.
        #[serde(with = "::time::serde::rfc3339")]
        not_after: OffsetDateTime,
    },
    /// It was revoked.
    Revoked,
    /// Another CA has signed it.
    OtherCa,
    /// The key does not belong to it.
    KeyMismatch,
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::HalfThere { missing } => write!(f, "{missing} is missing"),
            Self::Unreadable { what } => f.write_str(what),
            Self::Profile { has, wants } => write!(f, "its profile is {has}, {wants} is wanted"),
            Self::MissingNames { names } => write!(f, "it lacks {}", names.join(", ")),
            Self::ExtraNames { names } => write!(f, "it has {}, which nobody asked for", names.join(", ")),
            Self::Expiry { not_after } => write!(f, "it ends on {}", not_after.date()),
            Self::Revoked => f.write_str("it was revoked"),
            Self::OtherCa => f.write_str("another CA has signed it"),
            Self::KeyMismatch => f.write_str("its key belongs to another certificate"),
        }
    }
}

/// What is there under a wanted name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Missing,
    /// What is wanted.
    AsWanted,
    /// Something else.
    Drifted(Vec<Drift>),
}

/// Compares a wanted certificate with what is in the directory.
///
/// # Errors
/// [`CaError::File`]
pub fn compare(store: &Store, wanted: &Planned, now: OffsetDateTime) -> Result<State, CaError> {
    let ledger = store.ledger();
    let (cert_file, key_file) = (wanted.name.cert_file(), wanted.name.key_file());
    let cert_path = store.path(&cert_file);
    // Most that are missing are missing both: the names are known, and no file is asked for.
    let there = |file: &str| match store.listing()?.has(file) {
        true => store.read(file),
        false => Ok(None),
    };
    let pair = match (there(&cert_file)?, there(&key_file)?) {
        (None, None) => return Ok(State::Missing),
        (Some(_), None) => return Ok(State::Drifted(vec![Drift::HalfThere { missing: key_file }])),
        (None, Some(_)) => return Ok(State::Drifted(vec![Drift::HalfThere { missing: cert_file }])),
        (Some(cert), Some(key)) => Pair { cert_pem: cert.bytes, key_pem: Zeroizing::new(key.bytes) },
    };
    let described = first_certificate(&cert_path, &pair.cert_pem)
        .and_then(|der| Ok((inspect::certificate(&cert_path, &der)?, der)));
    let (has, der) = match described {
        Ok(described) => described,
        Err(error) => return Ok(State::Drifted(vec![Drift::Unreadable { what: error.to_string() }])),
    };
    let mut drift = Vec::new();
    if !store.belongs_together(wanted.name.as_str(), &pair).unwrap_or(false) {
        drift.push(Drift::KeyMismatch);
    }
    let entry = ledger.certificate(&has.serial);
    // A rebuilt ledger guesses at profiles: what the certificate is for counts there.
    let is_guess = entry.is_some_and(|entry| entry.event == Event::Rebuild);
    if let Some(profile) = entry.and_then(|entry| entry.profile.clone())
        && profile != wanted.profile.name
        && !(is_guess && has_usages(&has, &wanted.profile))
    {
        drift.push(Drift::Profile { has: profile, wants: wanted.profile.name.clone() });
    }
    let wanted_names: Vec<String> = wanted.sans.iter().map(San::to_string).collect();
    let missing: Vec<String> = wanted_names.iter().filter(|name| !has.sans.contains(name)).cloned().collect();
    let extra: Vec<String> = has.sans.iter().filter(|name| !wanted_names.contains(name)).cloned().collect();
    if !missing.is_empty() {
        drift.push(Drift::MissingNames { names: missing });
    }
    if !extra.is_empty() {
        drift.push(Drift::ExtraNames { names: extra });
    }
    if now >= renew_from(has.not_before, has.not_after) {
        drift.push(Drift::Expiry { not_after: has.not_after });
    }
    if ledger.is_revoked(&has.serial) {
        drift.push(Drift::Revoked);
    }
    if !store.has_signed(&der)? {
        drift.push(Drift::OtherCa);
    }
    Ok(if drift.is_empty() { State::AsWanted } else { State::Drifted(drift) })
}

/// From when on a certificate should be renewed: its last tenth, but never later than a week before its end.
fn renew_from(start: OffsetDateTime, end: OffsetDateTime) -> OffsetDateTime {
    let life = (end - start).whole_seconds();
    end - ::time::Duration::seconds((life / 10).max(7 * 86_400).min(life / 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::time::Duration;

    #[test]
    fn short_certificates_are_not_due_from_their_first_day() {
        let start = OffsetDateTime::UNIX_EPOCH;
        let due = |days| (renew_from(start, start + Duration::days(days)) - start).whole_days();
        assert_eq!((due(365), due(30), due(4)), (328, 23, 2));
    }
}
