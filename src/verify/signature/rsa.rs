//! RSA signatures. ring checks those of the sizes and exponents that are in use; Go checks others too (512 to 2047 and
//! more than 8192 bits, any exponent before 1.24, even moduli before 1.20), and those are worked out here: public
//! numbers only, so nothing leaks.

use crypto_bigint::{BoxedUint, NonZero};
use ring::signature as ring_signature;

use super::super::der;
use super::super::go::GoVersion;
use super::super::godebug::Rule;
use super::super::public_key::bit_length;
use super::power::power;
use super::{Hash, SignatureError};

/// How a digest is dressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    /// PKCS#1 v1.5.
    Pkcs1,
    /// PSS with MGF1 and a salt as long as the hash.
    Pss,
}

/// A public key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'a> {
    /// Big-endian, without leading zeros.
    pub(super) modulus: &'a [u8],
    pub(super) exponent: u64,
}

/// The largest modulus that is worked out, in bits; nobody has larger ones, and nobody shall wait for them.
const MAX_BITS: usize = 16384;

impl Key<'_> {
    pub(super) fn check(
        &self,
        hash: Hash,
        padding: Padding,
        signed: &[u8],
        signature: &[u8],
        go: GoVersion,
    ) -> Result<(), SignatureError> {
        let bits = bit_length(self.modulus);
        if go >= GoVersion::POLICIES && bits < 1024 && !go.relaxes(Rule::NoSmallRsa) {
            return Err(SignatureError::RsaTooSmall(bits));
        }
        if !self.is_sound(go) || signature.len() != bits.div_ceil(8) || bits > MAX_BITS {
            return Err(SignatureError::Rsa);
        }
        // As long as each other, so they compare as numbers do.
        let holds = if signature < self.modulus {
            self.holds(hash, padding, signed, signature)
        } else {
            go < GoVersion::ODD_MODULUS && self.holds(hash, padding, signed, &self.reduced(signature))
        };
        if holds { Ok(()) } else { Err(SignatureError::Rsa) }
    }

    /// Whether Go works with such numbers at all.
    fn is_sound(&self, go: GoVersion) -> bool {
        let exponent = self.exponent % 2 == 1 && (3..1 << 31).contains(&self.exponent);
        (go < GoVersion::ODD_MODULUS || self.is_odd()) && (go < GoVersion::POLICIES || exponent)
    }

    fn is_odd(&self) -> bool {
        self.modulus.last().is_some_and(|low| low % 2 == 1)
    }

    /// What is left of a signature that is not below the modulus.
    fn reduced(&self, signature: &[u8]) -> Vec<u8> {
        let number = BoxedUint::from_be_slice_vartime(signature);
        NonZero::new(BoxedUint::from_be_slice_vartime(self.modulus))
            .into_option()
            .map_or_else(Vec::new, |modulus| self.as_long(&number.rem_vartime(&modulus)))
    }

    /// A number below the modulus, as long as the modulus.
    fn as_long(&self, number: &BoxedUint) -> Vec<u8> {
        let bytes = number.to_be_bytes();
        let (missing, more) =
            (self.modulus.len().saturating_sub(bytes.len()), bytes.len().saturating_sub(self.modulus.len()));
        [&vec![0; missing][..], &bytes[more..]].concat()
    }

    fn holds(&self, hash: Hash, padding: Padding, signed: &[u8], signature: &[u8]) -> bool {
        let bits = bit_length(self.modulus);
        if (2048..=8192).contains(&bits)
            && self.is_odd()
            && self.exponent % 2 == 1
            && (3..1 << 33).contains(&self.exponent)
            && let Some(parameters) = of_ring(hash, padding)
        {
            let key = self.pkcs1();
            return ring_signature::UnparsedPublicKey::new(parameters, key).verify(signed, signature).is_ok();
        }
        let Some(encoded) = self.opened(signature) else { return false };
        let digest = hash.digest(signed);
        match padding {
            Padding::Pkcs1 => pkcs1(hash, &digest, encoded.len()).is_some_and(|expected| expected == encoded),
            Padding::Pss => is_pss(hash, &digest, &encoded, bits - 1),
        }
    }

    /// The signature to the power of the exponent; as long as the modulus.
    fn opened(&self, signature: &[u8]) -> Option<Vec<u8>> {
        let modulus = BoxedUint::from_be_slice_vartime(self.modulus);
        let number = BoxedUint::from_be_slice(signature, modulus.bits_precision()).ok()?;
        Some(self.as_long(&power(&number, &BoxedUint::from(self.exponent), &modulus)?))
    }

    /// PKCS#1's RSAPublicKey.
    fn pkcs1(&self) -> Vec<u8> {
        let exponent = self.exponent.to_be_bytes();
        let skip = exponent.iter().take_while(|&&byte| byte == 0).count();
        let mut content = integer(self.modulus);
        content.extend(integer(&exponent[skip..]));
        element(der::SEQUENCE, &content)
    }
}

