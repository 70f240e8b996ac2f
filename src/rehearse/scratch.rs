//! The directory of a rehearsal, and ending one that was left running there.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::RehearseError;
use crate::files::{self, FileMode, Meta};
use crate::host::process::ProcessDir;
use crate::host::supervisor::{Control, Request};

/// A file that says that a directory is a rehearsal's, and whether it was made for it.
const MARKER: &str = "rehearsal.toml";

/// The rehearsal's directory; one that was made for it goes when this is dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) path: PathBuf,
    pub(super) is_temporary: bool,
}

impl Scratch {
    pub(super) fn new(given: Option<&Path>) -> Result<Self, RehearseError> {
        let is_temporary = given.is_none();
        let path = given.map_or_else(
            || {
                let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
                let name = format!("etcd-pki-rehearsal-{}-{:x}", std::process::id(), since.as_micros());
                std::env::temp_dir().join(name)
            },
            Path::to_owned,
        );
        let path = std::path::absolute(&path).unwrap_or(path);
        let is_new = files::make_dir(&path, Meta::mode(FileMode::SECRET_DIR))?;
        if !is_new && (is_temporary || !files::list(&path)?.is_empty()) {
            return Err(RehearseError::Directory { path, what: "is not empty" });
        }
        let scratch = Self { path, is_temporary };
        let marker = scratch.path.join(MARKER);
        files::create_new(&marker, temporary(is_temporary).as_bytes(), Meta::mode(FileMode::PUBLIC))?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.is_temporary {
            // A directory that cannot be removed is no reason to fail.
            let _ = files::remove_tree(&self.path);
        }
    }
}

fn temporary(is_so: bool) -> String {
    format!("# A rehearsal of etcd-pki: `etcd-pki rehearse --stop DIR` ends it.\ntemporary = {is_so}\n")
}

/// Stops the cluster that a rehearsal left running in `dir`; returns how many members were running. The directory
/// goes too if it was made for the rehearsal.
///
/// # Errors
/// [`RehearseError::Directory`] when it is no rehearsal's, or a member does not stop.
pub fn stop(dir: &Path) -> Result<usize, RehearseError> {
    let marker = files::read(&dir.join(MARKER))?;
    let marker = marker.ok_or_else(|| RehearseError::Directory {
        path: dir.to_owned(),
        what: "is not the directory of a rehearsal",
    })?;
    let mut stopped = Vec::new();
    for name in files::list(dir)?.into_iter().filter(|name| name.starts_with("server")) {
        let control = Control::new(ProcessDir::new(dir.join(&name)));
        if control.ask(Request::Quit).is_ok() {
            stopped.push(control);
        }
    }
    let end = Instant::now() + Duration::from_secs(30);
    while stopped.iter().any(|control| control.ask(Request::Status).is_ok()) {
        if Instant::now() > end {
            return Err(RehearseError::Directory {
                path: dir.to_owned(),
                what: "has members that do not stop",
            });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    if marker.bytes == temporary(true).as_bytes() {
        files::remove_tree(dir)?;
    }
    Ok(stopped.len())
}
