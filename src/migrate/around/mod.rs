//! What stands around the members: proxies, and units on the hosts that reach etcd by endpoints they name.
//!
//! They move in the pause between the two rolls: proxies get certificates, so that they follow the members whichever
//! scheme these speak; units that name plain-text endpoints of their own host move to the loopback port, where plain text
//! stays. `migrate clients` takes them on to https with certificates of their own. On the way back they return first.

mod aim;
mod bring;
mod find;
mod following;
mod moving;
mod place;
mod plan;
mod process;
mod proxy;
mod stance;
mod station;
mod ways;
mod works;

use std::time::Duration;

use super::error::MigrateError;
use super::traces::Traces;
pub use place::{Place, Proxy, Surroundings};
pub use stance::{Kind, Moved, Stance};
use ways::Ways;

/// Hears of a station, and of the phase it is in: `intent` or `done`.
type Tell<'a> = &'a mut dyn FnMut(&Moved, &'static str) -> Result<(), MigrateError>;

impl Surroundings {
    /// Brings every station to a stance, one machine and one unit at a time; returns how many had to be moved. One that
    /// is further than a stance stays there, unless the way leads back. `tell` hears of each before it is touched, and when
    /// it works.
    ///
    /// # Errors
    /// [`MigrateError::Around`] when one does not work afterwards, [`MigrateError::NoPair`] when one has no certificate.
    fn bring(
        &self,
        ways: &Ways,
        (stance, back): (Stance, bool),
        timeout: Duration,
        tell: Tell<'_>,
    ) -> Result<usize, MigrateError> {
        let mut count = 0;
        for place in &self.places {
            for station in find::stations(place, &ways.known(place))? {
                if !back && station.stance(self, ways)? > stance {
                    continue;
                }
                let moved = station.told(stance);
                let acted = station.bring(self, ways, stance, timeout, &mut |restarted| {
                    tell(&Moved { restarted, ..moved.clone() }, "intent")
                })?;
                if acted {
                    tell(&moved, "done")?;
                    count += 1;
                }
            }
            // What is left are directories that several shared; on a member's machine they go with the member's own.
            if stance == Stance::AsWas && place.member_unit.is_none() {
                Traces::load(&*place.host)?.put_all_back()?;
            }
        }
        Ok(count)
    }

    /// Where every station stands.
    fn stand(&self, ways: &Ways) -> Result<Vec<Moved>, MigrateError> {
        let mut all = Vec::new();
        for place in &self.places {
            for station in find::stations(place, &ways.known(place))? {
                all.push(station.told(station.stance(self, ways)?));
            }
        }
        Ok(all)
    }
}
