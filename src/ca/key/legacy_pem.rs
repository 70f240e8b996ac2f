//! Keys in OpenSSL's old encrypted form (RFC 1421 headers), which etcd-ca, Go's `x509.EncryptPEMBlock` and old OpenSSL
//! write: read, never written. Its key derivation is one round of MD5, so a copy is encrypted anew.

use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::{KeyError, Passphrase};
use crate::ca::pem::Block;

/// Decrypts a block; its label says what is inside.
pub(super) fn decrypt(block: &Block, passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let unusable = |what: &str| KeyError::Unusable(what.to_owned());
    let info = block
        .headers
        .iter()
        .find(|(name, _)| name == "DEK-Info")
        .ok_or_else(|| unusable("it is encrypted without saying how"))?;
    let (cipher, iv) = info.1.split_once(',').ok_or_else(|| unusable("its DEK-Info cannot be read"))?;
    let iv = unhex(iv.trim()).ok_or_else(|| unusable("its DEK-Info cannot be read"))?;
    let plain = match cipher {
        "AES-128-CBC" => open::<cbc::Decryptor<aes::Aes128>>(&block.der, passphrase, &iv, 16),
        "AES-192-CBC" => open::<cbc::Decryptor<aes::Aes192>>(&block.der, passphrase, &iv, 24),
        "AES-256-CBC" => open::<cbc::Decryptor<aes::Aes256>>(&block.der, passphrase, &iv, 32),
        "DES-EDE3-CBC" => open::<cbc::Decryptor<des::TdesEde3>>(&block.der, passphrase, &iv, 24),
        other => {
            return Err(KeyError::Unusable(format!(
                "it is encrypted with {other}; `openssl pkcs8 -topk8 -in FILE -out NEW` turns it into a form that can \
                 be read"
            )));
        }
    };
    // A wrong passphrase shows as wrong padding, or (once in 256) as something that is not DER.
    plain.filter(|plain| plain.first() == Some(&0x30)).ok_or(KeyError::WrongPassphrase)
}

fn open<C: KeyIvInit + BlockModeDecrypt>(
    sealed: &[u8],
    passphrase: &Passphrase,
    iv: &[u8],
    key_length: usize,
) -> Option<Zeroizing<Vec<u8>>> {
    // EVP_BytesToKey with MD5, one round, the first eight bytes of the IV for salt.
    let salt = iv.get(..8)?;
    let mut key = Zeroizing::new(Vec::with_capacity(48));
    while key.len() < key_length {
        let last = key.len().checked_sub(16).map(|at| key[at..].to_vec()).unwrap_or_default();
        let mut hash = Md5::new();
        hash.update(Zeroizing::new(last).as_slice());
        hash.update(passphrase.as_bytes());
        hash.update(salt);
        key.extend_from_slice(&hash.finalize());
    }
    let cipher = C::new_from_slices(&key[..key_length], iv).ok()?;
    cipher.decrypt_padded_vec::<Pkcs7>(sealed).ok().map(Zeroizing::new)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
