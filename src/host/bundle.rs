//! What is placed on a node: a certificate, its key and the CA, known to belong together.
//!
//! A [`Bundle`] is checked as it is made, so one that would not work cannot be placed. Whether etcd will also like its
//! names and usages is for `verify` to say.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

use crate::files::{self, FileError};
use crate::inventory::names::{self, Fault};
use crate::inventory::pair_files::{self, CA_FILE};

/// Certificates below a root that we follow; etcd's Go would go on to 100 signature checks.
const MAX_CHAIN: usize = 16;

/// A certificate with its key and the CA that signed it, as PEM.
#[derive(Clone)]
pub struct Bundle {
    name: String,
    cert_pem: Vec<u8>,
    key_pem: Zeroizing<Vec<u8>>,
    ca_pem: Vec<u8>,
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bundle({:?})", self.name)
    }
}

/// Why files cannot be placed together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It is a CA's own certificate or key, which no node ever gets.
    #[error("{what} belongs to a certificate authority: a CA's key is never placed on a node")]
    AuthorityItself {
        /// The certificate.
        what: String,
    },
    /// A name that is no plain file name.
    #[error("{name:?} is not a usable name: {}", fault.what)]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it, and what to do.
        fault: Fault,
    },
    /// Its last day is over.
    #[error("{what} has expired ({not_after})")]
    Expired {
        /// The certificate.
        what: String,
        /// Its end, RFC 2822.
        not_after: String,
    },
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A private key stands in a file that everyone may read.
    #[error("{what} holds a private key, and would be readable by all")]
    HoldsKey {
        /// The file.
        what: String,
    },
    /// The key needs a passphrase, which etcd cannot give.
    #[error("{what} is encrypted: etcd cannot read it")]
    KeyEncrypted {
        /// The key.
        what: String,
    },
    /// The key is another certificate's.
    #[error("{key} is not the key of {cert}")]
    KeyMismatch {
        /// The key.
        key: String,
        /// The certificate.
        cert: String,
    },
    /// A file is not there.
    #[error("there is no {path}")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Not what it should be.
    #[error("{what} {why}")]
    NotPem {
        /// The file.
        what: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The CA did not sign it.
    #[error("{cert} was not signed by the CA in {ca}")]
    WrongCa {
        /// The certificate.
        cert: String,
        /// The CA.
        ca: String,
    },
}

impl Bundle {
    /// The files of `NAME` in a PKI directory: `NAME.pem`, `NAME-key.pem` and `ca.pem`.
    ///
    /// # Errors
    /// [`BundleError`]
    pub fn from_dir(dir: &Path, name: &str) -> Result<Self, BundleError> {
        check_name(name)?;
        let read = |file: String| {
            let path = dir.join(file);
            files::read(&path)?.map(|image| image.bytes).ok_or(BundleError::Missing { path })
        };
        let ca_pem = read(CA_FILE.to_owned())?;
        let cert_pem = read(format!("{name}.pem"))?;
        let key_pem = Zeroizing::new(read(pair_files::key_file(name))?);
        Self::new(name, cert_pem, key_pem, ca_pem)
    }

    /// Checks that the key is the certificate's, that the CA signed it (perhaps through intermediates in
    /// `cert_pem`), that it has not expired, and that no CA key is among it.
    ///
    /// # Errors
    /// [`BundleError`]
    pub fn new(
        name: &str,
        cert_pem: Vec<u8>,
        key_pem: Zeroizing<Vec<u8>>,
        ca_pem: Vec<u8>,
    ) -> Result<Self, BundleError> {
        check_name(name)?;
        let bundle = Self { name: name.to_owned(), cert_pem, key_pem, ca_pem };
        bundle.check(SystemTime::now())?;
        Ok(bundle)
    }

    /// The name that its files carry.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `NAME.pem`
    pub fn cert_file(&self) -> String {
        pair_files::cert_file(&self.name)
    }

    /// `NAME-key.pem`
    pub fn key_file(&self) -> String {
        pair_files::key_file(&self.name)
    }

    /// The certificate, leaf first, then any intermediates.
    pub fn cert_pem(&self) -> &[u8] {
        &self.cert_pem
    }

    /// The key.
    pub fn key_pem(&self) -> &[u8] {
        &self.key_pem
    }

