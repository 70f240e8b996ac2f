//! `man`: the manual pages, made from the command line's own help.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_complete::ArgValueCompleter;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Cli, Context, Exit, Failure, Outcome};
use crate::files::{self, FileError, FileMode, Meta};

/// Print a manual page, or write all of them.
///
/// `etcd-pki man migrate apply | man -l -` reads the page of `migrate apply`; `etcd-pki man --dir DIR` writes a page
/// for every command into DIR, such as /usr/local/share/man/man1.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The command whose page is printed, such as `migrate apply`; none for the whole tool's.
    #[arg(value_name = "COMMAND", conflicts_with = "dir", add = ArgValueCompleter::new(super::completions::commands))]
    command: Vec<String>,
    /// Write a page for every command into this directory.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Runs `man`.
///
/// # Errors
/// [`Failure`]
pub fn run(context: &Context, args: &ManArgs) -> Outcome {
    let pages = pages();
    let Some(dir) = &args.dir else {
        let name = ["etcd-pki"].into_iter().chain(args.command.iter().map(String::as_str));
        let name = name.collect::<Vec<_>>().join("-");
        let Some((_, page)) = pages.into_iter().find(|(file, _)| *file == format!("{name}.1")) else {
            return Err(Failure::usage(
                "no-such-page",
                format!("there is no command {:?}", args.command.join(" ")),
            )
            .hint("`etcd-pki help` lists the commands"));
        };
        context.out.document(&page);
        return Ok(Exit::Done);
    };
    write(dir, &pages).map_err(|error| {
        // All pages are written before the first of them gets its name.
        let is_changed = matches!(error, FileError::Io { action: "rename into" | "sync", .. });
        let exit = if is_changed { Exit::Failed } else { Exit::No };
        Failure::new(exit, "cannot-write", error.to_string())
            .hint("--dir names a directory that you may write to")
    })?;
    context.out.note(format_args!("{} pages in {}", pages.len(), dir.display()));
    Ok(Exit::Done)
}

fn write(dir: &Path, pages: &[(String, Vec<u8>)]) -> Result<(), FileError> {
    files::make_dir(dir, Meta::mode(FileMode::DIR))?;
    let names = files::list(dir)?;
    files::sweep(dir, names.iter().map(String::as_str).filter(|name| name.starts_with(".etcd-pki")));
    let places: Vec<(PathBuf, &[u8])> =
        pages.iter().map(|(file, page)| (dir.join(file), page.as_slice())).collect();
    let files: Vec<(&Path, &[u8], Meta)> =
        places.iter().map(|(path, page)| (path.as_path(), *page, Meta::mode(FileMode::PUBLIC))).collect();
    files::replace_all(&files)
}

/// Every page, by file name.
pub fn pages() -> Vec<(String, Vec<u8>)> {
    let mut tool = Cli::command();
    tool.build();
    let mut pages = Vec::new();
    walk(&tool, "etcd-pki", &mut pages);
    pages.sort();
    pages
}

fn walk(command: &clap::Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) {
    pages.push((format!("{name}.1"), page(command, name)));
    for sub in command.get_subcommands() {
        if !sub.is_hide_set() && sub.get_name() != "help" {
            walk(sub, &format!("{name}-{}", sub.get_name()), pages);
        }
    }
}

fn page(command: &clap::Command, name: &str) -> Vec<u8> {
    let man = Man::new(command.clone())
        .title(name)
        .source(format!("etcd-pki {}", env!("CARGO_PKG_VERSION")))
        .manual("etcd-pki");
    let mut out = Vec::new();
    let rendered = man
        .render_title(&mut out)
        .and_then(|()| man.render_name_section(&mut out))
        .and_then(|()| man.render_synopsis_section(&mut out))
        .and_then(|()| man.render_description_section(&mut out))
        .and_then(|()| man.render_options_section(&mut out))
        .and_then(|()| match command.has_subcommands() {
            true => man.render_subcommands_section(&mut out),
            false => Ok(()),
        })
        .and_then(|()| closing(name).to_writer(&mut out));
    rendered.expect("a vector takes every byte");
    out
}

/// What every page ends with.
fn closing(name: &str) -> Roff {
    let mut roff = Roff::new();
    definitions(
        &mut roff,
        "EXIT STATUS",
        &[
            ("0", "Done, accepted, nothing to do, or a plan or dry run was printed."),
            ("1", "The answer is no, or it was refused before anything changed."),
            (
                "2",
                "Wrong usage: bad options, unreadable paths, a prompt needed with no terminal and no --yes.",
            ),
            ("3", "Failed after something had changed: safe to run again."),
        ],
    );
    if name == "etcd-pki" {
        definitions(
            &mut roff,
            "ENVIRONMENT",
            &[
                ("ETCDPKI_DIR", "The PKI directory, where --pki-dir is not given."),
                ("NO_COLOR", "When it is set and not empty, nothing is coloured."),
            ],
        );
        definitions(
            &mut roff,
            "FILES",
            &[
                ("pki/ca.pem, pki/ca-key.pem", "The CA and its key (0600), in the PKI directory."),
                ("pki/NAME.pem, pki/NAME-key.pem", "A certificate and its key (0600)."),
                ("/etc/ssl/etcd", "Where install places a pair and the CA on a node."),
                ("/var/lib/etcd-pki", "On a node: the lock of a migration, and what its files held before."),
            ],
        );
    } else {
        roff.control("SH", ["SEE ALSO"]);
        roff.text([bold("etcd-pki"), roman("(1)")]);
    }
    roff
}

fn definitions(roff: &mut Roff, heading: &str, entries: &[(&str, &str)]) {
    roff.control("SH", [heading]);
    for (term, text) in entries {
        roff.control("TP", []);
        roff.text([bold(*term)]);
        roff.text([roman(*text)]);
    }
}
