//! What was there before: the pre-image of every file this tool places on a host, kept on that host.
//!
//! A pre-image is durable before its file is touched, so a run that is killed in between leaves nothing that the
//! next one, from this laptop or another, cannot put back byte for byte. A file that somebody else changed since
//! is never overwritten: it is shown.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::files::{self, FileImage, FileMode, Meta, Owner};
use crate::host::Host;

use super::error::MigrateError;

/// A file or directory that this tool placed.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Trace {
    path: PathBuf,
    purpose: Purpose,
    before: Before,
    /// The SHA-256 of what was placed, in hexadecimal, and of what was placed before that: a run that is killed
    /// just before it replaces one with the other leaves the older. Empty for a directory.
    placed: Vec<String>,
}

/// What a path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Purpose {
    /// A certificate, a key, a CA.
    Certificate,
    /// etcd's settings.
    Setting,
}

/// What stood at a path before.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Before {
    /// Nothing.
    Absent,
    /// Nothing, and a directory was made.
    NoDirectory,
    /// A file, with its content in base64.
    File { mode: FileMode, owner: Owner, content: String },
}

/// The traces on one host.
pub(super) struct Traces<'a> {
    host: &'a dyn Host,
    file: PathBuf,
    traces: Vec<Trace>,
}

impl<'a> Traces<'a> {
    /// Reads what the host keeps.
    ///
    /// # Errors
    /// [`MigrateError::Host`], or [`MigrateError::Changed`] when the record cannot be read.
    pub(super) fn load(host: &'a dyn Host) -> Result<Self, MigrateError> {
        let file = host.state_dir().join("pre-images.json");
        let traces = match host.read(&file)? {
            None => Vec::new(),
            Some(image) => serde_json::from_slice(&image.bytes).map_err(|_| MigrateError::Changed {
                member: host.name().to_owned(),
                path: file.display().to_string(),
            })?,
        };
        Ok(Self { host, file, traces })
    }

    /// Whether nothing is left to put back.
    pub(super) fn is_empty(&self) -> bool {
        self.traces.is_empty()
    }

    /// The paths that were placed, in order, and what for.
    pub(super) fn paths(&self) -> impl DoubleEndedIterator<Item = (&Path, Purpose)> {
        self.traces.iter().map(|trace| (trace.path.as_path(), trace.purpose))
    }

    /// Whether this tool placed something there.
    pub(super) fn holds(&self, path: &Path) -> bool {
        self.traces.iter().any(|trace| trace.path == path)
    }