    /// The CA.
    pub fn ca_pem(&self) -> &[u8] {
        &self.ca_pem
    }

    fn check(&self, now: SystemTime) -> Result<(), BundleError> {
        let (cert_file, key_file) = (self.cert_file(), self.key_file());
        for (file, pem) in [(&cert_file, &self.cert_pem), (&CA_FILE.to_owned(), &self.ca_pem)] {
            if mentions(pem, b"PRIVATE KEY-----") {
                return Err(BundleError::HoldsKey { what: file.clone() });
            }
        }
        let chain = certificates(&cert_file, &self.cert_pem)?;
        let roots = certificates(CA_FILE, &self.ca_pem)?;
        let chain = parse_all(&cert_file, &chain)?;
        let roots = parse_all(CA_FILE, &roots)?;
        let Some(leaf) = chain.first() else {
            return Err(BundleError::NotPem { what: cert_file, why: "holds no certificate" });
        };
        if !is_key_of(&key_file, &self.key_pem, leaf)? {
            return Err(BundleError::KeyMismatch { key: key_file, cert: cert_file });
        }
        if leaf.is_ca() || roots.iter().any(|root| root.public_key().raw == leaf.public_key().raw) {
            return Err(BundleError::AuthorityItself { what: cert_file });
        }
        let end = leaf.validity().not_after;
        let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if i128::from(end.timestamp()) < i128::from(seconds) {
            let not_after = end.to_rfc2822().unwrap_or_else(|text| text);
            return Err(BundleError::Expired { what: cert_file, not_after });
        }
        if !leads_to(leaf, &chain, &roots) {
            return Err(BundleError::WrongCa { cert: cert_file, ca: CA_FILE.to_owned() });
        }
        Ok(())
    }
}

/// What an existing certificate file on a node means for one that would replace it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It carries the same common name and our CA signed it: a renewal.
    Ours,
    /// It is another's: another CA, or another common name.
    Foreign(&'static str),
}

impl Bundle {
    /// Judges the certificate that stands where ours is to go.
    pub(super) fn standing(&self, existing: &[u8]) -> Standing {
        let Ok(theirs) = certificates("", existing) else { return Standing::Foreign("is not a certificate") };
        let (Ok(ours), Ok(roots)) = (certificates("", &self.cert_pem), certificates("", &self.ca_pem)) else {
            return Standing::Foreign("cannot be compared");
        };
        let (Ok(theirs), Ok(ours), Ok(roots)) =
            (parse_all("", &theirs), parse_all("", &ours), parse_all("", &roots))
        else {
            return Standing::Foreign("is not a certificate that can be read");
        };
        let (Some(old), Some(new)) = (theirs.first(), ours.first()) else {
            return Standing::Foreign("holds no certificate");
        };
        if !leads_to(old, &theirs, &roots) {
            Standing::Foreign("was signed by another CA")
        } else if common_name(old) != common_name(new) {
            Standing::Foreign("is the certificate of another name")
        } else {
            Standing::Ours
        }
    }

    /// Whether the CA file that stands on a node holds every certificate of ours, and whether ours holds all of it.
    pub(super) fn ca_standing(&self, existing: &[u8]) -> (bool, bool) {
        let (Ok(theirs), Ok(ours)) = (certificates("", existing), certificates("", &self.ca_pem)) else {
            return (false, false);
        };
        let holds =
            |all: &[CertificateDer<'_>], some: &[CertificateDer<'_>]| some.iter().all(|c| all.contains(c));
        (holds(&theirs, &ours), holds(&ours, &theirs))
    }
}

fn check_name(name: &str) -> Result<(), BundleError> {
    if matches!(name, "ca" | "ca-key") {
        return Err(BundleError::AuthorityItself { what: format!("{name:?}") });
    }
    names::check_name(name).map_err(|fault| BundleError::BadName { name: name.to_owned(), fault })
}

fn certificates(what: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BundleError> {
    let not_pem = |why| BundleError::NotPem { what: what.to_owned(), why };
    let all: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|_| not_pem("is not whole: a PEM block in it is broken"))?;
    if all.is_empty() { Err(not_pem("holds no PEM certificate")) } else { Ok(all) }
}

