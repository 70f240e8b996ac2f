//! What a disk may hold after a power cut: a file's content is durable after its fsync, a name after its directory's
//! fsync, and nothing else. The run's system calls are replayed on this model, and after each of them it gives the disks
//! that are possible.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use crate::calls::Call;
use crate::image::{Body, Image, Node};

type Names = BTreeMap<OsString, usize>;

enum Content {
    Directory { names: Names, synced: Names },
    File { data: Vec<u8>, synced: Vec<u8> },
    Symlink(PathBuf),
}

#[derive(Clone, Copy)]
struct Meta {
    mode: u32,
    uid: u32,
    gid: u32,
}

struct Inode {
    content: Content,
    meta: Meta,
    synced_meta: Meta,
}

/// Which of the possible disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// Only what was synced.
    Synced,
    /// What was synced, and of the changes to names the last one alone: the disk may write them in any order.
    Newest,
    /// Every name; of the files' content only what was synced.
    Names,
    /// Everything, as the kernel shows it while there is power.
    All,
}

/// The file system below a directory.
pub(crate) struct Model {
    root: PathBuf,
    cwd: PathBuf,
    umask: u32,
    inodes: Vec<Inode>,
    descriptors: HashMap<i64, PathBuf>,
    /// The last change to names, where it is not synced yet: directory, name, and what it names now.
    newest: Vec<(usize, OsString, Option<usize>)>,
}

impl Model {
    /// A disk that holds `image` at `root`, all of it durable.
    pub(crate) fn new(root: &Path, image: &Image, umask: u32) -> Self {
        let mut model = Self {
            root: root.to_owned(),
            cwd: root.to_owned(),
            umask,
            inodes: Vec::new(),
            descriptors: HashMap::new(),
            newest: Vec::new(),
        };
        for (path, node) in &image.0 {
            let content = match &node.body {
                Body::Directory => Content::Directory { names: Names::new(), synced: Names::new() },
                Body::File(bytes) => Content::File { data: bytes.clone(), synced: bytes.clone() },
                Body::Symlink(target) => Content::Symlink(target.clone()),
            };
            let id = match image.first_name(path).and_then(|first| model.find(&root.join(first))) {
                Some(id) => id,
                None => model.make(content, Meta { mode: node.mode, uid: node.uid, gid: node.gid }),
            };
            if let Some((dir, name)) = model.entry(&root.join(path)).filter(|_| id != 0) {
                model.names(dir).insert(name.clone(), id);
                let Content::Directory { synced, .. } = &mut model.inodes[dir].content else {
                    unreachable!()
                };
                synced.insert(name, id);
            }
        }
        model
    }

    /// Carries a call out; returns whether it was about this directory.
    ///
    /// # Panics
    /// On a call that the model does not know and that concerns the directory.
    pub(crate) fn apply(&mut self, call: &Call) -> bool {
        if call.name.starts_with("open")
            && let Some(path) = &call.result_path
        {
            self.descriptors.insert(call.result, path.clone());
        }
        if call.result < 0 {
            return false;
        }
        match call.name.as_str() {
            "open" | "openat" | "creat" | "openat2" => self.open(call),
            "write" => self.write(call, None),
            "pwrite64" => self.write(call, Some(call.args[3].parse().unwrap())),
            "fsync" => self.sync(call, true),
            "fdatasync" => self.sync(call, false),
            "ftruncate" => {
                let length = call.args[1].parse().unwrap();
                self.of_fd(call).is_some_and(|id| {
                    let Content::File { data, .. } = &mut self.inodes[id].content else { return false };
                    data.resize(length, 0);
                    true
                })
            }
            "rename" => self.rename(self.full(None, call.path(0)), self.full(None, call.path(1))),
            "renameat" | "renameat2" => self
                .rename(self.full(call.fd_path(0), call.path(1)), self.full(call.fd_path(2), call.path(3))),
            "link" => self.link(self.full(None, call.path(0)), self.full(None, call.path(1))),
            "linkat" => {
                self.link(self.full(call.fd_path(0), call.path(1)), self.full(call.fd_path(2), call.path(3)))
            }
            "unlink" | "rmdir" => self.unlink(self.full(None, call.path(0))),
            "unlinkat" => self.unlink(self.full(call.fd_path(0), call.path(1))),
            "mkdir" => self.mkdir(self.full(None, call.path(0)), &call.args[1]),
            "mkdirat" => self.mkdir(self.full(call.fd_path(0), call.path(1)), &call.args[2]),
            "fchmod" => self.of_fd(call).is_some_and(|id| self.chmod(id, &call.args[1])),
            "chmod" => {
                self.find(&self.full(None, call.path(0))).is_some_and(|id| self.chmod(id, &call.args[1]))
            }
            "fchmodat" | "fchmodat2" => self
                .find(&self.full(call.fd_path(0), call.path(1)))
                .is_some_and(|id| self.chmod(id, &call.args[2])),
            "fchown" => self.of_fd(call).is_some_and(|id| self.chown(id, &call.args[1], &call.args[2])),
            "chown" | "lchown" => self
                .find(&self.full(None, call.path(0)))
                .is_some_and(|id| self.chown(id, &call.args[1], &call.args[2])),
            "fchownat" => self
                .find(&self.full(call.fd_path(0), call.path(1)))
                .is_some_and(|id| self.chown(id, &call.args[2], &call.args[3])),
            other => {
                let is_here = call.fd_path(0).is_some_and(|path| path.starts_with(&self.root));
                assert!(!is_here, "the model does not know {other}: {call:?}");
                false
            }
        }
    }

