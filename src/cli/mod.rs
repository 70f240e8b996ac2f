//! The command line: one file a command, each with its arguments and what it prints.

mod address;
pub mod completions;
pub mod crl;
pub mod csr;
pub mod env;
pub mod explain;
pub mod export;
pub mod import_ca;
pub mod init_ca;
pub mod inspect;
pub mod install;
pub mod issue;
pub mod list;
pub mod man;
pub mod migrate;
mod named;
mod names;
pub mod outcome;
pub mod output;
mod passphrase;
mod pki;
mod protect;
mod reach;
pub mod rehearse;
pub mod renew;
pub mod revoke;
mod suggestions;
pub mod supervise;
mod table;
pub mod verify;
mod writes;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub use outcome::{Exit, Failure, Outcome};
pub use output::{Color, Output};
pub use writes::{Writes, commands};

use crate::advice::Invocation;

/// A certificate authority and PKI toolkit for etcd clusters.
#[derive(Debug, Parser)]
#[command(name = "etcd-pki", version, about, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// The PKI directory where none is named.
const DEFAULT_PKI_DIR: &str = "./pki";

/// Options that every command takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// The directory that holds the CA, its certificates and the ledger.
    #[arg(
        long,
        global = true,
        env = "ETCDPKI_DIR",
        hide_env_values = true,
        default_value = DEFAULT_PKI_DIR,
        value_name = "DIR"
    )]
    pub pki_dir: PathBuf,
    /// Use the PKI directory although other users own it, or may write to it or to a directory above it.
    #[arg(long, global = true, env = "ETCDPKI_ALLOW_SHARED_DIR", value_parser = clap::builder::FalseyValueParser::new())]
    pub allow_shared_dir: bool,
    /// Print one JSON document (or NDJSON events for long work) on stdout, and nothing else.
    #[arg(long, global = true)]
    pub json: bool,
    /// When to colour what is printed.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
    /// Say more; twice for still more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Print errors only, and what another program reads: JSON, scripts, pages.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    InitCa(init_ca::InitCaArgs),
    ImportCa(import_ca::ImportCaArgs),
    Issue(issue::IssueArgs),
    Csr(csr::CsrArgs),
    Sign(csr::SignArgs),
    Renew(renew::RenewArgs),
    Revoke(revoke::RevokeArgs),
    Crl(crl::CrlArgs),
    Export(export::ExportArgs),
    List(list::ListArgs),
    Inspect(inspect::InspectArgs),
    Verify(Box<verify::VerifyArgs>),
    Explain(explain::ExplainArgs),
    Env(env::EnvArgs),
    Install(install::InstallArgs),
    Migrate(migrate::MigrateArgs),
    Rehearse(rehearse::RehearseArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    #[command(hide = true)]
    Supervise(supervise::SuperviseArgs),
}

/// What a command is given: the global options and where to print.
#[derive(Debug)]
pub struct Context {
    /// The options that every command takes.
    pub global: Global,
    /// Where data and talk go.
    pub out: Output,
    /// What a command line that is printed has to repeat of this call.
    pub invocation: Invocation,
}

/// Parses the arguments, runs the command and returns its exit code.
pub fn main() -> ExitCode {
    protect::memory();
    completions::answer();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(mut error) => {
            let mut tool = Cli::command();
            tool.build();
            suggestions::improve(&mut error, &tool, &std::env::args_os().collect::<Vec<_>>());
            return outcome::usage(&error);
        }
    };
    let out = Output::new(&cli.global);
    let invocation = invocation(&cli.global, &cli.command);
    let context = Context { global: cli.global, out, invocation };
    outcome::finish(&context, run(&context, cli.command))
}

fn invocation(global: &Global, command: &Command) -> Invocation {
    let dir = &global.pki_dir;
    let is_default = dir == Path::new(DEFAULT_PKI_DIR)
        && std::env::var_os("ETCDPKI_DIR").is_none_or(|set| set == dir.as_os_str());
    let inventory = match command {
        Command::Issue(args) => args.inventory(),
        Command::Install(args) => args.inventory(),
        Command::Migrate(args) => args.inventory(),
        Command::Verify(args) => args.inventory(),
        _ => None,
    };
    Invocation {
        pki_dir: (!is_default).then(|| dir.clone()),
        is_shared: global.allow_shared_dir,
        inventory: inventory.map(Path::to_owned),
        ..Invocation::default()
    }
}

fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::InitCa(args) => init_ca::run(context, &args),
        Command::ImportCa(args) => import_ca::run(context, &args),
        Command::Issue(args) => issue::run(context, &args),
        Command::Csr(args) => csr::run_csr(context, &args),
        Command::Sign(args) => csr::run_sign(context, &args),
        Command::Renew(args) => renew::run(context, &args),
        Command::Revoke(args) => revoke::run(context, &args),
        Command::Crl(args) => crl::run(context, &args),
        Command::Export(args) => export::run(context, &args),
        Command::List(args) => list::run(context, &args),
        Command::Inspect(args) => inspect::run(context, &args),
        Command::Verify(args) => verify::run(context, &args),
        Command::Explain(args) => explain::run(context, &args),
        Command::Env(args) => env::run(context, &args),
        Command::Install(args) => install::run(context, &args),
        Command::Migrate(args) => migrate::run(context, &args),
        Command::Rehearse(args) => rehearse::run(context, &args),
        Command::Completions(args) => completions::run(context, &args),
        Command::Man(args) => man::run(context, &args),
        Command::Supervise(args) => supervise::run(context, &args),
    }
}
