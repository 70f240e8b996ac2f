//! What was probably meant where an argument or a command is not known: by what other tools call it, else by its letters.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use crate::suggest::similar;

/// What other tools call an option, and ours for it in the order of preference: each that the command has is named.
const OPTIONS: [(&[&str], &[&str]); 24] = [
    (&["san", "sans", "alt-names", "subject-alt-name", "hostname", "hostnames", "names"], &["ip", "dns"]),
    (&["host", "hosts"], &["host", "ip", "dns"]),
    (&["address", "addresses", "addr", "ip-address"], &["ip", "source-ip"]),
    (&["domain", "domains"], &["dns"]),
    (&["cn", "common-name", "subject", "subj"], &["name"]),
    (&["validity", "expiry", "ttl", "lifetime", "duration", "valid-for", "years"], &["days"]),
    (&["algo", "algorithm", "key-algorithm", "key-size", "bits", "curve", "kty"], &["key-type"]),
    (&["type", "role", "usage", "eku", "kind"], &["role", "profile"]),
    (&["cacert", "ca-cert", "ca-file", "trusted-ca-file"], &["ca"]),
    (&["overwrite", "replace"], &["force", "yes"]),
    (&["assume-yes", "non-interactive", "force", "confirm"], &["yes", "force"]),
    (&["target", "node", "server", "remote"], &["node", "host"]),
    (&["dest", "destination", "prefix", "path", "ssl-dir", "cert-dir"], &["to", "ssl-dir", "pki-dir"]),
    (&["dir", "directory", "pki", "out", "output", "out-dir"], &["out", "dir", "pki-dir"]),
    (&["check", "noop", "simulate", "what-if", "plan", "dryrun"], &["dry-run"]),
    (&["format", "output-format"], &["format", "json"]),
    (&["inventory", "from", "file", "config", "cluster"], &["inventory", "from", "cluster"]),
    (&["password", "passphrase", "pass", "passwd"], &["passphrase-file"]),
    (&["sudo"], &["become"]),
    (&["nodes", "count", "size", "replicas"], &["members"]),
    (&["within", "expires", "expires-in", "expiring"], &["within", "expires-within"]),
    (&["cert-file", "certificate"], &["cert"]),
    (&["key-file", "private-key"], &["key"]),
    (&["crl-file", "client-crl-file", "peer-crl-file"], &["crl"]),
];

/// What other tools call a command, and ours for it.
const COMMANDS: [(&str, &str); 27] = [
    ("ca", "init-ca"),
    ("init", "init-ca"),
    ("create-ca", "init-ca"),
    ("new-ca", "init-ca"),
    ("adopt", "import-ca"),
    ("import", "import-ca"),
    ("add", "issue"),
    ("cert", "issue"),
    ("create", "issue"),
    ("gen", "issue"),
    ("gencert", "issue"),
    ("generate", "issue"),
    ("new", "issue"),
    ("request", "csr"),
    ("renewal", "renew"),
    ("gencrl", "crl"),
    ("ls", "list"),
    ("show", "inspect"),
    ("certinfo", "inspect"),
    ("check", "verify"),
    ("lint", "verify"),
    ("validate", "verify"),
    ("deploy", "install"),
    ("push", "install"),
    ("undo", "rollback"),
    ("environment", "env"),
    ("completion", "completions"),
];

/// Puts the suggestion of this tool in the place of clap's.
pub(super) fn improve(error: &mut Error, tool: &Command, words: &[OsString]) {
    let command = command_of(tool, words);
    match error.kind() {
        ErrorKind::UnknownArgument => argument(error, command),
        ErrorKind::InvalidSubcommand => subcommand(error, tool, command),
        _ => {}
    }
}

/// The command that the words name, as far as they do.
fn command_of<'a>(tool: &'a Command, words: &[OsString]) -> &'a Command {
    let names = words.iter().skip(1).filter_map(|word| word.to_str());
    names.fold(tool, |command, word| command.find_subcommand(word).unwrap_or(command))
}

fn argument(error: &mut Error, command: &Command) {
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidArg) else { return };
    let Some(word) = typed.strip_prefix("--") else { return };
    let word = word.split('=').next().unwrap_or(word).to_owned();
    let known: Vec<&str> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set())
        .filter_map(|argument| argument.get_long())
        .collect();
    let meant = options(&word, &known);
    error.remove(ContextKind::SuggestedArg);
    error.remove(ContextKind::Suggested);
    // What clap prints shows the argument that it found similar.
    let usage = command.clone().render_usage();
    error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
    if !meant.is_empty() {
        let meant = meant.iter().map(|name| format!("--{name}")).collect();
        error.insert(ContextKind::SuggestedArg, ContextValue::Strings(meant));
    } else if let Some(sub) = command.find_subcommand(&word) {
        let tip = StyledStr::from(format!("'{}' is a command: leave the dashes out", sub.get_name()));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
}

/// The options that `word` may mean.
fn options<'a>(word: &str, known: &[&'a str]) -> Vec<&'a str> {
    let nearest = similar(word, known.iter().copied(), &[]);
    // One letter too many or too few is a slip of the finger, whatever else the word may mean.
    if let Some(near) = nearest.filter(|near| strsim::osa_distance(near, word) <= 1) {
        return vec![near];
    }
    let ours = OPTIONS.iter().filter(|(theirs, _)| theirs.contains(&word)).flat_map(|(_, ours)| *ours);
    let mut meant: Vec<&str> =
        ours.filter_map(|name| known.iter().find(|known| *known == name).copied()).collect();
    // Only a name's two forms are both meant; else the first is the better one.
    if meant.first() != Some(&"ip") {
        meant.truncate(1);
    }
    if meant.is_empty() { nearest.into_iter().collect() } else { meant }
}

fn subcommand(error: &mut Error, tool: &Command, command: &Command) {
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else { return };
    let typed = typed.clone();
    let names = |command: &'_ Command| -> Vec<String> {
        let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
        shown.map(|sub| sub.get_name().to_owned()).collect()
    };
    let known = names(command);
    let meant = similar(&typed, known.iter().map(String::as_str), &COMMANDS).map(str::to_owned);
    // `plan`, `status`: one below a command of the tool.
    let below = || {
        tool.get_subcommands().filter(|sub| !sub.is_hide_set()).find_map(|sub| {
            let known = names(sub);
            let found = similar(&typed, known.iter().map(String::as_str), &COMMANDS)?;
            (sub.get_name() != command.get_name()).then(|| format!("{} {found}", sub.get_name()))
        })
    };
    error.remove(ContextKind::SuggestedSubcommand);
    error.remove(ContextKind::Suggested);
    if let Some(meant) = meant.or_else(below) {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![meant]));
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_word_of_ours_is_one_of_the_tool() {
        let mut tool = Cli::command();
        tool.build();
        fn walk<'a>(command: &'a Command, all: &mut Vec<&'a Command>) {
            all.push(command);
            command.get_subcommands().for_each(|sub| walk(sub, all));
        }
        let mut all = Vec::new();
        walk(&tool, &mut all);
        for name in OPTIONS.iter().flat_map(|(_, ours)| *ours) {
            let has = |command: &&Command| command.get_arguments().any(|arg| arg.get_long() == Some(*name));
            assert!(all.iter().any(has), "no command has --{name}");
        }
        for (theirs, ours) in COMMANDS {
            assert!(all.iter().any(|command| command.get_name() == ours), "there is no {ours}");
            assert!(tool.find_subcommand(theirs).is_none(), "{theirs} is a command of ours");
        }
    }
}
