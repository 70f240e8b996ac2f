//! What the command line answers: each file in `tests/cli` is a page of commands and their answers.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test arranges its own files and runs the tool"
)]

use std::process::Command;

use clap::Parser as _;

#[path = "cli/hostile.rs"]
mod hostile;
mod migration_support;
#[path = "cli/quiet.rs"]
mod quiet;
mod rehearsal_support;
#[path = "cli/screens.rs"]
mod screens;
#[path = "cli/shells.rs"]
mod shells;
#[path = "support/mod.rs"]
mod support;
#[path = "cli/unwritable.rs"]
mod unwritable;

const TOOL: &str = env!("CARGO_BIN_EXE_etcd-pki");

#[test]
fn pages() {
    trycmd::TestCases::new().env("ETCDPKI_DIR", "./pki").case("tests/cli/*.trycmd");
}

/// PATH with the tool in front.
fn path_with_tool() -> String {
    let dir = std::path::Path::new(TOOL).parent().unwrap();
    format!("{}:{}", dir.display(), std::env::var("PATH").unwrap())
}

#[test]
fn every_page_is_good_roff() {
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new(TOOL).args(["man", "--dir"]).arg(dir.path()).output().unwrap();
    assert!(made.status.success());
    let mut pages = 0;
    for page in std::fs::read_dir(dir.path()).unwrap() {
        let page = page.unwrap().path();
        let shown = Command::new("man").args(["--warnings", "-l"]).arg(&page).output().unwrap();
        let warnings = String::from_utf8(shown.stderr).unwrap();
        assert!(shown.status.success() && warnings.is_empty(), "{}: {warnings}", page.display());
        assert!(!shown.stdout.is_empty());
        pages += 1;
    }
    assert!(pages > 5);
}

#[test]
fn every_command_line_in_the_readme_is_one_that_the_tool_takes() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let mut seen = 0;
    for line in readme.lines().filter_map(|line| line.strip_prefix("etcd-pki ")) {
        let line = line.split('#').next().unwrap();
        // The only quoting that the page uses.
        let words = line.split('"').enumerate().flat_map(|(i, part)| match i % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        });
        let words: Vec<_> = words.collect();
        let words = [&["etcd-pki".to_owned()], words.as_slice()].concat();
        if let Err(error) = etcd_pki::cli::Cli::try_parse_from(words) {
            panic!("etcd-pki {line}\n{error}");
        }
        seen += 1;
    }
    assert!(seen > 15, "{seen} command lines");
}

#[test]
fn the_first_screen_of_the_readme_runs_up_to_the_migration() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let screen = readme.split("## The whole way").nth(1).unwrap().split("```").nth(1).unwrap();
    let script = screen.strip_prefix("sh\n").unwrap().split("etcd-pki migrate").next().unwrap();
    assert!(script.contains("init-ca") && script.contains("issue") && script.contains("verify"), "{script}");
    let dir = tempfile::tempdir().unwrap();
    let path = std::path::Path::new(TOOL).parent().unwrap();
    let run = Command::new("bash")
        .args(["-euc", script])
        .current_dir(dir.path())
        .env("PATH", format!("{}:{}", path.display(), std::env::var("PATH").unwrap()))
        .env_remove("ETCDPKI_DIR")
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(dir.path().join("pki/server1-key.pem").exists());
}

#[test]
fn the_pages_in_man_are_those_of_this_tool() {
    let made: Vec<_> = etcd_pki::cli::man::pages();
    let dir = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/man"));
    let mut there: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    let names: Vec<_> = made.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(there, names, "run `make man`, and remove what is left over");
    for (name, page) in &made {
        assert!(std::fs::read(dir.join(name)).unwrap() == *page, "man/{name} is stale: run `make man`");
    }
}
