//! A pair in the forms that other software wants.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::store::Store;
use super::{CaError, CertName, Pair, Passphrase, pem, pkcs12};

/// PKCS#12 with the key, the certificate and the CAs (PBES2 with AES-256, HMAC-SHA-256), as OpenSSL 3 and Java read
/// it.
///
/// # Errors
/// [`CaError::NoSuchName`], [`CaError::PassphraseNotAscii`], [`CaError::Crypto`].
pub fn p12(store: &Store, name: &CertName, passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, CaError> {
    // Java accepts no other, whatever made the file (com.sun.crypto.provider.PBEKey, seen in 17).
    if !passphrase.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(CaError::PassphraseNotAscii);
    }
    let pair = existing(store, name)?;
    let (chain, roots) = (pem::blocks(&pair.cert_pem), pem::blocks(store.ca_pem()?));
    let certificates = chain.iter().chain(&roots).filter(|block| block.label == "CERTIFICATE");
    let certificates: Vec<&[u8]> = certificates.map(|block| block.der.as_slice()).collect();
    let key = store.key(name)?;
    let contents = pkcs12::Contents {
        name: name.as_str(),
        key: &key,
        certificates: &certificates,
        passphrase: passphrase.as_bytes(),
    };
    pkcs12::write(&contents).map(Zeroizing::new)
}

/// Certificate, intermediates and key in one PEM file, as HAProxy and others want it.
///
/// # Errors
/// [`CaError::NoSuchName`]
pub fn pem_bundle(store: &Store, name: &CertName) -> Result<Zeroizing<Vec<u8>>, CaError> {
    let pair = existing(store, name)?;
    let mut bundle = Zeroizing::new(Vec::with_capacity(pair.cert_pem.len() + pair.key_pem.len()));
    bundle.extend_from_slice(&pair.cert_pem);
    bundle.extend_from_slice(&pair.key_pem);
    Ok(bundle)
}

/// A Kubernetes Secret of type kubernetes.io/tls, with the trust anchor as `ca.crt`.
///
/// # Errors
/// [`CaError::NoSuchName`]
pub fn k8s_secret(
    store: &Store,
    name: &CertName,
    namespace: Option<&str>,
) -> Result<Zeroizing<Vec<u8>>, CaError> {
    let pair = existing(store, name)?;
    let (ca, cert) = (STANDARD.encode(store.ca_pem()?), STANDARD.encode(&pair.cert_pem));
    let key = Zeroizing::new(STANDARD.encode(pair.key_pem.as_slice()));
    // A Kubernetes name is lower case and has no underscore (RFC 1123).
    let object = name.as_str().to_ascii_lowercase().replace('_', "-");
    let namespace = namespace.map(|name| format!("  namespace: {name}\n")).unwrap_or_default();
    let mut text = Zeroizing::new(String::with_capacity(512 + ca.len() + cert.len() + key.len()));
    text.push_str(&format!(
        "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata:\n  name: {object}\n{namespace}data:\n  \
         ca.crt: {ca}\n  tls.crt: {cert}\n  tls.key: "
    ));
    text.push_str(&key);
    text.push('\n');
    Ok(Zeroizing::new(text.as_bytes().to_vec()))
}

fn existing(store: &Store, name: &CertName) -> Result<Pair, CaError> {
    store.pair(name.as_str())?.ok_or_else(|| store.no_such(name.as_str()))
}
