//! Private keys as `tls.X509KeyPair` reads them: the first block whose type ends in PRIVATE KEY; PKCS#1, PKCS#8 or
//! SEC1; and whether it belongs to the certificate.

use crypto_bigint::{BoxedUint, ConcatenatingMul, NonZero};
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use super::der::{self, Der};
use super::pem::Block;
use super::public_key::{Curve, PublicKey, bit_length};

/// Why a key cannot be used, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyError {
    /// There is no PEM at all.
    #[error("tls: failed to find any PEM data in key input")]
    NoPem,
    /// Only a certificate.
    #[error("tls: found a certificate rather than a key in the PEM for the private key")]
    Certificate,
    /// Blocks, but no key among them.
    #[error(
        "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM blocks of the following types: [{0}]"
    )]
    NoKey(String),
    /// A key that needs a passphrase.
    #[error("tls: failed to parse private key")]
    Encrypted,
    /// Damaged, or of a kind that Go does not know.
    #[error("tls: failed to parse private key")]
    Unreadable,
    /// X25519 and the like.
    #[error("tls: found unknown private key type in PKCS#8 wrapping")]
    UnknownKind,
}

/// What a private key says of its public half.
///
/// `likely` is the key that it most likely belongs to: whether it does is asked at less cost than what it would be.
pub(super) fn public_of(blocks: &[Block], likely: &PublicKey) -> Result<PublicKey, KeyError> {
    let Some(block) = blocks.iter().find(|block| block.is_private_key()) else {
        let kinds: Vec<_> = blocks.iter().map(|block| block.label.as_str()).collect();
        return Err(match kinds.as_slice() {
            [] => KeyError::NoPem,
            ["CERTIFICATE"] => KeyError::Certificate,
            other => KeyError::NoKey(other.join(" ")),
        });
    };
    if block.is_encrypted() {
        return Err(KeyError::Encrypted);
    }
    let der = block.der.as_slice();
    pkcs1(der)
        .filter(|_| Der(der).any().is_some_and(|element| element.full.len() == der.len()))
        .map(Ok)
        .or_else(|| pkcs8(der, likely))
        .or_else(|| sec1(der, None, likely).map(Ok))
        .unwrap_or(Err(KeyError::Unreadable))
}

/// PKCS#1: the modulus, and whether the numbers belong together.
fn pkcs1(der: &[u8]) -> Option<PublicKey> {
    let mut fields = Der(der).read(der::SEQUENCE)?;
    if !(0..=1).contains(&fields.int64()?) {
        return None;
    }
    let modulus = positive(&mut fields)?;
    let exponent = u64::try_from(fields.int64()?).ok()?;
    let private = Zeroizing::new(positive(&mut fields)?);
    let first = Zeroizing::new(positive(&mut fields)?);
    let second = Zeroizing::new(positive(&mut fields)?);
    // Further primes are as rare as they are useless; Go reads them, so does this.
    let two_primes = fields.0.len() < 8 || skip_crt(fields).is_none_or(|rest| rest.is_empty());
    if two_primes && !belongs(&modulus, exponent, &private, &first, &second) {
        return None;
    }
    Some(PublicKey::Rsa { modulus, exponent })
}

