//! Signatures: which algorithms Go knows, and whether a signature holds. ring does the work where it has the
//! algorithm; P-224, P-521 and ECDSA with other hashes come from RustCrypto, other RSA keys are worked out here.

mod dsa;
mod power;
mod rsa;

use ring::signature as ring_signature;

use super::der::{self, Der};
use super::go::GoVersion;
use super::godebug::Rule;
use super::parse_error::ParseError;
use super::public_key::{Curve, PublicKey};

/// A hash that signatures use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// How a certificate is signed, as Go sorts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignatureAlgorithm {
    /// MD2 or MD5 with RSA.
    Md5Rsa,
    /// RSA PKCS#1 v1.5.
    RsaPkcs1(Hash),
    /// RSA-PSS with Go's parameters: MGF1 and salt as the hash.
    RsaPss(Hash),
    /// ECDSA.
    Ecdsa(Hash),
    /// Ed25519.
    Ed25519,
    /// DSA: known by name, never verified.
    Dsa(Hash),
    /// Anything else, such as SHA-224.
    Unknown,
}

/// Why a signature does not hold, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    /// MD5 or SHA-1; and what Go added to that while SHA-1 could still be switched on.
    #[error("x509: cannot verify signature: insecure algorithm {0}{1}")]
    Insecure(&'static str, &'static str),
    /// Nothing that Go can check.
    #[error("x509: cannot verify signature: algorithm unimplemented")]
    Unimplemented,
    /// The parent has another kind of key.
    #[error(
        "x509: signature algorithm specifies an {wanted} public key, but have public key of type {found}"
    )]
    KeyKind {
        /// RSA, ECDSA or Ed25519.
        wanted: &'static str,
        /// Go's name of the type.
        found: &'static str,
    },
    /// The parent may not sign: no CA, or a keyUsage without certSign.
    #[error("x509: invalid signature: parent certificate cannot sign this kind of certificate")]
    NotAuthorized,
    /// RSA, and wrong.
    #[error("crypto/rsa: verification error")]
    Rsa,
    /// RSA below 1024 bits (Go 1.24).
    #[error("crypto/rsa: {0}-bit keys are insecure (see https://go.dev/pkg/crypto/rsa#hdr-Minimum_key_size)")]
    RsaTooSmall(usize),
    /// ECDSA, and wrong.
    #[error("x509: ECDSA verification failure")]
    Ecdsa,
    /// DSA, and wrong or damaged.
    #[error("{0}")]
    Dsa(String),
    /// Ed25519, and wrong.
    #[error("x509: Ed25519 verification failure")]
    Ed25519,
}

impl Hash {
    fn of_oid(oid: &[u8]) -> Option<Self> {
        match oid {
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, kind] => match kind {
                1 => Some(Self::Sha256),
                2 => Some(Self::Sha384),
                3 => Some(Self::Sha512),
                _ => None,
            },
            _ => None,
        }
    }

    fn size(self) -> usize {
        self.algorithm().output_len()
    }

    fn digest(self, data: &[u8]) -> Vec<u8> {
        ring::digest::digest(self.algorithm(), data).as_ref().to_vec()
    }

    fn algorithm(self) -> &'static ring::digest::Algorithm {
        match self {
            Self::Sha1 => &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &ring::digest::SHA256,
            Self::Sha384 => &ring::digest::SHA384,
            Self::Sha512 => &ring::digest::SHA512,
        }
    }
}

impl SignatureAlgorithm {
    /// Reads the content of an AlgorithmIdentifier.
    pub(super) fn parse(mut content: Der<'_>, go: GoVersion) -> Result<Self, ParseError> {
        let oid =
            content.oid(go >= GoVersion::STRICT_OIDS).ok_or_else(|| ParseError::new("malformed OID"))?;
        let parameters = if content.is_empty() {
            &[][..]
        } else {
            content.any().ok_or_else(|| ParseError::new("malformed parameters"))?.full
        };
        Ok(Self::of(oid, parameters))
    }

