//! Extensions as CAs write them, and as nobody does.

use super::certificate::Draft;
use super::der;
use super::dice::Dice;
use super::names;

pub(crate) const KEY_USAGE: &str = "2.5.29.15";
pub(crate) const EXTENDED: &str = "2.5.29.37";
pub(crate) const SAN: &str = "2.5.29.17";
pub(crate) const CONSTRAINTS: &str = "2.5.29.30";
pub(crate) const BASIC: &str = "2.5.29.19";
pub(crate) const SUBJECT_KEY: &str = "2.5.29.14";
pub(crate) const AUTHORITY_KEY: &str = "2.5.29.35";
const POLICIES: &str = "2.5.29.32";
const MAPPINGS: &str = "2.5.29.33";
const POLICY_CONSTRAINTS: &str = "2.5.29.36";
const INHIBIT_ANY: &str = "2.5.29.54";

/// Values as nobody writes them, or hardly anybody.
const ODD: &[(&str, &[&[u8]])] = &[
    (
        KEY_USAGE,
        &[
            b"\x03\x02\x07\x80",
            b"\x03\x02\x05\xa0",
            b"\x03\x02\x02\x04",
            b"\x03\x02\x00\x06",
            b"\x03\x01\x00",
            b"\x03\x01\x01",
            b"\x03\x02\x01\x05",
            b"\x03\x02\x08\x00",
            b"\x03\x03\x07\x06\x80",
            b"\x03\x03\x00\x06\x00",
            b"\x04\x01\x00",
            b"\x03\x02\x02\x04\x00",
        ],
    ),
    (
        EXTENDED,
        &[
            b"\x30\x00",
            b"\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01",
            b"\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01\x00",
            b"\x30\x06\x06\x04\x55\x1d\x25\x00",
            b"\x30\x03\x06\x01\x2a",
            b"\x30\x04\x06\x02\x80\x01",
            b"\x30\x07\x06\x05\x2a\x8f\xff\xff\x7f",
            b"\x30\x08\x06\x06\x2a\x90\x80\x80\x80\x00",
            b"\x30\x02\x06\x00",
            b"\x30\x05\x06\x01\x2a\x05\x00",
            b"\x31\x00",
            b"",
        ],
    ),
    (
        SAN,
        &[
            b"\x30\x00",
            b"\x30\x06\x87\x04\x7f\x00\x00\x01",
            b"\x30\x05\x87\x03\x01\x02\x03",
            b"\x30\x02\x82\x00",
            b"\x30\x04\x82\x02m\xe9",
            b"\x30\x03\x82\x01.",
            b"\x30\x0e\x82\x0cm1.etcd.test",
            b"\x30\x0e\xa2\x0cm1.etcd.test",
            b"\x30\x0e\x02\x0cm1.etcd.test",
            b"\x30\x0e\x82\x0cm1.etcd.test\x00",
            b"\x30\x04\x88\x02\x2a\x03",
            b"\x30\x07\xa4\x05\x30\x03\x31\x01\x00",
            b"\x30\x03\x86\x01a",
            b"\x30\x05\x81\x03a@b",
            b"\x30\x03\x81\x01@",
            b"\x31\x00",
            b"",
        ],
    ),
    (
        CONSTRAINTS,
        &[
            b"\x30\x00",
            b"\x30\x02\xa0\x00",
            b"\x30\x04\xa0\x00\xa1\x00",
            b"\x30\x04\xa0\x02\x30\x00",
            b"\x30\x06\xa0\x04\x30\x02\x82\x00",
            b"\x30\x06\xa1\x04\x30\x02\x82\x00",
            b"\x30\x06\xa1\x04\x30\x02\x86\x00",
            b"\x30\x06\xa0\x04\x30\x02\x81\x00",
            b"\x30\x08\xa1\x06\x30\x04\xa4\x02\x30\x00",
            b"\x30\x08\xa1\x06\x30\x04\xa4\x02\x30\x00\x00",
            b"\x30\x0a\xa0\x08\x30\x06\x81\x04test\x05\x00",
            b"\x30\x0a\xa1\x08\x30\x06\x82\x04test",
            b"\x30\x0a\xa2\x08\x30\x06\x82\x04test",
            b"\x30\x14\xa1\x08\x30\x06\x82\x04test\xa0\x08\x30\x06\x82\x04test",
            b"\x30\x0e\xa1\x0c\x30\x0a\x87\x08\x00\x00\x00\x00\x00\x00\x00\x00",
        ],
    ),
    (
        BASIC,
        &[
            b"\x30\x00",
            b"\x30\x03\x01\x01\xff",
            b"\x30\x03\x01\x01\x01",
            b"\x30\x03\x01\x01\x00",
            b"\x30\x06\x01\x01\xff\x02\x01\x00",
            b"\x30\x06\x01\x01\xff\x02\x01\xff",
            b"\x30\x07\x01\x01\xff\x02\x02\x00\x01",
            b"\x30\x0a\x01\x01\xff\x02\x05\x01\x00\x00\x00\x00",
            b"\x30\x0d\x01\x01\xff\x02\x08\x7f\xff\xff\xff\xff\xff\xff\xff",
            b"\x30\x0e\x01\x01\xff\x02\x09\x00\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x30\x0d\x01\x01\xff\x02\x08\x80\x00\x00\x00\x00\x00\x00\x00",
            b"\x30\x03\x02\x01\x01",
            b"\x30\x09\x01\x01\xff\x02\x01\x00\x04\x01\x00",
            b"\x30\x06\x02\x01\x00\x01\x01\xff",
            b"\x30\x03\x01\x01\xff\x05\x00",
            b"",
        ],
    ),
    (
        AUTHORITY_KEY,
        &[
            b"\x30\x04\x80\x02\x01\x02",
            b"\x30\x02\x80\x00",
            b"\x30\x00",
            b"\x30\x04\x82\x02\x01\x02",
            b"\x30\x04\xa0\x02\x01\x02",
            b"\x30\x08\xa1\x02\x30\x00\x82\x02\x01\x02",
            b"\x05\x00",
            b"\x30\x03\x80\x02\x01",
        ],
    ),
    (SUBJECT_KEY, &[b"\x04\x02\x01\x02", b"\x04\x00", b"\x04\x02\x01\x02\x00", b"\x05\x00", b""]),
    (
        "1.3.6.1.5.5.7.1.1",
        &[
            b"\x30\x00",
            b"\x30\x02\x30\x00",
            b"\x05\x00",
            b"\x30\x07\x30\x05\x06\x01\x2a\x86\x00",
            b"\x30\x07\x30\x05\x06\x01\x80\x86\x00",
            b"\x30\x07\x30\x05\x06\x01\x2a\x86\x01",
            b"\x30\x05\x30\x03\x06\x01\x2a",
        ],
    ),
    (
        "2.5.29.31",
        &[
            b"\x30\x00",
            b"\x30\x02\x30\x00",
            b"\x05\x00",
            b"\x30\x06\x30\x04\xa0\x02\xa0\x00",
            b"\x30\x04\x30\x02\xa0\x00",
            b"\x30\x04\x30\x02\xa1\x00",
            b"\x30\x09\x30\x07\xa0\x05\xa0\x03\x86\x01a",
            b"\x30\x09\x30\x07\xa0\x05\xa0\x03\x86\x02a",
        ],
    ),
    ("2.5.29.18", &[b"\x30\x00", b"\x30\x03\x82\x01a", b"\x05\x00"]),
    (
        POLICY_CONSTRAINTS,
        &[
            b"\x30\x00",
            b"\x30\x03\x80\x01\x01",
            b"\x30\x03\x81\x01\xff",
            b"\x30\x03\x02\x01\x00",
            b"\x30\x04\x80\x02\x00\x01",
            b"\x30\x0b\x80\x09\x00\xff\xff\xff\xff\xff\xff\xff\xff",
        ],
    ),
    (
        INHIBIT_ANY,
        &[
            b"\x02\x01\x00",
            b"\x02\x01\x80",
            b"\x05\x00",
            b"\x02\x01\x00\x00",
            b"\x02\x09\x00\xff\xff\xff\xff\xff\xff\xff\xff",
        ],
    ),
    (
        MAPPINGS,
        &[
            b"\x30\x00",
            b"\x30\x08\x30\x06\x06\x01\x2a\x06\x01\x2b",
            b"\x30\x02\x30\x00",
            b"\x30\x05\x30\x03\x06\x01\x2a",
        ],
    ),
    (
        POLICIES,
        &[
            b"\x30\x00",
            b"\x30\x02\x30\x00",
            b"\x30\x06\x30\x04\x06\x02\x2a\x80",
            b"\x30\x06\x30\x04\x06\x02\x80\x01",
            b"\x30\x0a\x30\x03\x06\x01\x2a\x30\x03\x06\x01\x2a",
            b"\x30\x04\x30\x02\x06\x00",
            b"\x30\x08\x30\x06\x06\x04\x2a\x81\x80\x01",
            b"\x30\x0a\x30\x08\x06\x06\x2a\x90\x80\x80\x80\x00",
            b"\x30\x05\x30\x03\x06\x01\x81",
        ],
    ),
    ("1.3.6.1.5.5.7.1.11", &[b"\x30\x00", b"\x05\x00"]),
    ("2.16.840.1.113730.1.1", &[b"\x03\x02\x06\x40"]),
    ("1.3.6.1.4.1.11129.2.4.3", &[b"\x05\x00"]),
    ("1.2.3.4", &[b"\x05\x00", b"", b"\xff"]),
];

