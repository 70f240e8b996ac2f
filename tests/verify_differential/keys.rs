//! Keys of every kind that Go knows and some that it does not, their files, and what they sign.

use std::rc::Rc;

use ring::signature::{Ed25519KeyPair, KeyPair};
use rsa::traits::{PrivateKeyParts, PublicKeyParts, SignatureScheme};
use sha1::Digest;

use super::der;
use super::dice::Dice;
use super::even::{self, Even};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Curve {
    P224,
    P256,
    P384,
    P521,
}

/// The private half.
#[derive(Clone)]
pub(crate) enum Secret {
    Rsa(Rc<rsa::PrivateKey>),
    Ec(Curve, Vec<u8>),
    Ed25519(Vec<u8>),
    Even(Rc<Even>),
}

/// A key: the SubjectPublicKeyInfo that certificates hold, and what signs.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) spki: Vec<u8>,
    pub(crate) secret: Secret,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hash {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// How something is signed.
#[derive(Clone)]
pub(crate) enum How {
    Pkcs1(Hash),
    /// With this many bytes of salt.
    Pss(Hash, usize),
    Ecdsa(Hash),
    Ed25519,
}

/// The dice as the `rsa` crate's source of numbers: its keys are the same in every run.
struct Source<'d>(&'d mut Dice);

impl rsa::rand_core::TryRng for Source<'_> {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(self.0.next() as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(self.0.next())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.copy_from_slice(&self.0.bytes(bytes.len()));
        Ok(())
    }
}

impl rsa::rand_core::TryCryptoRng for Source<'_> {}

/// Keys of all kinds and sizes, shared by all cases: to make them takes long.
pub(crate) struct Keys {
    p256: Vec<Key>,
    others: Vec<Key>,
    rsa: Vec<Key>,
    even: Key,
}

impl Keys {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        let lines = include_str!("primes.txt").lines().filter(|line| !line.starts_with('#'));
        let key = |line: &str| {
            let numbers = line.split(' ').map(|hex| rsa::BoxedUint::from_str_radix_vartime(hex, 16).unwrap());
            let [exponent, p, q] = numbers.collect::<Vec<_>>().try_into().unwrap();
            Rc::new(rsa::PrivateKey::from_p_q(p, q, exponent).unwrap())
        };
        let keys: Vec<_> = lines.map(key).collect();
        let even = even_key(&keys[1]);
        let rsa = keys.into_iter().map(rsa_key).collect();
        let p256 = (0..12).map(|_| ec(Curve::P256, dice.bytes(32))).collect();
        let mut others = Vec::new();
        for _ in 0..3 {
            others.push(ed25519(dice.bytes(32)));
            others.push(ec(Curve::P384, dice.bytes(48)));
        }
        others.push(ec(Curve::P224, dice.bytes(28)));
        others.push(ec(Curve::P521, [vec![0], dice.bytes(65)].concat()));
        Self { p256, others, rsa, even }
    }

    /// Any key; most are P-256.
    pub(crate) fn any(&self, dice: &mut Dice) -> Key {
        match dice.below(10) {
            0 => dice.pick(&self.rsa),
            1 | 2 => dice.pick(&self.others),
            _ => self.p256(dice),
        }
    }

    /// The key of a CA: any, or now and then one that only signs.
    pub(crate) fn of_ca(&self, dice: &mut Dice) -> Key {
        if dice.one_in(100) { self.even.clone() } else { self.any(dice) }
    }

    pub(crate) fn p256(&self, dice: &mut Dice) -> Key {
        dice.pick(&self.p256)
    }
}

fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let public = der::sequence(&[&der::unsigned(modulus), &der::unsigned(exponent)]);
    let algorithm = der::sequence(&[&der::oid("1.2.840.113549.1.1.1"), der::NULL]);
    der::sequence(&[&algorithm, &der::bits(&public)])
}

fn rsa_key(key: Rc<rsa::PrivateKey>) -> Key {
    Key { spki: rsa_spki(&key.n_bytes(), &key.e_bytes()), secret: Secret::Rsa(key) }
}

