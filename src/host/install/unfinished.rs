//! Several files of a directory, placed all of them or none.
//!
//! Each file is replaced in one step, a pair is not: between the two renames a new key is in place with an old
//! certificate. So the new files are first written into a note in the directory, durably. On an error the old files are
//! put back. A run that was killed, or a power cut, leaves the note, and the next run that places anything in that
//! directory completes it: where some of the files are the new ones and the others are still those from before. A file
//! that has become something else since then was placed by another run, and the note is void.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::error::InstallError;
use crate::files::{FileImage, FileKind, FileMode, Meta, Owner};
use crate::host::{Host, HostError, Placement};

/// The note's name.
pub(super) const NOTE: &str = ".etcd-pki-install.json";

#[derive(Serialize, Deserialize)]
struct Note {
    files: Vec<Noted>,
}

/// A file that is to be in place.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Noted {
    name: String,
    #[zeroize(skip)]
    mode: FileMode,
    #[zeroize(skip)]
    owner: Option<Owner>,
    /// SHA-256 of what was there, in base64; none where nothing was.
    before: Option<String>,
    /// In base64.
    content: String,
}

impl Noted {
    fn of((file, before): (&Placement<'_>, &Option<FileImage>)) -> Self {
        Self {
            name: file.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            mode: file.meta.mode,
            owner: file.meta.owner,
            before: before.as_ref().map(|image| digest(&image.bytes)),
            content: STANDARD.encode(file.bytes),
        }
    }

    /// What is never placed by this tool is not taken from a note either.
    fn is_sound(&self) -> bool {
        Path::new(&self.name).file_name() == Some(self.name.as_ref())
            && self.mode.bits() & !FileMode::PUBLIC.bits() == 0
    }
}

/// Places files of one directory.
///
/// # Errors
/// [`InstallError::Host`] when the old files are in place, [`InstallError::Unfinished`] when the next run must complete it.
pub(super) fn place(host: &dyn Host, files: &[Placement<'_>]) -> Result<(), InstallError> {
    let [first, _, ..] = files else { return Ok(host.place_all(files)?) };
    let note = first.path.with_file_name(NOTE);
    let paths: Vec<PathBuf> = files.iter().map(|file| file.path.to_owned()).collect();
    let before = host.read_many(&paths)?;
    if let Err(error) = write(host, &note, files, &before) {
        // It may be there all the same. What cannot be removed is void: nothing has been placed.
        let _ = host.remove(&note);
        return Err(error.into());
    }
    if let Err(source) = host.place_all(files) {
        return Err(match put_back(host, files, &paths, &before) {
            Ok(true) if host.remove(&note).is_ok() => source.into(),
            _ => InstallError::Unfinished { source },
        });
    }
    host.remove(&note).map_err(|source| InstallError::Unfinished { source })
}

fn write(
    host: &dyn Host,
    note: &Path,
    files: &[Placement<'_>],
    before: &[Option<FileImage>],
) -> Result<(), HostError> {
    let content = Note { files: files.iter().zip(before).map(Noted::of).collect() };
    let text = Zeroizing::new(serde_json::to_vec(&content).expect("a note is always JSON"));
    host.place(note, &text, Meta::mode(FileMode::SECRET))
}

/// Puts the old files back, unless all of them are the new ones already. Returns whether the old ones are in place.
fn put_back(
    host: &dyn Host,
    files: &[Placement<'_>],
    paths: &[PathBuf],
    before: &[Option<FileImage>],
) -> Result<bool, HostError> {
    let now = host.read_many(paths)?;
    let is_new = |(image, file): (&Option<FileImage>, &Placement<'_>)| {
        image.as_ref().is_some_and(|image| image.bytes == file.bytes)
    };
    if now.iter().zip(files).all(is_new) {
        return Ok(false);
    }
    let (mut old, mut none) = (Vec::new(), Vec::new());
    for ((path, before), now) in paths.iter().zip(before).zip(&now) {
        match before {
            _ if before == now => {}
            Some(image) => {
                let meta = Meta { mode: image.mode, owner: Some(image.owner) };
                old.push(Placement { path, bytes: &image.bytes, meta });
            }
            None => none.push(path.clone()),
        }
    }
    host.place_all(&old)?;
    host.remove_all(&none)?;
    Ok(true)
}

/// Whether a run that ended early has left something in a directory that [`complete`] acts on.
///
/// # Errors
/// [`HostError`]
pub fn is_unfinished(host: &dyn Host, dir: &Path) -> Result<bool, HostError> {
    Ok(dir.is_absolute() && host.stat(&dir.join(NOTE))?.is_some())
}

/// Completes what a run that ended early has begun in a directory. Returns the files that were placed.
///
/// Call it before anything is placed there, and before it is decided what.
///
/// # Errors
/// [`InstallError::Foreign`] when the note is not this user's, or is none; with `force` it is left alone then, and replaced
/// by the next one. [`InstallError::Host`].
pub fn complete(host: &dyn Host, dir: &Path, force: bool) -> Result<Vec<PathBuf>, InstallError> {
    let path = dir.join(NOTE);
    let is_directory =
        dir.is_absolute() && host.stat(dir)?.is_some_and(|stat| stat.kind == FileKind::Directory);
    let stat = if is_directory { host.stat(&path)? } else { None };
    let Some(stat) = stat else { return Ok(Vec::new()) };
    // What others could have written is not placed with our rights.
    let is_ours =
        stat.kind == FileKind::File && stat.mode.bits() & 0o077 == 0 && stat.owner.uid == host.user_id()?;
    let image = if is_ours { host.read(&path)? } else { None };
    let note = image.and_then(|image| {
        let bytes = Zeroizing::new(image.bytes);
        serde_json::from_slice::<Note>(&bytes).ok().filter(|note| note.files.iter().all(Noted::is_sound))
    });
    let Some(note) = note else {
        let what = "is not a note that this user's install has left";
        return if force { Ok(Vec::new()) } else { Err(InstallError::Foreign { path, what }) };
    };
    let placed = place_rest(host, dir, &note)?;
    host.remove(&path)?;
    Ok(placed)
}

fn place_rest(host: &dyn Host, dir: &Path, note: &Note) -> Result<Vec<PathBuf>, InstallError> {
    let paths: Vec<PathBuf> = note.files.iter().map(|file| dir.join(&file.name)).collect();
    let contents: Vec<Zeroizing<Vec<u8>>> = note
        .files
        .iter()
        .map(|file| Zeroizing::new(STANDARD.decode(&file.content).unwrap_or_default()))
        .collect();
    let now = host.read_many(&paths)?;
    let mut open = Vec::new();
    for (at, (file, image)) in note.files.iter().zip(&now).enumerate() {
        if image.as_ref().is_some_and(|image| image.bytes == *contents[at]) {
            continue;
        }
        if image.as_ref().map(|image| digest(&image.bytes)) != file.before {
            return Ok(Vec::new());
        }
        open.push(at);
    }
    if open.len() == note.files.len() {
        return Ok(Vec::new());
    }
    let placements = open.iter().map(|&at| {
        let Noted { mode, owner, .. } = &note.files[at];
        Placement { path: &paths[at], bytes: &contents[at], meta: Meta { mode: *mode, owner: *owner } }
    });
    host.place_all(&placements.collect::<Vec<_>>())?;
    Ok(open.into_iter().map(|at| paths[at].clone()).collect())
}

fn digest(bytes: &[u8]) -> String {
    STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::local::Local;

    const KEY: &str = "server1-key.pem";
    const CERT: &str = "server1.pem";

    /// A directory with a key and a certificate, and a note of the next two.
    struct Scene {
        dir: tempfile::TempDir,
        host: Local,
    }

    impl Scene {
        fn new() -> Self {
            let scene = Self { dir: tempfile::tempdir().unwrap(), host: Local::new() };
            scene.put(KEY, b"old key");
            scene.put(CERT, b"old certificate");
            let (key, cert) = (scene.path(KEY), scene.path(CERT));
            let placements = [
                Placement { path: &key, bytes: b"new key", meta: Meta::mode(FileMode::SECRET) },
                Placement { path: &cert, bytes: b"new certificate", meta: Meta::mode(FileMode::PUBLIC) },
            ];
            let before = scene.host.read_many(&[key.clone(), cert.clone()]).unwrap();
            write(&scene.host, &scene.path(NOTE), &placements, &before).unwrap();
            scene
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn put(&self, name: &str, bytes: &[u8]) {
            self.host.place(&self.path(name), bytes, Meta::mode(FileMode::SECRET)).unwrap();
        }

        fn read(&self, name: &str) -> Vec<u8> {
            self.host.read(&self.path(name)).unwrap().unwrap().bytes
        }

        fn complete(&self) -> Result<Vec<PathBuf>, InstallError> {
            complete(&self.host, self.dir.path(), false)
        }
    }

    #[test]
    fn what_was_begun_is_completed() {
        let scene = Scene::new();
        scene.put(KEY, b"new key");
        assert_eq!(scene.complete().unwrap(), [scene.path(CERT)]);
        assert_eq!(scene.read(CERT), b"new certificate");
        assert_eq!(scene.host.list(scene.dir.path()).unwrap(), [KEY, CERT]);
        assert!(scene.complete().unwrap().is_empty());
    }

    #[test]
    fn what_was_not_begun_and_what_has_changed_since_is_left_as_it_is() {
        for (key, cert) in
            [("old key", "old certificate"), ("new key", "newer"), ("newest", "new certificate")]
        {
            let scene = Scene::new();
            scene.put(KEY, key.as_bytes());
            scene.put(CERT, cert.as_bytes());
            assert!(scene.complete().unwrap().is_empty());
            assert_eq!((scene.read(KEY), scene.read(CERT)), (key.into(), cert.into()));
            assert!(!is_unfinished(&scene.host, scene.dir.path()).unwrap());
        }
    }

    #[test]
    fn a_note_that_others_could_have_written_is_refused() {
        let scene = Scene::new();
        scene.put(KEY, b"new key");
        let (note, text) = (scene.path(NOTE), scene.read(NOTE));
        scene.host.place(&note, &text, Meta::mode(FileMode::PUBLIC)).unwrap();
        assert!(matches!(scene.complete(), Err(InstallError::Foreign { .. })));
        assert!(complete(&scene.host, scene.dir.path(), true).unwrap().is_empty());
        assert_eq!(scene.read(CERT), b"old certificate");
        let text = String::from_utf8(text).unwrap();
        for (from, to) in [(CERT, "../server1.pem"), ("420", "2541"), ("{", "[")] {
            scene.put(NOTE, text.replace(from, to).as_bytes());
            assert!(matches!(scene.complete(), Err(InstallError::Foreign { .. })), "{to}");
        }
    }
}