    /// Makes a directory, and remembers that it was not there; one that is there is left as it is.
    ///
    /// # Errors
    /// [`MigrateError::Host`]
    pub(super) fn make_dir(&mut self, path: &Path, meta: Meta, purpose: Purpose) -> Result<(), MigrateError> {
        if self.host.stat(path)?.is_some() {
            return Ok(());
        }
        // Parents first, so that each has a trace of its own.
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            self.make_dir(parent, meta, purpose)?;
        }
        self.remember(path, purpose, || Before::NoDirectory, String::new())?;
        self.host.make_dir(path, meta)?;
        Ok(())
    }

    /// Places a file, its pre-image first. One that already says the same is left as it is.
    ///
    /// # Errors
    /// [`MigrateError::Changed`] when what stands there is neither what was placed nor what was there before.
    pub(super) fn place(
        &mut self,
        path: &Path,
        bytes: &[u8],
        meta: Meta,
        purpose: Purpose,
    ) -> Result<(), MigrateError> {
        self.sweep(path)?;
        let now = self.host.read(path)?;
        if let Some(trace) = self.traces.iter().find(|trace| trace.path == path)
            && !trace.matches(now.as_ref())
        {
            return Err(self.changed(path));
        }
        let same = |image: &FileImage| {
            image.bytes == bytes
                && image.mode == meta.mode
                && meta.owner.is_none_or(|owner| owner == image.owner)
        };
        if now.as_ref().is_some_and(same) {
            return Ok(());
        }
        self.remember(path, purpose, || Before::of(now.as_ref()), digest(bytes))?;
        self.host.place(path, bytes, meta)?;
        Ok(())
    }

    /// Puts back what stood at a path, and forgets it; a path without a trace is left as it is.
    ///
    /// # Errors
    /// [`MigrateError::Changed`]
    pub(super) fn put_back(&mut self, path: &Path) -> Result<(), MigrateError> {
        let Some(at) = self.traces.iter().position(|trace| trace.path == path) else {
            return Ok(());
        };
        let trace = &self.traces[at];
        match &trace.before {
            Before::NoDirectory => {
                // One that others have put something into stays.
                let text = path.to_string_lossy();
                self.host.run(&["rmdir", "--", &text], std::time::Duration::from_secs(20))?;
            }
            before => {
                self.sweep(path)?;
                if !trace.matches(self.host.read(path)?.as_ref()) {
                    return Err(self.changed(path));
                }
                match before {
                    Before::File { mode, owner, content } => {
                        let bytes = STANDARD.decode(content).map_err(|_| self.changed(path))?;
                        self.host.place(path, &bytes, Meta { mode: *mode, owner: Some(*owner) })?;
                    }
                    _ => self.host.remove(path)?,
                }
            }
        }
        self.traces.remove(at);
        self.save()
    }

    /// Puts everything back, the last first; the record itself goes when nothing is left.
    ///
    /// # Errors
    /// [`MigrateError::Changed`]
    pub(super) fn put_all_back(&mut self) -> Result<(), MigrateError> {
        while let Some(trace) = self.traces.last() {
            let path = trace.path.clone();
            self.put_back(&path)?;
        }
        self.sweep(&self.file)?;
        self.host.remove(&self.file)?;
        Ok(())
    }

    /// Takes away what a run left that was killed while it wrote a file: a temporary file beside it, which may hold a
    /// key. The host's lock is held, so that nobody else is writing there.
    fn sweep(&self, path: &Path) -> Result<(), MigrateError> {
        let (Some(dir), Some(file)) = (path.parent(), path.file_name()) else { return Ok(()) };
        let file = file.to_string_lossy();
        for name in self.host.list(dir)? {
            if files::temporary_writer(&name, &file).is_some() {
                self.host.remove(&dir.join(name))?;
            }
        }
        Ok(())
    }

    fn remember(
        &mut self,
        path: &Path,
        purpose: Purpose,
        before: impl FnOnce() -> Before,
        placed: String,
    ) -> Result<(), MigrateError> {
        match self.traces.iter_mut().find(|trace| trace.path == path) {
            // The first pre-image is the one to go back to.
            Some(trace) => {
                trace.placed.retain(|digest| *digest != placed);
                trace.placed.insert(0, placed);
                trace.placed.truncate(2);
            }
            None => {
                let (path, before) = (path.to_owned(), before());
                self.traces.push(Trace { path, purpose, before, placed: vec![placed] });
            }
        }
        self.save()
    }

    fn save(&self) -> Result<(), MigrateError> {
        let mut text = serde_json::to_vec_pretty(&self.traces).expect("paths and strings are always JSON");
        text.push(b'\n');
        self.host.make_dir(&self.host.state_dir(), Meta::mode(FileMode::SECRET_DIR))?;
        self.host.place(&self.file, &text, Meta::mode(FileMode::SECRET))?;
        Ok(())
    }

    fn changed(&self, path: &Path) -> MigrateError {
        MigrateError::Changed { member: self.host.name().to_owned(), path: path.display().to_string() }
    }
}

impl Before {
    fn of(image: Option<&FileImage>) -> Self {
        image.map_or(Self::Absent, |image| Self::File {
            mode: image.mode,
            owner: image.owner,
            content: STANDARD.encode(&image.bytes),
        })
    }
}

impl Trace {
    /// Whether a path holds what was placed, or (when the run was killed before it was placed) what was there.
    fn matches(&self, now: Option<&FileImage>) -> bool {
        match (now, &self.before) {
            (Some(image), _) if self.placed.contains(&digest(&image.bytes)) => true,
            (None, Before::Absent | Before::NoDirectory) => true,
            (Some(image), Before::File { content, .. }) => STANDARD.encode(&image.bytes) == *content,
            _ => false,
        }
    }
}

