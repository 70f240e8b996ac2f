//! The files that a stance takes.

use std::path::{Path, PathBuf};

use crate::files::FileMode;
use crate::host::LayerFile;

/// What a stance takes on the disk.
pub(super) struct Plan {
    pub(super) files: Vec<LayerFile>,
    pub(super) certificates: Vec<(PathBuf, Vec<u8>, FileMode)>,
}

impl Plan {
    /// Whether it has a file at this path, or below it.
    pub(super) fn holds(&self, path: &Path) -> bool {
        let settings = self.files.iter().map(|file| &file.path);
        let certificates = self.certificates.iter().map(|(path, ..)| path);
        settings.chain(certificates).any(|own| own.starts_with(path))
    }
}
