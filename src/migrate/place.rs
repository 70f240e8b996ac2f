//! What is placed on a member's machine: its certificates, and the files with a stage's settings.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::files::{FileMode, Meta, Owner};
use crate::host::{Layer, LayerFile};

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

/// The files of a stage's layers, in the order in which they are written: the last layer first, since a later layer sets
/// whatever an earlier one does, so that the disk holds a whole stage at every moment, whenever the run is killed;
/// within a layer what a drop-in names comes before the drop-in.
///
/// # Errors
/// [`MigrateError::Host`], also when a setting cannot be made to win there.
pub(super) fn layer_files(
    node: &Node,
    layers: &[(&'static str, Settings)],
) -> Result<Vec<LayerFile>, MigrateError> {
    let layers: Vec<Layer> =
        layers.iter().map(|(name, settings)| Layer { name, settings: settings.clone() }).collect();
    let mut files = node.service.layer_files(&layers)?;
    let mut ordered = Vec::with_capacity(files.len());
    for count in (0..layers.len()).rev() {
        let before = if count == 0 { 0 } else { node.service.layer_files(&layers[..count])?.len() };
        ordered.extend(files.drain(before.min(files.len())..));
    }
    Ok(ordered)
}

/// Places the files of a stage's layers, and takes those of other stages away, the last placed first.
///
/// # Errors
/// [`MigrateError::Changed`] when one was edited since.
pub(super) fn configure(
    node: &Node,
    layers: &[(&'static str, Settings)],
) -> Result<Vec<String>, MigrateError> {
    let mut traces = Traces::load(&*node.host)?;
    let mut changed = Vec::new();
    let files = layer_files(node, layers)?;
    for file in &files {
        if let Some(dir) = file.path.parent() {
            traces.make_dir(dir, Meta::mode(FileMode::DIR))?;
        }
        traces.place(&file.path, file.content.as_bytes(), file.meta)?;
        changed.push(format!("wrote {}", file.path.display()));
    }
    let certificates = certificate_files(node, None);
    let stays = |path: &Path| {
        files.iter().any(|file| file.path == path) || certificates.iter().any(|file| file.path == path)
    };
    let leftover: Vec<PathBuf> = traces.files().filter(|path| !stays(path)).map(Path::to_owned).collect();
    for path in leftover.iter().rev() {
        traces.put_back(path)?;
        changed.push(format!("removed {}", path.display()));
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
