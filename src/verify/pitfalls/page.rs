//! A pitfall's page, for a terminal and for `docs/pitfalls.md`.

use std::fmt::Write;

use super::{Pitfall, catalogue};
use crate::advice::{Advice, Invocation};

impl Pitfall {
    /// The page as plain text, at most 100 columns wide but for command lines.
    pub fn page(&self, invocation: &Invocation) -> String {
        let mut out = format!("{} {}\n{}\n", self.code, self.code.name(), self.title);
        // Writing to a String cannot fail.
        if !self.says.is_empty() {
            out.push_str("\nWhat is printed (… is what varies):\n");
            for words in self.says {
                let _ = writeln!(out, "  {words}");
            }
        }
        let cure = Advice::from(self.cure).at(invocation).to_string();
        for (head, text) in [("Why", self.cause), ("What to do", &cure)] {
            let _ = write!(out, "\n{head}:\n{}", wrapped(text));
        }
        let _ = writeln!(out, "\nProof:\n  {}", self.proof);
        out
    }
}

fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in words(text) {
        let width = word.chars().count();
        if column == 0 || column + 1 + width > 98 {
            out.push_str(if column == 0 { "  " } else { "\n  " });
            column = width;
        } else {
            out.push(' ');
            column += 1 + width;
        }
        out.push_str(&word);
    }
    out.push('\n');
    out
}

/// The words of a text; a command line between backquotes is one, so that it can be copied as a whole.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_open = false;
    for word in text.split_whitespace() {
        match words.last_mut() {
            Some(last) if is_open => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
        is_open ^= word.matches('`').count() % 2 == 1;
    }
    words
}

/// `docs/pitfalls.md`.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Pitfalls\n\nWhat goes wrong when etcd speaks TLS: what is printed, why, and what to do. Made from the catalogue in \
         `src/verify/pitfalls`;\n`etcd-pki explain CODE` shows the same page, `etcd-pki explain TEXT` finds it by its words. \
         Codes are stable. `…` stands for what varies.\n\n\
         In command lines a word in capitals is to be replaced: NAME by a certificate's name in the PKI directory, ADDRESS, HOST and\n\
         PORT by those of a member, CERT, KEY, CA and CRL by files, DIR by the PKI directory of the CA that is trusted, NEWDIR by a\n\
         directory that does not exist yet. `cluster.toml` is the inventory. `verify` fills in what it knows.\n\n| code | name | what |\n|---|---|---|\n",
    );
    for pitfall in catalogue() {
        let (code, name) = (pitfall.code, pitfall.code.name());
        let _ = writeln!(
            out,
            "| [{code}](#{}-{name}) | {name} | {} |",
            code.to_string().to_lowercase(),
            cell(pitfall.title)
        );
    }
    for pitfall in catalogue() {
        let _ =
            writeln!(out, "\n## {} {}\n\n{}.\n", pitfall.code, pitfall.code.name(), capital(pitfall.title));
        for words in pitfall.says {
            let _ = writeln!(out, "    {words}");
        }
        if !pitfall.says.is_empty() {
            out.push('\n');
        }
        let _ = writeln!(
            out,
            "{}\n\n**What to do.** {}\n\n**Proof.** `{}`",
            pitfall.cause, pitfall.cure, pitfall.proof
        );
    }
    out
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
