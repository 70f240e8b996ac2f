//! Names: subjects, subject alternative names, the constraints on them, and the hosts that are dialled. All are made
//! of few pieces, so that they meet.

use super::der;
use super::dice::Dice;

const LABELS: &[&str] =
    &["m1", "m2", "etcd", "a", "a-b", "x-etcd", "ETCD", "M1", "m_1", "xn--bcher-kva", "*", "m*"];
const DOMAINS: &[&str] = &["test", "etcd.test", "other.test", "Etcd.Test", "m1.etcd.test", "example"];

/// A domain name, mostly sound.
pub(crate) fn domain(dice: &mut Dice) -> Vec<u8> {
    let base = dice.pick(DOMAINS);
    let mut name = match dice.below(8) {
        0 | 1 => base.to_owned(),
        2 => format!("*.{base}"),
        3 => format!("{}.{}.{base}", dice.pick(LABELS), dice.pick(LABELS)),
        _ => format!("{}.{base}", dice.pick(LABELS)),
    };
    match dice.rare(40) {
        0 => name.insert(0, '.'),
        1 => name.push('.'),
        2 => name = name.replacen('.', "..", 1),
        3 => name.clear(),
        4 => name = "*".to_owned(),
        5 => name = "localhost".to_owned(),
        6 => name = ".".to_owned(),
        7 => name.insert(0, ' '),
        8 => name = format!("-{name}"),
        9 => name = format!("{}.{name}", "l".repeat(64)),
        10 => name = "10.1.2.3".to_owned(),
        11 => name.insert_str(0, ".."),
        12 => name.push('\0'),
        13 => return [name.as_bytes(), b"\xc3\xa9"].concat(),
        14 => name = name.replace('.', ".*."),
        15 => name = "l.".repeat(140) + &name,
        _ => {}
    }
    name.into_bytes()
}

fn address(dice: &mut Dice) -> Vec<u8> {
    const MAPPED: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3];
    const KNOWN: &[&[u8]] = &[
        &[10, 1, 2, 3],
        &[10, 1, 2, 3],
        &[10, 1, 2, 200],
        &[10, 9, 0, 1],
        &[127, 0, 0, 1],
        &[172, 16, 0, 101],
        &[0, 0, 0, 0],
        &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 1],
        &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 1, 2, 3],
        &[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    ];
    if dice.seldom(60) {
        let length = dice.pick(&[0, 1, 3, 5, 8, 15, 17, 32]);
        return dice.bytes(length);
    }
    if dice.seldom(30) { MAPPED.to_vec() } else { dice.pick(KNOWN).to_vec() }
}

fn mail(dice: &mut Dice) -> Vec<u8> {
    let local = dice.pick(&[
        "a",
        "b",
        "a",
        "a.b",
        "a..b",
        ".a",
        "a.",
        "\"q r\"",
        "\"a\"",
        "\"a\\\"b\"",
        "a\\@b",
        "*",
        "",
        "A",
        "a b",
    ]);
    let mut mail = [local.as_bytes(), b"@", &domain(dice)].concat();
    match dice.rare(20) {
        0 => mail = domain(dice),
        1 => mail.extend(b"@etcd.test"),
        2 => mail.push(b'@'),
        _ => {}
    }
    mail
}

fn uri(dice: &mut Dice) -> Vec<u8> {
    let scheme = dice.pick(&[
        "https://",
        "spiffe://",
        "http://",
        "//",
        "urn:",
        "",
        "x-y+z.1:",
        "1x://",
        ":",
        "mailto:",
    ]);
    let user = dice.pick(&["", "", "", "", "u@", "u:p@", "u%40@", "a@b@", "u p@", "%zz@"]);
    let host = match dice.below(5) {
        0 => dice
            .pick(&[
                &b"10.1.2.3"[..],
                b"[::1]",
                b"[fe80::1%25eth0]",
                b"[10.1.2.3]",
                b"[::1",
                b"::1",
                b"",
                b"a%20b",
                b"a%2eb",
                b"[::ffff:10.1.2.3]",
                b"x[::1]",
                b"[x]",
                b"a<b>",
                b"a\"b",
                b"a|b",
                b"a_b",
                b"b%C3%A9",
                b"[]",
                b"[::1]x",
                b"[fe80::1%eth0]",
                b"a:b",
                b"a^b",
            ])
            .to_vec(),
        _ => domain(dice),
    };
    let port = dice.pick(&["", "", "", "", ":1", ":443", ":", ":x", ":1:2", ":99999", ":-1"]);
    let path = dice.pick(&[
        "", "/", "/x", "/x?y#z", "?q", "#f", "/%zz", "/%41", "?%zz", "#%zz", "/a b", "/\x7f", "/a:b",
    ]);
    [scheme.as_bytes(), user.as_bytes(), &host, port.as_bytes(), path.as_bytes()].concat()
}

