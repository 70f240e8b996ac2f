//! DSA signatures (FIPS 186-3), which Go checks up to 1.15.

use crypto_bigint::{BoxedUint, ConcatenatingMul, NonZero, Resize};

use super::super::asn1::Fields;
use super::super::parse_error::ParseError;
use super::super::public_key::{DsaKey, bit_length};
use super::power::power;
use super::{Hash, SignatureError};

/// The largest numbers that are worked with, in bits; nobody has larger ones, and nobody shall wait for them.
const MAX_BITS: usize = 16384;

pub(super) fn check(key: &DsaKey, hash: Hash, signed: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    let (r, s) = parts(signature).map_err(|error| SignatureError::Dsa(error.to_string()))?;
    let positive = |number: &[u8]| number[0] & 0x80 == 0 && number != [0];
    if !positive(r) || !positive(s) {
        return Err(SignatureError::Dsa("x509: DSA signature contained zero or negative values".to_owned()));
    }
    let mut digest = hash.digest(signed);
    digest.truncate(bit_length(&key.order) / 8);
    match holds(key, &digest, r, s) {
        Some(true) => Ok(()),
        _ => Err(SignatureError::Dsa("x509: DSA verification failure".to_owned())),
    }
}

fn parts(signature: &[u8]) -> Result<(&[u8], &[u8]), ParseError> {
    let mut file = Fields::of(signature);
    let mut fields = file.sequence("dsaSignature")?;
    let parts = (fields.integer()?, fields.integer()?);
    if file.is_empty() { Ok(parts) } else { Err(ParseError::new("trailing data after DSA signature")) }
}

/// Whether r is what the signature makes of the digest; `None` where it cannot be worked out.
fn holds(key: &DsaKey, digest: &[u8], r: &[u8], s: &[u8]) -> Option<bool> {
    let numbers = [&key.prime, &key.order, &key.generator, &key.public];
    let too_large = |number: &[u8]| bit_length(number) > MAX_BITS;
    if numbers.iter().any(|number| too_large(number)) || too_large(r) || too_large(s) {
        return None;
    }
    let [prime, order, generator, public] = numbers.map(|number| BoxedUint::from_be_slice_vartime(number));
    let (r, s) = (BoxedUint::from_be_slice_vartime(r), BoxedUint::from_be_slice_vartime(s));
    if r >= order || s >= order || !order.bit_width().is_multiple_of(8) {
        return Some(false);
    }
    let below = |number: &BoxedUint, modulus: &BoxedUint| -> Option<BoxedUint> {
        Some(number.rem_vartime(&NonZero::new(modulus.clone()).into_option()?))
    };
    let order_or_none = NonZero::new(order.clone()).into_option()?;
    let inverse = s.resize(order.bits_precision()).invert_mod(&order_or_none).into_option()?;
    let digest = BoxedUint::from_be_slice_vartime(digest);
    let exponents = [digest, r.clone()].map(|number| below(&number.concatenating_mul(&inverse), &order));
    let mut product = BoxedUint::one();
    for (base, exponent) in [generator, public].iter().zip(exponents) {
        let factor = power(&below(base, &prime)?, &exponent?, &prime)?;
        product = below(&product.concatenating_mul(&factor), &prime)?;
    }
    Some(below(&product, &order)? == r)
}
