//! A snapshot of the cluster's data before the first change: checked, for its owner alone, and kept.

use std::path::{Path, PathBuf};

use crate::files::{self, FileMode, Meta};
use crate::host::limits;

use super::error::MigrateError;
use super::node::Node;
use super::observe::Observed;
use super::speak::Speaker;
use super::stage::Stage;

/// Room that is left beside the snapshot, in bytes.
const SPARE: u64 = 16 << 20;

/// A snapshot that was taken.
pub(super) struct Taken {
    pub(super) path: PathBuf,
    /// Its length in bytes.
    pub(super) bytes: u64,
}

/// Whether nothing of this tool has touched the cluster yet.
pub(super) fn is_first_change(observed: &Observed) -> bool {
    observed.members.iter().all(|sight| {
        let standing = &sight.standing;
        !standing.traces
            && standing.running.is_none_or(|stage| stage == Stage::Plain)
            && standing.disk == Stage::Plain
    })
}

/// Takes one through a member that does not lead, where there is such a one, into `dir` on this machine.
///
/// # Errors
/// [`MigrateError::NoSnapshot`]
pub(super) fn take(nodes: &[Node], observed: &Observed, dir: &Path) -> Result<Taken, MigrateError> {
    let refuse = |why: String| MigrateError::NoSnapshot { why };
    let mut members: Vec<_> = nodes.iter().zip(&observed.members).collect();
    members.sort_by_key(|(_, sight)| (sight.running.is_none(), sight.standing.leader));
    let (node, sight) = members.first().ok_or_else(|| refuse("there is no member".to_owned()))?;
    let size = sight.status.as_ref().and_then(|status| status.db_size).unwrap_or_default();
    let free = files::free_space(dir)?;
    // The member's own word: it is not believed further than the disk goes.
    let room = free.saturating_sub(SPARE);
    if room < size {
        return Err(refuse(format!(
            "the database has {size} bytes, and {free} are free in {}",
            dir.display()
        )));
    }
    let limit = size.saturating_add(limits::SNAPSHOT_GROWTH).min(room);
    let running = sight.running.as_ref().ok_or_else(|| refuse(format!("{} is down", node.name)))?;
    let at = super::now().replace([':', '-'], "");
    let path = dir.join(format!("{}-{at}.db", observed.cluster()));
    let bytes = files::create_new_with(&path, Meta::mode(FileMode::SECRET), |file| {
        let saved = Speaker::to(node, running).snapshot(file, limit);
        saved.map_err(|error| refuse(format!("{}: {error}", node.name)))
    })?;
    Ok(Taken { path, bytes })
}
