//! Public keys as Go before 1.17 reads them, with `encoding/asn1`: nothing may follow a key's numbers or its curve.

use super::super::asn1::Fields;
use super::super::der;
use super::super::go::GoVersion;
use super::super::parse_error::ParseError;
use super::{Curve, PublicKey, dsa_of, ed25519, has_null, rsa_of, unmarshalled};

impl PublicKey {
    /// Reads the parts of a SubjectPublicKeyInfo.
    pub(in super::super) fn by_asn1(
        oid: &[u8],
        parameters: &[u8],
        bytes: &[u8],
        go: GoVersion,
    ) -> Result<Self, ParseError> {
        match oid {
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01] => rsa(bytes, parameters),
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01] => ec(bytes, parameters, go),
            [0x2b, 0x65, 0x70] => ed25519(bytes.to_vec(), parameters),
            [0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01] => dsa(bytes, parameters),
            other => Ok(Self::Unknown { oid: der::dotted(other) }),
        }
    }
}

fn nothing_more(fields: &Fields<'_>, what: &str) -> Result<(), ParseError> {
    if fields.is_empty() { Ok(()) } else { Err(ParseError::new(format!("trailing data after {what}"))) }
}

fn rsa(bytes: &[u8], parameters: &[u8]) -> Result<PublicKey, ParseError> {
    has_null(parameters)?;
    let mut file = Fields::of(bytes);
    let mut fields = file.sequence("pkcs1PublicKey")?;
    let (modulus, exponent) = (fields.integer()?, fields.int64()?);
    nothing_more(&file, "RSA public key")?;
    rsa_of(modulus, exponent)
}

fn ec(point: &[u8], parameters: &[u8], go: GoVersion) -> Result<PublicKey, ParseError> {
    let mut fields = Fields::of(parameters);
    let oid = fields.oid().map_err(|_| ParseError::new("failed to parse ECDSA parameters as named curve"))?;
    nothing_more(&fields, "ECDSA parameters")?;
    unmarshalled(Curve::of_oid(oid), point.to_vec(), go)
}

fn dsa(bytes: &[u8], parameters: &[u8]) -> Result<PublicKey, ParseError> {
    let mut file = Fields::of(bytes);
    let y = file.integer()?;
    nothing_more(&file, "DSA public key")?;
    let mut file = Fields::of(parameters);
    let mut fields = file.sequence("dsaAlgorithmParameters")?;
    let numbers = [fields.integer()?, fields.integer()?, fields.integer()?, y];
    nothing_more(&file, "DSA parameters")?;
    dsa_of(numbers)
}
