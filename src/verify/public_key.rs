//! Public keys as Go reads them from a SubjectPublicKeyInfo.

mod by_asn1;

use super::der::{self, Der};
use super::go::GoVersion;
use super::parse_error::ParseError;

/// A curve that Go knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// P-224: read, but no TLS.
    P224,
    /// P-256.
    P256,
    /// P-384.
    P384,
    /// P-521.
    P521,
}

impl Curve {
    /// The curve of a named-curve OID's content.
    pub(crate) fn of_oid(oid: &[u8]) -> Option<Self> {
        match oid {
            [0x2b, 0x81, 0x04, 0x00, 0x21] => Some(Self::P224),
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07] => Some(Self::P256),
            [0x2b, 0x81, 0x04, 0x00, 0x22] => Some(Self::P384),
            [0x2b, 0x81, 0x04, 0x00, 0x23] => Some(Self::P521),
            _ => None,
        }
    }

    /// How many bytes a coordinate has.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::P224 => 28,
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// `P-256`, as Go prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::P224 => "P-224",
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// Whether an uncompressed point lies on the curve.
    fn has_point(self, point: &[u8]) -> bool {
        if point.len() != 1 + 2 * self.size() || point[0] != 4 {
            return false;
        }
        match self {
            Self::P224 => p224::PublicKey::from_sec1_bytes(point).is_ok(),
            Self::P256 => p256::PublicKey::from_sec1_bytes(point).is_ok(),
            Self::P384 => p384::PublicKey::from_sec1_bytes(point).is_ok(),
            Self::P521 => p521::PublicKey::from_sec1_bytes(point).is_ok(),
        }
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA.
    Rsa {
        /// The modulus, big-endian, without leading zeros.
        modulus: Vec<u8>,
        /// The public exponent.
        exponent: u64,
    },
    /// A point on a curve.
    Ec {
        /// The curve.
        curve: Curve,
        /// The uncompressed point.
        point: Vec<u8>,
    },
    /// Ed25519.
    Ed25519(Vec<u8>),
    /// DSA: it signs certificates up to Go 1.15, and no handshake.
    Dsa(DsaKey),
    /// A kind that Go does not know: the certificate is read, its key is good for nothing.
    Unknown {
        /// The algorithm, dotted.
        oid: String,
    },
}

/// The numbers of a DSA key, big-endian, without leading zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DsaKey {
    pub(super) prime: Vec<u8>,
    pub(super) order: Vec<u8>,
    pub(super) generator: Vec<u8>,
    pub(super) public: Vec<u8>,
}

impl DsaKey {
    /// Of its positive INTEGERs: p, q, g and y.
    fn of(numbers: [&[u8]; 4]) -> Self {
        let [prime, order, generator, public] = numbers.map(magnitude);
        Self { prime, order, generator, public }
    }
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo.
    pub(super) fn parse(spki: &[u8], go: GoVersion) -> Result<Self, ParseError> {
        let strict = go >= GoVersion::STRICT_OIDS;
        let bad = |what: &str| ParseError::new(what);
        let mut fields = Der(spki).read(der::SEQUENCE).ok_or_else(|| bad("malformed spki"))?;
        let mut algorithm =
            fields.read(der::SEQUENCE).ok_or_else(|| bad("malformed public key algorithm identifier"))?;
        let oid = algorithm.oid(strict).ok_or_else(|| bad("malformed OID"))?;
        let parameters = if algorithm.is_empty() {
            &[][..]
        } else {
            algorithm.any().ok_or_else(|| bad("malformed parameters"))?.full
        };
        let bits = fields.bit_string().ok_or_else(|| bad("malformed subjectPublicKey"))?;
        let bytes = bits.right_aligned();
        match oid {
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01] => rsa(&bytes, parameters),
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01] => ec(bytes, parameters, go),
            [0x2b, 0x65, 0x70] => ed25519(bytes, parameters),
            [0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01] => dsa(&bytes, parameters),
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, level @ 17..=19] if go >= GoVersion::NO_MAPPED => {
                ml_dsa(*level, oid, &bytes, parameters)
            }
            other => Ok(Self::Unknown { oid: der::dotted(other) }),
        }
    }

    /// Whether the two are the same to Go's `Equal`, which DSA keys do not have.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Dsa(_), Self::Dsa(_))) || self == other
    }

    /// How many bits the key has, as people count them.
    pub fn bits(&self) -> usize {
        match self {
            Self::Rsa { modulus, .. } => bit_length(modulus),
            Self::Ec { curve: Curve::P521, .. } => 521,
            Self::Ec { curve, .. } => curve.size() * 8,
            Self::Ed25519(_) => 256,
            Self::Dsa(_) | Self::Unknown { .. } => 0,
        }
    }

    /// As people name it: `RSA 2048`, `P-256`, `Ed25519`.
    pub fn describe(&self) -> String {
        match self {
            Self::Rsa { .. } => format!("RSA {}", self.bits()),
            Self::Ec { curve, .. } => curve.name().to_owned(),
            Self::Ed25519(_) => "Ed25519".to_owned(),
            Self::Dsa(_) => "DSA".to_owned(),
            Self::Unknown { oid } => oid_name(oid),
        }
    }
}

