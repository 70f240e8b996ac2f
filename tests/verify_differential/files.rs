//! PEM files: as tools write them, and as people make them of that.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::der;
use super::dice::Dice;
use super::keys::{self, Key, Secret};
use super::tree;

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Certificates as a file; one in a few has something odd in it.
pub(crate) fn certificates(dice: &mut Dice, ders: &[Vec<u8>]) -> String {
    let mut blocks: Vec<String> = ders.iter().map(|der| pem("CERTIFICATE", der)).collect();
    if dice.seldom(8) {
        for _ in 0..=dice.below(2) {
            disturb(dice, &mut blocks);
        }
    }
    blocks.concat()
}

const HEADERS: [&str; 6] = [
    "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n",
    "a: b\n\n",
    "a: b\n",
    ": \n\n",
    "a:b\nc\n\n",
    "a : b \n \n",
];

fn disturb(dice: &mut Dice, blocks: &mut Vec<String>) {
    let at = dice.below(blocks.len());
    let empty = String::new();
    let block = blocks.get(at).unwrap_or(&empty).clone();
    let begin = "-----BEGIN CERTIFICATE-----";
    let end = "-----END CERTIFICATE-----";
    let changed = match dice.below(38) {
        0 => block.replace('\n', "\r\n"),
        1 => block.replace('\n', "\r"),
        2 => format!("subject=CN = m1\n\n{block}issuer=x\n"),
        3 => block.trim_end().to_owned(),
        4 => format!(" {block}"),
        5 => format!("text {block}"),
        6 => block.replace("CERTIFICATE", "X509 CERTIFICATE"),
        7 => block.replace("CERTIFICATE", "TRUSTED CERTIFICATE"),
        8 => block.replace(end, "-----END X-----"),
        9 => block.replace(end, ""),
        10 => block.replace(begin, ""),
        11 => block.replace(begin, &format!("{begin}\n{}", dice.pick(&HEADERS)).replace("\n\n\n", "\n\n")),
        12 => block
            .replacen(begin, &format!("{begin}\n{}", dice.pick(&HEADERS)), 1)
            .replacen("\n\nMII", "\nMII", 1),
        13 => block.replace('A', "A "),
        14 => block.replace('A', "A\t"),
        15 => block.replace('=', ""),
        16 => block.replace(end, &format!("={end}")),
        17 => block.replace(end, &format!("AAAA{end}")),
        18 => block.replace(end, &format!("{end} x")),
        19 => block.replace(end, &format!("{end}   ")),
        20 => block.replace(begin, &format!("{begin}  \t")),
        21 => block.replace(begin, &format!("{begin} x")),
        22 => block.replacen('A', "!", 1),
        23 => block.replacen('A', "\u{0}", 1),
        24 => format!("{begin}\n{block}"),
        25 => format!("{begin}\n{end}\n{block}"),
        26 => format!("{begin}\nMIIB\n{block}"),
        27 => format!("-----BEGIN X-----\nMIIB\n{block}"),
        28 => format!("{end}\n{block}"),
        29 => format!("{block}{begin}\n"),
        30 => {
            format!("-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n{block}")
        }
        31 => {
            format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{block}")
        }
        32 => format!("\u{feff}{block}"),
        33 => block.replace("\n", "\n\n"),
        34 => block.lines().collect::<Vec<_>>().concat(),
        35 => format!("-----BEGIN A-----\na: b\n-----END A-----\n{block}"),
        36 => format!("{begin}\na: b\n{end}\n{block}"),
        _ => block.replace("-----END ", "\n\n-----END "),
    };
    if blocks.is_empty() {
        blocks.push(changed);
    } else {
        blocks[at] = changed;
    }
}

/// A key's file: PKCS#8, or PKCS#1 and SEC1; one in a few is none.
pub(crate) fn key(dice: &mut Dice, key: &Key, other: &Key) -> String {
    let pkcs8 = key.pkcs8();
    let (label, body) = match key.traditional() {
        Some(traditional) if dice.one_in(2) => traditional,
        _ => ("PRIVATE KEY", pkcs8),
    };
    let plain = pem(label, &body);
    if !dice.seldom(4) {
        return plain;
    }
    let more = pem("PRIVATE KEY", &other.pkcs8());
    match dice.below(18) {
        0 => more,
        1 => plain + &more,
        2 => more + &plain,
        3 => pem("EC PARAMETERS", &der::oid("1.2.840.10045.3.1.7")) + &plain,
        4 => pem("CERTIFICATE", &body),
        5 => pem("CERTIFICATE", &body) + &plain,
        6 => pem("PRIVATE KEY", &body),
        7 => pem("EC PRIVATE KEY", &body),
        8 => pem("ENCRYPTED PRIVATE KEY", &body),
        9 => plain.replacen("-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", 1),
        10 => plain.replace('\n', "\r\n"),
        11 => pem(label, &[&body[..], &[0]].concat()),
        12 => pem("XPRIVATE KEY", &body),
        13 | 14 => odd_numbers(dice, key).unwrap_or(plain),
        _ => pem(label, &tree::change_one(dice, &body)),
    }
}

/// Keys whose numbers do not belong together, or are written otherwise.
fn odd_numbers(dice: &mut Dice, key: &Key) -> Option<String> {
    match &key.secret {
        Secret::Rsa(rsa) => {
            let at = dice.below(9);
            let number = match dice.below(4) {
                0 => vec![2, 1, 0],
                1 => vec![2, 1, 1],
                2 => der::unsigned(&dice.bytes(64)),
                _ => vec![2, 1, 0xff],
            };
            let number = if at == 0 { der::small(dice.below(3) as u64) } else { number };
            let der = keys::pkcs1(rsa, &[(at, number)]);
            Some(pem("RSA PRIVATE KEY", &der))
        }
        Secret::Ec(curve, scalar) => {
            let scalar = match dice.below(6) {
                0 => [&[0][..], scalar].concat(),
                1 => vec![0xff; scalar.len()],
                2 => vec![0; scalar.len()],
                3 => scalar[1..].to_vec(),
                4 => [&[1][..], scalar].concat(),
                _ => Vec::new(),
            };
            let version = der::small(1 + dice.below(4) as u64 / 3);
            let parameters = if dice.one_in(3) { Vec::new() } else { der::tlv(0xa0, &curve.oid()) };
            Some(pem("EC PRIVATE KEY", &der::sequence(&[&version, &der::octets(&scalar), &parameters])))
        }
        Secret::Even(_) => None,
        Secret::Ed25519(seed) => {
            let seed = if dice.one_in(2) { &seed[1..] } else { seed };
            let algorithm =
                [der::oid("1.3.101.112"), if dice.one_in(2) { der::NULL.to_vec() } else { Vec::new() }]
                    .concat();
            let inner = if dice.one_in(3) { seed.to_vec() } else { der::octets(seed) };
            let version = der::small(dice.below(3) as u64);
            let body = der::sequence(&[&version, &der::tlv(0x30, &algorithm), &der::octets(&inner)]);
            Some(pem("PRIVATE KEY", &body))
        }
    }
}
