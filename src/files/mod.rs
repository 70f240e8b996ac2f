//! The one module that reads and writes files on this machine.
//!
//! A file is written beside its place under a temporary name that nobody else can open, given its owner and
//! mode, fsynced, renamed into place, and its directory is fsynced: whoever looks sees the whole old file or the
//! whole new one, and a key is never readable for a moment. Symlinks are not followed into.
#![allow(clippy::disallowed_methods, reason = "this is the module the ban points to")]

mod dirs;
mod input;
mod lock;
mod look;
mod place;
mod temporary;
mod trust;
mod types;

pub use dirs::{
    make_dir, parent, remove, remove_empty_dir, remove_tree, set_file_meta, set_meta, sync_dir, unlink,
};
pub use input::{read_first_line, read_input};
pub use lock::{DirLock, LockError};
pub use look::{expect_file, is_file, kind_at, list, read, read_up_to, stat};
pub use place::{
    create_new, create_new_with, free_space, open_append, rename_new, rename_over, replace, replace_all,
    stage_all,
};
pub use temporary::{sweep, sweep_for, temporary_writer};
pub use trust::Trust;
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
    fn a_file_is_given_another_mode_where_it_is_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server1.pem");
        create_new(&path, b"one", Meta::mode(FileMode::SECRET)).unwrap();
        assert!(set_file_meta(&path, Meta::mode(FileMode::PUBLIC)).unwrap());
        assert_eq!(read(&path).unwrap().unwrap().mode, FileMode::PUBLIC);
        // A file of another user's, and one that has another name.
        let me = rustix::process::geteuid().as_raw();
        let owner = Some(Owner { uid: me + 1, gid: me + 1 });
        assert!(!set_file_meta(&path, Meta { mode: FileMode::SECRET, owner }).unwrap());
        std::fs::hard_link(&path, dir.path().join("other")).unwrap();
        assert!(!set_file_meta(&path, Meta::mode(FileMode::SECRET)).unwrap());
        assert_eq!(read(&path).unwrap().unwrap().mode, FileMode::PUBLIC);
        // A directory is none, and is not made anew where something stands.
        assert!(!set_file_meta(dir.path(), Meta::mode(FileMode::SECRET)).unwrap());
        assert!(!make_dir(dir.path(), Meta::mode(FileMode::DIR)).unwrap());
        assert!(set_meta(&path, Meta::mode(FileMode::SECRET)).is_err());
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
