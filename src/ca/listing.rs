//! The names of the files in a PKI directory, read once.

use std::collections::BTreeSet;
use std::path::Path;

use super::CaError;
use crate::files;

/// The names.
#[derive(Debug, Clone, Default)]
pub struct Listing(BTreeSet<String>);

impl Listing {
    /// Reads them; a directory that is not there has none.
    ///
    /// # Errors
    /// [`CaError::File`]
    pub(super) fn read(dir: &Path) -> Result<Self, CaError> {
        Ok(Self(files::list(dir)?.into_iter().collect()))
    }

    /// The names in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether there is a file of that name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// The first number from 1 on such that none of `files` has an old version `FILE.NUMBER`.
    pub(super) fn free_number<'a>(&self, files: impl Iterator<Item = &'a str> + Clone) -> u32 {
        let is_free = |number: &u32| files.clone().all(|file| !self.has(&format!("{file}.{number}")));
        (1..).find(is_free).expect("there are fewer files than numbers")
    }

    pub(super) fn renamed(&mut self, from: &str, to: &str) {
        self.removed(from);
        self.added(to.to_owned());
    }

    pub(super) fn added(&mut self, name: String) {
        self.0.insert(name);
    }

    pub(super) fn removed(&mut self, name: &str) {
        self.0.remove(name);
    }
}
