//! Environment files, as `EnvironmentFile=` reads them (systemd.exec(5); `parse_env_file_internal` in systemd 252).
//!
//! They look like shell but are not: nothing is expanded, a quote counts only where a value (or its next part) begins,
//! `export` makes the name invalid and the line is dropped, and of two lines for one variable the later wins.

use std::collections::BTreeMap;

/// The assignments of an environment file, in its order, duplicates kept. What systemd drops (a line without `=`, a
/// name that is none, a control character in a value) is dropped here.
pub fn parse(text: &str) -> Vec<(String, String)> {
    let mut parser =
        Parser { state: State::PreKey, key: String::new(), value: Tail::default(), found: Vec::new() };
    for c in text.chars() {
        parser.take(c);
    }
    parser.end();
    parser.found.retain(|(name, value)| is_name(name) && is_value(value));
    parser.found
}

/// The variables of an environment file: of duplicates the last.
pub fn variables(text: &str) -> BTreeMap<String, String> {
    parse(text).into_iter().collect()
}

/// An environment file that [`parse`] and systemd read back as `variables`: a comment, then an assignment a line.
///
/// # Errors
/// [`RenderError`] on what no environment file can say.
pub fn render<'a>(
    comment: &str,
    variables: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<String, RenderError> {
    let mut out = String::new();
    for line in comment.lines() {
        // A backslash at its end would carry the comment on over the next line (before systemd 254).
        out.push_str(&format!("# {}\n", line.trim_end_matches(['\\', ' '])));
    }
    for (name, value) in variables {
        if !is_name(name) {
            return Err(RenderError::Name { name: name.to_owned() });
        }
        if !is_value(value) {
            return Err(RenderError::Value { name: name.to_owned() });
        }
        out.push_str(name);
        out.push_str("=\"");
        for c in value.chars() {
            if NEEDS_ESCAPE.contains(&c) {
                out.push('\\');
            }
            out.push(c);
        }
        out.push_str("\"\n");
    }
    Ok(out)
}

/// A variable that cannot be written down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The name is not one.
    #[error("{name:?} is not the name of an environment variable")]
    Name {
        /// The name.
        name: String,
    },
    /// The value holds a control character, which systemd refuses.
    #[error("the value of {name} holds a control character")]
    Value {
        /// Whose.
        name: String,
    },
}

/// Whether systemd takes it as a variable's name: letters, digits, underscores, no digit first.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether systemd takes it as a variable's value: no control characters but tab and newline.
pub fn is_value(value: &str) -> bool {
    !value.chars().any(|c| (c < ' ' && c != '\t' && c != '\n') || c == '\x7f')
}

/// What a backslash takes its meaning from within double quotes.
const NEEDS_ESCAPE: [char; 4] = ['"', '\\', '`', '$'];
const NEWLINE: [char; 2] = ['\n', '\r'];
const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    PreKey,
    Key,
    PreValue,
    Value,
    ValueEscape,
    SingleQuoted,
    DoubleQuoted,
    DoubleQuotedEscape,
    Comment,
    CommentEscape,
}

/// Text of which unquoted blanks at the end do not count.
#[derive(Default)]
struct Tail {
    text: String,
    blank_from: Option<usize>,
}

impl Tail {
    fn push_bare(&mut self, c: char) {
        if !BLANK.contains(&c) {
            self.blank_from = None;
        } else if self.blank_from.is_none() {
            self.blank_from = Some(self.text.len());
        }
        self.text.push(c);
    }

    fn push_quoted(&mut self, c: char) {
        self.blank_from = None;
        self.text.push(c);
    }

    fn finish(&mut self) -> String {
        let mut text = std::mem::take(&mut self.text);
        if let Some(at) = self.blank_from.take() {
            text.truncate(at);
        }
        text
    }
}

struct Parser {
    state: State,
    key: String,
    value: Tail,
    found: Vec<(String, String)>,
}