fn even_key(key: &Rc<rsa::PrivateKey>) -> Key {
    let even = Even(key.clone());
    Key { spki: rsa_spki(&even.modulus(), &key.e_bytes()), secret: Secret::Even(Rc::new(even)) }
}

fn ed25519(seed: Vec<u8>) -> Key {
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let algorithm = der::sequence(&[&der::oid("1.3.101.112")]);
    let spki = der::sequence(&[&algorithm, &der::bits(pair.public_key().as_ref())]);
    Key { spki, secret: Secret::Ed25519(seed) }
}

/// What the four crates of curves have alike.
macro_rules! with_curve {
    ($curve:expr, $name:ident => $body:expr) => {
        match $curve {
            Curve::P224 => {
                use p224 as $name;
                $body
            }
            Curve::P256 => {
                use p256 as $name;
                $body
            }
            Curve::P384 => {
                use p384 as $name;
                $body
            }
            Curve::P521 => {
                use p521 as $name;
                $body
            }
        }
    };
}

impl Curve {
    pub(crate) fn oid(self) -> Vec<u8> {
        der::oid(match self {
            Self::P224 => "1.3.132.0.33",
            Self::P256 => "1.2.840.10045.3.1.7",
            Self::P384 => "1.3.132.0.34",
            Self::P521 => "1.3.132.0.35",
        })
    }

    fn point(self, scalar: &[u8]) -> Vec<u8> {
        with_curve!(self, curve => {
            use curve::elliptic_curve::sec1::ToSec1Point;
            let key = curve::SecretKey::from_slice(scalar).unwrap();
            key.public_key().to_sec1_point(false).as_bytes().to_vec()
        })
    }

    fn sign(self, scalar: &[u8], digest: &[u8]) -> Vec<u8> {
        // As wide as the field, with zeros before: what the number is to everybody.
        let mut wide = vec![0; scalar.len().saturating_sub(digest.len())];
        wide.extend(digest);
        with_curve!(self, curve => {
            use curve::ecdsa::signature::hazmat::PrehashSigner;
            let key = curve::ecdsa::SigningKey::from_slice(scalar).unwrap();
            let signature: curve::ecdsa::Signature = key.sign_prehash(&wide).unwrap();
            signature.to_der().as_bytes().to_vec()
        })
    }
}

fn ec(curve: Curve, mut scalar: Vec<u8>) -> Key {
    // Below the order, whatever the curve.
    let first = if curve == Curve::P521 { 1 } else { 0 };
    scalar[first] &= 0x7f;
    let algorithm = der::sequence(&[&der::oid("1.2.840.10045.2.1"), &curve.oid()]);
    let spki = der::sequence(&[&algorithm, &der::bits(&curve.point(&scalar))]);
    Key { spki, secret: Secret::Ec(curve, scalar) }
}

impl Hash {
    fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => md5::Md5::digest(data).to_vec(),
            Self::Sha1 => sha1::Sha1::digest(data).to_vec(),
            Self::Sha224 => sha2::Sha224::digest(data).to_vec(),
            Self::Sha256 => sha2::Sha256::digest(data).to_vec(),
            Self::Sha384 => sha2::Sha384::digest(data).to_vec(),
            Self::Sha512 => sha2::Sha512::digest(data).to_vec(),
        }
    }

    pub(crate) fn oid(self) -> Vec<u8> {
        der::oid(match self {
            Self::Md5 => "1.2.840.113549.2.5",
            Self::Sha1 => "1.3.14.3.2.26",
            Self::Sha224 => "2.16.840.1.101.3.4.2.4",
            Self::Sha256 => "2.16.840.1.101.3.4.2.1",
            Self::Sha384 => "2.16.840.1.101.3.4.2.2",
            Self::Sha512 => "2.16.840.1.101.3.4.2.3",
        })
    }

    pub(crate) fn size(self) -> usize {
        self.digest(&[]).len()
    }
}

