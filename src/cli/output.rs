//! Where things are printed: stdout is data, stderr is talk.

use std::fmt::Display;
use std::io::{BufWriter, IsTerminal, Write};

use serde::Serialize;

use super::Global;

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
#[derive(Debug, Clone, Copy)]
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
    fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Green => "32",
            Self::Red => "1;31",
            Self::Yellow => "33",
            Self::Cyan => "36",
        }
    }
}

impl Output {
    /// Reads the global options and the terminal.
    pub fn new(global: &Global) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let wanted = |terminal: bool| match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !plain,
        };
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            color_out: wanted(std::io::stdout().is_terminal()),
            color_err: wanted(std::io::stderr().is_terminal()),
        }
    }

    /// A line of data on stdout; nothing with `--json`.
    pub fn line(&self, text: impl Display) {
        if !self.json {
            let _ = writeln!(std::io::stdout().lock(), "{text}");
        }
    }

    /// A JSON document, or one NDJSON event, on stdout.
    pub fn json(&self, value: &impl Serialize) {
        // What looks up each line's end by itself would write a large document in thousands of pieces.
        let mut stdout = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
        if serde_json::to_writer(&mut stdout, value).is_ok() {
            let _ = writeln!(stdout);
            let _ = stdout.flush();
        }
    }

    /// Talk on stderr; silent with `--quiet`.
    pub fn note(&self, text: impl Display) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }

    /// Talk that only `-v` asks for.
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
    pub fn error(&self, message: &str, hint: Option<&str>) {
        let mut stderr = std::io::stderr().lock();
        let _ = writeln!(stderr, "{} {message}", self.err("error:", Style::Red));
        if let Some(hint) = hint {
            let _ = writeln!(stderr, "{} {hint}", self.err("hint:", Style::Cyan));
        }
    }

    /// A word for stdout, coloured where stdout is.
    pub fn paint(&self, word: impl Display, style: Style) -> String {
        paint(self.color_out, word, style)
    }

    /// A word for stderr, coloured where stderr is.
    pub fn err(&self, word: impl Display, style: Style) -> String {
        paint(self.color_err, word, style)
    }
}

fn paint(on: bool, word: impl Display, style: Style) -> String {
    if on { format!("\x1b[{}m{word}\x1b[0m", style.code()) } else { word.to_string() }
}