/// One of them, in the place of what would be written there.
pub(crate) fn put_odd(dice: &mut Dice, draft: &mut Draft) {
    let (oid, values) = dice.pick(ODD);
    let value = dice.pick(values).to_vec();
    draft.put(oid, dice.one_in(4), value);
}

/// extendedKeyUsage with some usages, all of them known or not.
pub(crate) fn put_usages(dice: &mut Dice, draft: &mut Draft) {
    let all = [
        "1.3.6.1.5.5.7.3.1",
        "1.3.6.1.5.5.7.3.2",
        "1.3.6.1.5.5.7.3.1",
        "1.3.6.1.5.5.7.3.2",
        "1.3.6.1.5.5.7.3.3",
        "1.3.6.1.5.5.7.3.9",
        "2.5.29.37.0",
        "1.3.6.1.4.1.311.10.3.3",
        "2.16.840.1.113730.4.1",
        "1.2.3.4.5",
    ];
    let count = 1 + dice.below(3);
    let list: Vec<_> = (0..count).map(|_| der::oid(dice.pick(&all))).collect();
    draft.put(EXTENDED, dice.one_in(6), der::tlv(0x30, &list.concat()));
}

/// Policies that meet, and constraints that demand them.
pub(crate) fn put_policies(dice: &mut Dice, draft: &mut Draft) {
    let policies = ["1.2.3.1", "1.2.3.2", "1.2.3.3", "2.5.29.32.0"];
    if !dice.one_in(3) {
        let one = |dice: &mut Dice| der::sequence(&[&der::oid(dice.pick(&policies))]);
        let first = one(dice);
        let second = if dice.one_in(2) { one(dice) } else { Vec::new() };
        draft.put(POLICIES, dice.one_in(4), der::sequence(&[&first, &second]));
    }
    if dice.one_in(2) {
        let explicit = if dice.one_in(3) { Vec::new() } else { der::tlv(0x80, &[dice.below(3) as u8]) };
        let mapping = if dice.one_in(2) { Vec::new() } else { der::tlv(0x81, &[dice.below(3) as u8]) };
        draft.put(POLICY_CONSTRAINTS, dice.one_in(2), der::sequence(&[&explicit, &mapping]));
    }
    if dice.one_in(3) {
        let pair = |dice: &mut Dice| {
            der::sequence(&[&der::oid(dice.pick(&policies)), &der::oid(dice.pick(&policies))])
        };
        let (first, second) = (pair(dice), if dice.one_in(2) { pair(dice) } else { Vec::new() });
        draft.put(MAPPINGS, dice.one_in(3), der::sequence(&[&first, &second]));
    }
    if dice.one_in(4) {
        draft.put(INHIBIT_ANY, dice.one_in(2), der::small(dice.below(3) as u64));
    }
}

