//! What each command may change, as the crash tests read it.

use clap::CommandFactory;

use super::Cli;

/// What a command may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Nothing but what it prints.
    Nothing,
    /// The PKI directory.
    PkiDirectory,
    /// Files elsewhere on this machine, or on one other.
    Files,
    /// Members of a cluster and the services around them.
    Hosts,
}

/// Every command of the command line, hidden ones too, with what it may change; `None` for one that is not classified
/// yet, which the crash tests refuse.
pub fn commands() -> Vec<(String, Option<Writes>)> {
    let tool = Cli::command();
    tool.get_subcommands().map(|command| (command.get_name().to_owned(), class(command.get_name()))).collect()
}

fn class(command: &str) -> Option<Writes> {
    Some(match command {
        "init-ca" | "import-ca" | "issue" | "csr" | "sign" | "renew" | "revoke" | "crl" | "list" => {
            Writes::PkiDirectory
        }
        "export" | "install" | "man" => Writes::Files,
        "migrate" | "rehearse" | "supervise" => Writes::Hosts,
        "inspect" | "verify" | "explain" | "env" | "completions" => Writes::Nothing,
        _ => return None,
    })
}
