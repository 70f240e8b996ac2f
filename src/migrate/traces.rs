//! What was there before: the pre-image of every file this tool places on a host, kept on that host.
//!
//! A pre-image is durable before its file is touched, so a run that is killed in between leaves nothing that the
//! next one, from this laptop or another, cannot put back byte for byte. A file that somebody else changed since
//! is never overwritten: it is shown.

#[cfg(test)]
mod tests;
mod trace;

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::files::{self, FileImage, FileMode, Meta};
use crate::host::{Host, Placement};

use super::error::MigrateError;
pub(super) use trace::Purpose;
use trace::{Before, Trace, digest};

/// The traces on one host.
pub(super) struct Traces<'a> {
    host: &'a dyn Host,
    file: PathBuf,
    traces: Vec<Trace>,
    /// Its directory is known to be there.
    has_dir: bool,
}

impl<'a> Traces<'a> {
    /// Reads what the host keeps.
    ///
    /// # Errors
    /// [`MigrateError::Host`], or [`MigrateError::BadRecord`] when the record cannot be read.
    pub(super) fn load(host: &'a dyn Host) -> Result<Self, MigrateError> {
        Self::parse(host, host.read(&Self::file(host))?.as_ref())
    }

    /// Where a host keeps them.
    pub(super) fn file(host: &dyn Host) -> PathBuf {
        host.state_dir().join("pre-images.json")
    }

    /// What a host was found to keep.
    ///
    /// # Errors
    /// [`MigrateError::BadRecord`] when the record cannot be read.
    pub(super) fn parse(host: &'a dyn Host, image: Option<&FileImage>) -> Result<Self, MigrateError> {
        let file = Self::file(host);
        let traces = image.map_or(Ok(Vec::new()), |image| serde_json::from_slice(&image.bytes));
        let traces = traces.map_err(|error| MigrateError::BadRecord {
            member: host.name().to_owned(),
            path: file.display().to_string(),
            why: error.to_string(),
        })?;
        Ok(Self { host, file, traces, has_dir: false })
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
        self.note(path, purpose, || Before::NoDirectory, None, String::new());
        self.save()?;
        self.host.make_dir(path, meta)?;
        Ok(())
    }

