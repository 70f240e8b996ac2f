//! What Go from 1.27 on adds to `tls: failed to parse private key`: what is wrong with the key as PKCS#8.

use super::super::asn1::Fields;
use super::super::der;
use super::super::parse_error::ParseError;
use super::{EcFile, rsa};

/// A PrivateKeyInfo: the algorithm and its parameters, and the key.
struct Info<'a> {
    oid: &'a [u8],
    parameters: &'a [u8],
    key: &'a [u8],
}

impl<'a> Info<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let mut fields = Fields::of(bytes).sequence("pkcs8")?;
        fields.int64()?;
        let mut algorithm = fields.sequence("AlgorithmIdentifier")?;
        let oid = algorithm.oid()?;
        let parameters = algorithm.optional_any()?.map_or(&[][..], |value| value.full);
        Ok(Self { oid, parameters, key: fields.octets()? })
    }
}

/// Go's words, as far as they follow from the file's form; empty where they do not.
pub(super) fn of(bytes: &[u8]) -> String {
    let words = match Info::read(bytes) {
        Err(_) if EcFile::read(bytes).is_some() => other_format("ParseECPrivateKey"),
        Err(_) if rsa::File::read(bytes).is_some() => other_format("ParsePKCS1PrivateKey"),
        Err(error) => error.to_string(),
        Ok(info) => of_info(&info),
    };
    if words.is_empty() { words } else { format!(": {words}") }
}

fn other_format(function: &str) -> String {
    format!("x509: failed to parse private key (use {function} instead for this key format)")
}

fn of_info(info: &Info<'_>) -> String {
    match info.oid {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01] => {
            "x509: failed to parse RSA private key embedded in PKCS#8".to_owned()
        }
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01] => {
            "x509: failed to parse EC private key embedded in PKCS#8".to_owned()
        }
        [0x2b, 0x65, 0x70] if !info.parameters.is_empty() => {
            "x509: invalid Ed25519 private key parameters".to_owned()
        }
        [0x2b, 0x65, 0x70] => match Fields::of(info.key).octets() {
            Ok(seed) => format!("x509: invalid Ed25519 private key length: {}", seed.len()),
            Err(error) => format!("x509: invalid Ed25519 private key: {error}"),
        },
        // X25519 and ML-DSA.
        [0x2b, 0x65, 0x6e] | [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 17..=19] => String::new(),
        other => {
            let oid = der::dotted(other);
            format!("x509: PKCS#8 wrapping contained private key with unknown algorithm: {oid}")
        }
    }
}
