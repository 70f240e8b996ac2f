//! Chains that real Go has judged: our verdict agrees with every one of theirs.
//!
//! `fixtures/corpus/chains-go.json` is always read; `limbo-go.json`, which is not ours to redistribute, only where
//! `ETCDPKI_CORPUS` names a directory that has it. `adversarial-go.json.gz` is read too: cases that were made to be hard,
//! each with what six releases of Go said in a real handshake. Divergences would be listed in `fixtures/corpus/exceptions.txt`,
//! one id and its reason a line; an unlisted one fails, and so does a listed one that agrees.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use etcd_pki::verify::{GoVersion, Judgement, Request, Role, Verdict, judge};
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

/// The releases that the adversarial cases were shown to.
const RELEASES: [(&str, GoVersion); 6] = [
    ("1.15", GoVersion::new(15, 15)),
    ("1.19", GoVersion::new(19, 8)),
    ("1.22", GoVersion::new(22, 12)),
    ("1.24", GoVersion::new(24, 4)),
    ("1.26", GoVersion::new(26, 11)),
    ("1.27", GoVersion::new(27, 4)),
];

fn adversarial() -> Vec<Value> {
    let file = std::fs::File::open(root().join("fixtures/corpus/adversarial-go.json.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn judged(case: &Value, go: GoVersion) -> Judgement {
    let file = |field: &str| base64::engine::general_purpose::STANDARD.decode(text(case, field)).unwrap();
    let (cert, key, ca) = (file("cert"), file("key"), file("ca"));
    let hosts = [text(case, "host").to_owned()];
    let role = match text(case, "role") {
        "server" => Role::Server,
        "client" => Role::Client,
        _ => Role::Peer,
    };
    judge(&Request {
        key: Some(&key),
        hosts: if hosts[0].is_empty() { &[] } else { &hosts },
        at: OffsetDateTime::parse(text(case, "at"), &Rfc3339).unwrap(),
        go,
        ..Request::new(&cert, &ca, role)
    })
}

/// What `crypto/tls` puts before an error of `crypto/x509`.
const PREFIXES: [&str; 6] = [
    "tls: failed to verify certificate: ",
    "tls: failed to verify client certificate: ",
    "tls: failed to parse certificate from server: ",
    "tls: failed to parse client certificate: ",
    "tls: failed to sign handshake: ",
    "",
];

/// What the one said that refused: either end of a handshake, or whoever read the files.
fn refusal(answer: &Value) -> &str {
    let ends = text(answer, "words").split(" || ");
    let words =
        ends.map(|end| end.strip_prefix("client saw: ").or(end.strip_prefix("server saw: ")).unwrap_or(end));
    // The other end of a handshake only sees an alert.
    let own = words.filter(|words| !words.starts_with("remote error: ")).last().unwrap_or_default();
    PREFIXES.iter().find_map(|prefix| own.strip_prefix(prefix)).unwrap_or(own)
}

/// Cases that are refused in other words, and why.
const OTHER_WORDS: [(&str, &str); 3] = [
    ("nc-dns-046@1.15", "Go prints a name that is no text byte by byte"),
    ("san-dns-384@1.15", "the same"),
    ("san-dns-386@1.15", "the same"),
];

#[test]
fn hard_cases_are_judged_as_each_release_of_go_judges_them() {
    let cases = adversarial();
    let mut wrong = Vec::new();
    for (label, go) in RELEASES {
        let (mut agreed, mut refused, mut said) = (0, 0, 0);
        for case in &cases {
            let (id, answer) = (text(case, "id"), &case["go"][label]);
            let judgement = judged(case, go);
            let rejects = judgement.verdict == Verdict::Reject;
            let first = judgement.findings.iter().find_map(|finding| finding.etcd_says.as_deref());
            if rejects != (text(answer, "verdict") == "reject") {
                wrong.push(format!("{id}@{label}: Go: {answer}; we: {:?}", judgement.findings.first()));
                continue;
            }
            agreed += 1;
            if rejects {
                refused += 1;
                let id = format!("{id}@{label}");
                match (first == Some(refusal(answer)), OTHER_WORDS.iter().find(|(other, _)| *other == id)) {
                    (true, None) => said += 1,
                    (false, Some((_, why))) => println!("{id}: other words: {why}"),
                    (true, Some(_)) => wrong.push(format!("{id}: listed with other words, but has Go's")),
                    (false, None) => wrong.push(format!("{id}: Go: {}; we: {first:?}", refusal(answer))),
                }
            }
        }
        let all = cases.len();
        println!("Go {label}: {agreed}/{all} verdicts agree; of {refused} refusals {said} in the same words");
    }
    assert!(wrong.is_empty(), "{} answers do not agree:\n{}", wrong.len(), wrong.join("\n"));
}
