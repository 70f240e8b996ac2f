//! What is placed on a member's machine: its certificates, and the files with a stage's settings.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::files::{FileMode, Meta, Owner};
use crate::host::Layer;

use super::error::MigrateError;
use super::node::Node;
use super::stage::Settings;
use super::traces::Traces;

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
        file(format!("{}-key.pem", node.name), pair.key_pem.as_slice(), FileMode::SECRET),
        file(format!("{}.pem", node.name), pair.cert_pem.as_slice(), FileMode::PUBLIC),
        file("ca.pem".to_owned(), pair.ca_pem.as_slice(), FileMode::PUBLIC),
    ]
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
    traces.make_dir(&node.ssl_dir, Meta { mode: FileMode::DIR, owner })?;
    for file in &files {
        traces.place(&file.path, &file.bytes, Meta { mode: file.mode, owner: file.owner })?;
    }
    Ok(files.iter().map(|file| file.path.display().to_string()).collect())
}

/// Places the layers of a stage, the last first, and takes the others away, the first first: a later layer sets
/// whatever an earlier one does, so the disk holds a whole stage at every moment, whenever the run is killed.
///
/// # Errors
/// [`MigrateError::Changed`] when one was edited since.
pub(super) fn configure(
    node: &Node,
    layers: &[(&'static str, Settings)],
) -> Result<Vec<String>, MigrateError> {
    let mut traces = Traces::load(&*node.host)?;
    let mut changed = Vec::new();
    for name in LAYERS.into_iter().filter(|name| layers.iter().all(|(layer, _)| layer != name)) {
        let file = node.service.layer_file(&Layer { name, settings: BTreeMap::new() })?;
        if traces.paths().any(|path| path == file.path) {
            traces.put_back(&file.path)?;
            changed.push(format!("removed {}", file.path.display()));
        }
    }
    for (name, settings) in layers.iter().rev() {
        let file = node.service.layer_file(&Layer { name, settings: settings.clone() })?;
        if let Some(dir) = file.path.parent() {
            traces.make_dir(dir, Meta::mode(FileMode::DIR))?;
        }
        traces.place(&file.path, file.content.as_bytes(), file.meta)?;
        changed.push(format!("wrote {}", file.path.display()));
    }
    Ok(changed)
}

/// Puts back what was there before, last first, and removes what was not.
///
/// # Errors
/// [`MigrateError::Changed`]
pub(super) fn restore(node: &Node) -> Result<(), MigrateError> {
    Traces::load(&*node.host)?.put_all_back()
}

/// The names of all layers, in order.
pub(super) const LAYERS: [&str; 3] = ["25-insecure_localhost", "30-certs", "40-tls"];
