//! Private keys as `tls.X509KeyPair` reads them: the first block whose type ends in PRIVATE KEY; PKCS#1, PKCS#8 or
//! SEC1; and whether it belongs to the certificate.

mod complaint;
mod fields;
mod rsa;

use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use super::go::GoVersion;
use super::pem::Block;
use super::public_key::{Curve, PublicKey};
use fields::Fields;

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
    #[error("tls: failed to parse private key{0}")]
    Encrypted(String),
    /// Damaged, or of a kind that Go does not know.
    #[error("tls: failed to parse private key{0}")]
    Unreadable(String),
    /// X25519 and the like.
    #[error("tls: found unknown private key type in PKCS#8 wrapping")]
    UnknownKind,
}

/// What a private key says of its public half.
///
/// `likely` is the key that it most likely belongs to: whether it does is asked at less cost than what it would be.
/// Go looks at neither the kind that the block names nor its headers, so neither makes a key encrypted by itself.
pub(super) fn public_of(blocks: &[Block], likely: &PublicKey, go: GoVersion) -> Result<PublicKey, KeyError> {
    let Some(block) = blocks.iter().find(|block| block.is_private_key()) else {
        let kinds: Vec<_> = blocks.iter().map(|block| block.label.as_str()).collect();
        return Err(match kinds.as_slice() {
            [] => KeyError::NoPem,
            ["CERTIFICATE"] => KeyError::Certificate,
            other => KeyError::NoKey(other.join(" ")),
        });
    };
    let der = block.der.as_slice();
    let unreadable = || {
        let why = if go < GoVersion::NAMED_KEY_ERRORS { String::new() } else { complaint::of(der) };
        if block.is_encrypted() { KeyError::Encrypted(why) } else { KeyError::Unreadable(why) }
    };
    rsa::pkcs1(der, go)
        .map(Ok)
        .or_else(|| pkcs8(der, likely, go))
        .or_else(|| sec1(der, None, likely, go).map(Ok))
        .unwrap_or_else(|| Err(unreadable()))
}

fn pkcs8(der: &[u8], likely: &PublicKey, go: GoVersion) -> Option<Result<PublicKey, KeyError>> {
    let mut fields = Fields::of(der).nested()?;
    fields.int64()?;
    let mut algorithm = fields.nested()?;
    let oid = algorithm.oid()?;
    let parameters = algorithm.rest_element()?;
    let key = fields.octets()?;
    match oid {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01] => rsa::pkcs1(key, go).map(Ok),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01] => {
            let curve = Fields::of(parameters).oid().map(Curve::of_oid);
            match curve {
                Some(None) => None,
                Some(known) => sec1(key, known, likely, go).map(Ok),
                None => sec1(key, None, likely, go).map(Ok),
            }
        }
        [0x2b, 0x65, 0x70] if parameters.is_empty() => {
            let pair = Ed25519KeyPair::from_seed_unchecked(Fields::of(key).octets()?).ok()?;
            Some(Ok(PublicKey::Ed25519(pair.public_key().as_ref().to_vec())))
        }
        [0x2b, 0x65, 0x6e] => Some(Err(KeyError::UnknownKind)),
        _ => None,
    }
}

/// What a file in SEC1 holds, sound as DER.
struct EcFile<'a> {
    version: i64,
    scalar: &'a [u8],
    /// The curve's object identifier.
    named: Option<&'a [u8]>,
}

impl<'a> EcFile<'a> {
    fn read(der: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::of(der).nested()?;
        let (version, scalar) = (fields.int64()?, fields.octets()?);
        let named = fields.explicit_oid(0)?;
        fields.explicit_bit_string(1)?;
        Some(Self { version, scalar, named })
    }
}

/// SEC1: the scalar's point is computed, what the file says of it is not looked at.
fn sec1(der: &[u8], curve: Option<Curve>, likely: &PublicKey, go: GoVersion) -> Option<PublicKey> {
    let EcFile { version, scalar, named } = EcFile::read(der)?;
    if version != 1 {
        return None;
    }
    let curve = curve.or(named.and_then(Curve::of_oid))?;
    // Leading zeros may be missing or too many.
    let zeros = scalar.len().saturating_sub(curve.size());
    if scalar[..zeros].iter().any(|&byte| byte != 0) {
        return None;
    }
    let mut wide = Zeroizing::new(vec![0u8; curve.size()]);
    let scalar = &scalar[zeros..];
    let start = wide.len() - scalar.len();
    wide[start..].copy_from_slice(scalar);
    if go < GoVersion::CHAIN_CONSTRAINTS && wide.iter().all(|&byte| byte == 0) {
        // The point at infinity, which is nobody's public key.
        return Some(PublicKey::Ec { curve, point: Vec::new() });
    }
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
