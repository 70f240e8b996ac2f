//! What kind a public key is of, in one word where there is one.

use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Such as `p256`, `rsa2048`, `ed25519`; of keys that have no such name their curve's or algorithm's identifier.
pub fn kind_of(key: &SubjectPublicKeyInfo<'_>) -> String {
    let algorithm = key.algorithm.algorithm.to_id_string();
    match (algorithm.as_str(), key.parsed()) {
        ("1.3.101.112", _) => "ed25519".into(),
        ("1.3.101.113", _) => "ed448".into(),
        (_, Ok(PublicKey::RSA(rsa))) => {
            // The modulus's bits, to the next multiple of 8: a leading zero byte is no part of it.
            let modulus = rsa.modulus.iter().skip_while(|&&byte| byte == 0).count();
            format!("rsa{}", modulus * 8)
        }
        ("1.2.840.10045.2.1", _) => {
            let curve = key.algorithm.parameters.as_ref().and_then(|found| found.as_oid().ok());
            match curve.map(|oid| oid.to_id_string()).as_deref() {
                Some("1.2.840.10045.3.1.7") => "p256".into(),
                Some("1.3.132.0.34") => "p384".into(),
                Some("1.3.132.0.35") => "p521".into(),
                Some("1.3.132.0.33") => "p224".into(),
                Some(other) => format!("ec {other}"),
                None => "ec without a named curve".into(),
            }
        }
        (other, _) => other.to_owned(),
    }
}
