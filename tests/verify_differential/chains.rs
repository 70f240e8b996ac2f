//! Cases: random trees of CAs with a leaf somewhere in them, and certificates that are trusted as they are, so that
//! nothing but what they say themselves decides.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::certificate::Draft;
use super::der;
use super::dice::Dice;
use super::extensions::{self, BASIC, SAN};
use super::keys::{Key, Keys};
use super::{dates, files, names, odd_keys};

pub(crate) struct Maker {
    pub(crate) dice: Dice,
    keys: Keys,
    now: OffsetDateTime,
}

struct Signer {
    name: Vec<u8>,
    key: Key,
    der: Vec<u8>,
}

impl Maker {
    pub(crate) fn new(seed: u64, now: OffsetDateTime) -> Self {
        let mut dice = Dice::new(seed);
        Self { keys: Keys::new(&mut dice), dice, now }
    }

    /// One case, in the form that `tests/verify_go` reads.
    pub(crate) fn case(&mut self) -> Value {
        // Flaws beside each other hide each other.
        self.dice.calm = self.dice.pick(&[1, 4, 16, 16]);
        if self.dice.one_in(3) { self.alone() } else { self.chain() }
    }

    fn draft(&mut self, level: usize, key: &Key, issuer: &[u8]) -> Draft {
        let dice = &mut self.dice;
        let version = match dice.rare(120) {
            0 => Vec::new(),
            1 => der::tlv(0xa0, &der::small(0)),
            2 => der::tlv(0xa0, &der::small(1)),
            3 => der::tlv(0xa0, &dice.pick(&[vec![2, 1, 3], vec![2, 1, 0xff], vec![2, 2, 0, 2], vec![2, 0]])),
            _ => der::tlv(0xa0, &der::small(2)),
        };
        let serial = match dice.rare(90) {
            0 => vec![2, 1, 0],
            1 => vec![2, 1, 0x85],
            2 => vec![2, 2, 0, 1],
            3 => der::unsigned(&[&[0x7f][..], &dice.bytes(24)].concat()),
            4 => vec![2, 0],
            5 => der::unsigned(&[&[0xff][..], &dice.bytes(19)].concat()),
            _ => der::small(dice.next() >> 1),
        };
        let mut draft = Draft {
            version,
            serial,
            subject: names::name(dice, level),
            validity: dates::validity(dice, self.now),
            spki: key.spki.clone(),
            unique_ids: Vec::new(),
            extensions: Vec::new(),
            changes: usize::from(dice.seldom(40)),
        };
        if dice.seldom(60) {
            draft.unique_ids = [der::tlv(0x81, &[0, 1]), der::tlv(0x82, &[0, 2])].concat();
        }
        extensions::put_key_ids(dice, &mut draft, &key.spki, issuer);
        draft
    }

    /// What everything may have besides.
    fn extras(&mut self, draft: &mut Draft) {
        let dice = &mut self.dice;
        if dice.seldom(14) {
            extensions::put_odd(dice, draft);
        }
        if dice.seldom(16) {
            extensions::put_policies(dice, draft);
        }
        match dice.rare(120) {
            0 => draft.extensions.truncate(1),
            1 => draft.extensions.clear(),
            2 => draft.extensions.reverse(),
            3 => {
                let twin = draft.extensions.pop();
                if let Some(twin) = twin {
                    let value = twin.value.clone();
                    draft.extensions.push(super::certificate::Extension { value, ..twin });
                    draft.extensions.push(twin);
                }
            }
            _ => {}
        }
    }

    fn ca(&mut self, level: usize, key: &Key, issuer: &[u8]) -> Draft {
        let mut draft = self.draft(level, key, issuer);
        extensions::put_ca(&mut self.dice, &mut draft);
        self.extras(&mut draft);
        draft
    }

    fn leaf(&mut self, key: &Key, issuer: &[u8]) -> Draft {
        let mut draft = self.draft(9, key, issuer);
        let dice = &mut self.dice;
        if !dice.seldom(14) {
            draft.put(SAN, dice.one_in(5), names::alternative_names(dice));
        }
        if dice.seldom(20) {
            draft.subject = der::tlv(0x30, &[]);
        }
        match dice.rare(20) {
            0 => draft.put(BASIC, true, der::sequence(&[&[1, 1, 0xff]])),
            1 => draft.put(BASIC, true, der::sequence(&[&[1, 1, 0xff], &der::small(0)])),
            2..=9 => draft.put(BASIC, true, der::sequence(&[])),
            _ => {}
        }
        if dice.one_in(2) {
            extensions::put_usages(dice, &mut draft);
        }
        if dice.seldom(60) {
            draft.put(extensions::CONSTRAINTS, dice.one_in(2), names::constraints(dice));
        }
        self.extras(&mut draft);
        draft
    }

