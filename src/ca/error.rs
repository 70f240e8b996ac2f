//! What can go wrong while certificates are made.

use std::path::PathBuf;

use time::OffsetDateTime;

use crate::files::{FileError, LockError};
use crate::shell;

/// What can go wrong while certificates are made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaError {
    /// The CA certificate may not sign certificates.
    #[error("{path} is not a CA that may sign: {why}")]
    CaMayNotSign {
        /// The certificate's file.
        path: PathBuf,
        /// What it lacks.
        why: &'static str,
    },
    /// The CA has expired.
    #[error("the CA in {path} expired on {not_after}")]
    CaExpired {
        /// The certificate's file.
        path: PathBuf,
        /// Its end.
        not_after: OffsetDateTime,
    },
    /// The clock is before the CA's start.
    #[error("the CA in {path} is valid only from {not_before}, and this machine's clock says {now}")]
    CaNotYetValid {
        /// The certificate's file.
        path: PathBuf,
        /// Its start.
        not_before: OffsetDateTime,
        /// This machine's clock.
        now: OffsetDateTime,
    },
    /// Key and certificate do not belong together.
    #[error("{key} is not the key of {cert}")]
    KeyMismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        cert: PathBuf,
    },
    /// Others can read the CA key.
    #[error("{path} can be read by others (mode {mode:04o})")]
    KeyReadable {
        /// The key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A CA has not signed the one that should be below it.
    #[error("{upper} has not signed {lower}")]
    BrokenChain {
        /// The lower CA's file.
        lower: PathBuf,
        /// The upper CA's file.
        upper: PathBuf,
    },
    /// The root above an intermediate CA is not there.
    #[error("{path} is an intermediate CA, and the certificate that signed {subject:?} is not there")]
    NoRoot {
        /// The intermediate's file.
        path: PathBuf,
        /// The highest CA that was found.
        subject: String,
    },
    /// The CA's own extended key usages do not allow what is asked for.
    #[error("the CA in {path} may not issue for {usage}: its extended key usages do not list it")]
    UsageNotAllowed {
        /// The CA's file.
        path: PathBuf,
        /// The usage.
        usage: super::profile::Usage,
    },
    /// A name, address or other value is not usable.
    #[error("{field} {value:?}: {what}")]
    BadValue {
        /// The option or field.
        field: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it.
        what: String,
        /// What to do.
        hint: String,
    },
    /// A SAN lies outside the CA's name constraints.
    #[error("the CA may not certify {san}: {why}")]
    OutsideConstraints {
        /// The name or address.
        san: String,
        /// Which constraint forbids it.
        why: String,
    },
    /// There is no certificate authority in the directory.
    #[error("{dir} holds no certificate authority: {missing} is not there")]
    NoCa {
        /// The PKI directory.
        dir: PathBuf,
        /// The file that is missing.
        missing: &'static str,
    },
    /// There is a CA, or a part of one.
    #[error("{path} already exists")]
    CaExists {
        /// The file.
        path: PathBuf,
    },
    /// A certificate that this CA has not signed, or the CA's own.
    #[error("{path} is not a certificate that this CA has issued")]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// A certificate stands where the revocation list goes.
    #[error("{path} is a certificate, not a revocation list")]
    NotACrl {
        /// The file.
        path: PathBuf,
    },
    /// Something of that name is there already.
    #[error("{path} already exists")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A certificate or key could not be read as such.
    #[error("{path}: {what}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The certificate of a CA is another one than that of which the ledger has a line.
    #[error("{path} is not the CA of this directory: its SHA-256 is {found}, the ledger has {recorded}")]
    OtherCa {
        /// The certificate's file.
        path: PathBuf,
        /// SHA-256 of the certificate that is there, in hexadecimal.
        found: String,
        /// SHA-256 of the one that the ledger has.
        recorded: String,
    },
    /// The key is encrypted and no passphrase was given.
    #[error("{path} is encrypted")]
    PassphraseNeeded {
        /// The key's file.
        path: PathBuf,
    },
    /// The passphrase does not open the key.
    #[error("the passphrase does not open {path}")]
    WrongPassphrase {
        /// The key's file.
        path: PathBuf,
    },
    /// A passphrase that Java does not accept for a PKCS#12 file.
    #[error("the passphrase of a PKCS#12 file may have printable ASCII characters only")]
    PassphraseNotAscii,
    /// An encrypted key whose parameters ask for more work than is done.
    #[error("{path}: {what}")]
    CostlyKey {
        /// The key's file.
        path: PathBuf,
        /// What it asks for, and the limit.
        what: String,
    },
    /// More names than a certificate is given.
    #[error("{of} has {what}")]
    TooManyNames {
        /// The request or certificate.
        of: String,
        /// How many, and the limit.
        what: String,
    },
    /// There is no such profile.
    #[error("there is no profile {name:?}")]
    UnknownProfile {
        /// The name.
        name: String,
        /// The ones there are.
        known: Vec<String>,
    },
    /// The root's key, which a new issuing CA needs, is kept elsewhere.
    #[error("the root's key is needed, and {path} is not there")]
    NoRootKey {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A key of a kind that is not certified.
    #[error("a key of kind {kind} is not certified here")]
    UnusableKey {
        /// The kind.
        kind: String,
    },
    /// A request's own signature does not hold.
    #[error("{path}: the request's signature does not hold")]
    BadRequest {
        /// The request's file.
        path: PathBuf,
    },
    /// A request asks for names that nobody has confirmed.
    #[error("{path} asks for {}, which nobody has confirmed", names.join(", "))]
    UnconfirmedNames {
        /// The request's file.
        path: PathBuf,
        /// The names.
        names: Vec<String>,
    },
    /// A profile template is not usable.
    #[error("{path}: {what}")]
    Template {
        /// The template's file, or its built-in name.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// A cryptographic operation failed.
    #[error("cannot {action}: {what}")]
    Crypto {
        /// What was tried.
        action: &'static str,
        /// What the library said.
        what: String,
    },
    /// Nothing in the directory has that name.
    #[error("{dir} holds no certificate named {name}")]
    NoSuchName {
        /// The PKI directory.
        dir: PathBuf,
        /// The name.
        name: String,
    },
    /// The ledger is gone though the CA is there.
    #[error("{path} is missing")]
    LedgerMissing {
        /// The ledger.
        path: PathBuf,
    },
    /// The ledger holds the change, but it could not all be put in place.
    #[error("{source}; the ledger already holds the change")]
    HalfDone {
        /// What went wrong.
        source: Box<Self>,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process writes to the directory.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl CaError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::CaMayNotSign { why, .. } if why.contains("path length") => {
                "make a CA that allows one below it, in another directory: `etcd-pki --pki-dir NEWDIR init-ca --intermediate`"
                    .into()
            }
            Self::CaMayNotSign { why, .. } if why.contains("cRLSign") => {
                "make the next CA with cRLSign, as init-ca does; etcd alone would not mind".into()
            }
            Self::CaMayNotSign { .. } => {
                "give a CA certificate: basicConstraints CA:TRUE, and keyCertSign where it has a keyUsage"
                    .into()
            }
            Self::CaExpired { path, .. } if path.ends_with(super::store::ISSUING_CA_FILE) => {
                "make the next one below the same root: `etcd-pki init-ca --intermediate --renew`".into()
            }
            Self::NoRootKey { .. } => "bring it, and name it with --root-key FILE".into(),
            Self::CaExpired { .. } => {
                "make a new CA in another directory (`etcd-pki --pki-dir NEWDIR init-ca`), give both to every member and client, \
                 restart the members, and issue from the new one"
                    .into()
            }
            Self::CaNotYetValid { .. } => "set this machine's clock".into(),
            Self::KeyMismatch { .. } => "put back the pair that belongs together".into(),
            Self::KeyReadable { path, .. } => format!("chmod 600 {}", shell::path(path)),
            Self::BadValue { hint, .. } => hint.clone(),
            Self::OutsideConstraints { .. } => {
                "leave it out, or make a CA that permits it: `etcd-pki --pki-dir NEWDIR init-ca --permit-ip CIDR --permit-dns DOMAIN`"
                    .into()
            }
            Self::BrokenChain { .. } => "give the certificates from the issuing CA up to the root".into(),
            Self::NoRoot { .. } => "give the root's certificate too, with --root FILE".into(),
            Self::CaExists { .. } => {
                "a CA is never overwritten: choose another directory with --pki-dir".into()
            }
            Self::NotOurs { .. } => "only the CA that issued a certificate can revoke it".into(),
            Self::NotACrl { .. } => {
                "its name is reserved today: issue it under another one, then remove it and its key".into()
            }
            Self::UnusableKey { .. } => {
                "P-256, P-384, Ed25519, and RSA of 2048 to 8192 bits with the exponent 65537 are; `etcd-pki csr NAME` \
                 makes such a key"
                    .into()
            }
            Self::BadRequest { .. } => "make it anew on the node with `etcd-pki csr NAME`".into(),
            Self::UnconfirmedNames { .. } => {
                "give each with --ip or --dns, or take them all with --trust-csr-names".into()
            }
            Self::UsageNotAllowed { .. } => {
                "choose a profile with other usages, or make that CA again without extended key usages: no certificate of the \
                 chain may leave a usage out"
                    .into()
            }
            Self::NoCa { dir, .. } => format!(
                "make one with `etcd-pki --pki-dir {0} init-ca`, or name the directory that has one with --pki-dir",
                shell::path(dir)
            ),
            Self::Exists { .. } => "it was left as it is; --force replaces it and keeps the old one".into(),
            Self::OtherCa { .. } => {
                "put back the certificate and key of this directory's own CA; another CA belongs into a directory of its \
                 own: `etcd-pki --pki-dir NEWDIR import-ca --cert FILE --key FILE`"
                    .into()
            }
            Self::PassphraseNeeded { .. } => {
                "give --passphrase-file FILE or --passphrase-fd N, or run it on a terminal".into()
            }
            Self::PassphraseNotAscii => {
                "Java refuses any other (\"Password is not ASCII\"); use letters, digits and punctuation, or make the file \
                 for other software with `openssl pkcs12 -export -in NAME.pem -inkey NAME-key.pem -certfile ca.pem`"
                    .into()
            }
            Self::CostlyKey { path, .. } => format!(
                "encrypt it anew with moderate parameters, such as those of `openssl pkey -in {} -aes256 -out NEW.pem` \
                 (openssl opens scrypt up to N = 16384 only: above that, the tool that encrypted it has to)",
                shell::path(path)
            ),
            Self::TooManyNames { .. } => {
                "leave out names that nobody dials, use one such as *.example.com for many, or make several certificates"
                    .into()
            }
            Self::WrongPassphrase { .. } => "nothing was changed; try again with the right one".into(),
            Self::UnknownProfile { known, .. } => format!("the profiles are: {}", known.join(", ")),
            Self::Template { .. } => "correct the template, or remove it to use the built-in one".into(),
            Self::NoSuchName { .. } => "`etcd-pki list` shows what there is".into(),
            Self::LedgerMissing { .. } => {
                "rebuild it from the certificates with `etcd-pki list --rebuild`".into()
            }
            Self::HalfDone { .. } => {
                "run the same command again: it carries on where this one stopped".into()
            }
            Self::File(error) => return file_hint(error),
            Self::Lock(LockError::Held { .. }) => "wait for it to end and run the command again".into(),
            Self::Lock(LockError::File(error)) => return file_hint(error),
            Self::Unreadable { path, .. } => {
                format!("`etcd-pki inspect {}` shows what is in it", shell::path(path))
            }
            Self::Crypto { .. } => return None,
        })
    }

    /// A value that is not usable, and what to do about it.
    pub(crate) fn value(
        field: &'static str,
        value: impl Into<String>,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::BadValue { field, value: value.into(), what: what.into(), hint: hint.into() }
    }
}

fn file_hint(error: &FileError) -> Option<String> {
    use std::io::ErrorKind;
    const SHARED: &str = "--allow-shared-dir accepts a directory that other users may change";
    if let FileError::Untrusted { cure, .. } = error {
        return Some(match cure {
            Some(cure) => format!("{cure}; or {SHARED}"),
            None => format!("use a directory of your own; or {SHARED}"),
        });
    }
    if let Some(hint) = error.hint() {
        return Some(hint.into());
    }
    let Some(kind) = error.io_kind() else { return Some("it was left as it is".into()) };
    match kind {
        ErrorKind::PermissionDenied => Some("run as the user who owns the directory".into()),
        ErrorKind::ReadOnlyFilesystem => {
            Some("the file system is read-only: choose another directory".into())
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Some("make room on the disk and run the same command again".into())
        }
        _ => {
            let dir = crate::files::parent(error.path()).display();
            Some(format!(
                "`ls -ld {dir}` and `df {dir}` show what is wrong there; then run the same command again"
            ))
        }
    }
}