fn of_ring(hash: Hash, padding: Padding) -> Option<&'static dyn ring_signature::VerificationAlgorithm> {
    Some(match (padding, hash) {
        (Padding::Pkcs1, Hash::Sha1) => &ring_signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        (Padding::Pkcs1, Hash::Sha256) => &ring_signature::RSA_PKCS1_2048_8192_SHA256,
        (Padding::Pkcs1, Hash::Sha384) => &ring_signature::RSA_PKCS1_2048_8192_SHA384,
        (Padding::Pkcs1, Hash::Sha512) => &ring_signature::RSA_PKCS1_2048_8192_SHA512,
        (Padding::Pss, Hash::Sha256) => &ring_signature::RSA_PSS_2048_8192_SHA256,
        (Padding::Pss, Hash::Sha384) => &ring_signature::RSA_PSS_2048_8192_SHA384,
        (Padding::Pss, Hash::Sha512) => &ring_signature::RSA_PSS_2048_8192_SHA512,
        (Padding::Pss, Hash::Sha1) => return None,
    })
}

/// RFC 8017, 9.2; `None` where the key is too short for it.
fn pkcs1(hash: Hash, digest: &[u8], length: usize) -> Option<Vec<u8>> {
    // SEQUENCE { SEQUENCE { OBJECT IDENTIFIER, NULL }, OCTET STRING }, up to the digest.
    let oid: &[u8] = match hash {
        Hash::Sha1 => &[0x2b, 0x0e, 3, 2, 0x1a],
        Hash::Sha256 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1],
        Hash::Sha384 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2],
        Hash::Sha512 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3],
    };
    let algorithm = element(der::SEQUENCE, &[&element(der::OID, oid)[..], &[der::NULL, 0]].concat());
    let told = element(der::SEQUENCE, &[algorithm, element(der::OCTET_STRING, digest)].concat());
    let filling = length.checked_sub(told.len() + 3).filter(|&filling| filling >= 8)?;
    Some([&[0, 1][..], &vec![0xff; filling], &[0], &told].concat())
}

/// RFC 8017, 9.1.2, with the salt as long as the hash. `bits` is one less than the modulus has.
fn is_pss(hash: Hash, digest: &[u8], encoded: &[u8], bits: usize) -> bool {
    let size = hash.size();
    let length = bits.div_ceil(8);
    // One byte less than the modulus where its highest bit begins a byte.
    let (before, encoded) = encoded.split_at(encoded.len() - length);
    if before.iter().any(|&byte| byte != 0) || length < 2 * size + 2 {
        return false;
    }
    let Some((0xbc, rest)) = encoded.split_last() else { return false };
    let (masked, hashed) = rest.split_at(length - size - 1);
    let unused = 8 * length - bits;
    let top = 0xff_u8.checked_shr(unused as u32).unwrap_or(0);
    if masked[0] & !top != 0 {
        return false;
    }
    let mut block: Vec<u8> =
        masked.iter().zip(mask(hash, hashed, masked.len())).map(|(a, b)| a ^ b).collect();
    block[0] &= top;
    let (filling, salt) = block.split_at(masked.len() - size);
    let Some((1, zeros)) = filling.split_last() else { return false };
    zeros.iter().all(|&byte| byte == 0) && hash.digest(&[&[0; 8][..], digest, salt].concat()) == hashed
}

/// MGF1.
fn mask(hash: Hash, seed: &[u8], length: usize) -> Vec<u8> {
    let blocks = (0u32..).map(|at| hash.digest(&[seed, &at.to_be_bytes()].concat()));
    blocks.flatten().take(length).collect()
}

fn integer(number: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(number.len() + 1);
    if number.first().is_none_or(|first| first & 0x80 != 0) {
        content.push(0);
    }
    content.extend(number);
    element(der::INTEGER, &content)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let skip = length.iter().take_while(|&&byte| byte == 0).count();
    match content.len() {
        short @ 0..128 => out.push(u8::try_from(short).expect("below 128")),
        _ => {
            out.push(0x80 | u8::try_from(length.len() - skip).expect("at most 8"));
            out.extend(&length[skip..]);
        }
    }
    out.extend(content);
    out
}