    fn chain(&mut self) -> Value {
        let mut signers: Vec<Signer> = Vec::new();
        let roots = 1 + self.dice.below(2);
        for _ in 0..roots {
            let key = self.keys.of_ca(&mut self.dice);
            let draft = self.ca(0, &key, &key.spki);
            let der = draft.signed(&mut self.dice, &draft.subject, &key);
            signers.push(Signer { name: draft.subject, key, der });
        }
        let intermediates = self.dice.pick(&[0usize, 0, 1, 1, 1, 2, 2, 3]);
        for level in 1..=intermediates {
            let dice = &mut self.dice;
            let above = if dice.one_in(4) { dice.below(signers.len()) } else { signers.len() - 1 };
            // Now and then the name or the key that another CA has: a cross-signature, a self-issued one, a loop.
            let twin = dice.below(signers.len());
            let key = if dice.one_in(6) { signers[twin].key.clone() } else { self.keys.of_ca(dice) };
            let same_name = dice.seldom(12);
            let mut draft = self.ca(level, &key, &signers[above].key.spki);
            if same_name {
                draft.subject = signers[twin].name.clone();
            }
            let der = draft.signed(&mut self.dice, &signers[above].name, &signers[above].key);
            signers.push(Signer { name: draft.subject, key, der });
        }
        let key = self.keys.any(&mut self.dice);
        let above = if self.dice.one_in(10) { self.dice.below(signers.len()) } else { signers.len() - 1 };
        let mut draft = self.leaf(&key, &signers[above].key.spki);
        if self.dice.seldom(30) {
            draft.spki = odd_keys::spki(&mut self.dice, &self.keys.p256(&mut Dice::new(1)));
        }
        let leaf = draft.signed(&mut self.dice, &signers[above].name, &signers[above].key);
        self.files(&key, leaf, signers, roots)
    }

    /// What is sent and trusted of a tree.
    fn files(&mut self, key: &Key, leaf: Vec<u8>, signers: Vec<Signer>, roots: usize) -> Value {
        let dice = &mut self.dice;
        let ders: Vec<Vec<u8>> = signers.into_iter().map(|signer| signer.der).collect();
        let mut sent = vec![leaf.clone()];
        sent.extend(ders[roots..].iter().filter(|_| !dice.seldom(12)).cloned());
        if dice.one_in(2) {
            sent[1..].reverse();
        }
        match dice.rare(24) {
            0 => sent.push(ders[0].clone()),
            1 => sent.push(leaf.clone()),
            2 => sent.extend_from_within(1..),
            3 => sent.reverse(),
            _ => {}
        }
        let mut trusted = ders[..roots].to_vec();
        match dice.rare(24) {
            0 => trusted.truncate(1),
            1 => trusted.push(leaf),
            2 => trusted = vec![sent[sent.len() - 1].clone()],
            3 => trusted = ders,
            4 => trusted.extend_from_within(..),
            5 if dice.one_in(4) => trusted.clear(),
            _ => {}
        }
        let other = self.keys.any(dice);
        let key_file = if dice.one_in(2) { files::key(dice, key, &other) } else { String::new() };
        self.request(&sent, key_file, &trusted)
    }

    /// A certificate that is trusted as it is.
    fn alone(&mut self) -> Value {
        let key = self.keys.any(&mut self.dice);
        let mut draft =
            if self.dice.one_in(2) { self.ca(0, &key, &key.spki) } else { self.leaf(&key, &key.spki) };
        let dice = &mut self.dice;
        match dice.below(6) {
            0 => draft.spki = odd_keys::spki(dice, &self.keys.p256(&mut Dice::new(1))),
            1 => extensions::put_odd(dice, &mut draft),
            2 | 3 => draft.changes = 1 + dice.below(2),
            4 => draft.put(extensions::CONSTRAINTS, dice.one_in(2), names::constraints(dice)),
            _ => draft.put(SAN, dice.one_in(2), names::alternative_names(dice)),
        }
        let mut der = draft.signed(dice, &draft.subject, &key);
        if dice.one_in(5) {
            let start = if dice.one_in(4) { 0 } else { 12 };
            let at = start + dice.below(der.len() - start);
            der[at] = if dice.one_in(2) { dice.next() as u8 } else { der[at] ^ 1 << dice.below(8) };
        }
        if dice.seldom(30) {
            der.push(0);
        }
        let key_file = if dice.one_in(3) { files::key(dice, &key, &key.clone()) } else { String::new() };
        self.request(&[der.clone()], key_file, &[der])
    }

    fn request(&mut self, sent: &[Vec<u8>], key: String, trusted: &[Vec<u8>]) -> Value {
        let dice = &mut self.dice;
        let (chain, ca) = (files::certificates(dice, sent), files::certificates(dice, trusted));
        let role = dice.pick(&["client", "server", "server", "peer"]);
        let at = self.now.format(&time::format_description::well_known::Rfc3339).unwrap();
        json!({ "Chain": chain, "Key": key, "CA": ca, "Role": role, "Host": names::host(dice), "At": at })
    }
}
