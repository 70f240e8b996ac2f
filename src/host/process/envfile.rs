//! Environment files as systemd reads them: `NAME=value` lines, values bare or quoted.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Reads what [`render`] writes and plain `NAME=value` lines; a line that is neither is passed over, as systemd does.
pub(super) fn parse(text: &str) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with(['#', ';']) {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else { continue };
        env.insert(name.trim().to_owned(), unquote(value.trim()));
    }
    env
}

/// Writes an environment file with a first comment line.
pub(super) fn render(comment: &str, env: &BTreeMap<String, String>) -> String {
    let mut text = format!("{comment}\n");
    for (name, value) in env {
        let mut quoted = String::new();
        for c in value.chars() {
            if matches!(c, '"' | '\\' | '$' | '`') {
                quoted.push('\\');
            }
            quoted.push(c);
        }
        writeln!(text, "{name}=\"{quoted}\"").expect("writing to a string cannot fail");
    }
    text
}

fn unquote(value: &str) -> String {
    if let Some(inner) = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return inner.to_owned();
    }
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut plain = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.extend(chars.next()),
            c => plain.push(c),
        }
    }
    plain
}
