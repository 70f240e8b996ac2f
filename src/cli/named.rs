//! Certificates by name: wherever a command takes a certificate file, the name of one in the PKI directory does as well.

use std::path::{Path, PathBuf};

use super::Failure;
use crate::ca::CertName;
use crate::files;

/// A path as it is; or, where nothing is there and it is a name, the file of that certificate in the PKI directory.
pub(super) fn certificate(pki_dir: &Path, path: &Path) -> Result<PathBuf, Failure> {
    let is_name = |text: &&str| matches!(*text, "ca" | "issuing-ca") || CertName::existing(text).is_ok();
    let name = path.to_str().filter(is_name);
    let Some(name) = name.filter(|_| !matches!(files::kind_at(path), Ok(Some(_)))) else {
        return Ok(path.to_owned());
    };
    let file = pki_dir.join(format!("{name}.pem"));
    if files::is_file(&file)? {
        return Ok(file);
    }
    let what = format!("there is no file {name}, and no certificate of that name in {}", pki_dir.display());
    Err(Failure::usage("no-such-name", what)
        .hint("`etcd-pki list` shows the names; --pki-dir names the PKI directory"))
}