    /// Places files in this order, the pre-images of all of them first. Those that already say the same are left as they
    /// are.
    ///
    /// # Errors
    /// [`MigrateError::Changed`] when what stands at a place is neither what was placed nor what was there before;
    /// nothing is placed then.
    pub(super) fn place_all(
        &mut self,
        files: &[Placement<'_>],
        purpose: Purpose,
    ) -> Result<(), MigrateError> {
        let paths: Vec<PathBuf> = files.iter().map(|file| file.path.to_owned()).collect();
        let images = self.images(&paths)?;
        let mut wanted = Vec::with_capacity(files.len());
        for (file, image) in files.iter().zip(&images) {
            if !says(image.as_ref(), file) {
                let image = image.as_ref();
                self.note(file.path, purpose, || Before::of(image), image, digest(file.bytes));
                wanted.push(*file);
            }
        }
        if !wanted.is_empty() {
            self.save()?;
            self.host.place_all(&wanted)?;
        }
        Ok(())
    }

    /// Takes these contents as placed by this tool, where it placed something there before.
    ///
    /// # Errors
    /// [`MigrateError::Host`]
    pub(super) fn account_for(&mut self, files: &[(PathBuf, &[u8])]) -> Result<(), MigrateError> {
        let held: Vec<_> = files.iter().filter(|(path, _)| self.holds(path)).collect();
        let images = self.host.read_many(&held.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>())?;
        let mut is_news = false;
        for ((path, bytes), image) in held.into_iter().zip(images) {
            let digest = digest(bytes);
            let Some(trace) = self.traces.iter().find(|trace| trace.path == *path) else { continue };
            if trace.placed.first() != Some(&digest) {
                self.note(path, trace.purpose, || Before::Absent, image.as_ref(), digest);
                is_news = true;
            }
        }
        if is_news { self.save() } else { Ok(()) }
    }

    /// The first of the files of a purpose that is not as it was placed.
    ///
    /// # Errors
    /// [`MigrateError::Host`]
    pub(super) fn first_changed(&self, purpose: Purpose) -> Result<Option<String>, MigrateError> {
        let is_file =
            |trace: &&Trace| trace.purpose == purpose && !matches!(trace.before, Before::NoDirectory);
        let traces: Vec<&Trace> = self.traces.iter().filter(is_file).collect();
        let paths: Vec<PathBuf> = traces.iter().map(|trace| trace.path.clone()).collect();
        let images = self.host.read_many(&paths)?;
        let as_placed = |trace: &Trace, image: &FileImage| trace.placed.contains(&digest(&image.bytes));
        let mut pairs = traces.iter().zip(images);
        let changed =
            pairs.find(|(trace, image)| !image.as_ref().is_some_and(|image| as_placed(trace, image)));
        Ok(changed.map(|(trace, _)| trace.path.display().to_string()))
    }

    /// Puts back what stood at these paths, in this order, and forgets them; a path without a trace is left as it is.
    /// Each of it can be done twice, so the record is written once, at the end.
    ///
    /// # Errors
    /// [`MigrateError::Changed`]; nothing is put back then.
    pub(super) fn put_back(&mut self, paths: &[PathBuf]) -> Result<(), MigrateError> {
        let held: Vec<PathBuf> = paths.iter().filter(|path| self.holds(path)).cloned().collect();
        if held.is_empty() {
            return Ok(());
        }
        self.undo(&held)?;
        self.traces.retain(|trace| !held.contains(&trace.path));
        self.save()
    }

    /// As [`Self::put_back`], and forgets nothing: it can be done again.
    ///
    /// # Errors
    /// [`MigrateError::Changed`]; nothing is put back then.
    pub(super) fn undo(&self, paths: &[PathBuf]) -> Result<(), MigrateError> {
        let trace = |path: &PathBuf| self.traces.iter().find(|trace| trace.path == *path);
        let (dirs, files): (Vec<_>, Vec<_>) =
            paths.iter().filter_map(trace).partition(|trace| matches!(trace.before, Before::NoDirectory));
        self.images(&files.iter().map(|trace| trace.path.clone()).collect::<Vec<_>>())?;
        let mut gone = Vec::new();
        for trace in files {
            match &trace.before {
                Before::File { mode, owner, content } => {
                    self.host.remove_all(&std::mem::take(&mut gone))?;
                    let bytes = STANDARD.decode(content).map_err(|_| self.changed(&trace.path))?;
                    self.host.place(&trace.path, &bytes, Meta { mode: *mode, owner: Some(*owner) })?;
                }
                _ => gone.push(trace.path.clone()),
            }
        }
        self.host.remove_all(&gone)?;
        if !dirs.is_empty() {
            // One that others have put something into stays.
            let dirs: Vec<_> = dirs.iter().map(|trace| trace.path.to_string_lossy()).collect();
            let words = ["rmdir", "--"].into_iter().chain(dirs.iter().map(AsRef::as_ref)).collect::<Vec<_>>();
            self.host.run(&words, std::time::Duration::from_secs(20))?;
        }
        Ok(())
    }

    /// Puts everything back, the last first; the record itself goes when nothing is left.
    ///
    /// # Errors
    /// [`MigrateError::Changed`]; nothing is put back then.
    pub(super) fn put_all_back(&mut self) -> Result<(), MigrateError> {
        let paths: Vec<PathBuf> = self.traces.iter().rev().map(|trace| trace.path.clone()).collect();
        self.undo(&paths)?;
        self.sweep(std::slice::from_ref(&self.file))?;
        self.host.remove(&self.file)?;
        self.traces.clear();
        Ok(())
    }

    /// What stands at these paths now; where there is a trace it is what was placed or what was there before.
    fn images(&self, paths: &[PathBuf]) -> Result<Vec<Option<FileImage>>, MigrateError> {
        self.sweep(paths)?;
        let images = self.host.read_many(paths)?;
        for (path, image) in paths.iter().zip(&images) {
            let trace = self.traces.iter().find(|trace| trace.path == *path);
            if trace.is_some_and(|trace| !trace.matches(image.as_ref())) {
                return Err(self.changed(path));
            }
        }
        Ok(images)
    }

    /// Takes away what a run left that was killed while it wrote a file: a temporary file beside it, which may hold a
    /// key. The host's lock is held, so that nobody else is writing there.
    fn sweep(&self, paths: &[PathBuf]) -> Result<(), MigrateError> {
        let mut dirs: Vec<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
        dirs.sort_unstable();
        dirs.dedup();
        for dir in dirs {
            let here = paths.iter().filter(|path| path.parent() == Some(dir));
            let here: Vec<_> = here.filter_map(|path| Some(path.file_name()?.to_string_lossy())).collect();
            for name in self.host.list(dir)? {
                if here.iter().any(|file| files::temporary_writer(&name, file).is_some()) {
                    self.host.remove(&dir.join(name))?;
                }
            }
        }
        Ok(())
    }

    /// Notes that something is about to be placed where `now` stands.
    fn note(
        &mut self,
        path: &Path,
        purpose: Purpose,
        before: impl FnOnce() -> Before,
        now: Option<&FileImage>,
        placed: String,
    ) {
        match self.traces.iter_mut().find(|trace| trace.path == path) {
            // The first pre-image is the one to go back to.
            Some(trace) => trace.place(now, placed),
            None => {
                let (path, before) = (path.to_owned(), before());
                self.traces.push(Trace { path, purpose, before, placed: vec![placed] });
            }
        }
    }

    fn save(&mut self) -> Result<(), MigrateError> {
        let mut text = serde_json::to_vec_pretty(&self.traces).expect("paths and strings are always JSON");
        text.push(b'\n');
        if !self.has_dir {
            self.host.make_dir(&self.host.state_dir(), Meta::mode(FileMode::SECRET_DIR))?;
            self.has_dir = true;
        }
        self.host.place(&self.file, &text, Meta::mode(FileMode::SECRET))?;
        Ok(())
    }

    fn changed(&self, path: &Path) -> MigrateError {
        MigrateError::Changed { member: self.host.name().to_owned(), path: path.display().to_string() }
    }
}

/// Whether a file is there as it is to be placed.
fn says(image: Option<&FileImage>, file: &Placement<'_>) -> bool {
    image.is_some_and(|image| {
        image.bytes == file.bytes
            && image.mode == file.meta.mode
            && file.meta.owner.is_none_or(|owner| owner == image.owner)
    })
}