/// A GeneralName as SANs and constraints hold it, of a kind that is not matched.
fn other(dice: &mut Dice) -> Vec<u8> {
    match dice.below(6) {
        0 => der::tlv(0xa4, &name(dice, 1)),
        1 => der::tlv(0xa0, &[der::oid("1.2.3.4"), der::tlv(0xa0, &der::tlv(0x0c, b"x"))].concat()),
        2 => der::tlv(0x88, &[0x2a, 3]),
        3 => der::tlv(0xa4, &[]),
        4 => der::tlv(0xa5, &[]),
        _ => der::tlv(dice.pick(&[0x02, 0x16, 0x89, 0xa2, 0xa7, 0x80, 0x1f, 0x42, 0x47]), b"m1.etcd.test"),
    }
}

/// The value of a subjectAltName extension.
pub(crate) fn alternative_names(dice: &mut Dice) -> Vec<u8> {
    let mut names = Vec::new();
    for _ in 0..if dice.one_in(4) { dice.below(5) } else { 1 } {
        let name = if !dice.one_in(3) { b"m1.etcd.test".to_vec() } else { domain(dice) };
        names.push(der::tlv(0x82, &name));
    }
    for _ in 0..dice.below(3) {
        names.push(der::tlv(0x87, &address(dice)));
    }
    for _ in 0..dice.below(3).saturating_sub(1) {
        names.push(der::tlv(0x81, &mail(dice)));
    }
    for _ in 0..dice.below(3).saturating_sub(1) {
        names.push(der::tlv(0x86, &uri(dice)));
    }
    if dice.seldom(12) {
        names.push(other(dice));
    }
    if dice.one_in(3) {
        names.reverse();
    }
    der::tlv(0x30, &names.concat())
}

/// The value of a nameConstraints extension.
pub(crate) fn constraints(dice: &mut Dice) -> Vec<u8> {
    let permitted = subtrees(dice, 0xa0);
    let mut excluded = subtrees(dice, 0xa1);
    while permitted.is_empty() && excluded.is_empty() && !dice.seldom(12) {
        excluded = subtrees(dice, 0xa1);
    }
    der::tlv(0x30, &[permitted, excluded].concat())
}

fn subtrees(dice: &mut Dice, tag: u8) -> Vec<u8> {
    if dice.one_in(2) {
        return Vec::new();
    }
    let count = if dice.seldom(30) { 0 } else { 1 + dice.below(4) };
    let each = (0..count).map(|_| {
        let base = match dice.below(16) {
            0..=5 => der::tlv(0x82, &constraint(dice)),
            6..=9 => der::tlv(0x87, &range(dice)),
            10 | 11 => der::tlv(0x81, &if dice.one_in(3) { mail(dice) } else { constraint(dice) }),
            12 | 13 => der::tlv(0x86, &constraint(dice)),
            14 if dice.one_in(4) => other(dice),
            _ => der::tlv(0x82, b"etcd.test"),
        };
        let distance = match dice.rare(25) {
            0 => der::tlv(0x80, &[0]),
            1 => der::tlv(0x81, &[1]),
            _ => Vec::new(),
        };
        der::tlv(0x30, &[base, distance].concat())
    });
    let each: Vec<_> = each.collect();
    der::tlv(tag, &each.concat())
}

fn constraint(dice: &mut Dice) -> Vec<u8> {
    match dice.below(8) {
        0 => [&b"."[..], dice.pick(&[&b"etcd.test"[..], b"test", b"m1.etcd.test", b"other.test", b"", b"."])]
            .concat(),
        1 => Vec::new(),
        2 | 3 => domain(dice),
        _ => dice.pick(DOMAINS).as_bytes().to_vec(),
    }
}

fn range(dice: &mut Dice) -> Vec<u8> {
    let network = address(dice);
    let bits =
        if dice.one_in(4) { 8 * dice.below(network.len() + 1) } else { dice.below(8 * network.len() + 1) };
    let mut mask: Vec<u8> = (0..network.len())
        .map(|at| (0..8).filter(|bit| at * 8 + bit < bits).map(|bit| 0x80 >> bit).sum())
        .collect();
    if dice.seldom(40) && !mask.is_empty() {
        let at = dice.below(mask.len());
        mask[at] = dice.next() as u8;
    }
    // With bits set behind the mask, or without.
    let network: Vec<u8> = if dice.one_in(2) {
        network
    } else {
        network.iter().zip(&mask).map(|(byte, mask)| byte & mask).collect()
    };
    [network, mask].concat()
}