fn parse_all<'a>(
    what: &str,
    ders: &'a [CertificateDer<'_>],
) -> Result<Vec<X509Certificate<'a>>, BundleError> {
    ders.iter()
        .map(|der| match X509Certificate::from_der(der) {
            Ok(([], certificate)) => Ok(certificate),
            _ => Err(BundleError::NotPem {
                what: what.to_owned(),
                why: "holds something that is not a certificate",
            }),
        })
        .collect()
}

/// Whether a PEM key is the one of a certificate.
fn is_key_of(what: &str, pem: &[u8], certificate: &X509Certificate<'_>) -> Result<bool, BundleError> {
    let not_pem = |why| BundleError::NotPem { what: what.to_owned(), why };
    if mentions(pem, b"ENCRYPTED PRIVATE KEY-----") || mentions(pem, b"Proc-Type: 4,ENCRYPTED") {
        return Err(BundleError::KeyEncrypted { what: what.to_owned() });
    }
    let key = Zeroizing::new(PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => not_pem("holds no PEM private key"),
        _ => not_pem("is not whole: a PEM block in it is broken"),
    })?);
    let spki = certificate.public_key();
    if let Ok(signer) = rustls::crypto::ring::sign::any_supported_type(&key)
        && let Some(public) = signer.public_key()
    {
        return Ok(public.as_ref() == spki.raw);
    }
    is_rare_key_of(&key, &spki.subject_public_key.data)
        .ok_or_else(|| not_pem("holds a key of a kind that etcd cannot use"))
}

/// The same for the kinds of key that Go takes and ring does not, P-521 and RSA of unusual sizes, against a
/// certificate's public key bits; `None` for any other kind.
fn is_rare_key_of(key: &PrivateKeyDer<'_>, public: &[u8]) -> Option<bool> {
    use pkcs8::DecodePrivateKey;
    use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPublicKey};
    let p521 = |key: p521::SecretKey| p521::PublicKey::from_sec1_bytes(public) == Ok(key.public_key());
    let rsa = |key: rsa::PrivateKey| Some(key.to_public_key().to_pkcs1_der().ok()?.as_bytes() == public);
    match key {
        PrivateKeyDer::Pkcs8(der) => {
            let der = der.secret_pkcs8_der();
            match p521::SecretKey::from_pkcs8_der(der) {
                Ok(key) => Some(p521(key)),
                Err(_) => rsa::PrivateKey::from_pkcs8_der(der).ok().and_then(rsa),
            }
        }
        PrivateKeyDer::Pkcs1(der) => {
            rsa::PrivateKey::from_pkcs1_der(der.secret_pkcs1_der()).ok().and_then(rsa)
        }
        PrivateKeyDer::Sec1(der) => p521::SecretKey::from_sec1_der(der.secret_sec1_der()).ok().map(p521),
        _ => None,
    }
}

/// Whether a path of signatures leads from `leaf` through `others` to one of `roots`.
fn leads_to(
    leaf: &X509Certificate<'_>,
    others: &[X509Certificate<'_>],
    roots: &[X509Certificate<'_>],
) -> bool {
    let mut reached = vec![leaf];
    for _ in 0..MAX_CHAIN {
        if reached.iter().any(|child| roots.iter().any(|root| signed(child, root))) {
            return true;
        }
        let parents = others.iter().filter(|parent| {
            parent.is_ca() && !reached.contains(parent) && reached.iter().any(|child| signed(child, parent))
        });
        let parents: Vec<_> = parents.collect();
        if parents.is_empty() {
            return false;
        }
        reached.extend(parents);
    }
    false
}

fn signed(child: &X509Certificate<'_>, parent: &X509Certificate<'_>) -> bool {
    child.issuer().as_raw() == parent.subject().as_raw()
        && match child.verify_signature(Some(parent.public_key())) {
            Ok(()) => true,
            // Not ours to judge: `verify` knows more kinds of signature than this parser.
            Err(X509Error::SignatureUnsupportedAlgorithm) => true,
            Err(_) => false,
        }
}

fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    certificate.subject().iter_common_name().next().and_then(|cn| cn.as_str().ok()).map(str::to_owned)
}

fn mentions(text: &[u8], words: &[u8]) -> bool {
    text.windows(words.len()).any(|window| window == words)
}
