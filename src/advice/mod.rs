//! Fixes and hints: text with command lines that can be pasted into a shell.
//!
//! A text marks its command lines with backquotes. The code that writes one does not know how the tool was called; [`Advice::at`]
//! fills in what the [`Invocation`] does know: the PKI directory, the inventory, names and files. What stays unknown is
//! printed as a placeholder, a word in upper case such as `NAME`, `ADDRESS` or `DIR`; the inventory is `cluster.toml`.

mod command_line;

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

pub use command_line::{CommandLine, Directory};

/// How the tool was called, as far as a command line that is printed depends on it.
#[derive(Debug, Clone, Default)]
pub struct Invocation {
    /// The PKI directory, unless it is the default one.
    pub pki_dir: Option<PathBuf>,
    /// Whether other users may change the PKI directory, and it is used all the same.
    pub is_shared: bool,
    /// The inventory.
    pub inventory: Option<PathBuf>,
    /// The certificate that the advice is about: its name in the PKI directory.
    pub name: Option<String>,
    /// The certificate's file.
    pub certificate: Option<PathBuf>,
    /// The file of its key.
    pub key: Option<PathBuf>,
    /// The CA file that it is verified against.
    pub ca: Option<PathBuf>,
}

/// What to do about something: text and command lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Advice(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Line(CommandLine),
}

impl Advice {
    /// The same with what follows.
    #[must_use]
    pub fn and(mut self, more: impl Into<Self>) -> Self {
        self.0.extend(more.into().0);
        self
    }

    /// The same for the certificate of this name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        let part = |part| match part {
            Part::Line(line) => Part::Line(line.named(name)),
            text @ Part::Text(_) => text,
        };
        Self(self.0.into_iter().map(part).collect())
    }

    /// The same with commands of ours in another PKI directory.
    #[must_use]
    pub fn within(self, directory: Directory) -> Self {
        let part = |part| match part {
            Part::Line(line) => Part::Line(line.within(directory)),
            text @ Part::Text(_) => text,
        };
        Self(self.0.into_iter().map(part).collect())
    }

    /// The same with what the invocation knows filled in.
    #[must_use]
    pub fn at(&self, invocation: &Invocation) -> Self {
        Self(vec![Part::Text(self.rendered(invocation))])
    }

    fn rendered(&self, invocation: &Invocation) -> String {
        match self.0.as_slice() {
            // A command line alone is ready to be pasted as a whole.
            [Part::Line(line)] => line.rendered(invocation),
            parts => parts
                .iter()
                .map(|part| match part {
                    Part::Text(text) => text.clone(),
                    Part::Line(line) => format!("`{}`", line.rendered(invocation)),
                })
                .collect(),
        }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rendered(&Invocation::default()))
    }
}

impl Serialize for Advice {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<CommandLine> for Advice {
    fn from(line: CommandLine) -> Self {
        Self(vec![Part::Line(line)])
    }
}

impl From<&str> for Advice {
    /// Reads text with command lines of ours between backquotes.
    fn from(text: &str) -> Self {
        let mut parts = Vec::new();
        for (at, piece) in text.split('`').enumerate() {
            if at % 2 == 1 && CommandLine::is_ours(piece) {
                parts.push(Part::Line(CommandLine::parse(piece)));
                continue;
            }
            let piece = if at % 2 == 1 { format!("`{piece}`") } else { piece.to_owned() };
            match parts.last_mut() {
                Some(Part::Text(text)) => text.push_str(&piece),
                _ => parts.push(Part::Text(piece)),
            }
        }
        if text.matches('`').count() % 2 == 1 {
            // Somebody else's backquote: nothing in this text is ours.
            return Self(vec![Part::Text(text.to_owned())]);
        }
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        Self(parts)
    }
}

impl From<String> for Advice {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(dir: &str) -> Invocation {
        Invocation { pki_dir: Some(dir.into()), ..Invocation::default() }
    }

    #[test]
    fn the_pki_directory_of_the_call_is_in_every_command_that_uses_one() {
        let at = |text: &str| Advice::from(text).at(&called("/srv/my pki")).to_string();
        assert_eq!(
            at("make it: `etcd-pki init-ca && etcd-pki issue NAME`, or not"),
            "make it: `etcd-pki --pki-dir '/srv/my pki' init-ca && \
             etcd-pki --pki-dir '/srv/my pki' issue NAME`, or not"
        );
        // These read no PKI directory, or name another one.
        for text in [
            "`journalctl -u etcd | etcd-pki explain -` says why",
            "see `etcd-pki inspect FILE`",
            "on the node, `etcd-pki csr NAME`",
            "`etcd-pki --pki-dir DIR init-ca` in another directory",
            "`chmod 0600 KEY`",
            "a ` of somebody else's, etcd-pki issue NAME",
        ] {
            assert_eq!(at(text), text);
        }
    }

    #[test]
    fn without_an_invocation_there_are_placeholders() {
        let line = CommandLine::new("issue").name("NAME").option("--ip", "10.0.0.1");
        assert_eq!(Advice::from(line.clone()).to_string(), "etcd-pki issue NAME --ip 10.0.0.1");
        let elsewhere = line.clone().within(Directory::Unknown);
        assert_eq!(Advice::from(elsewhere).to_string(), "etcd-pki --pki-dir DIR issue NAME --ip 10.0.0.1");
        let invocation = Invocation { name: Some("m1".into()), ..called("pki/") };
        let new = line.within(Directory::New);
        assert_eq!(
            Advice::from(new).at(&invocation).to_string(),
            "etcd-pki --pki-dir pki-new issue m1 --ip 10.0.0.1"
        );
    }

    #[test]
    fn files_and_the_inventory_are_quoted() {
        let invocation = Invocation {
            inventory: Some("my cluster.toml".into()),
            key: Some("/etc/it's/key.pem".into()),
            ..Invocation::default()
        };
        let at = |text: &str| Advice::from(text).at(&invocation).to_string();
        assert_eq!(at("`etcd-pki issue --from cluster.toml`"), "etcd-pki issue --from 'my cluster.toml'");
        let chmod = Advice::from(CommandLine::parse("chmod 0600 KEY")).at(&invocation);
        assert_eq!(chmod.to_string(), r"chmod 0600 '/etc/it'\''s/key.pem'");
    }

    #[test]
    fn a_directory_that_others_may_change_is_accepted_again() {
        let invocation = Invocation { is_shared: true, ..called("/srv/pki") };
        let line = Advice::from(CommandLine::new("renew").name("m1")).at(&invocation);
        assert_eq!(line.to_string(), "etcd-pki --pki-dir /srv/pki --allow-shared-dir renew m1");
    }
}
