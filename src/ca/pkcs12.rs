//! A PKCS#12 file (RFC 7292) with a key and its certificates, as OpenSSL 3 and Java 8 and later read it: PBES2 with
//! PBKDF2, HMAC-SHA-256 and AES-256-CBC inside, HMAC-SHA-256 around it.
//!
//! Written by hand, since the crates for it rest on pre-releases and on old ciphers that are not wanted here. Nothing is
//! read, and the derivation of the MAC's key needs one block only.

use pkcs8::der::Encode;
use pkcs8::pkcs5::{EncryptionScheme, pbes2};
use ring::digest::{SHA256, digest};
use ring::hmac;
use zeroize::Zeroizing;

use super::der::{sequence, tagged};
use super::encode::key_id;
use super::key::random;
use super::{CaError, PrivateKey};

/// Rounds of both key derivations; Java's keytool takes up to five million.
const ROUNDS: u32 = 100_000;

/// What a file is made of.
pub(super) struct Contents<'a> {
    /// The name under which Java keeps the entry (`friendlyName`): ASCII.
    pub(super) name: &'a str,
    /// The key.
    pub(super) key: &'a PrivateKey,
    /// The DER of the leaf, then of the CAs above it.
    pub(super) certificates: &'a [&'a [u8]],
    /// Printable ASCII: all that Java takes.
    pub(super) passphrase: &'a [u8],
}

const DATA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
const ENCRYPTED_DATA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 6];
const FRIENDLY_NAME: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 20];
const LOCAL_KEY_ID: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 21];
const X509_CERTIFICATE: &[u8] = &[0x06, 10, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 22, 1];
const SHROUDED_KEY_BAG: &[u8] = &[0x06, 11, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, 2];
const CERT_BAG: &[u8] = &[0x06, 11, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, 3];
const SHA_256: &[u8] = &[0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
const NULL: &[u8] = &[0x05, 0];

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const BMP_STRING: u8 = 0x1e;
const SET: u8 = 0x31;
/// `[0]` around another element, and `[0]` in the place of an OCTET STRING's tag.
const EXPLICIT_0: u8 = 0xa0;
const IMPLICIT_0: u8 = 0x80;

/// The file.
///
/// # Errors
/// [`CaError::Crypto`]
pub(super) fn write(contents: &Contents<'_>) -> Result<Vec<u8>, CaError> {
    let key_id = key_id(contents.key.public_bits());
    let attributes = attributes(contents.name, &key_id);
    let bags: Vec<Vec<u8>> = contents
        .certificates
        .iter()
        .enumerate()
        .map(|(at, der)| certificate_bag(der, if at == 0 { &attributes } else { &[] }))
        .collect();
    let certificates = sequence(&bags.iter().map(Vec::as_slice).collect::<Vec<_>>());

    let (algorithm, sealed) = seal(contents.passphrase, &certificates)?;
    let content = sequence(&[DATA, &algorithm, &tagged(IMPLICIT_0, &[&sealed])]);
    let encrypted = sequence(&[&integer(0), &content]);
    let first = sequence(&[ENCRYPTED_DATA, &tagged(EXPLICIT_0, &[&encrypted])]);

    let (algorithm, sealed) = seal(contents.passphrase, contents.key.pkcs8())?;
    let key = sequence(&[&algorithm, &tagged(OCTET_STRING, &[&sealed])]);
    let key_bag = sequence(&[SHROUDED_KEY_BAG, &tagged(EXPLICIT_0, &[&key]), &attributes]);
    let second = data(&sequence(&[&key_bag]));

    let safe = sequence(&[&first, &second]);
    Ok(sequence(&[&integer(3), &data(&safe), &mac(contents.passphrase, &safe)?]))
}

/// ContentInfo of type data.
fn data(content: &[u8]) -> Vec<u8> {
    sequence(&[DATA, &tagged(EXPLICIT_0, &[&tagged(OCTET_STRING, &[content])])])
}

fn certificate_bag(der: &[u8], attributes: &[u8]) -> Vec<u8> {
    let certificate = tagged(EXPLICIT_0, &[&tagged(OCTET_STRING, &[der])]);
    let bag = sequence(&[X509_CERTIFICATE, &certificate]);
    sequence(&[CERT_BAG, &tagged(EXPLICIT_0, &[&bag]), attributes])
}

/// Links a key to its certificate. DER wants a SET in the order of its bytes.
fn attributes(name: &str, key_id: &[u8]) -> Vec<u8> {
    let name: Vec<u8> = name.bytes().flat_map(|byte| [0, byte]).collect();
    let mut all = [
        sequence(&[FRIENDLY_NAME, &tagged(SET, &[&tagged(BMP_STRING, &[&name])])]),
        sequence(&[LOCAL_KEY_ID, &tagged(SET, &[&tagged(OCTET_STRING, &[key_id])])]),
    ];
    all.sort();
    tagged(SET, &[&all[0], &all[1]])
}

/// Encrypts `plain`; returns the AlgorithmIdentifier and what came of it.
fn seal(passphrase: &[u8], plain: &[u8]) -> Result<(Vec<u8>, Vec<u8>), CaError> {
    let failed = |what: &dyn std::fmt::Display| CaError::Crypto {
        action: "make the PKCS#12 file",
        what: what.to_string(),
    };
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    random(&mut salt)?;
    random(&mut iv)?;
    let parameters = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(ROUNDS, &salt, iv);
    let scheme = EncryptionScheme::from(parameters.map_err(|error| failed(&error))?);
    let sealed = scheme.encrypt(passphrase, plain).map_err(|error| failed(&error))?;
    Ok((scheme.to_der().map_err(|error| failed(&error))?, sealed))
}

/// MacData: what shows that the passphrase is right and that nothing was changed.
fn mac(passphrase: &[u8], safe: &[u8]) -> Result<Vec<u8>, CaError> {
    let mut salt = [0; 16];
    random(&mut salt)?;
    let key = Zeroizing::new(mac_key(passphrase, &salt, ROUNDS));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()), safe);
    let algorithm = sequence(&[SHA_256, NULL]);
    let info = sequence(&[&algorithm, &tagged(OCTET_STRING, &[tag.as_ref()])]);
    Ok(sequence(&[&info, &tagged(OCTET_STRING, &[&salt]), &integer(ROUNDS)]))
}