/// A distinguished name: few, so that some are met twice with another key.
pub(crate) fn name(dice: &mut Dice, level: usize) -> Vec<u8> {
    let mut sets = Vec::new();
    if dice.one_in(3) {
        sets.push(attribute(dice, "2.5.4.10", b"lab"));
    }
    if !dice.seldom(30) {
        let text = format!("level {level} {}", dice.below(3));
        sets.push(attribute(dice, "2.5.4.3", text.as_bytes()));
    }
    match dice.rare(40) {
        0 => sets.push(attribute(dice, "2.5.4.3", b"m1.etcd.test")),
        1 => sets.push(odd_attribute(dice)),
        2 => sets.push(attribute(dice, "1.2.840.113549.1.9.1", b"a@etcd.test")),
        3 => sets.push(der::set(&[])),
        _ => {}
    }
    der::tlv(0x30, &sets.concat())
}

fn attribute(dice: &mut Dice, kind: &str, text: &[u8]) -> Vec<u8> {
    let tag = if dice.seldom(40) { dice.pick(&[0x0c, 0x13, 0x14, 0x16, 0x1a, 0x1b, 0x1c]) } else { 0x0c };
    der::set(&[&der::sequence(&[&der::oid(kind), &der::tlv(tag, text)])])
}

/// Values of all string types, with characters that they may not hold, and values that are no strings.
fn odd_attribute(dice: &mut Dice) -> Vec<u8> {
    let (tag, value) = dice.pick(&[
        (0x0c, &b"\xff\xfe"[..]),
        (0x0c, b"caf\xc3\xa9"),
        (0x13, b"a*b&c"),
        (0x13, b"a@b"),
        (0x13, b"a_b"),
        (0x14, b"\xe9\x00"),
        (0x16, b"a\xe9"),
        (0x16, b"a@b"),
        (0x12, b"12 3"),
        (0x12, b"1x"),
        (0x1e, b"\x00a\x00b"),
        (0x1e, b"\x00a\x00"),
        (0x1e, b"\xd8\x00"),
        (0x1e, b"\xff\xfe\x00\x00"),
        (0x1e, b"\xfd\xd0"),
        (0x1c, b"\x00\x00\x00a"),
        (0x1a, b"abc"),
        (0x02, b"\x05"),
        (0x02, b"\x00\x05"),
        (0x02, b"\x01\x02\x03\x04\x05\x06\x07\x08\x09"),
        (0x01, b"\xff"),
        (0x01, b"\x01"),
        (0x03, b"\x00\x05"),
        (0x03, b"\x09\x05"),
        (0x04, b"abc"),
        (0x05, b""),
        (0x05, b"x"),
        (0x06, b"\x2a\x03"),
        (0x06, b"\x80"),
        (0x0a, b"\x01"),
        (0x17, b"261126120000Z"),
        (0x17, b"2611261200"),
        (0x18, b"20261126120000Z"),
        (0x18, b"20261126"),
        (0x30, b""),
        (0x80, b"x"),
        (0x1f, b"x"),
    ]);
    der::set(&[&der::sequence(&[&der::oid("2.5.4.11"), &der::tlv(tag, value)])])
}

/// What is dialled.
pub(crate) fn host(dice: &mut Dice) -> String {
    let odd = [
        "m1.etcd.test.",
        "M1.ETCD.test",
        "a.b.etcd.test",
        "*.etcd.test",
        "*",
        ".",
        "m_1.etcd.test",
        "m1.etcd.test..",
        ".etcd.test",
        "[::1]",
        "[10.1.2.3]",
        "[m1.etcd.test]",
        "[]",
        "[",
        "::1",
        "0:0:0:0:0:0:0:1",
        "fd00::1",
        "FD00::1",
        "::ffff:10.1.2.3",
        "[::ffff:10.1.2.3]",
        "::ffff:0a01:0203",
        "::10.1.2.3",
        "010.1.2.3",
        "10.1.2",
        "10.1.2.3.",
        "10.1.2.3:2379",
        "[::1]:2379",
        "fe80::1%eth0",
        "[fe80::1%25eth0]",
        "fe80::1%",
        "::ffff:10.1.2.3%eth0",
        "10.1.2.3%eth0",
        "fe80::1%a%b",
        "1:2:3:4:5:6:7::",
        "1:2:3:4:5:6:7:8::",
        "0x7f.0.0.1",
        " m1.etcd.test",
        "m1.etcd.test\u{0}",
        "bücher.etcd.test",
        "xn--bcher-kva.etcd.test",
        "-m1.etcd.test",
        "com",
    ];
    match dice.rare(16) {
        0 | 1 => String::new(),
        2..=4 => {
            (dice.pick(&["10.1.2.3", "127.0.0.1", "172.16.0.101", "::1", "fd00::1", "0.0.0.0"])).to_owned()
        }
        5 | 6 => (dice.pick(&odd)).to_owned(),
        7 => String::from_utf8_lossy(&domain(dice)).into_owned(),
        8 => "localhost".to_owned(),
        _ => "m1.etcd.test".to_owned(),
    }
}
