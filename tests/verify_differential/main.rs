//! Random chains, judged by us and by Go: no verdict may differ.
//!
//! The seed is fixed. `ETCDPKI_DIFFERENTIAL=N` makes N cases instead of 1,500, another `ETCDPKI_SEED` makes others,
//! and `ETCDPKI_GO` names one or more go binaries instead of the one in PATH, each of which judges every case;
//! `ETCDPKI_GODEBUG` has them, and us, judge by other settings:
//!
//! ```text
//! ETCDPKI_DIFFERENTIAL=20000 ETCDPKI_SEED=7 ETCDPKI_GO=/usr/lib/go-1.24/bin/go:/usr/lib/go-1.26/bin/go \
//!     ETCDPKI_GODEBUG=x509negativeserial=1,rsa1024min=0,x509rsacrt=0,urlstrictcolons=0 \
//!     cargo test --locked --test verify_differential -- --nocapture
//! ```
//!
//! Every certificate is put together from its bytes (`certificate`), so that what no library writes can be written
//! too, and signed by real keys (`keys`). Where a case has a key, Go also makes a real handshake with it. What differs
//! is written to `target/tmp/differential.txt`, whole: ECDSA signatures are other ones in each run.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stdout)]

#[path = "../support/dice.rs"]
mod dice;
#[path = "../support/mod.rs"]
mod support;

mod certificate;
mod chains;
mod dates;
mod der;
mod even;
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

/// What came of one Go's answers.
#[derive(Default)]
struct Tally {
    accepted: usize,
    wrong: Vec<String>,
    reasons: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, case: &Value, answer: &Value, go: GoVersion) {
        // As much of Go's words as tells one reason from the others.
        const REASON: usize = 60;
        let (accept, why) = ours(case, go);
        self.accepted += usize::from(accept);
        let said: String = answer["Why"].as_str().unwrap().chars().take(REASON).collect();
        *self.reasons.entry(said).or_insert(0) += 1;
        if Some(accept) != answer["Accept"].as_bool() {
            self.wrong.push(format!("Go {go}: {answer}\nwe: {accept} {why}\n{case}"));
        }
    }
}

#[test]
fn random_chains_are_judged_alike() {
    let all = go::Go::find();
    if all.is_empty() {
        support::skipped("there is no go in PATH (apt-get install golang-go)");
        return;
    }
    let rounds = number("ETCDPKI_DIFFERENTIAL", 1500) as usize;
    let now = OffsetDateTime::from_unix_timestamp(1_795_262_400).unwrap();
    let mut maker = chains::Maker::new(number("ETCDPKI_SEED", 20_261_121), now);
    // Not all at once: a hundred thousand cases are gigabytes of text.
    const BATCH: usize = 2000;
    let mut tallies: Vec<Tally> = all.iter().map(|_| Tally::default()).collect();
    let mut made = 0;
    while made < rounds {
        let cases: Vec<Value> = (0..BATCH.min(rounds - made)).map(|_| maker.case()).collect();
        made += cases.len();
        for (go, tally) in all.iter().zip(&mut tallies) {
            for (case, answer) in cases.iter().zip(go.judge(&cases)) {
                tally.add(case, &answer, go.version);
            }
        }
    }
    for (go, tally) in all.iter().zip(&tallies) {
        for (reason, count) in &tally.reasons {
            println!("{count:6} {reason:?}");
        }
        let (version, wrong) = (go.version, tally.wrong.len());
        println!("{rounds} cases, {} accepted, {wrong} disagreements with Go {version}", tally.accepted);
        assert!(tally.accepted > rounds / 20, "the generator makes too little that is sound");
    }
    let wrong: Vec<String> = tallies.into_iter().flat_map(|tally| tally.wrong).collect();
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("differential.txt");
    std::fs::write(&file, wrong.join("\n\n")).unwrap();
    let first = wrong[..wrong.len().min(3)].join("\n\n");
    assert!(
        wrong.is_empty(),
        "{} of {rounds} differ, all are in {}, the first:\n{first}",
        wrong.len(),
        file.display()
    );
}
