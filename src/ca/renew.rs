//! Renewing: the same names, profile and kind of key, and a new serial, time and (unless it is kept) key.

use ::time::{Duration, OffsetDateTime};

use super::authority::{Authority, BACKDATE};
use super::inspect::{self, Certificate};
use super::planned::{KeyPlan, Planned, PublicKey};
use super::rebuild::guess_profile;
use super::store::Store;
use super::stored::first_certificate;
use super::{CaError, CertName, KeyType, Profile, Profiles, San};

/// How to renew.
#[derive(Debug, Clone, Copy, Default)]
pub struct RenewOptions {
    /// How long, when not as long as before.
    pub days: Option<u32>,
    /// Certify the same key again.
    pub keep_key: bool,
    /// Another kind of key.
    pub key_type: Option<KeyType>,
}

/// Works out the renewal of the certificate that stands under a name.
///
/// A certificate whose key is elsewhere (it was made from a request) keeps its key.
///
/// # Errors
/// [`CaError::NoSuchName`] when there is none, and what [`super::planned::plan`] refuses.
pub fn plan(
    store: &Store,
    profiles: &Profiles,
    authority: &Authority,
    name: &CertName,
    options: RenewOptions,
    now: OffsetDateTime,
) -> Result<Planned, CaError> {
    let path = store.path(&name.cert_file());
    let image = store.read(&name.cert_file())?.ok_or_else(|| store.no_such(name.as_str()))?;
    let der = first_certificate(&path, &image.bytes)?;
    let old = inspect::certificate(&path, &der)?;
    let entry = store.ledger().certificate(&old.serial);
    let profile_name = entry
        .and_then(|entry| entry.profile.clone())
        .unwrap_or_else(|| guess_profile(name.as_str(), &old, profiles));
    let profile = profiles.get(&profile_name)?.clone();
    let sans = old.sans.iter().map(|text| text.parse()).collect::<Result<Vec<San>, _>>()?;
    for san in &sans {
        authority.check_name(san)?;
    }
    authority.check_usages(&profile)?;
    let key = if !store.listing()?.has(&name.key_file()) {
        KeyPlan::Public(PublicKey::of_certificate(&path, &der)?)
    } else if options.keep_key {
        KeyPlan::Keep
    } else {
        let same = old.key_type.parse().unwrap_or(profile.key_type);
        KeyPlan::New(options.key_type.unwrap_or(same))
    };
    let days = options.days.unwrap_or_else(|| lifetime(&old, &profile, authority));
    Ok(Planned {
        name: name.clone(),
        profile,
        sans,
        left_out: Vec::new(),
        key,
        validity: authority.validity(now, days),
        replace: true,
    })
}

/// Whether a certificate that ends within a time is to be renewed. `within` counts for half of the certificate's own
/// lifetime at most: a longer one would renew it on every run.
pub fn is_due(from: OffsetDateTime, end: OffsetDateTime, within: Duration, now: OffsetDateTime) -> bool {
    end - now <= within.min((end - from) / 2)
}

/// As many days as before; the profile's where the CA's end had cut it short.
fn lifetime(old: &Certificate, profile: &Profile, authority: &Authority) -> u32 {
    if authority.chain().any(|ca| ca.not_after() == old.not_after) {
        return profile.days;
    }
    let days = (old.not_after - old.not_before - BACKDATE + Duration::hours(12)).whole_days();
    u32::try_from(days).ok().filter(|days| (1..=36_500).contains(days)).unwrap_or(profile.days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_certificate_is_not_renewed_on_every_run() {
        let from = OffsetDateTime::UNIX_EPOCH;
        let due = |days: i64, passed: i64, within: i64| {
            let [days, passed, within] = [days, passed, within].map(Duration::days);
            is_due(from, from + days, within, from + passed)
        };
        // 365 days: as asked for.
        assert!(!due(365, 334, 30) && due(365, 335, 30) && due(365, 400, 30));
        // 20 days: after ten, not at once.
        assert!(!due(20, 0, 30) && !due(20, 9, 30) && due(20, 10, 30) && due(20, 21, 30));
        assert!(due(60, 30, 30) && !due(20, 14, 5) && due(20, 15, 5));
    }
}
