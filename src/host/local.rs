//! This machine, or a file tree on it that stands for a machine (`--root DIR`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::unistd::{Group, User};

use super::root::Root;
use super::{Connection, Host, HostError, Placement, RunOutput, Stream, command, proc};
use crate::files::{self, DirLock, FileError, FileImage, FileStat, LockError, Meta, Owner};

/// How long one run waits for another that places files in the same directory.
const DIR_LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// This machine; with a root, its paths are judged below that directory, symlinks included.
#[derive(Debug)]
pub struct Local {
    name: String,
    root: Option<Root>,
}

impl Local {
    /// This machine under the name `localhost`.
    pub fn new() -> Self {
        Self::named("localhost")
    }

    /// This machine under a name of the inventory's.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), root: None }
    }

    /// The machine whose file tree is at `dir`. Its owners are those of its own `etc/passwd` and `etc/group`;
    /// commands cannot be run on it.
    ///
    /// # Errors
    /// [`HostError::File`] when `dir` is no directory we can enter.
    pub fn rooted(dir: &Path) -> Result<Self, HostError> {
        let name = dir.display().to_string();
        match Root::open(dir) {
            Ok(root) => Ok(Self { name, root: Some(root) }),
            Err(source) => Err(HostError::File { host: name, source }),
        }
    }

    fn file_error(&self, source: FileError) -> HostError {
        HostError::File { host: self.name.clone(), source }
    }

    /// Does `work` with `path` as this process reaches it; `None` when its directory is not there below the root.
    fn at<T>(
        &self,
        path: &Path,
        work: impl FnOnce(&Path) -> Result<T, FileError>,
    ) -> Result<Option<T>, HostError> {
        let done = match &self.root {
            None => work(path).map(Some),
            Some(root) => root.resolve(path).and_then(|resolved| {
                resolved.map(|at| work(&at.path).map_err(|e| root.rename(e, path))).transpose()
            }),
        };
        done.map_err(|source| self.file_error(source))
    }

    /// As [`Self::at`], an error when the directory is not there.
    fn within<T>(
        &self,
        path: &Path,
        work: impl FnOnce(&Path) -> Result<T, FileError>,
    ) -> Result<T, HostError> {
        let done = match &self.root {
            None => work(path),
            Some(root) => root
                .resolve_in(path)
                .and_then(|resolved| work(&resolved.path).map_err(|e| root.rename(e, path))),
        };
        done.map_err(|source| self.file_error(source))
    }

    fn no_such_user(&self, name: &str) -> HostError {
        HostError::NoSuchUser { host: self.name.clone(), name: name.to_owned() }
    }

    /// A user's number and own group.
    fn user(&self, name: &str) -> Result<Option<Owner>, HostError> {
        if self.root.is_some() {
            let passwd = self.read(Path::new("/etc/passwd"))?;
            return Ok(passwd.and_then(|file| passwd_entry(&String::from_utf8_lossy(&file.bytes), name)));
        }
        let found = match name.parse() {
            Ok(uid) => User::from_uid(nix::unistd::Uid::from_raw(uid)),
            Err(_) => User::from_name(name),
        };
        let user = found.map_err(|errno| self.lookup_error(name, errno))?;
        Ok(user.map(|user| Owner { uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
    }

    /// A group's number.
    fn group(&self, name: &str) -> Result<Option<u32>, HostError> {
        if self.root.is_some() {
            let group = self.read(Path::new("/etc/group"))?;
            return Ok(group.and_then(|file| group_entry(&String::from_utf8_lossy(&file.bytes), name)));
        }
        let group = Group::from_name(name).map_err(|errno| self.lookup_error(name, errno))?;
        Ok(group.map(|group| group.gid.as_raw()))
    }

    fn lookup_error(&self, name: &str, errno: nix::errno::Errno) -> HostError {
        HostError::Command {
            host: self.name.clone(),
            command: format!("looking up {name:?}"),
            what: errno.desc().to_owned(),
        }
    }

    fn command_error(&self, command: &str, what: impl ToString) -> HostError {
        HostError::Command { host: self.name.clone(), command: command.to_owned(), what: what.to_string() }
    }
}

impl Default for Local {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for Local {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&self, path: &Path) -> Result<Option<FileImage>, HostError> {
        Ok(self.at(path, files::read)?.flatten())
    }

    fn stat(&self, path: &Path) -> Result<Option<FileStat>, HostError> {
        Ok(self.at(path, files::stat)?.flatten())
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, HostError> {
        let names = match &self.root {
            None => files::list(dir),
            Some(root) => root.list(dir),
        };
        names.map_err(|source| self.file_error(source))
    }

    fn make_dir(&self, path: &Path, meta: Meta) -> Result<bool, HostError> {
        let made = match &self.root {
            None => files::make_dir(path, meta),
            Some(root) => root.make_dir(path, meta),
        };
        made.map_err(|source| self.file_error(source))
    }

    fn place(&self, path: &Path, bytes: &[u8], meta: Meta) -> Result<(), HostError> {
        self.within(path, |path| files::replace(path, bytes, meta))
    }

    fn place_all(&self, placements: &[Placement<'_>]) -> Result<(), HostError> {
        let Some(root) = &self.root else {
            let files: Vec<_> = placements.iter().map(|p| (p.path, p.bytes, p.meta)).collect();
            return files::replace_all(&files).map_err(|source| self.file_error(source));
        };
        let resolved: Result<Vec<_>, _> = placements.iter().map(|p| root.resolve_in(p.path)).collect();
        let resolved = resolved.map_err(|source| self.file_error(source))?;
        let files: Vec<_> =
            placements.iter().zip(&resolved).map(|(p, at)| (at.path.as_path(), p.bytes, p.meta)).collect();
        files::replace_all(&files).map_err(|source| self.file_error(root.rename_any(source, placements)))
    }

    fn place_again(&self, file: &Placement<'_>) -> Result<(), HostError> {
        let done = self.within(file.path, |path| files::set_file_meta(path, file.meta))?;
        if done { Ok(()) } else { self.place(file.path, file.bytes, file.meta) }
    }

    fn set_meta(&self, path: &Path, meta: Meta) -> Result<(), HostError> {
        self.within(path, |path| files::set_meta(path, meta))
    }

    fn remove(&self, path: &Path) -> Result<(), HostError> {
        self.at(path, files::remove).map(drop)
    }

    fn user_id(&self) -> Result<u32, HostError> {
        Ok(rustix::process::geteuid().as_raw())
    }

    fn lock_dir(&self, dir: &Path) -> Result<Box<dyn Send>, HostError> {
        let locked = self.at(dir, |path| match DirLock::of_directory(path, DIR_LOCK_TIMEOUT) {
            Err(LockError::Held { holder, .. }) => Ok(Err(holder)),
            Err(LockError::File(error)) => Err(error),
            Ok(lock) => Ok(Ok(lock)),
        })?;
        match locked.transpose() {
            Ok(lock) => Ok(Box::new(lock)),
            Err(holder) => Err(HostError::Locked { host: self.name.clone(), holder }),
        }
    }

    fn run(&self, argv: &[&str], deadline: Duration) -> Result<RunOutput, HostError> {
        let Some((program, arguments)) = argv.split_first() else {
            return Err(self.command_error("", "an empty command"));
        };
        if self.root.is_some() {
            return Err(self.command_error(program, "commands cannot be run below --root"));
        }
        let mut command = command::command(program);
        command.args(arguments);
        command::run(command, b"", deadline).map_err(|error| self.command_error(program, error))
    }

    fn dial(&self, address: SocketAddr, timeout: Duration) -> Result<Box<dyn Stream>, HostError> {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => Ok(Box::new(stream)),
            Err(source) => {
                Err(HostError::Dial { host: self.name.clone(), address: address.to_string(), source })
            }
        }
    }

    fn source_towards(&self, address: IpAddr) -> Result<Option<IpAddr>, HostError> {
        // Nothing is sent: the kernel only looks for the way.
        let any: IpAddr =
            if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket =
            UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((address, 9)).map(|()| socket));
        Ok(socket.and_then(|socket| socket.local_addr()).ok().map(|local| local.ip()))
    }

    fn clock(&self) -> Result<SystemTime, HostError> {
        Ok(SystemTime::now())
    }

    fn connections(&self, ports: &[u16]) -> Result<Vec<Connection>, HostError> {
        if self.root.is_some() {
            return Ok(Vec::new());
        }
        proc::connections(ports).map_err(|error| self.command_error("reading /proc/net/tcp", error))
    }

    fn owner(&self, spec: &str) -> Result<Owner, HostError> {
        let (user, group) = match spec.split_once(':') {
            Some((user, group)) if !group.is_empty() => (user, Some(group)),
            Some((user, _)) => (user, None),
            None => (spec, None),
        };
        let gid = match group {
            None => None,
            Some(name) => match name.parse() {
                Ok(gid) => Some(gid),
                Err(_) => Some(self.group(name)?.ok_or_else(|| self.no_such_user(name))?),
            },
        };
        match (user.parse(), gid) {
            (Ok(uid), Some(gid)) => Ok(Owner { uid, gid }),
            (_, gid) => {
                let owner = self.user(user)?.ok_or_else(|| self.no_such_user(user))?;
                Ok(Owner { uid: owner.uid, gid: gid.unwrap_or(owner.gid) })
            }
        }
    }

    fn loopback(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    fn state_dir(&self) -> PathBuf {
        PathBuf::from("/var/lib/etcd-pki")
    }
}

/// `name:password:uid:gid:…` of passwd(5), by name or number.
fn passwd_entry(passwd: &str, wanted: &str) -> Option<Owner> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _password, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let owner = Owner { uid: uid.parse().ok()?, gid: gid.parse().ok()? };
        (name == wanted || uid == wanted).then_some(owner)
    })
}