fn oid_name(oid: &str) -> String {
    match oid {
        "1.2.840.113549.1.1.10" => "RSA-PSS".to_owned(),
        "1.3.101.113" => "Ed448".to_owned(),
        "1.3.101.110" => "X25519".to_owned(),
        other => format!("algorithm {other}"),
    }
}

/// The number of bits of a big-endian number.
pub(crate) fn bit_length(number: &[u8]) -> usize {
    match number.iter().position(|&byte| byte != 0) {
        None => 0,
        Some(start) => (number.len() - start) * 8 - number[start].leading_zeros() as usize,
    }
}

fn rsa(bytes: &[u8], parameters: &[u8]) -> Result<PublicKey, ParseError> {
    has_null(parameters)?;
    let mut fields =
        Der(bytes).read(der::SEQUENCE).ok_or_else(|| ParseError::new("invalid RSA public key"))?;
    let modulus = fields.integer().ok_or_else(|| ParseError::new("invalid RSA modulus"))?;
    let exponent = fields.int64().ok_or_else(|| ParseError::new("invalid RSA public exponent"))?;
    rsa_of(modulus, exponent)
}

/// RSA keys must have NULL parameters (RFC 3279, 2.3.1).
fn has_null(parameters: &[u8]) -> Result<(), ParseError> {
    if parameters == [der::NULL, 0] {
        Ok(())
    } else {
        Err(ParseError::new("RSA key missing NULL parameters"))
    }
}

fn rsa_of(modulus: &[u8], exponent: i64) -> Result<PublicKey, ParseError> {
    if !is_positive(modulus) {
        return Err(ParseError::new("RSA modulus is not a positive number"));
    }
    let exponent = u64::try_from(exponent)
        .ok()
        .filter(|&exponent| exponent > 0)
        .ok_or_else(|| ParseError::new("RSA public exponent is not a positive number"))?;
    Ok(PublicKey::Rsa { modulus: magnitude(modulus), exponent })
}

/// Whether the bytes of an INTEGER are a positive number's.
fn is_positive(number: &[u8]) -> bool {
    number != [0] && number[0] & 0x80 == 0
}

/// A positive INTEGER's bytes without the leading zero.
fn magnitude(number: &[u8]) -> Vec<u8> {
    number.strip_prefix(&[0]).unwrap_or(number).to_vec()
}

fn ec(point: Vec<u8>, parameters: &[u8], go: GoVersion) -> Result<PublicKey, ParseError> {
    let oid = Der(parameters)
        .oid(go >= GoVersion::STRICT_OIDS)
        .ok_or_else(|| ParseError::new("invalid ECDSA parameters"))?;
    unmarshalled(Curve::of_oid(oid), point, go)
}

/// A point on a curve.
fn unmarshalled(curve: Option<Curve>, point: Vec<u8>, go: GoVersion) -> Result<PublicKey, ParseError> {
    let curve = curve.ok_or_else(|| ParseError::new("unsupported elliptic curve"))?;
    if !curve.has_point(&point) {
        let name = curve.name().replace('-', "");
        return Err(match point.first() {
            _ if go < GoVersion::CHAIN_CONSTRAINTS => {
                ParseError::new("failed to unmarshal elliptic curve point")
            }
            Some(4) if point.len() == 1 + 2 * curve.size() => {
                ParseError::plain(format!("{name} point not on curve"))
            }
            Some(4) => ParseError::plain(format!("invalid {name} point encoding")),
            _ => ParseError::plain("ecdsa: invalid uncompressed public key"),
        });
    }
    Ok(PublicKey::Ec { curve, point })
}

fn ed25519(bytes: Vec<u8>, parameters: &[u8]) -> Result<PublicKey, ParseError> {
    if !parameters.is_empty() {
        return Err(ParseError::new("Ed25519 key encoded with illegal parameters"));
    }
    if bytes.len() != 32 {
        return Err(ParseError::new("wrong Ed25519 public key size"));
    }
    Ok(PublicKey::Ed25519(bytes))
}

/// ML-DSA: read from Go 1.27 on, and good for nothing here; no etcd was built with that when this was written.
fn ml_dsa(level: u8, oid: &[u8], bytes: &[u8], parameters: &[u8]) -> Result<PublicKey, ParseError> {
    if !parameters.is_empty() {
        return Err(ParseError::new("ML-DSA key encoded with illegal parameters"));
    }
    let length = [1312, 1952, 2592][usize::from(level - 17)];
    if bytes.len() != length {
        return Err(ParseError::new("mldsa: invalid public key length"));
    }
    Ok(PublicKey::Unknown { oid: der::dotted(oid) })
}

fn dsa(bytes: &[u8], parameters: &[u8]) -> Result<PublicKey, ParseError> {
    let y = Der(bytes).integer().ok_or_else(|| ParseError::new("invalid DSA public key"))?;
    let bad = || ParseError::new("invalid DSA parameters");
    let mut fields = Der(parameters).read(der::SEQUENCE).ok_or_else(bad)?;
    let mut next = || fields.integer().ok_or_else(bad);
    dsa_of([next()?, next()?, next()?, y])
}

fn dsa_of(numbers: [&[u8]; 4]) -> Result<PublicKey, ParseError> {
    if !numbers.iter().all(|number| is_positive(number)) {
        return Err(ParseError::new("zero or negative DSA parameter"));
    }
    Ok(PublicKey::Dsa(DsaKey::of(numbers)))
}
