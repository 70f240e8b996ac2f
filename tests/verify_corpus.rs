//! Chains that real Go has judged: our verdict agrees with every one of theirs.
//!
//! `fixtures/corpus/chains-go.json` is always read; `limbo-go.json`, which is not ours to redistribute, only where
//! `ETCDPKI_CORPUS` names a directory that has it. Divergences would be listed in `fixtures/corpus/exceptions.txt`,
//! one id and its reason a line; an unlisted one fails, and so does a listed one that agrees.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use etcd_pki::verify::{GoVersion, Request, Role, Verdict, judge};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const VERSIONS: [(&str, GoVersion); 2] = [("go127", GoVersion::new(27, 3)), ("go119", GoVersion::new(19, 8))];

fn exceptions() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join("fixtures/corpus/exceptions.txt")).unwrap_or_default();
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| {
            let (id, reason) = line.split_once(' ').unwrap_or((line, ""));
            assert!(!reason.trim().is_empty(), "{id}: an exception needs its reason");
            (id.to_owned(), reason.trim().to_owned())
        })
        .collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_default()
}

fn pem(case: &Value, field: &str) -> Vec<u8> {
    let blocks = case[field].as_array().expect("a list of PEM blocks");
    blocks.iter().map(|block| block.as_str().unwrap().trim_end()).collect::<Vec<_>>().join("\n").into_bytes()
}

/// Judges every case of a file under both Go versions; returns how many agreed.
fn run(path: &Path) -> usize {
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let exceptions = exceptions();
    let (mut agreed, mut wrong) = (0, Vec::new());
    for case in &cases {
        for (label, go) in VERSIONS {
            let Some(expected) = case[label].as_str() else { continue };
            let id = format!("{}@{label}", text(case, "id"));
            let (chain, ca) = (pem(case, "chain"), pem(case, "ca"));
            let hosts: Vec<String> = case["host"].as_str().map(str::to_owned).into_iter().collect();
            let role = match text(case, "role") {
                "server" => Role::Server,
                "client" => Role::Client,
                "peer" => Role::Peer,
                other => panic!("{id}: role {other:?}"),
            };
            let request = Request {
                key: case["key"].as_str().map(str::as_bytes),
                hosts: &hosts,
                at: OffsetDateTime::parse(text(case, "at"), &Rfc3339).unwrap(),
                go,
                ..Request::new(&chain, &ca, role)
            };
            let judgement = judge(&request);
            let verdict = match judgement.verdict {
                Verdict::Accept => "accept",
                Verdict::Reject => "reject",
            };
            match (verdict == expected, exceptions.get(&id)) {
                (true, None) => agreed += 1,
                (true, Some(_)) => wrong.push(format!("{id}: listed as an exception, but agrees")),
                (false, Some(reason)) => println!("{id}: diverges as listed: {reason}"),
                (false, None) => wrong.push(format!(
                    "{id}: Go says {expected} ({}), we say {verdict}: {:?}",
                    text(case, &label.replace("go", "why")),
                    judgement.findings.first()
                )),
            }
        }
    }
    println!("{}: {agreed} verdicts of {} cases agree", path.display(), cases.len());
    assert!(wrong.is_empty(), "{} verdicts do not agree:\n{}", wrong.len(), wrong.join("\n"));
    agreed
}

#[test]
fn random_chains_are_judged_as_go_judges_them() {
    assert!(run(&root().join("fixtures/corpus/chains-go.json")) > 0);
}

#[test]
fn limbo_is_judged_as_go_judges_it() {
    let Some(directory) = std::env::var_os("ETCDPKI_CORPUS") else {
        println!("SKIPPED: ETCDPKI_CORPUS is not set; it names the directory with limbo-go.json");
        return;
    };
    let path = PathBuf::from(directory).join("limbo-go.json");
    if !path.exists() {
        println!("SKIPPED: there is no {}", path.display());
        return;
    }
    assert!(run(&path) > 0);
}
