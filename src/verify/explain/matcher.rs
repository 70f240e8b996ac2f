//! Finds the phrases of all tables in a line, in one pass over it.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::line::Line;
use super::words::{Phrase, Rank, When, normalized, phrases};
use crate::verify::Code;

/// Of the best match of a line, how much another one of the same rank must reach to be named beside it.
const NEAR: f64 = 0.7;
/// The most bytes that a gap within one word or list may have.
const GAP: usize = 512;
/// Phrases are indexed by so many of their bytes.
const KEY: usize = 4;
const BUCKET_BITS: u32 = 14;

/// A pitfall that a line may be about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Match {
    pub(super) code: Code,
    pub(super) rank: Rank,
    /// How much of the line is explained; words that apply to fewer lines count more.
    pub(super) score: usize,
    /// The place of the pitfall among those that have the same words, 0 is the likeliest.
    pub(super) place: usize,
}

/// A phrase, split at its gaps.
struct Pattern {
    phrase: Phrase,
    /// Literal parts, each with whether the gap before it may hold anything.
    parts: Vec<(bool, String)>,
}

/// All phrases, indexed.
pub(super) struct Matcher {
    patterns: Vec<Pattern>,
    /// By the hash of some bytes of a first part: which pattern, and how far into the part these bytes are.
    buckets: Vec<Vec<(usize, usize)>>,
}

/// The one index of all phrases.
pub(super) static MATCHER: LazyLock<Matcher> = LazyLock::new(Matcher::new);

impl Matcher {
    fn new() -> Self {
        let patterns: Vec<Pattern> = phrases().into_iter().map(Pattern::new).collect();
        let mut usual: HashMap<&[u8], usize> = HashMap::new();
        for pattern in &patterns {
            for key in pattern.first().windows(KEY) {
                *usual.entry(key).or_default() += 1;
            }
        }
        let mut buckets = vec![Vec::new(); 1 << BUCKET_BITS];
        for (at, pattern) in patterns.iter().enumerate() {
            // The rarest bytes of a part make the fewest false hits.
            let keys = pattern.first().windows(KEY).enumerate();
            let rarest = keys.min_by_key(|(_, key)| usual.get(key).copied());
            let (offset, key) = rarest.expect("a test holds that every first part has enough bytes");
            buckets[bucket(key)].push((at, offset));
        }
        Self { patterns, buckets }
    }

    /// The pitfalls that a line may be about: those of the highest rank.
    pub(super) fn matches(&self, line: &Line) -> Vec<Match> {
        let text = normalized(&line.text);
        let mut found: Vec<Match> = Vec::new();
        let mut tried = vec![false; self.patterns.len()];
        for (at, key) in text.as_bytes().windows(KEY).enumerate() {
            for &(index, offset) in &self.buckets[bucket(key)] {
                let pattern = &self.patterns[index];
                let Some(start) = at.checked_sub(offset).filter(|_| !tried[index]) else { continue };
                if !text.as_bytes()[start..].starts_with(pattern.first()) {
                    continue;
                }
                let matched = pattern.follows(&text[start..]);
                // Where the first part comes first, everything may follow; a later one has less behind it.
                tried[index] = matched || !pattern.has_narrow_gap();
                if matched && applies(pattern.phrase.when, line) {
                    pattern.found(&mut found);
                }
            }
        }
        let best = found.iter().map(|found| (found.rank, found.score)).max();
        let Some((rank, score)) = best else { return found };
        found.retain(|found| found.rank == rank && found.score as f64 >= score as f64 * NEAR);
        found
    }
}

impl Pattern {
    fn new(phrase: Phrase) -> Self {
        let mut parts = vec![(true, String::new())];
        for letter in phrase.words.chars() {
            match letter {
                '…' => parts.push((true, String::new())),
                '‥' => parts.push((false, String::new())),
                _ => parts.last_mut().expect("there is one").1.push(letter),
            }
        }
        Self { phrase, parts }
    }

    fn first(&self) -> &[u8] {
        self.parts[0].1.as_bytes()
    }

    fn has_narrow_gap(&self) -> bool {
        self.parts.iter().any(|(wide, _)| !wide)
    }

    /// Whether all parts are in a text that begins with the first one, in their order.
    fn follows(&self, text: &str) -> bool {
        let mut rest = &text[self.parts[0].1.len()..];
        for (wide, part) in &self.parts[1..] {
            let within = if *wide { rest } else { &rest[..narrow(rest)] };
            let Some(at) = within.find(part.as_str()) else { return false };
            rest = &rest[at + part.len()..];
        }
        // A number ends where its digits end.
        let number = self.phrase.words.ends_with(|letter: char| letter.is_ascii_digit());
        !(number && rest.starts_with(|letter: char| letter.is_ascii_digit()))
    }

    fn found(&self, found: &mut Vec<Match>) {
        let length: usize = self.parts.iter().map(|(_, part)| part.len()).sum();
        let narrowness = match self.phrase.when {
            When::Any => 0,
            When::Inbound | When::NotInbound => 1,
            When::Outbound => 2,
            // Whose connection it is decides.
            When::SelfDial => length,
        };
        let rank = self.phrase.rank;
        for (place, &code) in self.phrase.codes.iter().enumerate() {
            let one = Match { code, rank, score: length + narrowness, place };
            match found.iter_mut().find(|other| other.code == code && other.rank == rank) {
                Some(other) if (other.score, other.place) >= (one.score, usize::MAX - one.place) => {}
                Some(other) => *other = one,
                None => found.push(one),
            }
        }
    }
}

/// Where a gap must end that may hold no space and no `]`.
fn narrow(text: &str) -> usize {
    let most = GAP.min(text.len());
    let end = (0..=most).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text[..end].find([' ', ']']).unwrap_or(end)
}

fn applies(when: When, line: &Line) -> bool {
    match when {
        When::Any => true,
        When::Inbound => line.inbound,
        When::NotInbound => !line.inbound,
        When::SelfDial => line.inbound && line.from_itself,
        When::Outbound => line.outbound && !line.inbound,
    }
}

fn bucket(key: &[u8]) -> usize {
    let number = key.iter().fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
    (number.wrapping_mul(0x9e37_79b1) >> (32 - BUCKET_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phrase_has_enough_bytes_before_its_first_gap() {
        for phrase in phrases() {
            let pattern = Pattern::new(phrase);
            assert!(pattern.first().len() >= KEY, "{:?}", pattern.phrase.words);
        }
    }

    #[test]
    fn a_narrow_gap_ends_at_a_space_or_a_bracket() {
        assert_eq!(narrow("https://a,https://0.0.0.0:1\",\"listen"), 36);
        assert_eq!(narrow("a]b"), 1);
        assert_eq!(narrow(&"é".repeat(400)), GAP);
    }
}
