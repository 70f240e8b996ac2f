//! Private keys: made, read in every form that other tools write, written as PKCS#8.

mod cost;
mod generate_rsa;
mod kind;
mod legacy_pem;
mod read;
mod wipe;

use std::fmt;
use std::str::FromStr;

use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::Decode;
use rcgen::{KeyPair, PublicKeyData, SigningKey};
use ring::rand::{SecureRandom, SystemRandom};
use rustls_pki_types::PrivatePkcs8KeyDer;
use zeroize::Zeroizing;

use super::{CaError, pem};
use generate_rsa::generate_rsa;
pub use kind::kind_of;
pub use read::KeyError;

/// The kinds of key that are made. Go, OpenSSL and ring know them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyType {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA, 2048 bits.
    Rsa2048,
    /// RSA, 3072 bits.
    Rsa3072,
    /// RSA, 4096 bits.
    Rsa4096,
}

impl KeyType {
    /// Their names on the command line and in templates.
    pub const NAMES: [&'static str; 6] = ["p256", "p384", "ed25519", "rsa2048", "rsa3072", "rsa4096"];
    const ALL: [Self; 6] =
        [Self::P256, Self::P384, Self::Ed25519, Self::Rsa2048, Self::Rsa3072, Self::Rsa4096];

    /// The name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().position(|&kind| kind == self).map_or("", |at| Self::NAMES[at])
    }

    /// Whether it is an RSA key, which also enciphers keys in TLS 1.2.
    pub const fn is_rsa(self) -> bool {
        matches!(self, Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096)
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyType {
    type Err = CaError;

    fn from_str(text: &str) -> Result<Self, CaError> {
        Self::NAMES.iter().position(|&name| name == text).map(|at| Self::ALL[at]).ok_or_else(|| {
            let hint = format!("one of {}", Self::NAMES.join(", "));
            CaError::value("key type", text, "there is no such key type", hint)
        })
    }
}

/// A private key, wiped from memory when it is dropped.
///
/// While it lives memory holds it twice: as PKCS#8, and as ring computes with it.
pub struct PrivateKey {
    /// In a place of its own: each move of the pair itself would leave a copy on the stack.
    pair: Box<KeyPair>,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        wipe::wipe(&mut self.pair);
    }
}

/// What a CA key is encrypted with; wiped from memory when it is dropped, and never printed.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// From its bytes.
    pub const fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase")
    }
}

impl PrivateKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`CaError::Crypto`] when the system gives no random bytes.
    pub fn generate(kind: KeyType) -> Result<Self, CaError> {
        let made = |make: &dyn Fn() -> Result<KeyPair, rcgen::Error>| {
            let failed =
                |error: rcgen::Error| CaError::Crypto { action: "make a key", what: error.to_string() };
            Self::boxed(make).map_err(failed)
        };
        match kind {
            KeyType::P256 => made(&|| KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)),
            KeyType::P384 => made(&|| KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)),
            KeyType::Ed25519 => {
                // PKCS#8 version 1, a bare seed (RFC 8410): OpenSSL 3.0 cannot read the version 2 that ring writes.
                let mut der = Zeroizing::new([0; ED25519_V1.len() + 32]);
                der[..ED25519_V1.len()].copy_from_slice(&ED25519_V1);
                random(&mut der[ED25519_V1.len()..])?;
                made(&|| KeyPair::try_from(&PrivatePkcs8KeyDer::from(der.as_slice())))
            }
            KeyType::Rsa2048 => generate_rsa(2048),
            KeyType::Rsa3072 => generate_rsa(3072),
            KeyType::Rsa4096 => generate_rsa(4096),
        }
    }

    /// Keeps a pair that `make` makes, and wipes what making it left on the stack.
    fn boxed<E>(make: impl FnOnce() -> Result<KeyPair, E>) -> Result<Self, E> {
        wipe::on_own_stack(|| make().map(|pair| Self { pair: Box::new(pair) }))
    }

    /// The key as a PEM file of PKCS#8, unencrypted.
    pub fn to_pem(&self) -> Zeroizing<String> {
        pem::encode("PRIVATE KEY", self.pair.serialized_der())
    }

    /// The key as a PEM file of PKCS#8, encrypted where there is a passphrase: PBES2 with scrypt (N = 2^14, the most
    /// that OpenSSL reads) and AES-256-CBC.
    ///
    /// # Errors
    /// [`CaError::Crypto`]
    pub fn to_pem_with(&self, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>, CaError> {
        let Some(passphrase) = passphrase else { return Ok(self.to_pem()) };
        let failed = |what: String| CaError::Crypto { action: "encrypt the key", what };
        let info = PrivateKeyInfoRef::from_der(self.pkcs8()).map_err(|error| failed(error.to_string()))?;
        let encrypted = info.encrypt(passphrase.as_bytes()).map_err(|error| failed(error.to_string()))?;
        Ok(pem::encode("ENCRYPTED PRIVATE KEY", encrypted.as_bytes()))
    }

    /// The key as PKCS#8 DER.
    pub fn pkcs8(&self) -> &[u8] {
        self.pair.serialized_der()
    }

    /// The kind, where it is one of those that are made here.
    pub fn kind(&self) -> Option<KeyType> {
        let algorithm = PublicKeyData::algorithm(&*self.pair);
        if algorithm == &rcgen::PKCS_ECDSA_P256_SHA256 {
            Some(KeyType::P256)
        } else if algorithm == &rcgen::PKCS_ECDSA_P384_SHA384 {
            Some(KeyType::P384)
        } else if algorithm == &rcgen::PKCS_ED25519 {
            Some(KeyType::Ed25519)
        } else {
            // A DER RSAPublicKey is the modulus, 5 bytes of exponent and up to 9 of lengths.
            match self.pair.der_bytes().len() {
                257..=274 => Some(KeyType::Rsa2048),
                385..=402 => Some(KeyType::Rsa3072),
                513..=530 => Some(KeyType::Rsa4096),
                _ => None,
            }
        }
    }

    /// The subjectPublicKey bits, as they stand in a certificate.
    pub fn public_bits(&self) -> &[u8] {
        self.pair.der_bytes()
    }

    pub(super) fn pair(&self) -> &KeyPair {
        &self.pair
    }

    /// Signs with the key's own algorithm (SHA-256 with RSA and P-256, SHA-384 with P-384).
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CaError> {
        wipe::on_own_stack(|| self.pair.sign(message))
            .map_err(|error| CaError::Crypto { action: "sign", what: error.to_string() })
    }
}

