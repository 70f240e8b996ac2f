//! An RSA key whose modulus is even, as nobody should have one: Go before 1.20 checks signatures with it.

use std::rc::Rc;

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{NonZero, Odd};
use rsa::BoxedUint;
use rsa::traits::PrivateKeyParts;
use sha2::Digest;

use super::der;

/// Twice a prime of an RSA key, and that key's exponents.
pub(crate) struct Even(pub(crate) Rc<rsa::PrivateKey>);

impl Even {
    fn prime(&self) -> &BoxedUint {
        &self.0.primes()[0]
    }

    /// The modulus, big-endian; it may begin with zeros.
    pub(crate) fn modulus(&self) -> Vec<u8> {
        let mut carry = 0;
        let mut out = self.prime().to_be_bytes().to_vec();
        for byte in out.iter_mut().rev() {
            (*byte, carry) = (*byte << 1 | carry, *byte >> 7);
        }
        [&[carry][..], &out].concat()
    }

    /// PKCS#1 v1.5 with SHA-256.
    pub(crate) fn sign(&self, data: &[u8]) -> Vec<u8> {
        let modulus = self.modulus();
        let length = modulus.iter().skip_while(|&&byte| byte == 0).count();
        let algorithm = der::sequence(&[&der::oid("2.16.840.1.101.3.4.2.1"), der::NULL]);
        let told = der::sequence(&[&algorithm, &der::octets(&sha2::Sha256::digest(data))]);
        let filling = vec![0xff; length - 3 - told.len()];
        let encoded = [&[0, 1][..], &filling, &[0], &told].concat();
        let odd = encoded[encoded.len() - 1] & 1 == 1;
        let prime = NonZero::new(self.prime().clone()).unwrap();
        let number = BoxedUint::from_be_slice_vartime(&encoded).rem_vartime(&prime);
        let params = BoxedMontyParams::new_vartime(Odd::new(self.prime().clone()).unwrap());
        let root = BoxedMontyForm::new(number, &params).pow(self.0.d()).retrieve();
        // Of the two numbers below the modulus that leave this below the prime, the one with the right last bit.
        let root = if (root.to_be_bytes().last().unwrap() & 1 == 1) == odd {
            root.to_be_bytes().to_vec()
        } else {
            plus(&root.to_be_bytes(), &self.prime().to_be_bytes())
        };
        let wide = [&vec![0; length][..], &root].concat();
        wide[wide.len() - length..].to_vec()
    }
}

/// The sum of two big-endian numbers, one byte longer than the longer one.
pub(crate) fn plus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let length = a.len().max(b.len()) + 1;
    let mut carry = 0u16;
    let mut out = vec![0; length];
    for at in 0..length {
        let digit = |number: &[u8]| number.iter().rev().nth(at).map_or(0, |&byte| u16::from(byte));
        let sum = digit(a) + digit(b) + carry;
        out[length - 1 - at] = sum as u8;
        carry = sum >> 8;
    }
    out
}