fn skip_crt(mut fields: Der<'_>) -> Option<Der<'_>> {
    for _ in 0..3 {
        fields.integer()?;
    }
    Some(fields)
}

fn positive(fields: &mut Der<'_>) -> Option<Vec<u8>> {
    let number = fields.integer()?;
    (number[0] & 0x80 == 0 && number != [0]).then(|| number.strip_prefix(&[0]).unwrap_or(number).to_vec())
}

/// How long a modulus or an exponent is looked at; nobody has such keys, and nobody shall wait for them.
const MAX_BITS: usize = 1 << 15;

/// Whether the primes make the modulus, and the exponents are each other's inverse below each prime: Go's `Validate`.
fn belongs(modulus: &[u8], exponent: u64, private: &[u8], first: &[u8], second: &[u8]) -> bool {
    if [modulus, private, first, second].into_iter().any(|number| bit_length(number) > MAX_BITS) {
        return true;
    }
    let number = |bytes: &[u8]| Zeroizing::new(BoxedUint::from_be_slice_vartime(bytes));
    let primes = [number(first), number(second)];
    let product = Zeroizing::new(primes[0].concatenating_mul(&*primes[1]));
    let both = Zeroizing::new(number(private).concatenating_mul(BoxedUint::from(exponent)));
    *product == *number(modulus)
        && primes.iter().all(|prime| {
            let below = NonZero::new(prime.wrapping_sub(BoxedUint::one())).into_option();
            below.is_some_and(|below| bool::from(both.rem(&below).is_one()))
        })
}

fn pkcs8(der: &[u8], likely: &PublicKey) -> Option<Result<PublicKey, KeyError>> {
    let mut fields = Der(der).read(der::SEQUENCE)?;
    fields.int64()?;
    let mut algorithm = fields.read(der::SEQUENCE)?;
    let oid = algorithm.oid(false)?;
    let parameters = if algorithm.is_empty() { &[][..] } else { algorithm.any()?.full };
    let key = fields.read(der::OCTET_STRING)?.0;
    match oid {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01] => pkcs1(key).map(Ok),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01] => {
            let curve = Der(parameters).oid(false).map(Curve::of_oid);
            match curve {
                Some(None) => None,
                Some(known) => sec1(key, known, likely).map(Ok),
                None => sec1(key, None, likely).map(Ok),
            }
        }
        [0x2b, 0x65, 0x70] if parameters.is_empty() => {
            let seed = Der(key).read(der::OCTET_STRING)?.0;
            let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
            Some(Ok(PublicKey::Ed25519(pair.public_key().as_ref().to_vec())))
        }
        [0x2b, 0x65, 0x6e] => Some(Err(KeyError::UnknownKind)),
        _ => None,
    }
}

/// SEC1: the scalar's point is computed, what the file says of it is not looked at.
fn sec1(der: &[u8], curve: Option<Curve>, likely: &PublicKey) -> Option<PublicKey> {
    let mut fields = Der(der).read(der::SEQUENCE)?;
    if fields.int64()? != 1 {
        return None;
    }
    let scalar = fields.read(der::OCTET_STRING)?.0;
    let named = match fields.optional(der::explicit(0))? {
        Some(mut inner) => inner.oid(false).and_then(Curve::of_oid),
        None => None,
    };
    let curve = curve.or(named)?;
    // Leading zeros may be missing or too many.
    let zeros = scalar.len().saturating_sub(curve.size());
    if scalar[..zeros].iter().any(|&byte| byte != 0) {
        return None;
    }
    let mut wide = Zeroizing::new(vec![0u8; curve.size()]);
    let scalar = &scalar[zeros..];
    let start = wide.len() - scalar.len();
    wide[start..].copy_from_slice(scalar);
    if let PublicKey::Ec { curve: same, point } = likely
        && *same == curve
        && are_pair(curve, &wide, point)
    {
        return Some(likely.clone());
    }
    macro_rules! point {
        ($curve:ident) => {{
            use $curve::elliptic_curve::sec1::ToSec1Point;
            $curve::SecretKey::from_slice(&wide).ok()?.public_key().to_sec1_point(false).as_bytes().to_vec()
        }};
    }
    let point = match curve {
        Curve::P224 => point!(p224),
        Curve::P256 => point!(p256),
        Curve::P384 => point!(p384),
        Curve::P521 => point!(p521),
    };
    Some(PublicKey::Ec { curve, point })
}

/// Whether ring finds scalar and point to be a pair; it knows two of the curves, and has tables for them.
fn are_pair(curve: Curve, scalar: &[u8], point: &[u8]) -> bool {
    let algorithm = match curve {
        Curve::P256 => &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        Curve::P384 => &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
        Curve::P224 | Curve::P521 => return false,
    };
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar, point, &SystemRandom::new()).is_ok()
}