/// Fills `bytes` from the system's random source.
pub(super) fn random(bytes: &mut [u8]) -> Result<(), CaError> {
    SystemRandom::new()
        .fill(bytes)
        .map_err(|_| CaError::Crypto { action: "get random bytes", what: "the system gave none".into() })
}

/// PrivateKeyInfo { 0, { 1.3.101.112 }, OCTET STRING { OCTET STRING of 32 bytes } } up to the seed.
const ED25519_V1: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_made_written_and_read_back() {
        for kind in [KeyType::P256, KeyType::P384, KeyType::Ed25519, KeyType::Rsa2048] {
            let key = PrivateKey::generate(kind).unwrap();
            assert_eq!(key.kind(), Some(kind));
            let again = PrivateKey::from_pem(key.to_pem().as_bytes(), None).unwrap();
            assert_eq!(again.public_bits(), key.public_bits());
            assert_eq!(kind.to_string().parse::<KeyType>().unwrap(), kind);
        }
    }

    #[test]
    fn an_encrypted_key_opens_with_its_passphrase_only() {
        let key = PrivateKey::generate(KeyType::P256).unwrap();
        let passphrase = |text: &str| Passphrase::new(Zeroizing::new(text.as_bytes().to_vec()));
        let file = key.to_pem_with(Some(&passphrase("right"))).unwrap();
        let open = |with: Option<&Passphrase>| PrivateKey::from_pem(file.as_bytes(), with);
        assert_eq!(open(Some(&passphrase("right"))).unwrap().public_bits(), key.public_bits());
        assert_eq!(open(Some(&passphrase("wrong"))).unwrap_err(), KeyError::WrongPassphrase);
        assert_eq!(open(None).unwrap_err(), KeyError::Encrypted);
        assert_eq!(format!("{:?}", passphrase("right")), "Passphrase");
    }

    #[test]
    fn a_debug_print_shows_no_key() {
        assert_eq!(format!("{:?}", PrivateKey::generate(KeyType::P256).unwrap()), "PrivateKey");
    }

    #[test]
    fn what_is_no_key_says_so() {
        assert_eq!(PrivateKey::from_pem(b"", None).unwrap_err(), KeyError::NoKey);
        let broken = pem::encode("PRIVATE KEY", &[0x30, 0]);
        assert!(matches!(PrivateKey::from_pem(broken.as_bytes(), None), Err(KeyError::Unusable(_))));
    }
}