fn digest(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::process::{ProcessDir, ProcessHost, Unit};

    /// A host whose state directory is its own.
    fn host(dir: &Path) -> ProcessHost {
        let unit = Unit { exec: vec!["/usr/bin/etcd".into()], address: "127.0.1.1".parse().unwrap() };
        ProcessDir::new(dir.join("server1")).create(&unit, &std::collections::BTreeMap::new()).unwrap();
        ProcessHost::open("server1", dir.join("server1")).unwrap()
    }

    #[test]
    fn what_was_there_comes_back_byte_for_byte_and_what_was_not_goes() {
        let dir = tempfile::tempdir().unwrap();
        let host = host(dir.path());
        let (old, new) = (dir.path().join("etcd.conf"), dir.path().join("ssl/etcd/ca.pem"));
        files::create_new(&old, b"ETCD_NAME=a\n", Meta::mode(FileMode::new(0o640))).unwrap();

        let mut traces = Traces::load(&host).unwrap();
        traces.place(&old, b"ETCD_NAME=b\n", Meta::mode(FileMode::PUBLIC), Purpose::Setting).unwrap();
        traces.make_dir(new.parent().unwrap(), Meta::mode(FileMode::DIR), Purpose::Setting).unwrap();
        traces.place(&new, b"a certificate", Meta::mode(FileMode::PUBLIC), Purpose::Setting).unwrap();

        // Another run, perhaps on another laptop.
        let mut traces = Traces::load(&host).unwrap();
        assert!(!traces.is_empty());
        traces.put_all_back().unwrap();
        let image = files::read(&old).unwrap().unwrap();
        assert_eq!((image.bytes.as_slice(), image.mode), (&b"ETCD_NAME=a\n"[..], FileMode::new(0o640)));
        assert!(!dir.path().join("ssl").exists());
        assert!(Traces::load(&host).unwrap().is_empty());
    }

    #[test]
    fn a_file_that_somebody_changed_since_is_shown_and_left() {
        let dir = tempfile::tempdir().unwrap();
        let host = host(dir.path());
        let path = dir.path().join("30-certs.env");
        let mut traces = Traces::load(&host).unwrap();
        traces.place(&path, b"ours", Meta::mode(FileMode::PUBLIC), Purpose::Setting).unwrap();
        files::replace(&path, b"theirs", Meta::mode(FileMode::PUBLIC)).unwrap();
        for refused in [
            traces.place(&path, b"ours again", Meta::mode(FileMode::PUBLIC), Purpose::Setting),
            traces.put_back(&path),
            traces.put_all_back(),
        ] {
            assert!(matches!(refused, Err(MigrateError::Changed { .. })), "{refused:?}");
        }
        assert_eq!(files::read(&path).unwrap().unwrap().bytes, b"theirs");
    }

    #[test]
    fn what_a_killed_run_was_writing_goes() {
        let dir = tempfile::tempdir().unwrap();
        let host = host(dir.path());
        let key = dir.path().join("server1-key.pem");
        let leave = |name: &str| {
            files::create_new(&dir.path().join(name), b"half a key", Meta::mode(FileMode::SECRET)).unwrap();
        };
        let mut traces = Traces::load(&host).unwrap();
        for undo in [false, true] {
            leave(".server1-key.pem.4711-0.tmp");
            match undo {
                false => {
                    traces.place(&key, b"a key", Meta::mode(FileMode::SECRET), Purpose::Certificate).unwrap()
                }
                true => traces.put_all_back().unwrap(),
            }
            assert!(!dir.path().join(".server1-key.pem.4711-0.tmp").exists());
        }
        assert_eq!(files::list(dir.path()).unwrap(), ["server1"], "nothing else is left");
    }

    #[test]
    fn a_run_killed_between_the_record_and_the_file_is_finished_or_undone() {
        for finish in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let host = host(dir.path());
            let path = dir.path().join("40-tls.env");
            let mut killed = Traces::load(&host).unwrap();
            killed.remember(&path, Purpose::Setting, || Before::Absent, digest(b"ours")).unwrap();
            let mut traces = Traces::load(&host).unwrap();
            if finish {
                traces.place(&path, b"ours", Meta::mode(FileMode::PUBLIC), Purpose::Setting).unwrap();
            }
            traces.put_all_back().unwrap();
            assert!(!path.exists());
        }
    }
}
