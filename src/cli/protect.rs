//! What this process keeps from others: its memory, which holds keys.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Writes no core file, and lets no process of the same user read this one's memory or attach a debugger.
///
/// Child processes (ssh, a rehearsal's etcds) inherit the limit for core files, which they may raise again; the other
/// part ends with their `exec`. Best effort: a system that refuses either is no reason not to work.
pub(super) fn memory() {
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), ..getrlimit(Resource::Core) });
    // A core pattern that starts with a pipe does not ask for the limit, but for this.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
