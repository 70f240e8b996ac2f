//! Text that others wrote, as it may appear on a terminal.
//!
//! A name in a certificate, a request, an inventory or an answer of etcd can hold characters that a terminal acts on
//! instead of showing them: escape sequences that move the cursor, marks that reverse the direction of what follows
//! (U+202E), characters of no width. [`escaped`] writes each as `\u{202e}`, and leaves everything else as it is. It is
//! for display: a backslash is not doubled, so the text that is shown does not say whether `\u{202e}` was one character
//! or eight. The documents of `--json` hold the exact value.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

/// Characters that Unicode lets programs leave invisible (`Default_Ignorable_Code_Point`) although their general
/// category is that of a letter or of a combining mark: fillers and variation selectors (Unicode 16; they do not change).
const INVISIBLE: [(char, char); 9] = [
    ('\u{34f}', '\u{34f}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180d}'),
    ('\u{180f}', '\u{180f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{e0100}', '\u{e01ef}'),
];

/// Whether a terminal shows the character as itself: no control character (C0, DEL, C1), no format character (category
/// Cf), no separator but the space, nothing for private use or unassigned, nothing invisible.
pub fn is_shown(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    // The standard library keeps the table of general categories for `{:?}`. A combining mark is shown after a letter.
    let mut bytes = [b'a', 0, 0, 0, 0];
    let length = c.encode_utf8(&mut bytes[1..]).len();
    let text = std::str::from_utf8(&bytes[..=length]).unwrap_or_default();
    text.escape_debug().count() == 2 && !INVISIBLE.iter().any(|&(first, last)| (first..=last).contains(&c))
}

/// The text on one line, with each character that a terminal does not show as itself written as `\u{…}`.
pub fn escaped(text: &str) -> Cow<'_, str> {
    match text.char_indices().find(|&(_, c)| !is_shown(c)) {
        None => Cow::Borrowed(text),
        Some((at, _)) => {
            let mut shown = String::with_capacity(text.len() + 16);
            shown.push_str(&text[..at]);
            text[at..].chars().for_each(|c| push(&mut shown, c));
            Cow::Owned(shown)
        }
    }
}

/// As [`escaped`], for text of several lines: line feeds stay.
pub fn escaped_lines(text: &str) -> Cow<'_, str> {
    match text.chars().any(|c| c != '\n' && !is_shown(c)) {
        false => Cow::Borrowed(text),
        true => Cow::Owned(text.split('\n').map(escaped).collect::<Vec<_>>().join("\n")),
    }
}

/// A path for JSON: what is not UTF-8 in it becomes U+FFFD, as on a terminal.
pub fn path_text(path: &Path) -> String {
    path.display().to_string()
}

/// [`path_text`] for `serde(serialize_with)`.
///
/// # Errors
/// As the serializer.
pub fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// As [`path`], for one that may be absent.
///
/// # Errors
/// As the serializer.
pub fn optional_path<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_deref().map(path_text).serialize(serializer)
}

fn push(shown: &mut String, c: char) {
    if is_shown(c) {
        shown.push(c);
    } else {
        // Writing to a String cannot fail.
        let _ = write!(shown, "{}", c.escape_unicode());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_written_out() {
        for (text, shown) in [
            ("server1.example.com", "server1.example.com"),
            ("Zoë 東京 пример é a\u{301}", "Zoë 東京 пример é a\u{301}"),
            ("a\\b \\u{202e}", "a\\b \\u{202e}"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\tb\r\nc\u{7f}\0", "a\\u{9}b\\u{d}\\u{a}c\\u{7f}\\u{0}"),
            ("\u{9b}31m\u{85}", "\\u{9b}31m\\u{85}"),
            ("evil\u{202e}moc", "evil\\u{202e}moc"),
            (
                "a\u{200b}\u{feff}\u{ad}\u{2066}\u{e0041}\u{fff9}",
                "a\\u{200b}\\u{feff}\\u{ad}\\u{2066}\\u{e0041}\\u{fff9}",
            ),
            ("a\u{2028}b\u{a0}c\u{3000}", "a\\u{2028}b\\u{a0}c\\u{3000}"),
            ("a\u{e000}\u{fdd0}\u{fe0f}\u{3164}", "a\\u{e000}\\u{fdd0}\\u{fe0f}\\u{3164}"),
        ] {
            assert_eq!(escaped(text), shown);
            assert_eq!(escaped(&escaped(text)), shown, "nothing is left to escape");
        }
        assert_eq!(escaped_lines("a\nb\tc\n"), "a\nb\\u{9}c\n");
    }
}