    /// The algorithm with this object identifier's content, and these parameters, header and all.
    pub(super) fn of(oid: &[u8], parameters: &[u8]) -> Self {
        match oid {
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, kind] => match kind {
                2 | 4 => Self::Md5Rsa,
                5 => Self::RsaPkcs1(Hash::Sha1),
                10 => pss(parameters).map_or(Self::Unknown, Self::RsaPss),
                11 => Self::RsaPkcs1(Hash::Sha256),
                12 => Self::RsaPkcs1(Hash::Sha384),
                13 => Self::RsaPkcs1(Hash::Sha512),
                _ => Self::Unknown,
            },
            [0x2b, 0x0e, 0x03, 0x02, 0x1d] => Self::RsaPkcs1(Hash::Sha1),
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01] => Self::Ecdsa(Hash::Sha1),
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, kind] => match kind {
                2 => Self::Ecdsa(Hash::Sha256),
                3 => Self::Ecdsa(Hash::Sha384),
                4 => Self::Ecdsa(Hash::Sha512),
                _ => Self::Unknown,
            },
            [0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x03] => Self::Dsa(Hash::Sha1),
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x02] => Self::Dsa(Hash::Sha256),
            [0x2b, 0x65, 0x70] if parameters.is_empty() => Self::Ed25519,
            _ => Self::Unknown,
        }
    }

    /// Go's name for an algorithm it holds to be broken.
    pub(crate) fn insecure_name(self) -> Option<&'static str> {
        match self {
            Self::Md5Rsa => Some("MD5-RSA"),
            Self::RsaPkcs1(Hash::Sha1) => Some("SHA1-RSA"),
            Self::Ecdsa(Hash::Sha1) => Some("ECDSA-SHA1"),
            Self::Dsa(Hash::Sha1) => Some("DSA-SHA1"),
            _ => None,
        }
    }
}

/// The hash of RSA-PSS parameters, where they are the ones that Go takes.
fn pss(parameters: &[u8]) -> Option<Hash> {
    let algorithm = |mut from: Der<'_>| -> Option<(Vec<u8>, Vec<u8>)> {
        let mut fields = from.read(der::SEQUENCE)?;
        let oid = fields.oid(false)?.to_vec();
        let rest = if fields.is_empty() { Vec::new() } else { fields.any()?.full.to_vec() };
        Some((oid, rest))
    };
    let empty = |rest: &[u8]| rest.is_empty() || rest == [der::NULL, 0];
    let mut fields = Der(parameters).read(der::SEQUENCE)?;
    let (hash_oid, hash_parameters) = algorithm(fields.read(der::explicit(0))?)?;
    let (mgf_oid, mgf_parameters) = algorithm(fields.read(der::explicit(1))?)?;
    let (mgf_hash, mgf_hash_parameters) = algorithm(Der(&mgf_parameters))?;
    let salt = fields.read(der::explicit(2))?.int64()?;
    let trailer = match fields.optional(der::explicit(3))? {
        Some(mut inner) => inner.int64()?,
        None => 1,
    };
    let hash = Hash::of_oid(&hash_oid)?;
    let standard = mgf_oid == [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08]
        && mgf_hash == hash_oid
        && empty(&hash_parameters)
        && empty(&mgf_hash_parameters)
        && trailer == 1
        && usize::try_from(salt) == Ok(hash.size());
    standard.then_some(hash)
}

