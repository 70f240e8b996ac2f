//! Places a certificate, its key and the CA on a host: first looks, then says what it would change, then does it.
//!
//! [`plan`] reads and writes nothing; an empty plan means that all is as it should be. [`apply`] carries a plan out:
//! directories first, then all files at once, staged beside their places and renamed in a row, so that a full disk
//! or a missing permission leaves the old pair untouched, and whoever reads meanwhile sees whole files. What a run that
//! was killed between two renames has left is finished by [`complete`].

mod change;
mod error;
mod plan;
mod unfinished;
mod user;

pub use change::{Action, Change, Plan, Target};
pub use error::InstallError;
pub(super) use plan::content;
pub(super) use plan::leftovers;
pub use plan::plan;
pub use unfinished::{complete, is_unfinished};
pub use user::unit_user;

use super::bundle::Bundle;
use super::{Host, Placement};
use crate::files::Meta;
use change::Part;

/// Carries a plan out, telling `done` of each change as it has happened.
///
/// # Errors
/// [`InstallError::Host`] when the files are as they were, [`InstallError::Unfinished`].
pub fn apply(
    host: &dyn Host,
    bundle: &Bundle,
    plan: &Plan,
    mut done: impl FnMut(&Change),
) -> Result<(), InstallError> {
    let mut placements = Vec::new();
    let mut placed = Vec::new();
    for change in &plan.changes {
        let meta = Meta { mode: change.mode, owner: change.owner };
        match change.action {
            Action::MakeDirectory => {
                host.make_dir(&change.path, meta)?;
            }
            Action::SetMode if change.part.is_none() => host.set_meta(&change.path, meta)?,
            Action::RemoveLeftover => host.remove(&change.path)?,
            Action::Create | Action::Replace | Action::SetMode => {
                let bytes = match change.part {
                    Some(Part::Key) => bundle.key_pem(),
                    Some(Part::Cert) => bundle.cert_pem(),
                    _ => plan.ca.as_deref().unwrap_or(bundle.ca_pem()),
                };
                let placement = Placement { path: &change.path, bytes, meta };
                if change.action != Action::SetMode {
                    placements.push(placement);
                    placed.push(change);
                    continue;
                }
                host.place_again(&placement)?;
            }
        }
        done(change);
    }
    unfinished::place(host, &placements)?;
    placed.into_iter().for_each(done);
    Ok(())
}