    /// A disk that is possible now.
    pub(crate) fn disk(&self, view: View) -> Image {
        let mut image = Image::default();
        let mut files = Vec::new();
        self.collect(view, 0, PathBuf::new(), &mut image, &mut files);
        image.link(files);
        image
    }

    fn collect(
        &self,
        view: View,
        id: usize,
        at: PathBuf,
        image: &mut Image,
        files: &mut Vec<(PathBuf, usize)>,
    ) {
        let inode = &self.inodes[id];
        let meta = if view == View::All { inode.meta } else { inode.synced_meta };
        let body = match &inode.content {
            Content::Symlink(target) => Body::Symlink(target.clone()),
            Content::File { data, .. } if view == View::All => Body::File(data.clone()),
            Content::File { synced, .. } => Body::File(synced.clone()),
            Content::Directory { names, synced } => {
                let mut seen =
                    if matches!(view, View::All | View::Names) { names.clone() } else { synced.clone() };
                for (dir, name, target) in self.newest.iter().filter(|_| view == View::Newest) {
                    match target {
                        Some(target) if *dir == id => drop(seen.insert(name.clone(), *target)),
                        None if *dir == id => drop(seen.remove(name)),
                        _ => {}
                    }
                }
                for (name, child) in seen {
                    self.collect(view, child, at.join(name), image, files);
                }
                Body::Directory
            }
        };
        if matches!(body, Body::File(_)) {
            files.push((at.clone(), id));
        }
        image.0.insert(at, Node { body, mode: meta.mode, uid: meta.uid, gid: meta.gid });
    }

    fn make(&mut self, content: Content, meta: Meta) -> usize {
        self.inodes.push(Inode { content, meta, synced_meta: meta });
        self.inodes.len() - 1
    }

