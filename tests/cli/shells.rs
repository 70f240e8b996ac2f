//! Completion in the shells themselves: each is given lines, and completes their last words.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::skipped;
use crate::{TOOL, path_with_tool};

/// A line, and its last word as completed: what there is for it is in [`arrange`]'s directory.
const LINES: [(&str, &str); 20] = [
    ("etcd-pki comp", "completions"),
    ("etcd-pki install ser", "server1"),
    ("etcd-pki install --from cluster.toml pla", "planned1"),
    ("etcd-pki issue pla", "planned1"),
    ("etcd-pki issue x --profile pro", "proxy"),
    ("etcd-pki issue x --profile bac", "backup"),
    ("etcd-pki issue x --key-type ed", "ed25519"),
    ("etcd-pki csr x --profile pee", "peer"),
    ("etcd-pki sign x.csr --profile cli", "client"),
    ("etcd-pki renew cli", "client1"),
    ("etcd-pki revoke ser", "server1"),
    ("etcd-pki revoke client1 --reason super", "superseded"),
    ("etcd-pki export cli", "client1"),
    ("etcd-pki verify ser", "server1"),
    ("etcd-pki verify --connect a:1 --as cli", "client1"),
    ("etcd-pki env cli", "client1"),
    ("etcd-pki --pki-dir other env oth", "other1"),
    ("etcd-pki explain EP00", "EP001"),
    ("etcd-pki explain missing-cl", "missing-client-auth"),
    ("etcd-pki man migrate cli", "clients"),
];

/// Two PKI directories and an inventory.
fn arrange() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (pki, name) in
        [("pki", "server1"), ("pki", "client1"), ("pki", ".hidden"), ("pki", "ca"), ("other", "other1")]
    {
        std::fs::create_dir_all(dir.path().join(pki).join("templates")).unwrap();
        std::fs::write(dir.path().join(pki).join(format!("{name}.pem")), "").unwrap();
        std::fs::write(dir.path().join(pki).join(format!("{name}-key.pem")), "").unwrap();
    }
    let template = "usages = [\"client-auth\"]\nsubject = { common-name = \"{name}\" }\n";
    std::fs::write(dir.path().join("pki/templates/backup.toml"), template).unwrap();
    std::fs::write(dir.path().join("cluster.toml"), "[[member]]\nname = \"planned1\"\n").unwrap();
    dir
}

/// A shell that reads its script from standard input, with the tool in PATH.
fn shell(dir: &Path, argv: &[&str], script: &str) -> Output {
    let mut shell = Command::new("timeout")
        .arg("120")
        .args(argv)
        .current_dir(dir)
        .env("PATH", path_with_tool())
        .env("HOME", dir)
        .env_remove("ETCDPKI_DIR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    // One that has ended already says why itself.
    let _ = stdin.write_all(script.as_bytes());
    drop(stdin);
    shell.wait_with_output().unwrap()
}

fn is_missing(shell: &str) -> bool {
    Command::new(shell).arg("--version").output().is_err()
}

/// What a shell printed for each line, one answer a line.
fn completes(output: &Output) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let answers: Vec<_> = out.lines().map(str::trim_end).collect();
    assert_eq!(answers.len(), LINES.len(), "{out}\n{err}");
    for ((line, word), answer) in LINES.iter().zip(answers) {
        assert_eq!(answer, *word, "{line}");
    }
}

#[test]
fn bash_completes_names_profiles_and_codes() {
    let dir = arrange();
    let mut script = "source <(etcd-pki completions bash)\n".to_owned();
    for (line, _) in LINES {
        script += &format!(
            "COMP_WORDS=({line}) COMP_CWORD={} COMP_TYPE=9\n_clap_complete_etcd_pki etcd-pki {} {}\n\
             printf '%s\\n' \"${{COMPREPLY[0]}}\"\n",
            line.split(' ').count() - 1,
            line.rsplit(' ').next().unwrap(),
            line.rsplit(' ').nth(1).unwrap(),
        );
    }
    completes(&shell(dir.path(), &["bash"], &script));
}

#[test]
fn fish_completes_names_profiles_and_codes() {
    if is_missing("fish") {
        return skipped("fish is not installed");
    }
    let dir = arrange();
    let mut script = "etcd-pki completions fish | source\n".to_owned();
    for (line, _) in LINES {
        // What is behind the tab describes the word.
        script += &format!("complete -C '{line}' | head -n 1 | cut -f 1\n");
    }
    completes(&shell(dir.path(), &["fish", "--no-config"], &script));
}

#[test]
fn zsh_completes_names_profiles_and_codes() {
    if is_missing("zsh") {
        return skipped("zsh is not installed");
    }
    let dir = arrange();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/complete.zsh");
    // One of many is chosen by no single key: what is common to them is inserted, which is tested in the other shells.
    let is_unique = |(line, _): &&(&str, &str)| !line.ends_with("EP00");
    let lines: Vec<&str> = LINES.iter().filter(is_unique).map(|(line, _)| *line).collect();
    let output = shell(dir.path(), &[&["zsh", "-f", script], lines.as_slice()].concat(), "");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{out}\n{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<_> = out.lines().collect();
    for ((line, word), answer) in LINES.iter().filter(is_unique).zip(answers) {
        let before = line.rsplit_once(' ').unwrap().0;
        assert_eq!(answer.trim_end(), format!("{before} {word}"), "{line}");
    }
    assert_eq!(out.lines().count(), lines.len(), "{out}");
}

#[test]
fn a_directory_that_is_not_there_completes_nothing_and_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ask = |words: &[&str]| {
        let asked = Command::new(TOOL)
            .args([&["--", "etcd-pki"], words].concat())
            .current_dir(dir.path())
            .env("ETCDPKI_COMPLETE", "fish")
            .output()
            .unwrap();
        assert!(asked.status.success() && asked.stderr.is_empty(), "{asked:?}");
        String::from_utf8(asked.stdout).unwrap()
    };
    assert_eq!(ask(&["install", "ser"]), "");
    assert_eq!(ask(&["install", "--from", "none.toml", "ser"]), "");
    assert!(ask(&["issue", "x", "--profile", "ser"]).starts_with("server"));
}
