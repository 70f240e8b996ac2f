//! Certificates that are placed on a migrated member by others than a migration: by `install`, after they were renewed.
//! The way back takes them away as its own, since they are told here.

use std::io::ErrorKind;
use std::path::PathBuf;

use crate::host::bundle::Bundle;
use crate::host::{Host, HostError};
use crate::inventory::pair_files::CA_FILE;

use super::error::MigrateError;
use super::traces::Traces;

/// Tells the record that a migration keeps on a host of a pair and its CA that are about to be placed, or were placed
/// already, in a directory there. Files that no migration placed are not its affair; where there is no record, or it is
/// not ours to read, nothing is done.
///
/// # Errors
/// [`MigrateError::Host`], or [`MigrateError::BadRecord`] when the record is no record.
pub fn account_for(host: &dyn Host, dir: &std::path::Path, bundle: &Bundle) -> Result<(), MigrateError> {
    let mut traces = match Traces::load(host) {
        Err(MigrateError::Host(HostError::File { source, .. }))
            if source.io_kind() == Some(ErrorKind::PermissionDenied) =>
        {
            return Ok(());
        }
        traces => traces?,
    };
    let file = |name: String, bytes| -> (PathBuf, &[u8]) { (dir.join(name), bytes) };
    traces.account_for(&[
        file(bundle.key_file(), bundle.key_pem()),
        file(bundle.cert_file(), bundle.cert_pem()),
        file(CA_FILE.to_owned(), bundle.ca_pem()),
    ])
}
