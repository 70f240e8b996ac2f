//! Random chains, judged by us and by Go: no verdict may differ.
//!
//! The seed is fixed. `ETCDPKI_DIFFERENTIAL=N` makes N cases instead of a few hundred, another `ETCDPKI_SEED` makes
//! others, and `ETCDPKI_GO` names another go binary than the one in PATH:
//!
//! ```text
//! ETCDPKI_DIFFERENTIAL=20000 ETCDPKI_SEED=7 ETCDPKI_GO=/usr/lib/go-1.26/bin/go \
//!     cargo test --locked --test verify_differential -- --nocapture
//! ```
//!
//! Every certificate is put together from its bytes (`certificate`), so that what no library writes can be written
//! too, and signed by real keys (`keys`). Where a case has a key, Go also makes a real handshake with it.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stdout)]

#[path = "../support/dice.rs"]
mod dice;
#[path = "../support/mod.rs"]
mod support;

mod certificate;
mod chains;
mod dates;
mod der;
mod extensions;
mod files;
mod go;
mod keys;
mod names;
mod odd_keys;
mod tree;

use std::collections::BTreeMap;

use etcd_pki::verify::{GoVersion, Request, Role, Verdict, judge};
use serde_json::Value;
use time::OffsetDateTime;

fn ours(case: &Value, go: GoVersion) -> (bool, String) {
    let text = |field: &str| case[field].as_str().unwrap();
    let hosts: Vec<String> =
        [text("Host")].iter().filter(|host| !host.is_empty()).map(|&host| host.to_owned()).collect();
    let role = match text("Role") {
        "client" => Role::Client,
        "server" => Role::Server,
        _ => Role::Peer,
    };
    let judgement = judge(&Request {
        key: Some(text("Key").as_bytes()).filter(|key| !key.is_empty()),
        hosts: &hosts,
        at: OffsetDateTime::parse(text("At"), &time::format_description::well_known::Rfc3339).unwrap(),
        go,
        ..Request::new(text("Chain").as_bytes(), text("CA").as_bytes(), role)
    });
    let why = judgement.findings.first().map(|finding| format!("{} {:?}", finding.code, finding.etcd_says));
    (judgement.verdict == Verdict::Accept, why.unwrap_or_default())
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().unwrap())
}

#[test]
fn random_chains_are_judged_alike() {
    let Some(go) = go::Go::find() else {
        support::skipped("there is no go in PATH (apt-get install golang-go)");
        return;
    };
    let rounds = number("ETCDPKI_DIFFERENTIAL", 1500) as usize;
    let now = OffsetDateTime::from_unix_timestamp(1_795_262_400).unwrap();
    let mut maker = chains::Maker::new(number("ETCDPKI_SEED", 20_261_121), now);
    // Not all at once: a hundred thousand cases are gigabytes of text.
    const BATCH: usize = 2000;
    // As much of Go's words as tells one reason from the others.
    const REASON: usize = 60;
    let (mut wrong, mut accepted, mut made, mut reasons) = (Vec::new(), 0, 0, BTreeMap::new());
    while made < rounds {
        let cases: Vec<Value> = (0..BATCH.min(rounds - made)).map(|_| maker.case()).collect();
        made += cases.len();
        let answers = go.judge(&cases);
        for (case, answer) in cases.iter().zip(answers) {
            let (accept, why) = ours(case, go.version);
            accepted += usize::from(accept);
            let said = answer["Why"].as_str().unwrap();
            *reasons.entry(said.chars().take(REASON).collect::<String>()).or_insert(0) += 1;
            if Some(accept) != answer["Accept"].as_bool() {
                wrong.push(format!("Go {}: {answer}\nwe: {accept} {why}\n{case}", go.version));
            }
        }
    }
    for (reason, count) in reasons {
        println!("{count:6} {reason:?}");
    }
    println!("{rounds} cases, {accepted} accepted, {} disagreements with Go {}", wrong.len(), go.version);
    assert!(accepted > rounds / 20, "the generator makes too little that is sound: {accepted}");
    let all = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("differential.txt");
    std::fs::write(&all, wrong.join("\n\n")).unwrap();
    let first = wrong[..wrong.len().min(3)].join("\n\n");
    assert!(
        wrong.is_empty(),
        "{} of {rounds} differ, all are in {}, the first:\n{first}",
        wrong.len(),
        all.display()
    );
}
