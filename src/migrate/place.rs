//! What is placed on a member's machine: its certificates, and the files with a stage's settings.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::files::{FileMode, Meta, Owner};
use crate::host::{Layer, LayerFile, Placement};
use crate::inventory::pair_files::{self, CA_FILE};

use super::error::MigrateError;
use super::node::Node;
use super::traces::{Purpose, Traces};

/// A file to be.
pub(super) struct Planned<'a> {
    pub(super) path: PathBuf,
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) mode: FileMode,
    pub(super) owner: Option<Owner>,
}

/// The pair and the CA as they stand on the machine; none when no pair was issued.
pub(super) fn certificate_files(node: &Node, owner: Option<Owner>) -> Vec<Planned<'_>> {
    let Some(pair) = &node.pair else { return Vec::new() };
    let file = |name: String, bytes, mode| Planned {
        path: node.ssl_dir.join(name),
        bytes: Cow::Borrowed(bytes),
        mode,
        owner,
    };
    vec![
        file(pair_files::key_file(&node.name), pair.key_pem.as_slice(), FileMode::SECRET),
        file(pair_files::cert_file(&node.name), pair.cert_pem.as_slice(), FileMode::PUBLIC),
        file(CA_FILE.to_owned(), pair.ca_pem.as_slice(), FileMode::PUBLIC),
    ]
}

/// The first of the certificate files that is not there as it was issued.
///
/// # Errors
/// [`MigrateError::Host`]
pub(super) fn not_as_issued(node: &Node) -> Result<Option<String>, MigrateError> {
    let files = certificate_files(node, None);
    let paths: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
    let images = node.host.read_many(&paths)?;
    let other = files.iter().zip(images).find(|(file, image)| {
        image.as_ref().is_none_or(|image| image.bytes != *file.bytes || image.mode != file.mode)
    });
    Ok(other.map(|(file, _)| file.path.display().to_string()))
}

/// The first of the certificate files that is not there as it was placed.
///
/// # Errors
/// [`MigrateError::Host`]
pub(super) fn not_as_placed(node: &Node) -> Result<Option<String>, MigrateError> {
    Traces::load(&*node.host)?.first_changed(Purpose::Certificate)
}

/// Places the certificates for the user that etcd runs as.
///
/// # Errors
/// [`MigrateError::NoPair`], [`MigrateError::Changed`].
pub(super) fn install(node: &Node, uid: Option<u32>) -> Result<Vec<String>, MigrateError> {
    let owner = uid.map(|uid| node.host.owner(&uid.to_string())).transpose()?;
    let files = certificate_files(node, owner);
    if files.is_empty() {
        return Err(MigrateError::NoPair {
            member: node.name.clone(),
            what: "there is no pair of that name in the PKI directory".to_owned(),
        });
    }
    let mut traces = Traces::load(&*node.host)?;
    traces.make_dir(&node.ssl_dir, Meta { mode: FileMode::DIR, owner }, Purpose::Certificate)?;
    let placements = files.iter().map(|file| Placement {
        path: &file.path,
        bytes: &file.bytes,
        meta: Meta { mode: file.mode, owner: file.owner },
    });
    traces.place_all(&placements.collect::<Vec<_>>(), Purpose::Certificate)?;
    Ok(files.iter().map(|file| file.path.display().to_string()).collect())
}

/// Places the files of a stage's layers and takes those of later stages away, the last first: the disk holds a whole
/// stage at every moment, whenever the run is killed.
///
/// # Errors
/// [`MigrateError::Changed`] when one was edited since.
pub(super) fn configure(node: &Node, layers: &[Layer]) -> Result<(), MigrateError> {
    let mut traces = Traces::load(&*node.host)?;
    let files = node.service.layer_files(layers)?;
    let stale: Vec<PathBuf> = traces
        .paths()
        .rev()
        .filter(|(path, purpose)| {
            let kept = |file: &LayerFile| file.path.starts_with(path);
            *purpose == Purpose::Setting && !files.iter().any(kept)
        })
        .map(|(path, _)| path.to_owned())
        .collect();
    let dirs: BTreeSet<_> = files.iter().filter_map(|file| file.path.parent()).collect();
    for dir in dirs {
        traces.make_dir(dir, Meta::mode(FileMode::DIR), Purpose::Setting)?;
    }
    let placements = files.iter().map(|file| Placement {
        path: &file.path,
        bytes: file.content.as_bytes(),
        meta: file.meta,
    });
    traces.place_all(&placements.collect::<Vec<_>>(), Purpose::Setting)?;
    traces.put_back(&stale)
}

/// Puts back what was there before, last first, and removes what was not.
///
/// # Errors
/// [`MigrateError::Changed`]
pub(super) fn restore(node: &Node) -> Result<(), MigrateError> {
    Traces::load(&*node.host)?.put_all_back()
}
