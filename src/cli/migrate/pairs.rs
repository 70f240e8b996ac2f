//! Where the members' pairs are: in the PKI directory, or in one that was made elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::super::pki::{any_store, issuer};
use super::super::{Context, Failure, install};
use super::ClusterArgs;
use crate::ca::Store;
use crate::files;
use crate::host::bundle::Bundle;
use crate::limits;
use crate::migrate::Pair;

/// The members' pairs.
pub(super) enum Pairs {
    /// The PKI directory's.
    Pki(Box<Store>),
    /// Somebody else's: `NAME.pem` with `NAME-key.pem`, or `NAME.crt` with `NAME.key`; `ca.pem` or `ca.crt`.
    Elsewhere(PathBuf),
}

impl Pairs {
    pub(super) fn of(context: &Context, cluster: &ClusterArgs) -> Result<Self, Failure> {
        Ok(match &cluster.certs {
            Some(dir) => Self::Elsewhere(dir.clone()),
            None => Self::Pki(Box::new(any_store(context)?)),
        })
    }

    /// Every pair that is there and whole, by name: for what stands around the members.
    pub(super) fn all(&self) -> BTreeMap<String, Pair> {
        let dir = match self {
            Self::Pki(store) => store.dir(),
            Self::Elsewhere(dir) => dir,
        };
        let name = |file: &String| {
            let stem = file.strip_suffix("-key.pem").or_else(|| file.strip_suffix(".key"))?;
            (!matches!(stem, "ca" | "root-ca" | "issuing-ca")).then(|| stem.to_owned())
        };
        let names: Vec<String> = files::list(dir).unwrap_or_default().iter().filter_map(name).collect();
        let pair = |name: String| Some((name.clone(), self.pair(&name).ok()??));
        names.into_iter().filter_map(pair).collect()
    }

    /// The pair of that name; none where the PKI directory has none yet.
    pub(super) fn pair(&self, name: &str) -> Result<Option<Pair>, Failure> {
        match self {
            Self::Pki(store) => Ok(match store.pair(name)? {
                None => None,
                Some(pair) => {
                    let ca_pem = store.ca_pem()?.to_vec();
                    let issuer = issuer(store.dir());
                    Some(Pair { cert_pem: pair.cert_pem, key_pem: pair.key_pem, ca_pem, issuer })
                }
            }),
            Self::Elsewhere(dir) => elsewhere(dir, name).map(Some),
        }
    }
}

fn elsewhere(dir: &Path, name: &str) -> Result<Pair, Failure> {
    let missing = |what: String, hint: String| {
        Failure::usage("no-pair", format!("{}: {what}", dir.display())).hint(hint)
    };
    let ca = first(dir, &["ca.pem", "ca.crt"])?.ok_or_else(|| {
        missing(
            "it has no ca.pem and no ca.crt".to_owned(),
            "--certs names a directory with the CA".to_owned(),
        )
    })?;
    for (cert, key) in [(".pem", "-key.pem"), (".crt", ".key")] {
        let (cert, key) = (format!("{name}{cert}"), format!("{name}{key}"));
        if let (Some(cert), Some(key)) = (first(dir, &[&cert])?, first(dir, &[&key])?) {
            let bundle = Bundle::new(name, cert.to_vec(), key, ca.to_vec())
                .map_err(|error| install::bundle_failure(&error, name, dir))?;
            return Ok(Pair {
                cert_pem: bundle.cert_pem().to_vec(),
                key_pem: Zeroizing::new(bundle.key_pem().to_vec()),
                ca_pem: bundle.ca_pem().to_vec(),
                issuer: None,
            });
        }
    }
    Err(missing(
        format!("it has no pair of {name}"),
        format!("put {name}.pem and {name}-key.pem, or {name}.crt and {name}.key, into it"),
    ))
}

/// The first of these files that is there; symlinks, as certificate managers make them, are followed.
fn first(dir: &Path, names: &[&str]) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    for name in names {
        let path = dir.join(name);
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(Failure::usage("unreadable", format!("cannot read {}: {error}", path.display()))
                    .hint("--certs names a directory that you may read"));
            }
        };
        return Ok(Some(Zeroizing::new(files::read_input(&real, limits::PKI)?.bytes)));
    }
    Ok(None)
}
