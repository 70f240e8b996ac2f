//! `completions`: words that the shell fills in, asked of the tool itself, so that names come from the PKI directory.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::engine::{PathCompleter, ValueCompleter};
use clap_complete::env::{CompleteEnv, Shells};
use clap_complete::{CompletionCandidate, Shell};

use super::{Cli, Context, Exit, Failure, Outcome};
use crate::ca::{CertName, Profiles};
use crate::files::{self, Trust};
use crate::inventory::Inventory;
use crate::verify::pitfalls::catalogue;

/// The variable by which a shell's function asks us for words.
const VARIABLE: &str = "ETCDPKI_COMPLETE";

/// Print what a shell needs to complete commands, options and names.
///
/// For bash: `source <(etcd-pki completions bash)` in ~/.bashrc; zsh the same in ~/.zshrc, after compinit; for fish:
/// `etcd-pki completions fish > ~/.config/fish/completions/etcd-pki.fish`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs `completions`.
///
/// # Errors
/// [`Failure`]
pub fn run(context: &Context, args: &CompletionsArgs) -> Outcome {
    let shells = Shells::builtins();
    let name = args.shell.to_string();
    let unknown = || Failure::usage("unknown-shell", format!("no completions are known for {name}"));
    let shell = shells.completer(&name).ok_or_else(unknown)?;
    let mut script = Vec::new();
    shell
        .write_registration(VARIABLE, "etcd-pki", "etcd-pki", "etcd-pki", &mut script)
        .map_err(|error| Failure::no("no-completions", error.to_string()))?;
    context.out.document(&script);
    Ok(Exit::Done)
}

/// Answers a shell that asks for words, and ends the process; returns when none asks.
pub(super) fn answer() {
    CompleteEnv::with_factory(Cli::command).var(VARIABLE).complete();
}

/// The names of the pairs in the PKI directory.
pub(super) fn pair_names(current: &OsStr) -> Vec<CompletionCandidate> {
    candidates(current, pki_files().iter().filter_map(|file| file.strip_suffix("-key.pem")).filter(is_leaf))
}

/// The names of the certificates in the PKI directory, those without a key too.
pub(super) fn certificate_names(current: &OsStr) -> Vec<CompletionCandidate> {
    let files = pki_files();
    let names = files.iter().filter_map(|file| file.strip_suffix(".pem"));
    candidates(current, names.filter(|name| !name.ends_with("-key") && *name != "crl").filter(is_leaf))
}

/// [`certificate_names`], and paths.
pub(super) fn certificates_or_paths(current: &OsStr) -> Vec<CompletionCandidate> {
    certificate_names(current).into_iter().chain(PathCompleter::any().complete(current)).collect()
}

/// The names of `cluster.toml`, for which there may be no pair yet.
pub(super) fn inventory_names(current: &OsStr) -> Vec<CompletionCandidate> {
    let inventory = Inventory::load(&option("--from").map_or_else(|| "cluster.toml".into(), PathBuf::from));
    let Ok(inventory) = inventory else { return Vec::new() };
    let names = inventory.members.iter().map(|member| &member.name);
    let names = names.chain(inventory.proxies.iter().map(|proxy| &proxy.name));
    let names = names.chain(inventory.clients.iter().map(|client| &client.name));
    candidates(current, names.map(String::as_str))
}

/// [`pair_names`], and those of the inventory where one is given.
pub(super) fn installable_names(current: &OsStr) -> Vec<CompletionCandidate> {
    if option("--from").is_some() { inventory_names(current) } else { pair_names(current) }
}

/// The profiles: built in, and of the PKI directory.
pub(super) fn profiles(current: &OsStr) -> Vec<CompletionCandidate> {
    let Ok(profiles) = Profiles::load(&pki_dir(), &Trust::caller()) else { return Vec::new() };
    candidates(current, profiles.names())
}

/// The codes and names of pitfalls, each with its title.
pub(super) fn codes(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = catalogue().flat_map(|pitfall| {
        let both = [pitfall.code.to_string(), pitfall.code.name().to_owned()];
        both.map(|word| (word, pitfall.title))
    });
    words
        .filter(|(word, _)| begins(word, current))
        .map(|(word, title)| CompletionCandidate::new(word).help(Some(title.into())))
        .collect()
}

/// The names of commands, for `man`.
pub(super) fn commands(current: &OsStr) -> Vec<CompletionCandidate> {
    let tool = Cli::command();
    let mut words: Vec<&str> = Vec::new();
    for command in tool.get_subcommands().filter(|command| !command.is_hide_set()) {
        words.push(command.get_name());
        words.extend(command.get_subcommands().map(clap::Command::get_name));
    }
    candidates(current, words.into_iter())
}

fn candidates<'a>(current: &OsStr, words: impl Iterator<Item = &'a str>) -> Vec<CompletionCandidate> {
    words.filter(|word| begins(word, current)).map(CompletionCandidate::new).collect()
}

fn begins(word: &str, current: &OsStr) -> bool {
    current.to_str().is_some_and(|current| word.starts_with(current))
}

fn is_leaf(name: &&str) -> bool {
    name.parse::<CertName>().is_ok()
}

/// The files of the PKI directory; none where it cannot be read.
fn pki_files() -> Vec<String> {
    files::list(&pki_dir()).unwrap_or_default()
}

/// The PKI directory of the command line that is completed.
fn pki_dir() -> PathBuf {
    let given = option("--pki-dir").or_else(|| std::env::var_os("ETCDPKI_DIR"));
    given.map_or_else(|| PathBuf::from("./pki"), PathBuf::from)
}

/// The value of an option on the command line that is completed: clap gives a completer the one word alone.
fn option(name: &str) -> Option<OsString> {
    let words: Vec<OsString> = std::env::args_os().collect();
    words.iter().enumerate().find_map(|(at, word)| {
        if word == name {
            return words.get(at + 1).cloned();
        }
        let value = word.to_str()?.strip_prefix(name)?.strip_prefix('=')?;
        Some(value.into())
    })
}
