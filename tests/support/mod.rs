//! What the tests of every room share.

use std::io::Write;

/// Says that a test cannot run here, and why, in the words that `make test` counts. Where nothing may be skipped
/// (`CI=true`) the test fails instead.
///
/// # Panics
/// With `CI=true`.
pub(crate) fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "SKIPPED where nothing may be: {why}");
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    // Past the test harness, which keeps what passing tests print to itself.
    let _ = writeln!(std::io::stdout(), "\nSKIPPED {name}: {why}");
}

/// Says that a long test was not asked for, in the words that `make test` counts: it has not passed.
#[allow(dead_code, reason = "most test files have no long form")]
pub(crate) fn not_run(what: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stdout(), "\nNOT RUN {name}: {what} (make test-all runs it)");
}