    fn mine(&self, mode: &str) -> Meta {
        let mode = u32::from_str_radix(mode, 8).unwrap() & !self.umask;
        Meta { mode, uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
    }

    /// A path as the tool names it, made absolute; `/proc/self/fd/N/…` leads through that descriptor.
    fn full(&self, dir: Option<PathBuf>, path: PathBuf) -> PathBuf {
        if let Ok(rest) = path.strip_prefix("/proc/self/fd") {
            let mut parts = rest.components();
            if let Some(Component::Normal(fd)) = parts.next()
                && let Some(dir) =
                    fd.to_str().and_then(|fd| fd.parse().ok()).and_then(|fd| self.descriptors.get(&fd))
            {
                return dir.join(parts.as_path());
            }
        }
        let joined = dir.unwrap_or_else(|| self.cwd.clone()).join(path);
        joined.components().filter(|part| *part != Component::CurDir).collect()
    }

    fn find(&self, path: &Path) -> Option<usize> {
        let mut id = 0;
        for name in path.strip_prefix(&self.root).ok()?.iter() {
            let Content::Directory { names, .. } = &self.inodes[id].content else { return None };
            id = *names.get(name)?;
        }
        Some(id)
    }

    /// The directory of a path and its last name, where that lies here.
    fn entry(&self, path: &Path) -> Option<(usize, OsString)> {
        let parent = path.parent().filter(|parent| parent.starts_with(&self.root))?;
        Some((self.find(parent)?, path.file_name()?.to_owned()))
    }

    fn names(&mut self, dir: usize) -> &mut Names {
        match &mut self.inodes[dir].content {
            Content::Directory { names, .. } => names,
            _ => panic!("not a directory"),
        }
    }

    fn of_fd(&self, call: &Call) -> Option<usize> {
        self.find(&call.fd_path(0)?)
    }

    fn set(&mut self, changes: Vec<(usize, OsString, Option<usize>)>) {
        for (dir, name, target) in &changes {
            match target {
                Some(id) => drop(self.names(*dir).insert(name.clone(), *id)),
                None => drop(self.names(*dir).remove(name)),
            }
        }
        self.newest = changes;
    }

    fn open(&mut self, call: &Call) -> bool {
        let Some(path) = call.result_path.clone() else { return false };
        let flags = call.args.iter().find(|arg| arg.contains("O_")).cloned().unwrap_or_default();
        if let Some(id) = self.find(&path) {
            if flags.contains("O_TRUNC")
                && let Content::File { data, .. } = &mut self.inodes[id].content
            {
                data.clear();
            }
            return flags.contains("O_TRUNC");
        }
        let Some((dir, name)) = self.entry(&path).filter(|_| flags.contains("O_CREAT")) else { return false };
        let meta = self.mine(call.args.last().unwrap());
        let id = self.make(Content::File { data: Vec::new(), synced: Vec::new() }, meta);
        self.set(vec![(dir, name, Some(id))]);
        true
    }

    fn write(&mut self, call: &Call, offset: Option<usize>) -> bool {
        let Some(id) = self.of_fd(call) else { return false };
        let count = usize::try_from(call.result).unwrap();
        let bytes = call.bytes(1);
        let Content::File { data, .. } = &mut self.inodes[id].content else { return false };
        // The tool writes new files from their beginning, and others with O_APPEND.
        let from = offset.unwrap_or(data.len());
        data.resize(data.len().max(from + count), 0);
        data[from..from + count].copy_from_slice(&bytes[..count]);
        true
    }

    fn sync(&mut self, call: &Call, with_meta: bool) -> bool {
        let Some(id) = self.of_fd(call) else { return false };
        let inode = &mut self.inodes[id];
        match &mut inode.content {
            Content::File { data, synced } => synced.clone_from(data),
            Content::Directory { names, synced } => {
                synced.clone_from(names);
                self.newest.retain(|(dir, ..)| *dir != id);
            }
            Content::Symlink(_) => {}
        }
        if with_meta {
            inode.synced_meta = inode.meta;
        }
        true
    }

    fn rename(&mut self, from: PathBuf, to: PathBuf) -> bool {
        let (Some(id), Some((old_dir, old)), Some((new_dir, new))) =
            (self.find(&from), self.entry(&from), self.entry(&to))
        else {
            return false;
        };
        self.set(vec![(old_dir, old, None), (new_dir, new, Some(id))]);
        true
    }

    fn link(&mut self, from: PathBuf, to: PathBuf) -> bool {
        let (Some(id), Some((dir, name))) = (self.find(&from), self.entry(&to)) else { return false };
        self.set(vec![(dir, name, Some(id))]);
        true
    }

    fn unlink(&mut self, path: PathBuf) -> bool {
        let Some((dir, name)) = self.entry(&path) else { return false };
        self.set(vec![(dir, name, None)]);
        true
    }

    fn mkdir(&mut self, path: PathBuf, mode: &str) -> bool {
        let Some((dir, name)) = self.entry(&path) else { return false };
        let meta = self.mine(mode);
        let id = self.make(Content::Directory { names: Names::new(), synced: Names::new() }, meta);
        self.set(vec![(dir, name, Some(id))]);
        true
    }

    fn chmod(&mut self, id: usize, mode: &str) -> bool {
        self.inodes[id].meta.mode = u32::from_str_radix(mode, 8).unwrap();
        true
    }

    fn chown(&mut self, id: usize, uid: &str, gid: &str) -> bool {
        let meta = &mut self.inodes[id].meta;
        meta.uid = uid.parse().unwrap_or(meta.uid);
        meta.gid = gid.parse().unwrap_or(meta.gid);
        true
    }
}
