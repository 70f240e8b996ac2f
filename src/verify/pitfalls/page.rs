//! A pitfall's page, for a terminal and for `docs/pitfalls.md`.

use std::fmt::Write;

use super::{Pitfall, catalogue};

impl Pitfall {
    /// The page as plain text, at most 100 columns wide.
    pub fn page(&self) -> String {
        let mut out = format!("{} {}\n{}\n", self.code, self.code.name(), self.title);
        // Writing to a String cannot fail.
        if !self.says.is_empty() {
            out.push_str("\nWhat is printed (… is what varies):\n");
            for words in self.says {
                let _ = writeln!(out, "  {words}");
            }
        }
        for (head, text) in [("Why", self.cause), ("What to do", self.cure)] {
            let _ = write!(out, "\n{head}:\n{}", wrapped(text));
        }
        let _ = writeln!(out, "\nProof:\n  {}", self.proof);
        out
    }
}

fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column == 0 || column + 1 + width > 98 {
            out.push_str(if column == 0 { "  " } else { "\n  " });
            column = width;
        } else {
            out.push(' ');
            column += 1 + width;
        }
        out.push_str(word);
    }
    out.push('\n');
    out
}

/// `docs/pitfalls.md`.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Pitfalls\n\nWhat goes wrong when etcd speaks TLS: what is printed, why, and what to do. Made from the catalogue in \
         `src/verify/pitfalls`;\n`etcd-pki explain CODE` shows the same page, `etcd-pki explain TEXT` finds it by its words. \
         Codes are stable. `…` stands for what varies.\n\n| code | name | what |\n|---|---|---|\n",
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