/// Checks that `signature` over `signed` was made with `key`.
pub(crate) fn check(
    algorithm: SignatureAlgorithm,
    signed: &[u8],
    signature: &[u8],
    key: &PublicKey,
    go: GoVersion,
) -> Result<(), SignatureError> {
    let refuses_sha1 = go >= GoVersion::NO_SHA1 && !go.relaxes(Rule::NoSha1);
    if let Some(name) = algorithm.insecure_name()
        && (refuses_sha1 || algorithm == SignatureAlgorithm::Md5Rsa)
    {
        let sha1 = matches!(algorithm, SignatureAlgorithm::RsaPkcs1(_) | SignatureAlgorithm::Ecdsa(_));
        let note = if sha1 && go < GoVersion::POLICIES {
            " (temporarily override with GODEBUG=x509sha1=1)"
        } else {
            ""
        };
        return Err(SignatureError::Insecure(name, note));
    }
    match (algorithm, key) {
        (SignatureAlgorithm::RsaPkcs1(hash), PublicKey::Rsa { modulus, exponent }) => {
            rsa::Key { modulus, exponent: *exponent }.check(hash, rsa::Padding::Pkcs1, signed, signature, go)
        }
        (SignatureAlgorithm::RsaPss(hash), PublicKey::Rsa { modulus, exponent }) => {
            rsa::Key { modulus, exponent: *exponent }.check(hash, rsa::Padding::Pss, signed, signature, go)
        }
        (SignatureAlgorithm::Ecdsa(hash), PublicKey::Ec { curve, point }) => {
            if ecdsa(hash, *curve, signed, signature, point) { Ok(()) } else { Err(SignatureError::Ecdsa) }
        }
        (SignatureAlgorithm::Ed25519, PublicKey::Ed25519(public)) => {
            ring_signature::UnparsedPublicKey::new(&ring_signature::ED25519, public)
                .verify(signed, signature)
                .map_err(|_| SignatureError::Ed25519)
        }
        (SignatureAlgorithm::Dsa(hash), PublicKey::Dsa(key)) if go < GoVersion::NO_DSA => {
            dsa::check(key, hash, signed, signature)
        }
        (SignatureAlgorithm::Md5Rsa | SignatureAlgorithm::Unknown, _) | (_, PublicKey::Unknown { .. }) => {
            Err(SignatureError::Unimplemented)
        }
        (_, PublicKey::Dsa(_)) if go >= GoVersion::NO_DSA => Err(SignatureError::Unimplemented),
        (other, key) => Err(SignatureError::KeyKind {
            wanted: match other {
                SignatureAlgorithm::Ecdsa(_) => "ECDSA",
                SignatureAlgorithm::Ed25519 => "Ed25519",
                SignatureAlgorithm::Dsa(_) => "DSA",
                _ => "RSA",
            },
            found: match key {
                PublicKey::Rsa { .. } => "*rsa.PublicKey",
                PublicKey::Ec { .. } => "*ecdsa.PublicKey",
                PublicKey::Dsa(_) => "*dsa.PublicKey",
                _ => "ed25519.PublicKey",
            },
        }),
    }
}

fn ecdsa(hash: Hash, curve: Curve, signed: &[u8], signature: &[u8], point: &[u8]) -> bool {
    let ring_algorithm: Option<&dyn ring_signature::VerificationAlgorithm> = match (curve, hash) {
        (Curve::P256, Hash::Sha256) => Some(&ring_signature::ECDSA_P256_SHA256_ASN1),
        (Curve::P256, Hash::Sha384) => Some(&ring_signature::ECDSA_P256_SHA384_ASN1),
        (Curve::P384, Hash::Sha256) => Some(&ring_signature::ECDSA_P384_SHA256_ASN1),
        (Curve::P384, Hash::Sha384) => Some(&ring_signature::ECDSA_P384_SHA384_ASN1),
        _ => None,
    };
    if let Some(algorithm) = ring_algorithm {
        return ring_signature::UnparsedPublicKey::new(algorithm, point).verify(signed, signature).is_ok();
    }
    let mut digest = hash.digest(signed);
    if digest.len() < curve.size() {
        // The number that the hash is, as wide as the field.
        let mut wide = vec![0; curve.size() - digest.len()];
        wide.extend(&digest);
        digest = wide;
    }
    ecdsa_fallback(curve, &digest, signature, point).is_some()
}

fn ecdsa_fallback(curve: Curve, digest: &[u8], signature: &[u8], point: &[u8]) -> Option<()> {
    macro_rules! verify {
        ($curve:ident) => {{
            use $curve::ecdsa::signature::hazmat::PrehashVerifier;
            let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?;
            let signature = $curve::ecdsa::DerSignature::from_bytes(signature.try_into().ok()?).ok()?;
            key.verify_prehash(digest, &signature).ok()
        }};
    }
    match curve {
        Curve::P224 => verify!(p224),
        Curve::P256 => verify!(p256),
        Curve::P384 => verify!(p384),
        Curve::P521 => verify!(p521),
    }
}
