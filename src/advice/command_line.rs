//! A command line as it is printed: words that are known, and words that the invocation fills in.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use super::Invocation;
use crate::shell;

/// Which PKI directory a command is to work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directory {
    /// That of the invocation.
    Own,
    /// One that is to be made next to it.
    New,
    /// One that is not known: that of another CA than the invocation's.
    Unknown,
}

/// One or more commands for a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine(Vec<Word>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    /// This tool, before its options and its subcommand.
    Program(Directory),
    /// Written as it is.
    Raw(String),
    /// The certificate's name, or this where the invocation has none.
    Name(String),
    /// An option and its value, left out where the value is the certificate's name.
    UnlessName(String, String),
    Certificate,
    Key,
    Inventory,
    /// The CA of a PKI directory.
    CaFile(Directory),
}

/// Subcommands that use no PKI directory, or one on another machine.
const WITHOUT_DIRECTORY: [&str; 7] = ["completions", "csr", "explain", "help", "inspect", "man", "rehearse"];

impl CommandLine {
    /// A command of ours.
    pub fn new(subcommand: &str) -> Self {
        Self(vec![Word::Program(Directory::Own), Word::Raw(subcommand.to_owned())])
    }

    /// Another program's command.
    pub fn program(name: &str) -> Self {
        Self(vec![Word::Raw(name.to_owned())])
    }

    /// Reads a line. Its words are written as they are, quotes and all, but for `NAME`, `CERT`, `KEY` and `cluster.toml`, which
    /// the invocation may know.
    pub fn parse(line: &str) -> Self {
        let is_quoted = line.contains(['\'', '"']);
        let words = line.split(' ').map(|word| match word {
            "etcd-pki" => Word::Program(Directory::Own),
            "NAME" if !is_quoted => Word::Name(word.to_owned()),
            "CERT" if !is_quoted => Word::Certificate,
            "KEY" if !is_quoted => Word::Key,
            "cluster.toml" if !is_quoted => Word::Inventory,
            other => Word::Raw(other.to_owned()),
        });
        Self(words.collect())
    }

    /// Whether a line runs this tool.
    pub(super) fn is_ours(line: &str) -> bool {
        line.split(' ').any(|word| word == "etcd-pki")
    }

    /// The same in another PKI directory.
    #[must_use]
    pub fn within(mut self, directory: Directory) -> Self {
        for word in &mut self.0 {
            if let Word::Program(own) = word {
                *own = directory;
            }
        }
        self
    }

    /// The name of the certificate that is meant: the invocation's, else this one.
    #[must_use]
    pub fn name(self, otherwise: &str) -> Self {
        self.word(Word::Name(otherwise.to_owned()))
    }

    pub(super) fn named(mut self, name: &str) -> Self {
        for word in &mut self.0 {
            if let Word::Name(otherwise) = word {
                name.clone_into(otherwise);
            }
        }
        self
    }

    /// A word.
    #[must_use]
    pub fn arg(self, value: impl Display) -> Self {
        self.word(Word::Raw(shell::quote(&value.to_string())))
    }

    /// An option and its value.
    #[must_use]
    pub fn option(self, flag: &str, value: impl Display) -> Self {
        self.arg(flag).arg(value)
    }

    /// An option and its value, left out where the value is the name that [`CommandLine::name`] names.
    #[must_use]
    pub fn unless_name(self, flag: &str, value: &str) -> Self {
        self.word(Word::UnlessName(flag.to_owned(), value.to_owned()))
    }

    /// The CA's certificate in a PKI directory; of one that is not known, the CA file that is in use.
    #[must_use]
    pub fn ca_file(self, directory: Directory) -> Self {
        self.word(Word::CaFile(directory))
    }

    /// What is run where this succeeded.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        let mut all = self.word(Word::Raw("&&".to_owned()));
        all.0.extend(next.0);
        all
    }

    fn word(mut self, word: Word) -> Self {
        self.0.push(word);
        self
    }

    pub(super) fn rendered(&self, invocation: &Invocation) -> String {
        let path = |path: &Option<PathBuf>, otherwise: &str| {
            path.as_deref().map_or_else(|| otherwise.to_owned(), shell::path)
        };
        let own_name = |otherwise: &String| invocation.name.as_ref().unwrap_or(otherwise).clone();
        let name = self.0.iter().find_map(|word| match word {
            Word::Name(otherwise) => Some(own_name(otherwise)),
            _ => None,
        });
        let words = self.0.iter().enumerate().filter(|(_, word)| match word {
            Word::UnlessName(_, value) => name.as_ref() != Some(value),
            _ => true,
        });
        let words = words.map(|(at, word)| match word {
            Word::Program(directory) => program(*directory, self.0.get(at + 1), invocation),
            Word::Raw(text) => text.clone(),
            Word::Name(otherwise) => shell::quote(&own_name(otherwise)),
            Word::UnlessName(flag, value) => shell::line(&[flag, value]),
            Word::Certificate => path(&invocation.certificate, "CERT"),
            Word::Key => path(&invocation.key, "KEY"),
            Word::Inventory => path(&invocation.inventory, "cluster.toml"),
            Word::CaFile(Directory::Unknown) => path(&invocation.ca, "CA"),
            Word::CaFile(directory) => shell::path(&path_of(*directory, invocation).join("ca.pem")),
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// This tool and the options that say where it works.
fn program(directory: Directory, next: Option<&Word>, invocation: &Invocation) -> String {
    const PROGRAM: &str = "etcd-pki";
    let subcommand = if let Some(Word::Raw(text)) = next { text.as_str() } else { "" };
    if WITHOUT_DIRECTORY.contains(&subcommand) || subcommand == "--pki-dir" {
        return PROGRAM.to_owned();
    }
    let is_default = directory == Directory::Own && invocation.pki_dir.is_none();
    let mut line = PROGRAM.to_owned();
    if !is_default {
        line += &format!(" --pki-dir {}", shell::path(&path_of(directory, invocation)));
    }
    if invocation.is_shared && directory == Directory::Own {
        line += " --allow-shared-dir";
    }
    line
}

fn path_of(directory: Directory, invocation: &Invocation) -> PathBuf {
    let own = invocation.pki_dir.as_deref().unwrap_or(Path::new("./pki"));
    match directory {
        Directory::Own => own.to_owned(),
        Directory::New => match own.file_name() {
            Some(name) => {
                let mut name = name.to_owned();
                name.push("-new");
                own.with_file_name(name)
            }
            None => own.join("new"),
        },
        Directory::Unknown => "DIR".into(),
    }
}