/// `name:password:gid:…` of group(5), by name.
fn group_entry(group: &str, wanted: &str) -> Option<u32> {
    group.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _password, gid) = (fields.next()?, fields.next()?, fields.next()?);
        if name == wanted { gid.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::FileMode;
    use std::os::unix::fs::symlink;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn owners_by_name_and_number() {
        let host = Local::new();
        let root = Owner { uid: 0, gid: 0 };
        for spec in ["root", "root:", "root:root", "0", "0:0", "root:0", "0:root"] {
            assert_eq!(host.owner(spec).unwrap(), root, "{spec}");
        }
        assert_eq!(host.owner("4294967:12").unwrap(), Owner { uid: 4_294_967, gid: 12 });
        for (spec, missing) in [("no-such", "no-such"), ("root:no-such", "no-such"), ("", ""), (":root", "")]
        {
            match host.owner(spec) {
                Err(HostError::NoSuchUser { name, .. }) => assert_eq!(name, missing),
                other => panic!("{spec}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_root_has_its_own_users() {
        let dir = tempfile::tempdir().unwrap();
        let host = Local::rooted(dir.path()).unwrap();
        host.make_dir(Path::new("/etc"), Meta::mode(FileMode::DIR)).unwrap();
        let put = |path: &str, text: &[u8]| host.place(Path::new(path), text, Meta::mode(FileMode::PUBLIC));
        put("/etc/passwd", b"etcd:x:2379:2380::/:/bin/false\n").unwrap();
        put("/etc/group", b"etcd:x:2380:\ntls:x:77:etcd\n").unwrap();
        assert_eq!(host.owner("etcd").unwrap(), Owner { uid: 2379, gid: 2380 });
        assert_eq!(host.owner("2379").unwrap(), Owner { uid: 2379, gid: 2380 });
        assert_eq!(host.owner("etcd:tls").unwrap(), Owner { uid: 2379, gid: 77 });
        assert!(matches!(host.owner("root"), Err(HostError::NoSuchUser { .. })));
        assert!(host.run(&["true"], SOON).is_err());
    }

    #[test]
    fn no_symlink_leads_out_of_a_root() {
        let outside = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let host = Local::rooted(dir.path()).unwrap();
        let meta = Meta::mode(FileMode::DIR);
        assert!(host.make_dir(Path::new("/etc/ssl"), meta).unwrap());
        assert!(!host.make_dir(Path::new("/etc/ssl"), meta).unwrap());

        // An absolute link means what it means on that machine.
        symlink("/etc/ssl", dir.path().join("certs")).unwrap();
        host.place(Path::new("/certs/ca.pem"), b"ca", Meta::mode(FileMode::PUBLIC)).unwrap();
        assert_eq!(std::fs::read(dir.path().join("etc/ssl/ca.pem")).unwrap(), b"ca");
        assert_eq!(host.read(Path::new("/certs/ca.pem")).unwrap().unwrap().bytes, b"ca");
        assert_eq!(host.list(Path::new("/certs")).unwrap(), ["ca.pem"]);

        // One that leads out leads nowhere, by name and by `..`.
        symlink(outside.path(), dir.path().join("out")).unwrap();
        for path in ["/out/ca.pem", "/out/../../../../../../../../../tmp/ca.pem"] {
            let placed = host.place(Path::new(path), b"ca", Meta::mode(FileMode::PUBLIC));
            assert!(placed.is_err(), "{path}: {placed:?}");
        }
        assert!(host.make_dir(Path::new("/out/new"), meta).is_err() || !outside.path().join("new").exists());
        assert!(host.read(Path::new("/out/ca.pem")).unwrap().is_none());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);

        // Errors name the path as its user knows it.
        let error =
            host.place(Path::new("/nowhere/ca.pem"), b"ca", Meta::mode(FileMode::PUBLIC)).unwrap_err();
        let expected = dir.path().join("nowhere");
        assert!(error.to_string().contains(expected.to_str().unwrap()), "{error}");
    }

    #[test]
    fn dialling_and_running() {
        let host = Local::new();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        host.dial(at, SOON).unwrap();
        drop(listener);
        assert!(matches!(host.dial(at, SOON), Err(HostError::Dial { .. })));
        assert_eq!(host.run(&["echo", "a b"], SOON).unwrap().stdout, b"a b\n");
        assert!(host.run(&[], SOON).is_err());
    }
}
