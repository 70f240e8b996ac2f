//! Texts in quotes, as Go's `%q` prints them.

use std::fmt::Write;

/// Bytes in quotes: what is no text, and what cannot be printed, as an escape.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            push(&mut out, character);
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

fn push(out: &mut String, character: char) {
    let escape = match character {
        '"' | '\\' => {
            out.push('\\');
            character
        }
        '\u{7}' => return out.push_str("\\a"),
        '\u{8}' => return out.push_str("\\b"),
        '\u{c}' => return out.push_str("\\f"),
        '\n' => return out.push_str("\\n"),
        '\r' => return out.push_str("\\r"),
        '\t' => return out.push_str("\\t"),
        '\u{b}' => return out.push_str("\\v"),
        other => other,
    };
    let code = u32::from(escape);
    let _ = match code {
        0..0x20 | 0x7f => write!(out, "\\x{code:02x}"),
        // The blanks and format characters that Rust escapes too.
        0x80.. if escape.escape_debug().count() > 1 && code < 0x1_0000 => write!(out, "\\u{code:04x}"),
        0x80.. if escape.escape_debug().count() > 1 => write!(out, "\\U{code:08x}"),
        _ => write!(out, "{escape}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_gos() {
        assert_eq!(quoted(b"a\"\\\n\x01\x7f"), r#""a\"\\\n\x01\x7f""#);
        assert_eq!(quoted(b"b\xfccher.example"), r#""b\xfccher.example""#);
        assert_eq!(quoted("bücher \u{a0}\u{200b}".as_bytes()), "\"bücher \\u00a0\\u200b\"");
    }
}
