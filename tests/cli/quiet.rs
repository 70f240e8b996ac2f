//! `--quiet`: nothing but errors, and what another program reads. Every command of the command line is run.

use std::path::Path;
use std::process::{Command, Stdio};

use clap::CommandFactory as _;

use crate::TOOL;
use crate::migration_support::Ground;

/// The commands with arguments with which they succeed, in an order in which they do. A last word `…` says that its output is
/// for another program.
const RUNS: [&str; 24] = [
    "init-ca",
    "import-ca --cert pki/ca.pem --key pki/ca-key.pem --pki-dir other",
    "issue server1 --ip 127.0.0.1",
    "issue client1 --profile client",
    "csr node1 --pki-dir node",
    "sign node/node1.csr --trust-csr-names",
    "renew client1",
    "revoke node1",
    "crl",
    "export server1 --format pem-bundle",
    "export server1 --format fingerprint …",
    "list",
    "inspect pki/server1.pem",
    "verify pki/server1.pem",
    "explain EP001",
    "explain 'remote error: tls: bad certificate'",
    "install server1 --root image --owner OWNER",
    "env client1 --endpoints https://127.0.0.1:2379 …",
    "list --json …",
    "completions bash …",
    "man list …",
    "man --dir pages",
    "rehearse --members 1",
    "issue --from cluster.toml --dry-run",
];

const MIGRATIONS: [&str; 9] = [
    "plan",
    "plan --print-inventory …",
    "members",
    "apply --yes",
    "status",
    "report",
    "clients --yes",
    "seal --yes",
    "rollback --yes",
];

/// Runs it with `--quiet`: it prints no message, and data only where `expects` is true.
fn run(command: &mut Command, line: &str, expects: bool) {
    let output = command.arg("--quiet").stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{line}: {:?}\n{out}\n{err}", output.status);
    assert_eq!(err, "", "{line}");
    assert_eq!(!out.is_empty(), expects, "{line}: {out}");
}

fn words(line: &str, owner: &str) -> (Vec<String>, bool) {
    // The only quoting that the lines use.
    let parts = line.split('\'').enumerate().flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    let mut words: Vec<String> = parts.map(|word| word.replace("OWNER", owner)).collect();
    let expects = words.pop_if(|word| word == "…").is_some();
    (words, expects)
}

#[test]
fn every_command_is_quiet() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("image")).unwrap();
    std::fs::write(dir.path().join("cluster.toml"), "[[member]]\nname = \"server2\"\n").unwrap();
    let owner = format!("{}:{}", rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let base = crate::rehearsal_support::own_base().to_string();
    for line in RUNS {
        let (mut words, expects) = words(line, &owner);
        if words[0] == "rehearse" {
            words.extend(["--base".to_owned(), base.clone()]);
        }
        let mut command = Command::new(TOOL);
        command.args(words).current_dir(dir.path()).env_remove("ETCDPKI_DIR");
        run(&mut command, line, expects);
    }
    let ground = Ground::new(1);
    for line in MIGRATIONS {
        let (words, expects) = words(line, &owner);
        let mut command = match line {
            "report" => ground.command(&["migrate", "report"]),
            _ => {
                let words = ground.migrate_words(&words.iter().map(String::as_str).collect::<Vec<_>>());
                ground.command(&words.iter().map(String::as_str).collect::<Vec<_>>())
            }
        };
        run(&mut command, line, expects);
    }
    all_are_run();
}

/// No command of the command line is missing above.
fn all_are_run() {
    let tool = etcd_pki::cli::Cli::command();
    let has = |runs: &[&str], name: &str| runs.iter().any(|line| line.split(' ').next() == Some(name));
    for command in tool.get_subcommands().filter(|command| !command.is_hide_set()) {
        if command.has_subcommands() {
            assert_eq!(command.get_name(), "migrate");
            for sub in command.get_subcommands() {
                assert!(has(&MIGRATIONS, sub.get_name()), "`migrate {}` is not run here", sub.get_name());
            }
        } else {
            assert!(has(&RUNS, command.get_name()), "`{}` is not run here", command.get_name());
        }
    }
}

#[test]
fn a_refusal_is_printed_all_the_same() {
    let refused = |args: &[&str]| {
        let output = Command::new(TOOL)
            .args(args)
            .current_dir(Path::new("/"))
            .env("ETCDPKI_DIR", "/no")
            .output()
            .unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(&["-q", "list"]).contains("error: "));
    assert!(refused(&["-q", "isue"]).contains("error: "));
}
