//! The fuzz targets' bodies on their corpora, and on random mutations of them: for seconds in every run, for minutes
//! in the long form. `ETCDPKI_SEED` repeats a run.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stdout, missing_docs)]
#![allow(unreachable_pub, reason = "shared with the fuzz targets")]

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Generous for a loaded machine; what is bounded needs a fraction of it.
const SOON: Duration = Duration::from_secs(30);

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{target} has no corpus");
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn survive(target: &str, body: fn(&[u8]), data: &[u8]) {
    let started = Instant::now();
    let survived = std::panic::catch_unwind(|| body(data)).is_ok() && started.elapsed() < SOON;
    assert!(survived, "{target}, after {:?}, of these bytes: {}", started.elapsed(), STANDARD.encode(data));
}

#[test]
fn what_fuzzing_found_stays_found() {
    for (target, body) in bodies::TARGETS {
        for data in corpus(target) {
            survive(target, body, &data);
        }
    }
}

/// Numbers that are the same in every run with a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Bytes that mean something in DER, PEM, YAML or JSON.
const TELLING: &[u8] =
    b"\x00\x01\x02\x03\x04\x05\x06\x0c\x13\x17\x18\x30\x31\x7f\x80\x81\x82\x84\xa0\xa3\xff-:\n\"{[,";

fn mutate(dice: &mut Dice, data: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=dice.below(6) {
        let (at, length) = (dice.below(data.len()), dice.below(32));
        let end = (at + length).min(data.len());
        match dice.below(8) {
            0 if !data.is_empty() => data[at] ^= 1 << dice.below(8),
            1 | 2 if !data.is_empty() => data[at] = TELLING[dice.below(TELLING.len())],
            3 => drop(data.drain(at..end)),
            4 => {
                let piece = data[at..end].to_vec();
                data.splice(at..at, piece);
            }
            5 => data.truncate(data.len().saturating_sub(dice.below(64))),
            6 if !other.is_empty() => {
                let from = dice.below(other.len());
                let piece = &other[from..(from + length * 4).min(other.len())];
                data.splice(at..end, piece.iter().copied());
            }
            _ => data.insert(at, dice.next() as u8),
        }
    }
}

/// Half of the time what lies within the PEM armour is changed, or hardly anything would get past base64.
fn mutated(dice: &mut Dice, data: &[u8], other: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(data);
    let inner = text.split("-----").nth(2).map(|body| body.split_whitespace().collect::<String>());
    let der = inner.and_then(|body| STANDARD.decode(body).ok()).filter(|_| dice.below(4) > 0);
    let Some(mut der) = der else {
        let mut changed = data.to_vec();
        mutate(dice, &mut changed, other);
        return changed;
    };
    mutate(dice, &mut der, other);
    let label = text.split("-----").nth(1).unwrap_or("BEGIN X").trim_start_matches("BEGIN ").to_owned();
    let body = STANDARD.encode(&der);
    let rest = text.splitn(5, "-----").nth(4).unwrap_or("\n").to_owned();
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----{rest}").into_bytes()
}

#[test]
fn mutations_of_the_corpora_are_survived() {
    let long = std::env::var_os("ETCDPKI_TEST_ALL").is_some();
    let budget = Duration::from_secs(if long { 60 } else { 2 });
    // In the long form other ones every time: a seed that never fails finds nothing new.
    let seed = std::env::var("ETCDPKI_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = seed.unwrap_or_else(|| if long { now() } else { 20_261_124 });
    for (target, body) in bodies::TARGETS {
        let (corpus, mut dice, started, mut count) = (corpus(target), Dice(seed), Instant::now(), 0_u64);
        while started.elapsed() < budget {
            let data = &corpus[dice.below(corpus.len())];
            let other = &corpus[dice.below(corpus.len())];
            let changed = mutated(&mut dice, data, other);
            survive(target, body, &changed);
            count += 1;
        }
        println!("{target}: {count} mutations, seed {seed}");
    }
}
