//! RSA private keys in PKCS#1, and whether their numbers belong together.

use crypto_bigint::{BoxedUint, ConcatenatingMul, Integer, NonZero};
use zeroize::Zeroizing;

use super::super::go::GoVersion;
use super::super::godebug::Rule;
use super::super::public_key::{PublicKey, bit_length};
use super::fields::Fields;

/// How long a modulus or an exponent is looked at; nobody has such keys, and nobody shall wait for them.
const MAX_BITS: usize = 1 << 15;

type Number = Zeroizing<BoxedUint>;

/// The numbers of a key; all positive.
struct Numbers {
    modulus: Number,
    exponent: u64,
    private: Number,
    primes: Vec<Number>,
    /// Exponents of the two primes, and the coefficient, where all three are given.
    remainders: Option<[Number; 3]>,
}

/// What a file in PKCS#1 holds, sound as DER.
pub(super) struct File<'a> {
    version: i64,
    modulus: &'a [u8],
    exponent: i64,
    private: &'a [u8],
    primes: Vec<&'a [u8]>,
    /// Exponents of the first two primes and the coefficient, as far as they are given.
    given: Vec<&'a [u8]>,
    /// Whether nothing follows.
    is_whole: bool,
}

impl<'a> File<'a> {
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut file = Fields::of(der);
        let mut fields = file.nested()?;
        let version = fields.int64()?;
        let modulus = fields.integer()?;
        let exponent = fields.int64()?;
        let private = fields.integer()?;
        let mut primes = vec![fields.integer()?, fields.integer()?];
        let mut given = Vec::new();
        for _ in 0..3 {
            given.extend(fields.optional_integer()?);
        }
        if let Some(mut more) = fields.optional_nested()? {
            while !more.is_empty() {
                let mut one = more.nested()?;
                primes.push(one.integer()?);
                one.integer()?;
                one.integer()?;
            }
        }
        Some(Self { version, modulus, exponent, private, primes, given, is_whole: file.is_empty() })
    }
}

/// The public half of a key in PKCS#1; `None` where Go refuses it.
pub(super) fn pkcs1(der: &[u8], go: GoVersion) -> Option<PublicKey> {
    let File { version, modulus, exponent, private, primes, given, is_whole } = File::read(der)?;
    if !is_whole || version > 1 {
        return None;
    }
    let numbers = [&[modulus, private], primes.as_slice()].concat();
    let checked = if go >= GoVersion::POLICIES { given.as_slice() } else { &[] };
    if numbers.iter().chain(checked).any(|number| !is_positive(number)) {
        return None;
    }
    let exponent = u64::try_from(exponent).ok()?;
    let too_long = numbers.iter().chain(checked).any(|number| bit_length(number) > MAX_BITS);
    let numbers = || Numbers {
        modulus: number(modulus),
        exponent,
        private: number(private),
        primes: primes.iter().map(|prime| number(prime)).collect(),
        remainders: <[Number; 3]>::try_from(given.iter().map(|one| number(one)).collect::<Vec<_>>()).ok(),
    };
    let belong = || {
        // Told so, Go does without what the file holds beside the primes where that is wrong.
        let recomputed = || Numbers { remainders: None, ..numbers() }.belong(go);
        numbers().belong(go) || (go.relaxes(Rule::RightRemainders) && recomputed())
    };
    if !too_long && !belong() {
        return None;
    }
    Some(PublicKey::Rsa { modulus: modulus.strip_prefix(&[0]).unwrap_or(modulus).to_vec(), exponent })
}

fn is_positive(number: &[u8]) -> bool {
    number[0] & 0x80 == 0 && number != [0]
}

fn number(bytes: &[u8]) -> Number {
    Zeroizing::new(BoxedUint::from_be_slice_vartime(bytes))
}

impl Numbers {
    fn belong(&self, go: GoVersion) -> bool {
        if go < GoVersion::POLICIES {
            return (2..1 << 31).contains(&self.exponent) && self.are_inverse();
        }
        let odd = bool::from(self.modulus.is_odd()) && self.exponent % 2 == 1;
        if !odd || !(3..1 << 31).contains(&self.exponent) || *self.private >= *self.modulus {
            return false;
        }
        match self.primes.as_slice() {
            [first, second] => self.fit(first, second, go),
            // Of keys with more primes than two Go only wants that it can work with them.
            more => more.iter().all(|prime| prime.bit_width() > 1),
        }
    }

    /// Before 1.24: the primes make the modulus, and the exponents are each other's inverse below each prime.
    fn are_inverse(&self) -> bool {
        let mut product = Zeroizing::new(BoxedUint::one());
        for prime in &self.primes {
            product = times(&product, prime);
            // A file may list any number of them: no product is worked out that cannot be the modulus.
            if product.bit_width() > self.modulus.bit_width() {
                return false;
            }
        }
        let both = times(&self.private, &BoxedUint::from(self.exponent));
        *product == *self.modulus && self.primes.iter().all(|prime| is_one_below(&both, &less_one(prime)))
    }

    /// From 1.24 on: the same, with the numbers that the file holds for the two primes, and the primes apart.
    fn fit(&self, first: &Number, second: &Number, go: GoVersion) -> bool {
        let product = below_of(&times(first, second), &self.modulus);
        if *product != BoxedUint::zero()
            || **first >= *self.modulus
            || **second >= *self.modulus
            || !bool::from(first.is_odd())
        {
            return false;
        }
        let below = [less_one(first), less_one(second)];
        if below.iter().any(|below| below.bit_width() < 2) {
            return false;
        }
        let of_private = below.each_ref().map(|below| below_of(&self.private, below));
        let exponents = match &self.remainders {
            Some([first, second, _]) => [first.clone(), second.clone()],
            None => of_private.clone(),
        };
        let exponent = BoxedUint::from(self.exponent);
        let sound = exponents
            .iter()
            .zip(&below)
            .all(|(own, below)| **own < **below && is_one_below(&times(own, &exponent), below));
        let coefficient = self.remainders.as_ref().is_none_or(|[_, _, coefficient]| {
            **coefficient < **first && is_one_below(&times(coefficient, second), first)
        });
        let same =
            go < GoVersion::CHAIN_CONSTRAINTS || exponents.iter().zip(&of_private).all(|(a, b)| **a == **b);
        let (larger, smaller) = if **first > **second { (first, second) } else { (second, first) };
        let apart = larger.wrapping_sub(&**smaller).bit_width();
        let bits = self.modulus.bit_width();
        sound && coefficient && same && apart + 100 > bits / 2 && self.private.bit_width() > bits / 2
    }
}

fn times(a: &BoxedUint, b: &BoxedUint) -> Number {
    Zeroizing::new(a.concatenating_mul(b))
}

fn less_one(prime: &BoxedUint) -> Number {
    Zeroizing::new(prime.wrapping_sub(BoxedUint::one()))
}

/// What is left of a number; nothing is left of any below 0 or 1.
fn below_of(number: &BoxedUint, modulus: &BoxedUint) -> Number {
    let modulus = NonZero::new(modulus.clone()).into_option();
    Zeroizing::new(modulus.map_or_else(BoxedUint::zero, |modulus| number.rem(&modulus)))
}

fn is_one_below(number: &BoxedUint, modulus: &BoxedUint) -> bool {
    *below_of(number, modulus) == BoxedUint::one()
}
