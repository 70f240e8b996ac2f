//! What Go asks before any chain: do key and certificate belong together, and can the key make a handshake?

use super::super::certificate::Certificate;
use super::super::cure::Cures;
use super::super::findings::Findings;
use super::super::go::Since;
use super::super::godebug::Rule;
use super::super::key::{self, KeyError};
use super::super::pitfalls::Code;
use super::super::public_key::{Curve, PublicKey};
use super::super::signature::SignatureError;
use super::super::{GoVersion, Request, Sides, pem};
use crate::advice::{Advice, CommandLine};

/// A. The pair: the key can be read, and it is the leaf's.
pub(super) fn judge_pair(request: &Request<'_>, certificates: &[Certificate<'_>], findings: &mut Findings) {
    let Some(key) = request.key else { return };
    let leaf = &certificates[0];
    let cures = Cures::of(request, Some(leaf));
    let public = match key::public_of(&pem::blocks(key, request.go), &leaf.key, request.go) {
        Ok(public) => public,
        Err(error) => {
            let (code, message, fix) = match &error {
                KeyError::Encrypted(_) => (
                    Code::KeyEncrypted,
                    "the key is encrypted; etcd never asks for a passphrase",
                    CommandLine::parse("openssl pkey -in KEY -out NEWKEY && chmod 0600 NEWKEY").into(),
                ),
                KeyError::NoPem if key.is_empty() && is_automatic(leaf) => (
                    Code::KeyUnusable,
                    "the key file is empty; the certificate is one that etcd made for itself (--auto-tls)",
                    Advice::from("remove both, and etcd makes a new pair at its next start: ")
                        .and(CommandLine::parse("rm CERT KEY")),
                ),
                KeyError::NoPem if key.is_empty() => {
                    (Code::KeyUnusable, "the key file is empty", cures.reissue())
                }
                KeyError::NoPem => (
                    Code::KeyUnusable,
                    "there is no PEM block in the key file",
                    CommandLine::parse("openssl pkey -inform der -in KEY -out NEWKEY && chmod 0600 NEWKEY")
                        .into(),
                ),
                KeyError::Certificate | KeyError::NoKey(_) => (
                    Code::KeyUnusable,
                    "the key file holds no private key",
                    "name the key in --key-file".into(),
                ),
                KeyError::Unreadable(_) | KeyError::UnknownKind => (
                    Code::KeyUnusable,
                    "the key is damaged, or of a kind that Go does not know",
                    cures.new_key(),
                ),
            };
            findings.reject(code, message, error.to_string(), fix);
            return;
        }
    };
    match &leaf.key {
        PublicKey::Dsa(_) | PublicKey::Unknown { .. } => findings.reject(
            Code::KeyUnusable,
            format!(
                "the certificate has a key of a kind that Go's TLS does not use: {}",
                leaf.key.describe()
            ),
            "tls: unknown public key algorithm",
            cures.new_key(),
        ),
        own if same_key(own, &public, request.go) => {}
        own => {
            let says = if std::mem::discriminant(own) == std::mem::discriminant(&public) {
                "tls: private key does not match public key"
            } else {
                "tls: private key type does not match public key type"
            };
            match certificates.iter().position(|one| same_key(&one.key, &public, request.go)) {
                Some(at) => findings.reject(
                    Code::LeafNotFirst,
                    format!(
                        "the key belongs to certificate {} of the file ({}), not to the first ({})",
                        at + 1,
                        certificates[at].subject_text(),
                        leaf.subject_text()
                    ),
                    says,
                    "put the leaf first: cat leaf.pem intermediate.pem > chain.pem",
                ),
                None => findings.reject(
                    Code::KeyMismatch,
                    format!(
                        "the key ({}) is not the certificate's ({})",
                        public.describe(),
                        leaf.key.describe()
                    ),
                    says,
                    Advice::from("put its own key in that place, or issue a new pair: ").and(cures.reissue()),
                ),
            }
        }
    }
}

/// Whether etcd made a certificate for itself, as it does with --auto-tls and --peer-auto-tls.
fn is_automatic(leaf: &Certificate<'_>) -> bool {
    leaf.is_self_issued() && leaf.organization().as_deref() == Some("etcd")
}

/// Of an RSA key Go compares the modulus only, before 1.26.
fn same_key(left: &PublicKey, right: &PublicKey, go: GoVersion) -> bool {
    match (left, right) {
        (PublicKey::Rsa { modulus: left, .. }, PublicKey::Rsa { modulus: right, .. })
            if go < GoVersion::CHAIN_CONSTRAINTS =>
        {
            left == right
        }
        _ => left == right,
    }
}

/// B. The handshake: the key can sign one, and no certificate in it is beyond limits.
pub(super) fn judge_handshake(request: &Request<'_>, sent: &[Certificate<'_>], findings: &mut Findings) {
    let leaf = &sent[0];
    let cures = Cures::of(request, Some(leaf));
    let refuses_small = request.go >= GoVersion::POLICIES && !request.go.relaxes(Rule::NoSmallRsa);
    match &leaf.key {
        PublicKey::Ec { curve: Curve::P224, .. } => findings.reject(
            Code::UnsupportedCurve,
            "Go's TLS does not use P-224",
            "tls: unsupported certificate curve (P-224)",
            cures.new_key(),
        ),
        // A PSS signature with SHA-256 needs 66 bytes.
        PublicKey::Rsa { .. } if leaf.key.bits().div_ceil(8) < 66 => findings.reject(
            Code::RsaTooSmall,
            format!("an RSA key of {} bits cannot sign a TLS handshake", leaf.key.bits()),
            "tls: certificate RSA key size too small for supported signature algorithms",
            cures.new_key(),
        ),
        PublicKey::Rsa { .. } if leaf.key.bits() < 1024 && refuses_small => findings.reject(
            Code::RsaTooSmall,
            format!("Go {} refuses RSA keys below 1024 bits", request.go),
            SignatureError::RsaTooSmall(leaf.key.bits()).to_string(),
            cures.new_key(),
        ),
        PublicKey::Dsa(_) | PublicKey::Unknown { .. } if request.key.is_none() => findings.warn(
            Code::KeyUnusable,
            format!("{} is no kind of key that Go's TLS uses", leaf.key.describe()),
            "tls: unknown public key algorithm",
            cures.new_key(),
        ),
        _ => {}
    }
    for (at, certificate) in sent.iter().enumerate() {
        if certificate.key.bits() > 8192
            && matches!(certificate.key, PublicKey::Rsa { .. })
            && request.go.has(&Since::NO_LARGE_RSA)
        {
            let serves = request.role.serves() && request.sides != Sides::Dialling;
            let who = if serves { "server" } else { "client" };
            findings.reject(
                Code::RsaTooLarge,
                format!("{} has an RSA key of {} bits", certificate.subject_text(), certificate.key.bits()),
                format!("tls: {who} sent certificate containing RSA key larger than 8192 bits"),
                if at == 0 {
                    cures.new_key()
                } else {
                    "take it out of the file, or make that CA again with a smaller key".into()
                },
            );
        }
    }
}
