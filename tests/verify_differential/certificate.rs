//! A certificate as the bytes of its fields, each of which may be anything, signed for real.

use super::der;
use super::dice::Dice;
use super::keys::{How, Key};
use super::tree;

pub(crate) struct Extension {
    pub(crate) oid: &'static str,
    pub(crate) critical: bool,
    pub(crate) value: Vec<u8>,
}

pub(crate) struct Draft {
    /// The `[0]` field, or nothing.
    pub(crate) version: Vec<u8>,
    pub(crate) serial: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) validity: Vec<u8>,
    pub(crate) spki: Vec<u8>,
    /// issuerUniqueID and subjectUniqueID, or nothing.
    pub(crate) unique_ids: Vec<u8>,
    pub(crate) extensions: Vec<Extension>,
    /// How many elements of what is signed are changed before it is.
    pub(crate) changes: usize,
}

impl Draft {
    /// Puts an extension in the place of another of its kind.
    pub(crate) fn put(&mut self, oid: &'static str, critical: bool, value: Vec<u8>) {
        self.take(oid);
        self.extensions.push(Extension { oid, critical, value });
    }

    pub(crate) fn take(&mut self, oid: &str) {
        self.extensions.retain(|extension| extension.oid != oid);
    }

    /// The certificate that `issuer` makes of it.
    pub(crate) fn signed(&self, dice: &mut Dice, issuer_name: &[u8], issuer: &Key) -> Vec<u8> {
        let how = issuer.way(dice);
        let inner = algorithm(dice, &how);
        let outer = match dice.rare(160) {
            0 => algorithm(dice, &how),
            1 => algorithm(dice, &How::Ed25519),
            _ => inner.clone(),
        };
        let mut tbs = der::sequence(&[
            &self.version,
            &self.serial,
            &inner,
            issuer_name,
            &self.validity,
            &self.subject,
            &self.spki,
            &self.unique_ids,
            &self.extensions(dice),
        ]);
        for _ in 0..self.changes {
            tbs = tree::change_one(dice, &tbs);
        }
        let mut signature = issuer.sign(dice, &how, &tbs);
        match dice.rare(80) {
            0 => signature.reverse(),
            1 => signature.push(0),
            2 => drop(signature.pop()),
            3 => signature.insert(0, 0),
            4 => signature = issuer.not_below_modulus(signature),
            _ => {}
        }
        der::sequence(&[&tbs, &outer, &der::bits(&signature)])
    }

    fn extensions(&self, dice: &mut Dice) -> Vec<u8> {
        if self.extensions.is_empty() && !dice.one_in(4) {
            return Vec::new();
        }
        let each = self.extensions.iter().map(|one| {
            // FALSE is the default and is left out by those who write DER.
            let critical = match one.critical {
                true => vec![1, 1, 0xff],
                false if dice.seldom(30) => vec![1, 1, 0],
                false => Vec::new(),
            };
            der::sequence(&[&der::oid(one.oid), &critical, &der::octets(&one.value)])
        });
        let each: Vec<_> = each.collect();
        der::tlv(0xa3, &der::tlv(0x30, &each.concat()))
    }
}

/// An AlgorithmIdentifier; now and then with parameters where there should be none, or the other way round.
fn algorithm(dice: &mut Dice, how: &How) -> Vec<u8> {
    use super::keys::Hash;
    let odd = dice.seldom(25);
    let null: &[u8] =
        if odd { dice.pick(&[&b""[..], b"\x05\x00", b"\x30\x00", b"\x05\x01\x00"]) } else { der::NULL };
    let none: &[u8] = if odd { dice.pick(&[&b""[..], b"\x05\x00", b"\x30\x00"]) } else { b"" };
    match how {
        How::Pkcs1(hash) => {
            let kind = match hash {
                Hash::Md5 => "1.2.840.113549.1.1.4",
                Hash::Sha1 if odd => "1.3.14.3.2.29",
                Hash::Sha1 => "1.2.840.113549.1.1.5",
                Hash::Sha224 => "1.2.840.113549.1.1.14",
                Hash::Sha256 => "1.2.840.113549.1.1.11",
                Hash::Sha384 => "1.2.840.113549.1.1.12",
                Hash::Sha512 => "1.2.840.113549.1.1.13",
            };
            der::sequence(&[&der::oid(kind), null])
        }
        How::Pss(hash, salt) => {
            let hash_algorithm = der::sequence(&[&hash.oid(), null]);
            let mgf_hash = if odd { Hash::Sha1.oid() } else { hash.oid() };
            let mgf = der::sequence(&[
                &der::oid("1.2.840.113549.1.1.8"),
                &der::sequence(&[&mgf_hash, if dice.one_in(8) { b"" } else { der::NULL }]),
            ]);
            let trailer = match dice.below(8) {
                0 => der::tlv(0xa3, &der::small(1)),
                1 => der::tlv(0xa3, &der::small(2)),
                _ => Vec::new(),
            };
            let salt = der::tlv(0xa2, &der::small(*salt as u64));
            let salt = if dice.seldom(12) { Vec::new() } else { salt };
            let parameters = [der::tlv(0xa0, &hash_algorithm), der::tlv(0xa1, &mgf), salt, trailer].concat();
            let parameters = if dice.seldom(20) { Vec::new() } else { parameters };
            der::sequence(&[&der::oid("1.2.840.113549.1.1.10"), &der::tlv(0x30, &parameters)])
        }
        How::Ecdsa(hash) => {
            let kind = match hash {
                Hash::Md5 | Hash::Sha1 => "1.2.840.10045.4.1",
                Hash::Sha224 => "1.2.840.10045.4.3.1",
                Hash::Sha256 => "1.2.840.10045.4.3.2",
                Hash::Sha384 => "1.2.840.10045.4.3.3",
                Hash::Sha512 => "1.2.840.10045.4.3.4",
            };
            der::sequence(&[&der::oid(kind), none])
        }
        How::Ed25519 => der::sequence(&[&der::oid("1.3.101.112"), none]),
    }
}