const HASHES: [Hash; 8] = [
    Hash::Md5,
    Hash::Sha1,
    Hash::Sha224,
    Hash::Sha256,
    Hash::Sha256,
    Hash::Sha384,
    Hash::Sha384,
    Hash::Sha512,
];

impl Key {
    /// How its owner signs: now and then not as everybody does.
    pub(crate) fn way(&self, dice: &mut Dice) -> How {
        let usual = !dice.seldom(10);
        let hash = if usual { Hash::Sha256 } else { dice.pick(&HASHES) };
        match &self.secret {
            Secret::Rsa(_) if usual || dice.one_in(2) => How::Pkcs1(hash),
            Secret::Rsa(_) => {
                let salt = if dice.one_in(3) { dice.pick(&[0, 20, 32, 64]) } else { hash.size() };
                How::Pss(hash, salt)
            }
            Secret::Ec(Curve::P384, _) if usual => How::Ecdsa(Hash::Sha384),
            Secret::Ec(Curve::P521, _) if usual => How::Ecdsa(Hash::Sha512),
            Secret::Ec(..) => How::Ecdsa(hash),
            Secret::Ed25519(_) => How::Ed25519,
            Secret::Even(_) => How::Pkcs1(Hash::Sha256),
        }
    }

    /// A signature; empty where the key is too small for it.
    pub(crate) fn sign(&self, dice: &mut Dice, how: &How, data: &[u8]) -> Vec<u8> {
        match (&self.secret, how) {
            (Secret::Rsa(key), How::Pkcs1(hash)) => {
                let padding = match hash {
                    Hash::Md5 => rsa::Pkcs1v15Sign::new::<md5::Md5>(),
                    Hash::Sha1 => rsa::Pkcs1v15Sign::new::<sha1::Sha1>(),
                    Hash::Sha224 => rsa::Pkcs1v15Sign::new::<sha2::Sha224>(),
                    Hash::Sha256 => rsa::Pkcs1v15Sign::new::<sha2::Sha256>(),
                    Hash::Sha384 => rsa::Pkcs1v15Sign::new::<sha2::Sha384>(),
                    Hash::Sha512 => rsa::Pkcs1v15Sign::new::<sha2::Sha512>(),
                };
                padding.sign(None::<&mut Source<'_>>, key, &hash.digest(data)).unwrap_or_default()
            }
            (Secret::Rsa(key), How::Pss(hash, salt)) => {
                let digest = hash.digest(data);
                let source = Some(&mut Source(dice));
                let signed = match hash {
                    Hash::Md5 => rsa::Pss::<md5::Md5>::new_with_salt(*salt).sign(source, key, &digest),
                    Hash::Sha1 => rsa::Pss::<sha1::Sha1>::new_with_salt(*salt).sign(source, key, &digest),
                    Hash::Sha224 => rsa::Pss::<sha2::Sha224>::new_with_salt(*salt).sign(source, key, &digest),
                    Hash::Sha256 => rsa::Pss::<sha2::Sha256>::new_with_salt(*salt).sign(source, key, &digest),
                    Hash::Sha384 => rsa::Pss::<sha2::Sha384>::new_with_salt(*salt).sign(source, key, &digest),
                    Hash::Sha512 => rsa::Pss::<sha2::Sha512>::new_with_salt(*salt).sign(source, key, &digest),
                };
                signed.unwrap_or_default()
            }
            (Secret::Ec(curve, scalar), How::Ecdsa(hash)) => quick(*curve, *hash, &self.spki, scalar, data)
                .unwrap_or_else(|| curve.sign(scalar, &hash.digest(data))),
            (Secret::Even(key), _) => key.sign(data),
            (Secret::Ed25519(seed), _) => {
                Ed25519KeyPair::from_seed_unchecked(seed).unwrap().sign(data).as_ref().to_vec()
            }
            _ => Vec::new(),
        }
    }

    /// An RSA signature that says the same, as a number that is not below the modulus; where there is one as long.
    pub(crate) fn not_below_modulus(&self, signature: Vec<u8>) -> Vec<u8> {
        let modulus = match &self.secret {
            Secret::Rsa(key) => key.n_bytes().to_vec(),
            Secret::Even(key) => key.modulus(),
            _ => return signature,
        };
        let sum = even::plus(&signature, &modulus);
        let (more, rest) = sum.split_at(sum.len() - signature.len());
        if more.iter().all(|&byte| byte == 0) { rest.to_vec() } else { signature }
    }

    /// PKCS#1 or SEC1, as OpenSSL names it; Ed25519 has no such form.
    pub(crate) fn traditional(&self) -> Option<(&'static str, Vec<u8>)> {
        match &self.secret {
            Secret::Rsa(key) => Some(("RSA PRIVATE KEY", pkcs1(key, &[]))),
            Secret::Ec(curve, scalar) => {
                let parameters = der::tlv(0xa0, &curve.oid());
                let point = &self.spki[self.spki.len() - 1 - 2 * scalar.len()..];
                let point = der::tlv(0xa1, &der::bits(point));
                let sec1 = der::sequence(&[&der::small(1), &der::octets(scalar), &parameters, &point]);
                Some(("EC PRIVATE KEY", sec1))
            }
            Secret::Ed25519(_) | Secret::Even(_) => None,
        }
    }

    pub(crate) fn pkcs8(&self) -> Vec<u8> {
        let (algorithm, inner) = match &self.secret {
            Secret::Rsa(key) => {
                (der::sequence(&[&der::oid("1.2.840.113549.1.1.1"), der::NULL]), pkcs1(key, &[]))
            }
            Secret::Ec(curve, scalar) => (
                der::sequence(&[&der::oid("1.2.840.10045.2.1"), &curve.oid()]),
                der::sequence(&[&der::small(1), &der::octets(scalar)]),
            ),
            Secret::Ed25519(seed) => (der::sequence(&[&der::oid("1.3.101.112")]), der::octets(seed)),
            Secret::Even(_) => unreachable!("only CAs have it, and a CA's key is in no file"),
        };
        der::sequence(&[&der::small(0), &algorithm, &der::octets(&inner)])
    }
}

/// ring's signature, where it makes such; it is another one each time.
fn quick(curve: Curve, hash: Hash, spki: &[u8], scalar: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    let (algorithm, point) = match (curve, hash) {
        (Curve::P256, Hash::Sha256) => (&ring::signature::ECDSA_P256_SHA256_ASN1_SIGNING, 65),
        (Curve::P384, Hash::Sha384) => (&ring::signature::ECDSA_P384_SHA384_ASN1_SIGNING, 97),
        _ => return None,
    };
    let (point, random) = (&spki[spki.len() - point..], ring::rand::SystemRandom::new());
    let pair =
        ring::signature::EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar, point, &random);
    Some(pair.unwrap().sign(&random, data).unwrap().as_ref().to_vec())
}

/// PKCS#1, with some of the numbers replaced, by their place.
pub(crate) fn pkcs1(key: &rsa::PrivateKey, instead: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let primes = key.primes();
    let bytes = |number: &rsa::BoxedUint| der::unsigned(&number.to_be_bytes());
    let inverse = |prime: &rsa::BoxedUint| {
        let below = prime.wrapping_sub(rsa::BoxedUint::one());
        let below = crypto_bigint::NonZero::new(below).unwrap();
        key.d().rem_vartime(&below)
    };
    let coefficient = key.crt_coefficient().unwrap();
    let mut fields = vec![
        der::small(0),
        der::unsigned(&key.n_bytes()),
        der::unsigned(&key.e_bytes()),
        bytes(key.d()),
        bytes(&primes[0]),
        bytes(&primes[1]),
        bytes(&inverse(&primes[0])),
        bytes(&inverse(&primes[1])),
        bytes(&coefficient),
    ];
    for (at, other) in instead {
        fields[*at] = other.clone();
    }
    der::tlv(0x30, &fields.concat())
}