impl Parser {
    fn take(&mut self, c: char) {
        let newline = NEWLINE.contains(&c);
        self.state = match self.state {
            State::PreKey if matches!(c, '#' | ';') => State::Comment,
            State::PreKey if BLANK.contains(&c) => State::PreKey,
            State::PreKey => {
                self.key.push(c);
                State::Key
            }
            State::Key if newline => {
                self.key.clear();
                State::PreKey
            }
            State::Key if c == '=' => State::PreValue,
            State::Key => {
                self.key.push(c);
                State::Key
            }
            State::PreValue | State::Value if newline => {
                self.push();
                State::PreKey
            }
            State::PreValue if c == '\'' => State::SingleQuoted,
            State::PreValue if c == '"' => State::DoubleQuoted,
            State::PreValue | State::Value if c == '\\' => {
                self.value.blank_from = None;
                State::ValueEscape
            }
            State::PreValue if BLANK.contains(&c) => State::PreValue,
            State::PreValue | State::Value => {
                self.value.push_bare(c);
                State::Value
            }
            State::ValueEscape => {
                if !newline {
                    self.value.push_quoted(c);
                }
                State::Value
            }
            State::SingleQuoted if c == '\'' => State::PreValue,
            State::SingleQuoted => {
                self.value.push_quoted(c);
                State::SingleQuoted
            }
            State::DoubleQuoted if c == '"' => State::PreValue,
            State::DoubleQuoted if c == '\\' => State::DoubleQuotedEscape,
            State::DoubleQuoted => {
                self.value.push_quoted(c);
                State::DoubleQuoted
            }
            State::DoubleQuotedEscape => {
                if NEEDS_ESCAPE.contains(&c) {
                    self.value.push_quoted(c);
                } else if c != '\n' {
                    self.value.push_quoted('\\');
                    self.value.push_quoted(c);
                }
                State::DoubleQuoted
            }
            State::Comment if c == '\\' => State::CommentEscape,
            State::Comment if newline => State::PreKey,
            // systemd before 254; later ones let a comment end at its line.
            State::Comment | State::CommentEscape => State::Comment,
        };
    }

    fn push(&mut self) {
        let key = std::mem::take(&mut self.key);
        self.found.push((key.trim_end_matches(BLANK).to_owned(), self.value.finish()));
    }

    fn end(&mut self) {
        // An unfinished value counts as far as it goes.
        if !matches!(self.state, State::PreKey | State::Key | State::Comment | State::CommentEscape) {
            self.push();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> String {
        let found = parse(text);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].1.clone()
    }

    #[test]
    fn debians_default_etcd_is_all_comments() {
        let shipped = "## etcd(1) daemon options\n# ETCD_NAME=\"hostname\"\n\n; ETCD_DATA_DIR=\"x\"\n";
        assert!(parse(shipped).is_empty());
    }

    #[test]
    fn values_are_quoted_escaped_and_continued() {
        assert_eq!(one("A=b c"), "b c");
        assert_eq!(one("A =  b  \t\n"), "b");
        assert_eq!(one("A=\"b # c\"  \n"), "b # c");
        assert_eq!(one("A='b \\ \"c'"), "b \\ \"c");
        assert_eq!(one("A=\"a\\\"b\\$c\\d\""), "a\"b$c\\d");
        assert_eq!(one("A=a\\\nb\\ \n"), "ab ");
        assert_eq!(one("A=\"a\\\nb\nc\"\n"), "ab\nc");
        assert_eq!(one("A=x # no comment"), "x # no comment");
        assert_eq!(one("A=$B `c`"), "$B `c`");
        assert_eq!(one("A="), "");
        assert_eq!(one("A=\"never closed"), "never closed");
        // A quote within a value is a letter; two quoted parts are one value.
        assert_eq!(one("A=b\"c\""), "b\"c\"");
        assert_eq!(one("A=\"b\" 'c'"), "bc");
        assert_eq!(one("A=b\r\n"), "b");
    }

    #[test]
    fn what_systemd_drops_is_dropped() {
        assert!(parse("export A=b\n1A=b\nno assignment\n=x\nA-B=c\n").is_empty());
        assert!(parse("A=\"\x01\"").is_empty());
        assert_eq!(parse("A=1\nB=2\nA=3"), [("A", "1"), ("B", "2"), ("A", "3")].map(owned));
        assert_eq!(variables("A=1\nA=3")["A"], "3");
    }

    fn owned((name, value): (&str, &str)) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn rendering_refuses_what_cannot_be_said() {
        assert!(matches!(render("", [("A B", "c")]), Err(RenderError::Name { .. })));
        assert!(matches!(render("", [("A", "c\r")]), Err(RenderError::Value { .. })));
        let text = render("written by us \\\ntwo lines", [("A", "a $b\"c\" \\d`")]).unwrap();
        assert_eq!(text, "# written by us\n# two lines\nA=\"a \\$b\\\"c\\\" \\\\d\\`\"\n");
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_read_back(
            comment in "[ -~]{0,20}(\n[ -~]{0,20})?",
            pairs in prop::collection::vec(("[A-Z_][A-Z0-9_]{0,8}", "[ -~é\\t\\n\"'\\\\$`#;=]{0,24}"), 0..6),
        ) {
            let text = render(&comment, pairs.iter().map(|(k, v)| (k.as_str(), v.as_str()))).unwrap();
            prop_assert_eq!(parse(&text), pairs);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[A-C=\"'\\\\#;\\n\\r \\t$é]{0,60}") {
            for (name, value) in parse(&text) {
                prop_assert!(is_name(&name) && is_value(&value));
            }
        }
    }
}
