//! Powers below a modulus. Of public numbers only, so nothing leaks.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, ConcatenatingMul, NonZero, Odd, Resize};

/// A power of a number that is below the modulus; `None` for the modulus 0.
pub(super) fn power(base: &BoxedUint, exponent: &BoxedUint, modulus: &BoxedUint) -> Option<BoxedUint> {
    match Odd::new(modulus.clone()).into_option() {
        Some(odd) => {
            let base = base.clone().resize(modulus.bits_precision());
            let base = BoxedMontyForm::new(base, &BoxedMontyParams::new_vartime(odd));
            Some(base.pow_bounded_exp(exponent, exponent.bit_width()).retrieve())
        }
        None => Some(by_squares(base, exponent, &NonZero::new(modulus.clone()).into_option()?)),
    }
}

/// Below any modulus, bit by bit of the exponent.
fn by_squares(base: &BoxedUint, exponent: &BoxedUint, modulus: &NonZero<BoxedUint>) -> BoxedUint {
    let times = |a: &BoxedUint, b: &BoxedUint| a.concatenating_mul(b).rem_vartime(modulus);
    (0..exponent.bit_width()).rev().fold(BoxedUint::one(), |power, bit| {
        let square = times(&power, &power);
        if exponent.bit_vartime(bit) { times(&square, base) } else { square }
    })
}
