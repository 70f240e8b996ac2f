//! The scenarios and the command table belong together: no command that writes goes without one.

use etcd_pki::cli::{Writes, commands};

use crate::bench::Bench;
use crate::run::changes_something;
use crate::scenarios;

/// Commands that change hosts: where they are killed.
const ELSEWHERE: [(&str, &str); 3] = [
    ("migrate", include_str!("../real_hosts/killed.rs")),
    ("rehearse", include_str!("../rehearse/migration.rs")),
    ("supervise", include_str!("../rehearse/process.rs")),
];

#[test]
fn every_command_that_writes_is_interrupted() {
    let scenarios = scenarios::all();
    for (command, writes) in commands() {
        let is_interrupted = scenarios.iter().any(|scenario| scenario.command == command);
        match writes {
            None => panic!("src/cli/writes.rs does not say what `{command}` may change"),
            Some(Writes::Nothing) => assert!(!is_interrupted, "`{command}` writes nothing, as it says"),
            Some(Writes::PkiDirectory | Writes::Files) => {
                assert!(is_interrupted, "`{command}` writes, and no scenario interrupts it");
            }
            Some(Writes::Hosts) => {
                let test = ELSEWHERE.iter().find(|(known, _)| *known == command);
                let test = test.unwrap_or_else(|| panic!("`{command}` changes hosts and is killed nowhere"));
                assert!(test.1.contains("kill"), "the tests of `{command}` do not kill it");
            }
        }
    }
}

#[test]
fn a_command_that_says_so_writes_nothing() {
    let runs: [(&str, &[&str]); 5] = [
        ("inspect", &["inspect", "pki/ca.pem"]),
        ("verify", &["verify"]),
        ("explain", &["explain", "EP001"]),
        ("env", &["env", "server1", "--endpoints", "https://127.0.0.1:2379"]),
        ("completions", &["completions", "bash"]),
    ];
    let prepare = |bench: &Bench| {
        bench.done(&["init-ca"]);
        bench.done(&["issue", "server1"]);
    };
    for (command, _) in commands().into_iter().filter(|(_, writes)| *writes == Some(Writes::Nothing)) {
        let run = runs.iter().find(|(known, _)| *known == command);
        let (_, args) = run.unwrap_or_else(|| panic!("`{command}` is not run here"));
        assert_eq!(changes_something(args, prepare), None, "{args:?}");
    }
}
