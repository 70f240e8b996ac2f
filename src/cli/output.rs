//! Everything that is printed passes here: data on standard output, messages on standard error.
//!
//! **Text is escaped here**, by [`text::escaped`], whatever it says and wherever it came from: no message can carry a
//! control or format character of a foreign name to the terminal. Only what [`Output::paint`] adds becomes an escape
//! sequence. JSON keeps each value, with `\uXXXX` for the same characters.
//!
//! **Standard output that cannot be written is an error.** The first failure is kept, nothing more is written, and
//! [`Output::check`] (before a command that changed something ends) or the end of the command reports it. A reader that
//! closes the pipe (`| head -1`) has what it wanted: that is no failure, the command does its work to the end in silence
//! and exits as it would have. Standard error that cannot be written is no failure either.

use std::fmt::Display;
use std::hash::{BuildHasher, RandomState};
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::{LazyLock, OnceLock};

use serde::Serialize;
use serde_json::ser::Formatter;

use super::{Failure, Global};
use crate::advice::Advice;
use crate::text;

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The two streams, and whether they are coloured.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// stdout takes one JSON document or NDJSON events only.
    pub json: bool,
    quiet: bool,
    verbose: u8,
    color_out: bool,
    color_err: bool,
}

/// A way to colour a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Names and headings.
    Bold,
    /// What is less important.
    Dim,
    /// Good.
    Green,
    /// Bad.
    Red,
    /// To be looked at.
    Yellow,
    /// A step, a hint.
    Cyan,
}

impl Style {
    const ALL: [(Self, char, &'static str); 6] = [
        (Self::Bold, 'b', "1"),
        (Self::Dim, 'd', "2"),
        (Self::Green, 'g', "32"),
        (Self::Red, 'r', "1;31"),
        (Self::Yellow, 'y', "33"),
        (Self::Cyan, 'c', "36"),
    ];

    /// What stands for it in text that is not rendered yet.
    fn letter(self) -> char {
        Self::ALL.iter().find(|(style, ..)| *style == self).map_or(PLAIN, |&(_, letter, _)| letter)
    }

    /// What a terminal is sent for a letter.
    fn code(letter: char) -> &'static str {
        Self::ALL.iter().find(|(_, known, _)| *known == letter).map_or("0", |&(.., code)| code)
    }
}

/// The first failure of standard output: the process has one, however many hold an [`Output`].
static FAILED: OnceLock<std::io::Error> = OnceLock::new();

impl Output {
    /// Reads the global options and the terminal.
    pub fn new(global: &Global) -> Self {
        let wanted = |terminal: bool| match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !no_color(),
        };
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            color_out: wanted(std::io::stdout().is_terminal()),
            color_err: wanted(std::io::stderr().is_terminal()),
        }
    }

    /// For arguments that could not be parsed.
    pub(super) fn without_options(json: bool) -> Self {
        Self { json, quiet: false, verbose: 0, color_out: false, color_err: false }
    }

    /// A line for people on stdout; nothing with `--json` and with `--quiet`.
    pub fn line(&self, text: impl Display) {
        self.lines([text]);
    }

    /// Lines for people on stdout, in one piece; nothing with `--json` and with `--quiet`.
    pub fn lines(&self, lines: impl IntoIterator<Item = impl Display>) {
        if !self.json && !self.quiet {
            let text: String = lines.into_iter().map(|line| rendered(&line.to_string()) + "\n").collect();
            write(text.as_bytes());
        }
    }

    /// What was asked for to be used elsewhere, such as a script or a page, with `--quiet` too. It brings its own line ends and
    /// its own escapes.
    pub fn document(&self, bytes: &[u8]) {
        write(bytes);
    }

    /// A JSON document, or one NDJSON event, on stdout.
    pub fn json(&self, value: &impl Serialize) {
        let mut bytes = Vec::with_capacity(1 << 10);
        match value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, EscapedJson)) {
            Ok(()) => {
                bytes.push(b'\n');
                write(&bytes);
            }
            // Such as a path that is not UTF-8.
            Err(error) => failed(error.into()),
        }
    }

    /// A message on stderr; silent with `--quiet`.
    pub fn note(&self, text: impl Display) {
        if !self.quiet {
            write_message(&(rendered(&text.to_string()) + "\n"));
        }
    }

    /// A message that only `-v` asks for.
    pub fn detail(&self, text: impl Display) {
        if self.verbose > 0 {
            self.note(text);
        }
    }

    /// A warning on stderr.
    pub fn warning(&self, text: impl Display) {
        self.note(format_args!("{} {text}", self.err("warning:", Style::Yellow)));
    }

    /// What went wrong, and what to do.
    pub fn error(&self, message: &str, hint: Option<&Advice>) {
        let mut text = rendered(&format!("{} {message}", self.err("error:", Style::Red))) + "\n";
        if let Some(hint) = hint {
            text += &(rendered(&format!("{} {hint}", self.err("hint:", Style::Cyan))) + "\n");
        }
        write_message(&text);
    }

    /// A question on stderr, which the cursor stays behind.
    pub fn question(&self, text: impl Display) {
        write_message(&(rendered(&self.err(text, Style::Bold)) + " "));
    }

    /// Lines of text on stderr, with `--quiet` too.
    pub(super) fn message(&self, text: &str) {
        write_message(&(text::escaped_lines(text.trim_end()) + "\n"));
    }

    /// A word for stdout, coloured where stdout is.
    pub fn paint(&self, word: impl Display, style: Style) -> String {
        paint(self.color_out, word, style)
    }

    /// A word for stderr, coloured where stderr is.
    pub fn err(&self, word: impl Display, style: Style) -> String {
        paint(self.color_err, word, style)
    }

    /// For a command that has changed something, once its result is printed and before it forgets how to report it again.
    ///
    /// # Errors
    /// A [`Failure`] with exit code 3 when standard output could not be written.
    pub fn check(&self) -> Result<(), Failure> {
        let failure = |message| {
            Failure::failed("cannot-write", message)
                .hint("what the command had to do is done; run it again with an output that can be written")
        };
        self.failure().map_or(Ok(()), |message| Err(failure(message)))
    }

    /// For a command that has changed nothing: before it begins to, and at the end of every command.
    ///
    /// # Errors
    /// A [`Failure`] with exit code 1 when standard output could not be written.
    pub(super) fn check_unchanged(&self) -> Result<(), Failure> {
        let failure = |message| {
            Failure::no("cannot-write", message).hint("run it again with an output that can be written")
        };
        self.failure().map_or(Ok(()), |message| Err(failure(message)))
    }

    fn failure(&self) -> Option<String> {
        let error = FAILED.get().filter(|error| error.kind() != ErrorKind::BrokenPipe)?;
        Some(format!("cannot write to standard output: {error}"))
    }
}

