//! What is found once for all certificates of a directory: the CA file that they are judged against, and a CA's key that
//! lies there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::super::Failure;
use super::settings::{Settings, Wanted};
use crate::files::{self, FileError};
use crate::verify::{CaFile, Finding, Trust, on_disk, target};

/// The directories of all certificates that are judged.
pub(super) struct Places {
    files: Vec<CaFile>,
    found: HashMap<PathBuf, Found>,
}

struct Found {
    /// Which of the files.
    ca: Option<usize>,
    ca_key: Option<Finding>,
}

/// What a certificate is judged against.
pub(super) struct Place<'a> {
    pub(super) trust: Option<&'a Trust<'a>>,
    pub(super) ca_key: Option<&'a Finding>,
}

impl Places {
    /// Looks into each directory once, and reads each CA file once.
    pub(super) fn of(settings: &Settings<'_>, targets: &[Wanted]) -> Result<Self, Failure> {
        // The given one may be a pipe: it was read already, and cannot be read again.
        let given = settings.ca.as_deref().map(|ca| CaFile::read(ca, settings.go));
        let given_at = given.as_ref().map(|_| 0);
        let mut places = Self { files: given.into_iter().collect(), found: HashMap::new() };
        let mut read: HashMap<PathBuf, usize> = HashMap::new();
        for wanted in targets {
            let directory = directory(wanted);
            if places.found.contains_key(directory) {
                continue;
            }
            let path = if given_at.is_some() { None } else { settings.ca_path(directory)? };
            let ca = match path {
                None => given_at,
                Some(path) => Some(match read.get(&path) {
                    Some(&at) => at,
                    None => {
                        places.files.push(CaFile::read(&target::read(&path)?, settings.go));
                        *read.entry(path).or_insert(places.files.len() - 1)
                    }
                }),
            };
            let ca_key = on_disk::ca_key(directory, settings.pki_dir)?;
            places.found.insert(directory.to_owned(), Found { ca, ca_key });
        }
        Ok(places)
    }

    /// Whom the CA files make trusted.
    pub(super) fn trusts(&self, settings: &Settings<'_>) -> Vec<Trust<'_>> {
        self.files.iter().map(|file| file.trust(settings.go)).collect()
    }

    pub(super) fn place<'a>(&'a self, trusts: &'a [Trust<'a>], wanted: &Wanted) -> Place<'a> {
        let found = &self.found[directory(wanted)];
        Place { trust: found.ca.map(|at| &trusts[at]), ca_key: found.ca_key.as_ref() }
    }
}

fn directory(wanted: &Wanted) -> &Path {
    wanted.target.certificate.parent().unwrap_or(Path::new(""))
}

impl Settings<'_> {
    /// Where none is given, the CA file is the PKI directory's, or one in the certificate's directory.
    pub(super) fn ca_path(&self, directory: &Path) -> Result<Option<PathBuf>, FileError> {
        let places = [self.pki_dir.join("ca.pem"), directory.join("ca.pem"), directory.join("ca.crt")];
        for path in places {
            if files::is_file(&path)? {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
}

/// There is no CA file for a certificate.
pub(super) fn no_ca(certificate: &Path) -> Failure {
    Failure::usage("no-ca", format!("there is no CA file to judge {} against", certificate.display()))
        .hint("give it with --ca FILE, or the PKI directory with --pki-dir DIR")
}