/// RFC 7292 appendix B.2 with SHA-256 for ID 3. As many bytes are wanted as one hash has, so that steps 6 B and C, which
/// prepare the next block, are never reached.
fn mac_key(passphrase: &[u8], salt: &[u8], rounds: u32) -> [u8; 32] {
    /// The hash's block, v.
    const BLOCK: usize = 64;
    let mut password = Zeroizing::new(Vec::with_capacity(2 * passphrase.len() + 2));
    passphrase.iter().for_each(|&byte| password.extend([0, byte]));
    password.extend([0, 0]);
    let whole_blocks = |of: &[u8], out: &mut Vec<u8>| {
        out.extend(of.iter().cycle().take(of.len().next_multiple_of(BLOCK)));
    };
    let longest = BLOCK + salt.len().next_multiple_of(BLOCK) + password.len().next_multiple_of(BLOCK);
    let mut input = Zeroizing::new(Vec::with_capacity(longest));
    input.extend([3; BLOCK]);
    whole_blocks(salt, &mut input);
    whole_blocks(&password, &mut input);
    let mut hash = digest(&SHA256, &input);
    for _ in 1..rounds {
        hash = digest(&SHA256, hash.as_ref());
    }
    hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn integer(value: u32) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count().min(3);
    // One zero stays before a first bit that would make it negative.
    let from = if bytes[zeros] & 0x80 != 0 { zeros.saturating_sub(1) } else { zeros };
    tagged(INTEGER, &[&bytes[from..]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_positive_and_shortest() {
        for (value, bytes) in [
            (0, &[2, 1, 0][..]),
            (3, &[2, 1, 3]),
            (128, &[2, 2, 0, 128]),
            (256, &[2, 2, 1, 0]),
            (100_000, &[2, 3, 1, 0x86, 0xa0]),
        ] {
            assert_eq!(integer(value), bytes);
        }
    }

    #[test]
    fn the_macs_key_is_derived_as_openssl_does() {
        // openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt hexpass:… -kdfopt hexsalt:0102030405060708
        //   -kdfopt iter:2048 -kdfopt id:3 PKCS12KDF
        let key = mac_key(b"sesame", &[1, 2, 3, 4, 5, 6, 7, 8], 2048);
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "387e92981f3af02830d01363708fdf6f85b057dcdb05db4a9517f71109cb2d56");
    }
}