/// basicConstraints and keyUsage of a CA, as most write them and as some do.
pub(crate) fn put_ca(dice: &mut Dice, draft: &mut Draft) {
    let ca: &[u8] = &[1, 1, 0xff];
    match dice.rare(16) {
        0 => draft.put(BASIC, true, der::tlv(0x30, &[])),
        1 => draft.take(BASIC),
        2..=5 => {
            let limit = der::small(dice.below(4) as u64);
            draft.put(BASIC, !dice.one_in(4), der::sequence(&[ca, &limit]));
        }
        _ => draft.put(BASIC, !dice.one_in(4), der::sequence(&[ca])),
    }
    match dice.rare(14) {
        0 => draft.put(KEY_USAGE, true, vec![3, 2, 7, 0x80]),
        1 | 2 => draft.take(KEY_USAGE),
        _ => draft.put(KEY_USAGE, true, vec![3, 2, 1, 6]),
    }
    if dice.one_in(6) {
        put_usages(dice, draft);
    }
    if dice.one_in(5) {
        draft.put(CONSTRAINTS, !dice.one_in(3), names::constraints(dice));
    }
    if dice.one_in(8) {
        draft.put(SAN, dice.one_in(8), names::alternative_names(dice));
    }
}

/// Subject and authority key identifiers: right, wrong, or not there.
pub(crate) fn put_key_ids(dice: &mut Dice, draft: &mut Draft, own: &[u8], issuer: &[u8]) {
    let id = |dice: &mut Dice, of: &[u8]| {
        if dice.one_in(10) { dice.bytes(4) } else { of[of.len() - 8..].to_vec() }
    };
    if !dice.one_in(3) {
        let own = id(dice, own);
        draft.put(SUBJECT_KEY, dice.seldom(60), der::octets(&own));
    }
    if !dice.one_in(3) {
        let issuer = id(dice, issuer);
        draft.put(AUTHORITY_KEY, dice.seldom(60), der::sequence(&[&der::tlv(0x80, &issuer)]));
    }
}
