//! Every command of ours in fixes, hints, pages and documents goes through the argument parser.

use std::path::{Path, PathBuf};

use clap::CommandFactory;
use etcd_pki::cli::Cli;
use etcd_pki::host::command::command;
use serde_json::Value;

use super::command_lines::{in_backquotes, in_line, in_prose, literals, outside};
use crate::verify_support::triggers::TRIGGERS;
use crate::{needs_root, verify};

/// What a format string leaves open.
const OPEN: &str = "x";

/// Parses every run of the tool in a line; how many there were.
fn parsed(line: &str, place: &str) -> usize {
    // A format string may leave the very command open.
    let runs: Vec<_> = in_line(line).into_iter().filter(|words| words[1] != OPEN).collect();
    for words in &runs {
        assert!(!words.iter().any(|word| word.contains('…')), "{place}: {line}: something is left out");
        // Printing what the parser says of help and versions is no failure.
        let answer = Cli::command().try_get_matches_from(words);
        if let Err(error) = answer
            && error.use_stderr()
        {
            panic!("{place}: {line}\n{error}");
        }
    }
    runs.len()
}

/// All command lines of a prose text; outside of them none is mentioned.
fn parsed_prose(text: &str, place: &str) -> usize {
    let subcommands: Vec<String> =
        Cli::command().get_subcommands().map(|command| format!("etcd-pki {}", command.get_name())).collect();
    let rest = outside(text);
    let bare = subcommands.iter().find(|command| rest.contains(command.as_str()));
    assert!(bare.is_none(), "{place}: {text:?}: a command outside of backquotes");
    in_prose(text).into_iter().map(|line| parsed(line, place)).sum()
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a directory with this ending.
fn files(directory: &str, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = walkdir::WalkDir::new(top().join(directory))
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{directory} holds no *.{ending}");
    found
}

#[test]
fn every_command_in_the_program_parses() {
    let mut count = 0;
    for path in files("src", "rs") {
        let source = std::fs::read_to_string(&path).unwrap();
        let program = source.split("#[cfg(test)]\nmod ").next().unwrap();
        let place = path.strip_prefix(top()).unwrap().display().to_string();
        if path.ends_with("tests.rs") || place.contains("_tests") {
            continue;
        }
        for text in literals(program) {
            // What a format string leaves open may be any word.
            let text = placeholders_filled(&text);
            count += if text.contains("\nExamples:\n") || text.starts_with("Examples:\n") {
                text.lines().map(|line| parsed(line, &place)).sum::<usize>()
            } else {
                in_prose(&text).into_iter().map(|line| parsed(line, &place)).sum()
            };
        }
        // Commands that are built word by word.
        for start in program.split("CommandLine::new(\"").skip(1) {
            let name = start.split('"').next().unwrap();
            assert!(Cli::command().find_subcommand(name).is_some(), "{place}: there is no command {name}");
            count += 1;
        }
    }
    println!("commands in src: {count}");
    assert!(count > 100, "{count}");
}

/// Replaces `{…}` of a format string.
fn placeholders_filled(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((_, after)) = after.split_once('}') else { break };
        out.push_str(OPEN);
        rest = after;
    }
    out + rest
}

#[test]
fn every_command_in_the_documents_parses() {
    let mut documents = files("docs", "md");
    documents
        .extend(["README.md", "SECURITY.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(|name| top().join(name)));
    let mut count = 0;
    for path in documents {
        let place = path.strip_prefix(top()).unwrap().display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        for (at, piece) in text.split("```").enumerate() {
            if at % 2 == 1 {
                let code = piece.split_once('\n').map_or("", |(_, code)| code);
                count += parsed(code, &place);
                continue;
            }
            for paragraph in piece.split("\n\n") {
                let prose = paragraph.replace('\n', " ");
                count += in_backquotes(&prose).into_iter().map(|line| parsed(line, &place)).sum::<usize>();
            }
        }
    }
    println!("commands in documents: {count}");
    assert!(count > 100, "{count}");
}

#[test]
fn every_command_in_the_manual_pages_parses() {
    let mut count = 0;
    for path in files("man", "1") {
        let place = path.strip_prefix(top()).unwrap().display().to_string();
        let page = std::fs::read_to_string(&path).unwrap().replace("\\-", "-").replace("\\*(Aq", "'");
        for line in page.lines().filter(|line| !line.starts_with("\\fB")) {
            let runs = in_backquotes(line).into_iter().map(|line| parsed(line, &place)).sum::<usize>();
            let is_example = line.contains("| etcd-pki ");
            count += if runs == 0 && is_example { parsed(line, &place) } else { runs };
        }
    }
    println!("commands in manual pages: {count}");
    assert!(count >= 4, "{count}");
}

#[test]
fn every_fix_that_a_fixture_triggers_parses() {
    let (mut fixes, mut count) = (0, 0);
    for &(name, options, _, _) in TRIGGERS.iter().filter(|(name, ..)| !needs_root(name)) {
        let (_, document) = verify(name, options);
        let results = document["results"].as_array().unwrap().iter();
        for finding in results.flat_map(|result| result["findings"].as_array().unwrap()) {
            let fix = finding["fix"].as_str().unwrap_or_default();
            count += parsed_prose(fix, &format!("{name}: {}", finding["code"]));
            fixes += 1;
        }
    }
    println!("commands in {fixes} fixes: {count}");
    assert!(count > 50, "{count}");
}

/// Calls that fail, with what the failure's code is.
const FAILURES: [(&[&str], &str); 7] = [
    (&["issue", "m1"], "no-ca"),
    (&["list"], "no-ca"),
    (&["install", "m1"], "no-such-pair"),
    (&["install", "ca"], "ca-key-refused"),
    (&["install", "m1", "m2"], "many-names"),
    (&["migrate", "report"], "no-journal"),
    (&["verify", "none.pem"], "unreadable"),
];

#[test]
fn the_hints_of_failures_parse_and_repeat_the_pki_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mut count = 0;
    for (args, code) in FAILURES {
        let mut tool = command(env!("CARGO_BIN_EXE_etcd-pki"));
        tool.current_dir(dir.path()).args(["--json", "--pki-dir", "my pki"]).args(args);
        let output = tool.output().unwrap();
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["error"]["code"], code, "{args:?}: {document}");
        let hint = document["error"]["hint"].as_str().unwrap_or_default();
        for line in in_prose(hint) {
            count += parsed(line, &format!("{args:?}"));
            for words in in_line(line) {
                let directory =
                    words.windows(2).find(|pair| pair[0] == "--pki-dir").map(|pair| pair[1].as_str());
                assert_eq!(directory, Some("my pki"), "{args:?}: {hint}");
            }
        }
    }
    println!("commands in hints of failed calls: {count}");
    assert!(count >= 4, "{count}");
}
