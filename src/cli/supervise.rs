//! `supervise DIR`: hidden, the mini-init that `rehearse` starts for each of its members.

use std::path::PathBuf;

use super::{Context, Exit, Failure, Outcome};
use crate::host::supervisor;

/// Runs the etcd of a rehearsal's member until told to stop.
#[derive(Debug, clap::Args)]
pub struct SuperviseArgs {
    /// The member's directory.
    dir: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// A [`Failure`] when the supervisor could not start.
pub fn run(_context: &Context, args: &SuperviseArgs) -> Outcome {
    let dir = std::path::absolute(&args.dir).unwrap_or_else(|_| args.dir.clone());
    match supervisor::supervise(&dir) {
        Ok(()) => Ok(Exit::Done),
        Err(error) => Err(Failure::no("cannot-supervise", error.to_string())),
    }
}
