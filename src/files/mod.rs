//! The one module that writes files on this machine.
//!
//! A file is written beside its place under a temporary name that nobody else can open, given its owner and
//! mode, fsynced, renamed into place, and its directory is fsynced: whoever looks sees the whole old file or the
//! whole new one, and a key is never readable for a moment. Symlinks are not followed into.
#![allow(clippy::disallowed_methods, reason = "this is the module the ban points to")]

mod dirs;
mod lock;
mod look;
mod place;
mod types;

pub use dirs::{drop_note, make_dir, parent, remove, remove_empty_dir, remove_tree, set_meta, sync_dir};
pub use lock::{DirLock, LockError};
pub use look::{list, read, stat};
pub use place::{
    create_new, create_new_with, free_space, open_append, rename_each, replace, replace_all, sweep,
    temporary_writer,
};
pub use types::{FileError, FileImage, FileKind, FileMode, FileStat, Meta, Owner};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_has_its_mode_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server1-key.pem");
        create_new(&path, b"one", Meta::mode(FileMode::SECRET)).unwrap();
        let image = read(&path).unwrap().unwrap();
        assert_eq!((image.bytes.as_slice(), image.mode), (&b"one"[..], FileMode::SECRET));
        assert!(matches!(
            create_new(&path, b"two", Meta::mode(FileMode::SECRET)),
            Err(FileError::Exists { .. })
        ));
        assert_eq!(read(&path).unwrap().unwrap().bytes, b"one");
        replace(&path, b"two", Meta::mode(FileMode::PUBLIC)).unwrap();
        let image = read(&path).unwrap().unwrap();
        assert_eq!((image.bytes.as_slice(), image.mode), (&b"two"[..], FileMode::PUBLIC));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn symlinks_are_not_followed_into() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("ca.pem");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(matches!(read(&link), Err(FileError::NotRegular { what: "a symlink", .. })));
        assert!(matches!(
            replace(&link, b"x", Meta::mode(FileMode::PUBLIC)),
            Err(FileError::NotRegular { .. })
        ));
        assert!(open_append(&link, FileMode::SECRET).is_err());
    }
}