pub(super) fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn failed(error: std::io::Error) {
    // Later ones say nothing new.
    let _ = FAILED.set(error);
}

fn write(bytes: &[u8]) {
    if FAILED.get().is_none() {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).unwrap_or_else(failed);
    }
}

fn write_message(text: &str) {
    // There is no place left to report it.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Stands before a style's letter in text that is not rendered yet. It is another one in each process, so that no foreign
/// text can hold it.
static MARK: LazyLock<String> = LazyLock::new(|| {
    let random = RandomState::new().hash_one(std::process::id()).to_ne_bytes();
    let private_use = |pair: &[u8; 2]| char::from_u32(0x10_0000 + u32::from(u16::from_ne_bytes(*pair)));
    random.as_chunks().0.iter().filter_map(private_use).collect()
});

/// After a mark: the end of what is painted.
const PLAIN: char = '.';

fn paint(on: bool, word: impl Display, style: Style) -> String {
    let mark = MARK.as_str();
    if on { format!("{mark}{}{word}{mark}{PLAIN}", style.letter()) } else { word.to_string() }
}

/// One line with marks turned into escape sequences, and everything else escaped.
fn rendered(text: &str) -> String {
    let mut parts = text.split(MARK.as_str());
    let mut line = text::escaped(parts.next().unwrap_or_default()).into_owned();
    for part in parts {
        let mut rest = part.chars();
        let code = rest.next().map_or("0", Style::code);
        line += "\x1b[";
        line += code;
        line += "m";
        line += &text::escaped(rest.as_str());
    }
    line
}

/// Compact JSON in which characters that a terminal does not show are written as `\uXXXX`.
struct EscapedJson;

impl Formatter for EscapedJson {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> std::io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|&(_, c)| !text::is_shown(c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_painted_becomes_an_escape_sequence() {
        let name = "a\x1b[31mb\u{202e}";
        assert_eq!(rendered(&paint(false, name, Style::Bold)), "a\\u{1b}[31mb\\u{202e}");
        let painted = format!("x {}\n", paint(true, name, Style::Red));
        assert_eq!(rendered(&painted), "x \x1b[1;31ma\\u{1b}[31mb\\u{202e}\x1b[0m\\u{a}");
    }

    #[test]
    fn json_holds_the_same_value_in_printable_characters() {
        let value = serde_json::json!({"a\u{202e}": "\x1b\u{9b}\u{e0041}\\ é 東 \u{7f}\n"});
        let mut bytes = Vec::new();
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, EscapedJson)).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text, r#"{"a\u202e":"\u001b\u009b\udb40\udc41\\ é 東 \u007f\n"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
