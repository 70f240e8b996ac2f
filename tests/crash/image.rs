//! A directory tree as a value: taken from the disk, and put back in its place.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Body {
    Directory,
    File(Vec<u8>),
    Symlink(PathBuf),
}

/// What is at a path, with its mode and owner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) body: Body,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Everything below a directory, by relative path; the directory itself is the empty path. A file of several names has the
/// later ones in the second map, each with the first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Image(pub(crate) BTreeMap<PathBuf, Node>, BTreeMap<PathBuf, PathBuf>);

impl Image {
    pub(crate) fn of(root: &Path) -> Self {
        let mut image = Self::default();
        image.add(root, PathBuf::new());
        let inode = |at: &PathBuf| root.join(at).symlink_metadata().unwrap().ino();
        let files: Vec<(PathBuf, u64)> =
            image.files().map(|(at, ..)| (at.to_owned(), inode(&at.to_owned()))).collect();
        image.link(files);
        image
    }

    /// Files, and what says which of them are the same.
    pub(crate) fn link<I: Ord>(&mut self, mut files: Vec<(PathBuf, I)>) {
        files.sort();
        let mut first = BTreeMap::new();
        for (path, inode) in files {
            match first.get(&inode) {
                Some(other) => drop(self.1.insert(path, PathBuf::clone(other))),
                None => drop(first.insert(inode, path)),
            }
        }
    }

    /// The first name of the file that has this one too.
    pub(crate) fn first_name(&self, path: &Path) -> Option<&PathBuf> {
        self.1.get(path)
    }

    fn add(&mut self, root: &Path, at: PathBuf) {
        let path = root.join(&at);
        let stat = path.symlink_metadata().unwrap();
        let body = if stat.is_dir() {
            Body::Directory
        } else if stat.is_symlink() {
            Body::Symlink(std::fs::read_link(&path).unwrap())
        } else {
            Body::File(std::fs::read(&path).unwrap())
        };
        let node = Node { body, mode: stat.mode() & 0o7777, uid: stat.uid(), gid: stat.gid() };
        if node.body == Body::Directory {
            for entry in std::fs::read_dir(&path).unwrap() {
                self.add(root, at.join(entry.unwrap().file_name()));
            }
        }
        self.0.insert(at, node);
    }

    /// Makes the directory hold this and nothing else.
    pub(crate) fn put(&self, root: &Path) {
        if root.exists() {
            std::fs::remove_dir_all(root).unwrap();
        }
        let me = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        for (at, node) in &self.0 {
            let path = root.join(at);
            if let Some(first) = self.first_name(at) {
                std::fs::hard_link(root.join(first), &path).unwrap();
                continue;
            }
            match &node.body {
                Body::Directory => std::fs::create_dir(&path).unwrap(),
                Body::File(bytes) => std::fs::write(&path, bytes).unwrap(),
                Body::Symlink(target) => {
                    symlink(target, &path).unwrap();
                    continue;
                }
            }
            if (node.uid, node.gid) != me {
                chown(&path, Some(node.uid), Some(node.gid)).unwrap();
            }
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(node.mode)).unwrap();
        }
    }

    /// The regular files with their content.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Path, &Node, &[u8])> {
        self.0.iter().filter_map(|(path, node)| match &node.body {
            Body::File(bytes) => Some((path.as_path(), node, bytes.as_slice())),
            _ => None,
        })
    }

    pub(crate) fn file(&self, path: &str) -> Option<&[u8]> {
        match &self.0.get(Path::new(path))?.body {
            Body::File(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// Whether a component of the path is hidden: temporary files, intents and transactions all are.
pub(crate) fn is_hidden(path: &Path) -> bool {
    path.iter().any(|name| name.as_encoded_bytes().starts_with(b"."))
}
