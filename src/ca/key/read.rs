//! Reading private keys in every form that other tools write: PKCS#8, SEC1, PKCS#1, encrypted or not.

use std::fmt;

use pkcs8::der::{Decode, Encode};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use rcgen::KeyPair;
use rustls_pki_types::PrivatePkcs8KeyDer;
use zeroize::Zeroizing;

use super::{Passphrase, PrivateKey, cost, legacy_pem};
use crate::ca::pem;

/// Why a key could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is encrypted and no passphrase was given.
    #[error("it is encrypted")]
    Encrypted,
    /// No private key block is in the file.
    #[error("it holds no private key")]
    NoKey,
    /// The passphrase does not open it.
    #[error("the passphrase does not open it")]
    WrongPassphrase,
    /// Its passphrase takes more work than is done for a key.
    #[error("{0}")]
    TooCostly(String),
    /// A key that cannot be used here.
    #[error("{0}")]
    Unusable(String),
}

impl PrivateKey {
    /// Reads the first private key of a PEM file: PKCS#8, encrypted PKCS#8 (PBES2), SEC1 or PKCS#1.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn from_pem(bytes: &[u8], passphrase: Option<&Passphrase>) -> Result<Self, KeyError> {
        let blocks = pem::blocks(bytes);
        let block =
            blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY")).ok_or(KeyError::NoKey)?;
        Self::from_block(block, passphrase)
    }

    /// Reads one block.
    pub(in crate::ca) fn from_block(
        block: &pem::Block,
        passphrase: Option<&Passphrase>,
    ) -> Result<Self, KeyError> {
        let is_sealed = block.headers.iter().any(|(_, value)| value.contains("ENCRYPTED"));
        let opened = if is_sealed {
            Some(legacy_pem::decrypt(block, passphrase.ok_or(KeyError::Encrypted)?)?)
        } else {
            None
        };
        let der = opened.as_ref().unwrap_or(&block.der);
        match block.label.as_str() {
            "PRIVATE KEY" => Self::from_pkcs8(der),
            "ENCRYPTED PRIVATE KEY" => {
                let info = EncryptedPrivateKeyInfoRef::from_der(der).map_err(unusable)?;
                cost::check(&info)?;
                let passphrase = passphrase.ok_or(KeyError::Encrypted)?;
                let plain = info.decrypt(passphrase.as_bytes()).map_err(|_| KeyError::WrongPassphrase)?;
                Self::from_pkcs8(plain.as_bytes())
            }
            "EC PRIVATE KEY" => Self::from_sec1(der),
            "RSA PRIVATE KEY" => {
                let algorithm = pkcs8::AlgorithmIdentifierRef {
                    oid: pkcs8::ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1"),
                    parameters: Some(pkcs8::der::asn1::AnyRef::NULL),
                };
                Self::wrap(algorithm, der)
            }
            other => Err(KeyError::Unusable(format!("a key of the form {other:?} cannot be used"))),
        }
    }

    fn from_sec1(der: &[u8]) -> Result<Self, KeyError> {
        let key = sec1::EcPrivateKey::from_der(der).map_err(unusable)?;
        let curve = key
            .parameters
            .and_then(|parameters| parameters.named_curve())
            .ok_or_else(|| KeyError::Unusable("it does not name its curve".into()))?;
        let curve_der = curve.to_der().map_err(unusable)?;
        let algorithm = pkcs8::AlgorithmIdentifierRef {
            oid: pkcs8::ObjectIdentifier::new_unwrap("1.2.840.10045.2.1"),
            parameters: Some(pkcs8::der::asn1::AnyRef::from_der(&curve_der).map_err(unusable)?),
        };
        Self::wrap(algorithm, der)
    }

    fn wrap(algorithm: pkcs8::AlgorithmIdentifierRef<'_>, der: &[u8]) -> Result<Self, KeyError> {
        let inner = pkcs8::der::asn1::OctetStringRef::new(der).map_err(unusable)?;
        let wrapped = PrivateKeyInfoRef::new(algorithm, inner).to_der().map_err(unusable)?;
        Self::from_pkcs8(&Zeroizing::new(wrapped))
    }

    /// Reads PKCS#8 DER.
    ///
    /// # Errors
    /// [`KeyError::Unusable`]
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        Self::boxed(|| {
            KeyPair::try_from(&PrivatePkcs8KeyDer::from(der)).or_else(|error| {
                // ring wants an EC key's public half in the file; openssl and cfssl may leave it out.
                let completed = complete_ec(der).ok_or_else(|| describe_unusable(der, &error))?;
                KeyPair::try_from(&PrivatePkcs8KeyDer::from(completed.as_slice()))
                    .map_err(|error| describe_unusable(der, &error))
            })
        })
    }
}

/// The same EC key with its public half computed.
fn complete_ec(der: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    use p256::elliptic_curve::sec1::ToSec1Point;
    let info = PrivateKeyInfoRef::from_der(der).ok()?;
    let inner = sec1::EcPrivateKey::from_der(info.private_key.as_bytes()).ok()?;
    let public = match info.algorithm.parameters_oid().ok()?.to_string().as_str() {
        P256 => p256::SecretKey::from_slice(inner.private_key)
            .ok()?
            .public_key()
            .to_sec1_point(false)
            .as_bytes()
            .to_vec(),
        P384 => p384::SecretKey::from_slice(inner.private_key)
            .ok()?
            .public_key()
            .to_sec1_point(false)
            .as_bytes()
            .to_vec(),
        _ => return None,
    };
    let whole =
        sec1::EcPrivateKey { private_key: inner.private_key, parameters: None, public_key: Some(&public) };
    let whole = Zeroizing::new(whole.to_der().ok()?);
    let octets = pkcs8::der::asn1::OctetStringRef::new(&whole).ok()?;
    Some(Zeroizing::new(PrivateKeyInfoRef::new(info.algorithm, octets).to_der().ok()?))
}

const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";

fn describe_unusable(der: &[u8], error: &rcgen::Error) -> KeyError {
    let Ok(info) = PrivateKeyInfoRef::from_der(der) else {
        return KeyError::Unusable("it is not a private key in PKCS#8 form".into());
    };
    let what = match info.algorithm.oid.to_string().as_str() {
        "1.2.840.10045.2.1" => "only P-256 and P-384 of the elliptic curves can sign here".to_owned(),
        "1.2.840.113549.1.1.1" => {
            format!("an RSA key of 2048 to 4096 bits is needed ({error})")
        }
        "1.2.840.113549.1.1.10" => "an RSA-PSS key cannot be used: Go refuses it".to_owned(),
        "1.3.101.113" => "an Ed448 key cannot be used: Go refuses it".to_owned(),
        other => format!("a key with algorithm {other} cannot be used"),
    };
    KeyError::Unusable(what)
}

fn unusable(error: impl fmt::Display) -> KeyError {
    KeyError::Unusable(format!("the key cannot be read: {error}"))
}
