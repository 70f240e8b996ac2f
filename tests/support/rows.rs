//! Rows of the tables in docs/reliability.md, as the long forms of the tests measure them.

use std::io::Write;

/// Prints a measured row where the long forms were asked for (`ETCDPKI_TEST_ALL`); the short form's figures are not kept.
///
/// `make test-all` collects these lines, and `.ci/record-rows` puts each into the first table below the heading `table` of
/// docs/reliability.md: in place of the row that begins with the same `key`, else at the table's end. It adds the commit
/// as the last column itself. So of a table
///
/// ```text
/// ## Crash points
///
/// | command | kill | EIO | commit |
/// |---|---|---|---|
/// ```
///
/// a row is `row("Crash points", &["init-ca"], &["42 of 42", "42 of 42"])`, which prints
///
/// ```text
/// ROW Crash points | init-ca || 42 of 42 | 42 of 42
/// ```
///
/// # Panics
/// When a cell holds `|` or a line break, which would end it.
pub(crate) fn row(table: &str, key: &[&str], figures: &[&str]) {
    if std::env::var_os("ETCDPKI_TEST_ALL").is_none() {
        return;
    }
    for cell in key.iter().chain(figures) {
        assert!(!cell.contains(['|', '\n']), "not a cell of a table: {cell:?}");
    }
    // Past the test harness, which keeps what passing tests print to itself, and in one call, so that lines of tests that
    // run at the same time do not mix.
    let line = format!("\nROW {table} | {} || {}\n", key.join(" | "), figures.join(" | "));
    let _ = std::io::stdout().write_all(line.as_bytes());
}
