//! Public keys that Go refuses, does not know, or takes in spite of everything. What signs is another key, so they are
//! those of leaves, or of CAs that sign nothing.

use super::der;
use super::dice::Dice;
use super::keys::Key;

/// A SubjectPublicKeyInfo; `p256` is a sound one, for its point.
pub(crate) fn spki(dice: &mut Dice, p256: &Key) -> Vec<u8> {
    match dice.below(4) {
        0 | 1 => rsa(dice),
        2 => ec(dice, p256),
        _ => others(dice),
    }
}

fn whole(algorithm: &[&[u8]], public: &[u8]) -> Vec<u8> {
    der::sequence(&[&der::sequence(algorithm), &der::bits(public)])
}

fn rsa(dice: &mut Dice) -> Vec<u8> {
    let bits: usize = dice.pick(&[
        64, 504, 520, 521, 528, 536, 768, 1000, 1016, 1023, 1024, 1025, 2047, 4096, 8192, 8193, 8200, 9000,
        16400,
    ]);
    let mut modulus = dice.bytes(bits.div_ceil(8));
    modulus[0] = if bits.is_multiple_of(8) { modulus[0] | 0x80 } else { 1 << (bits % 8 - 1) };
    let last = modulus.len() - 1;
    modulus[last] |= 1;
    let mut number = der::unsigned(&modulus);
    let exponents: [&[u8]; 12] = [
        &[2, 1, 3],
        &[2, 1, 1],
        &[2, 1, 0],
        &[2, 1, 2],
        &[2, 1, 0xff],
        &[2, 2, 0, 3],
        &[2, 3, 1, 0, 0],
        &[2, 4, 0x7f, 0xff, 0xff, 0xff],
        &[2, 5, 0, 0x80, 0, 0, 1],
        &[2, 8, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[2, 9, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[2, 0],
    ];
    let exponent = if dice.one_in(2) { dice.pick(&exponents) } else { &[2, 3, 1, 0, 1][..] };
    match dice.below(16) {
        0 => modulus[last] ^= 1,
        1 => number = der::tlv(2, &modulus),
        2 => number = der::tlv(2, &[&[0, 0][..], &modulus].concat()),
        3 => number = vec![2, 1, 0],
        4 => number = vec![2, 0],
        _ => {}
    }
    let mut public = der::sequence(&[&number, exponent]);
    match dice.below(16) {
        0 => public.push(0),
        1 => public = der::sequence(&[&number, exponent, &[5, 0]]),
        2 => public = der::sequence(&[&number]),
        _ => {}
    }
    let parameters: &[u8] =
        if dice.one_in(8) { dice.pick(&[&b""[..], b"\x30\x00", b"\x05\x00\x05\x00"]) } else { der::NULL };
    let kind = dice.pick(&["1.2.840.113549.1.1.1"; 8]);
    let kind = if dice.one_in(12) {
        dice.pick(&["1.2.840.113549.1.1.10", "1.2.840.113549.1.1.7", "2.5.8.1.1"])
    } else {
        kind
    };
    whole(&[&der::oid(kind), parameters], &public)
}

/// Points that are compressed, off the curve, at infinity, too short, of another curve; curves by name and in full.
fn ec(dice: &mut Dice, p256: &Key) -> Vec<u8> {
    let mut point = p256.spki[p256.spki.len() - 65..].to_vec();
    let last = point.len() - 1;
    match dice.below(9) {
        0 => point = [&[2 + (point[last] & 1)], &point[1..33]].concat(),
        1 => point[last] ^= 1,
        2 => point = vec![0],
        3 => drop(point.pop()),
        4 => point.push(0),
        5 => point[0] = 6 + (point[last] & 1),
        6 => point = [&[4][..], &[0; 64]].concat(),
        7 => point = [&[4][..], &[0xff; 64]].concat(),
        _ => {}
    }
    let curve = match dice.below(8) {
        0 => der::oid("1.3.132.0.10"),
        1 => der::oid("1.3.132.0.34"),
        2 => der::oid("1.2.840.10045.3.1.1"),
        3 => der::sequence(&[&der::small(1)]),
        4 => der::NULL.to_vec(),
        5 => Vec::new(),
        6 => [der::oid("1.2.840.10045.3.1.7"), der::NULL.to_vec()].concat(),
        _ => der::oid("1.2.840.10045.3.1.7"),
    };
    whole(&[&der::oid("1.2.840.10045.2.1"), &curve], &point)
}

fn others(dice: &mut Dice) -> Vec<u8> {
    let parameters: &[u8] = if dice.one_in(4) { der::NULL } else { b"" };
    match dice.below(9) {
        0 => {
            let length = dice.pick(&[0, 31, 32, 33]);
            let public = dice.bytes(length);
            whole(&[&der::oid("1.3.101.112"), parameters], &public)
        }
        1 => whole(&[&der::oid("1.3.101.110"), parameters], &dice.bytes(32)),
        2 => whole(&[&der::oid("1.3.101.113"), parameters], &dice.bytes(57)),
        3 => {
            let (kind, length) = dice.pick(&[
                ("2.16.840.1.101.3.4.3.17", 1312),
                ("2.16.840.1.101.3.4.3.18", 1952),
                ("2.16.840.1.101.3.4.3.19", 2592),
            ]);
            let length = if dice.one_in(3) { length - 1 } else { length };
            let public = dice.bytes(length);
            whole(&[&der::oid(kind), parameters], &public)
        }
        4 | 5 => dsa(dice),
        6 => {
            let public = dice.bytes(32);
            // Bits that are not used, and bits that are none.
            let string = match dice.below(3) {
                0 => der::tlv(3, &[&[3][..], &public[..31], &[public[31] & 0xf8]].concat()),
                1 => der::tlv(3, &[&[8][..], &public].concat()),
                _ => der::tlv(3, &[]),
            };
            der::sequence(&[&der::sequence(&[&der::oid("1.3.101.112")]), &string])
        }
        7 => der::sequence(&[&der::sequence(&[&[6, 1, 0x80]]), &der::bits(&[1])]),
        _ => whole(&[&der::oid("1.2.3.4"), parameters], &dice.bytes(9)),
    }
}

fn dsa(dice: &mut Dice) -> Vec<u8> {
    let number = |dice: &mut Dice| match dice.below(14) {
        0 => vec![2, 1, 0],
        1 => vec![2, 1, 0xff],
        2 => vec![2, 0],
        _ => der::unsigned(&dice.bytes(20)),
    };
    let parameters = [number(dice), number(dice), number(dice)].concat();
    let parameters = if dice.one_in(10) { Vec::new() } else { der::tlv(0x30, &parameters) };
    let public = number(dice);
    whole(&[&der::oid("1.2.840.10040.4.1"), &parameters], &public)
}
