//! `completions`: words that the shell fills in, asked of the tool itself, so that names come from the PKI directory.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::env::{CompleteEnv, Shells};
use clap_complete::{CompletionCandidate, Shell};

use super::{Cli, Context, Exit, Failure, Outcome};
use crate::ca::CertName;

/// The variable by which a shell's function asks us for words.
const VARIABLE: &str = "ETCDPKI_COMPLETE";

/// Print what a shell needs to complete commands, options and names.
///
/// For bash: `source <(etcd-pki completions bash)` in ~/.bashrc; zsh the same in ~/.zshrc; for fish:
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

/// The names of the pairs in the PKI directory that `ETCDPKI_DIR` names, else in `./pki`.
pub(super) fn pair_names(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let dir = std::env::var_os("ETCDPKI_DIR").map_or_else(|| PathBuf::from("./pki"), PathBuf::from);
    let files = crate::files::list(&dir).unwrap_or_default();
    let names = files.iter().filter_map(|file| file.strip_suffix("-key.pem"));
    let is_ours = |name: &str| name != "ca" && name.parse::<CertName>().is_ok();
    let names = names.filter(|name| name.starts_with(current) && is_ours(name));
    names.map(CompletionCandidate::new).collect()
}
