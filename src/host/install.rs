//! Places a certificate, its key and the CA on a host: first looks, then says what it would change, then does it.
//!
//! [`plan`] reads and writes nothing; an empty plan means that all is as it should be. [`apply`] carries a plan out:
//! directories first, then all files at once, staged beside their places and renamed in a row, so that a full disk
//! or a missing permission leaves the old pair untouched, and whoever reads meanwhile sees whole files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use zeroize::Zeroizing;

use super::access::{Access, Reader};
use super::bundle::{Bundle, Standing};
use super::{Host, HostError, Placement};
use crate::files::{FileKind, FileMode, FileStat, Meta, Owner};

/// Where a bundle goes, and how.
#[derive(Debug, Clone)]
pub struct Target {
    /// The directory, absolute.
    pub dir: PathBuf,
    /// Who owns the files, and the directory where we make it.
    pub owner: Owner,
    /// The directory's mode. None: 0755 for one that we make, and one that is there is left as it is.
    pub dir_mode: Option<FileMode>,
    /// Replace what another CA or name has there.
    pub force: bool,
}

/// What is to happen to one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The directory or file.
    pub path: PathBuf,
    /// What happens to it.
    pub action: Action,
    /// Its mode afterwards, as four octal digits in JSON.
    #[serde(serialize_with = "octal")]
    pub mode: FileMode,
    /// Its owner afterwards; none keeps it as it is, or as this process makes it.
    pub owner: Option<Owner>,
    #[serde(skip)]
    part: Option<Part>,
}

/// What happens to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A directory is made.
    MakeDirectory,
    /// A file is written where none was.
    Create,
    /// A file is replaced.
    Replace,
    /// Mode and owner change, the content stays.
    SetMode,
    /// What a killed run left behind is removed.
    RemoveLeftover,
}

/// The three files of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Ca,
    Cert,
    Key,
}

/// What was found and what is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they happen; empty when nothing is to be done.
    pub changes: Vec<Change>,
    /// What is right already.
    pub kept: Vec<PathBuf>,
    /// What is odd and does not stand in the way.
    pub warnings: Vec<String>,
}

/// Why nothing was placed, or not all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The host could not do it.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The directory is not absolute, or is something else.
    #[error("{path} {what}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// What stands there is somebody else's.
    #[error("{path} {what}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The machine has no trust store of a kind that is known.
    #[error("{host}: no system trust store of a known kind is there")]
    NoTrustStore {
        /// The machine.
        host: String,
    },
    /// A symlink, directory or device stands where a file is to go.
    #[error("{path} is {what}, not a regular file")]
    NotRegular {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The CA's file is in place, and the system's bundle was not made anew.
    #[error("{host}: {program}: {what}")]
    Untrusted {
        /// The machine.
        host: String,
        /// The program that makes the bundle.
        program: &'static str,
        /// What went wrong.
        what: String,
    },
}

/// The units that run etcd, the likeliest first: Debian and most others, CoreOS, Container Linux and Flatcar.
const UNITS: [&str; 3] = ["etcd.service", "etcd2.service", "etcd-member.service"];

/// The user that etcd runs as on `host`: the `User=` of its unit (this one, or those that are known), `etcd` where there
/// is no unit to ask.
pub fn unit_user(host: &dyn Host, unit: Option<&str>) -> String {
    let mut argv = vec!["systemctl", "show", "--property=LoadState", "--property=User", "--"];
    match unit {
        Some(unit) => argv.push(unit),
        None => argv.extend(UNITS),
    }
    let shown = host.run(&argv, Duration::from_secs(10)).ok().filter(|output| output.status == Some(0));
    shown
        .and_then(|output| first_unit_user(&String::from_utf8_lossy(&output.stdout)))
        .unwrap_or_else(|| "etcd".to_owned())
}

/// The user of the first unit that is loaded; a unit without `User=` runs as root.
fn first_unit_user(shown: &str) -> Option<String> {
    let unit = shown.split("\n\n").find(|unit| unit.lines().any(|line| line == "LoadState=loaded"))?;
    let user = unit.lines().find_map(|line| line.strip_prefix("User=")).unwrap_or_default();
    Some(if user.is_empty() { "root" } else { user }.to_owned())
}

/// What must change on `host` for `bundle` to be in place. Nothing is written.
///
/// # Errors
/// [`InstallError`]
pub fn plan(host: &dyn Host, bundle: &Bundle, target: &Target) -> Result<Plan, InstallError> {
    let mut plan = Plan::default();
    plan_directory(host, target, &mut plan)?;
    let ca = target.dir.join("ca.pem");
    let cert = target.dir.join(bundle.cert_file());
    let key = target.dir.join(bundle.key_file());
    if let Some(existing) = content(host, &cert)?
        && let (Standing::Foreign(what), false) = (bundle.standing(&existing), target.force)
    {
        return Err(InstallError::Foreign { path: cert, what });
    }
    plan_ca(host, bundle, target, &ca, &mut plan)?;
    // The certificate last: while its key is new and it is old, etcd refuses handshakes, so the two are neighbours.
    plan_file(host, &key, Part::Key, bundle.key_pem(), target, &mut plan)?;
    plan_file(host, &cert, Part::Cert, bundle.cert_pem(), target, &mut plan)?;
    plan_leftovers(host, bundle, target, &mut plan)?;
    Ok(plan)
}

/// Carries a plan out, telling `done` of each change as it has happened.
///
/// # Errors
/// [`HostError`]; run again to finish.
pub fn apply(
    host: &dyn Host,
    bundle: &Bundle,
    plan: &Plan,
    mut done: impl FnMut(&Change),
) -> Result<(), HostError> {
    let mut placements = Vec::new();
    let mut placed = Vec::new();
    for change in &plan.changes {
        let meta = Meta { mode: change.mode, owner: change.owner };
        match change.action {
            Action::MakeDirectory => {
                host.make_dir(&change.path, meta)?;
            }
            Action::SetMode => host.set_meta(&change.path, meta)?,
            Action::RemoveLeftover => host.remove(&change.path)?,
            Action::Create | Action::Replace => {
                let bytes = match change.part {
                    Some(Part::Key) => bundle.key_pem(),
                    Some(Part::Cert) => bundle.cert_pem(),
                    _ => bundle.ca_pem(),
                };
                placements.push(Placement { path: &change.path, bytes, meta });
                placed.push(change);
                continue;
            }
        }
        done(change);
    }
    host.place_all(&placements)?;
    placed.into_iter().for_each(done);
    Ok(())
}

fn plan_directory(host: &dyn Host, target: &Target, plan: &mut Plan) -> Result<(), InstallError> {
    let wrong = |path: &Path, what| InstallError::Directory { path: path.to_owned(), what };
    if !target.dir.is_absolute() || target.dir.parent().is_none() {
        return Err(wrong(&target.dir, "is not an absolute path below /"));
    }
    let mut missing = Vec::new();
    for dir in target.dir.ancestors() {
        let is_target = dir == target.dir;
        match host.stat(dir)? {
            None => missing.push(dir),
            // A link on the way to it may be the admin's layout; the directory itself is named as it is.
            Some(FileStat { kind: FileKind::Symlink, .. }) if is_target => {
                return Err(wrong(dir, "is a symlink: name the directory that it leads to"));
            }
            Some(FileStat { kind: FileKind::Symlink, .. }) => break,
            Some(stat) if stat.kind != FileKind::Directory => return Err(wrong(dir, "is not a directory")),
            Some(stat) => {
                let mode = if is_target { target.dir_mode.unwrap_or(stat.mode) } else { stat.mode };
                if is_target && mode != stat.mode {
                    plan.changes.push(Change {
                        path: dir.to_owned(),
                        action: Action::SetMode,
                        mode,
                        owner: None,
                        part: None,
                    });
                }
                if !may_enter(target.owner, FileStat { mode, ..stat }) {
                    plan.warnings.push(format!(
                        "{} ({mode}) may keep user {} out: etcd could not read its files",
                        dir.display(),
                        target.owner.uid
                    ));
                }
            }
        }
    }
    for dir in missing.into_iter().rev() {
        let (mode, owner) = if dir == target.dir {
            (target.dir_mode.unwrap_or(FileMode::DIR), Some(target.owner))
        } else {
            (FileMode::DIR, None)
        };
        plan.changes.push(Change {
            path: dir.to_owned(),
            action: Action::MakeDirectory,
            mode,
            owner,
            part: None,
        });
    }
    Ok(())
}

/// The CA that stands there is somebody's trust: it may grow into ours, or hold ours already; another is refused.
fn plan_ca(
    host: &dyn Host,
    bundle: &Bundle,
    target: &Target,
    path: &Path,
    plan: &mut Plan,
) -> Result<(), InstallError> {
    let mut bytes = Zeroizing::new(bundle.ca_pem().to_vec());
    if let Some(existing) = content(host, path)? {
        match bundle.ca_standing(&existing) {
            _ if target.force => {}
            (_, true) => {}
            (true, false) => {
                plan.warnings.push(format!(
                    "{} holds other CAs beside this one and is left so (--force replaces it)",
                    path.display()
                ));
                bytes = existing;
            }
            (false, false) => {
                let what = "is another CA's certificate, which something here may trust";
                return Err(InstallError::Foreign { path: path.to_owned(), what });
            }
        }
    }
    plan_file(host, path, Part::Ca, &bytes, target, plan)
}

fn plan_file(
    host: &dyn Host,
    path: &Path,
    part: Part,
    bytes: &[u8],
    target: &Target,
    plan: &mut Plan,
) -> Result<(), InstallError> {
    let mode = if part == Part::Key { FileMode::SECRET } else { FileMode::PUBLIC };
    let action = match host.stat(path)? {
        None => Action::Create,
        Some(stat) => {
            let same_meta = stat.mode == mode && stat.owner == target.owner;
            match (content(host, path)?.is_some_and(|existing| *existing == bytes), same_meta) {
                (true, true) => {
                    plan.kept.push(path.to_owned());
                    return Ok(());
                }
                (true, false) => Action::SetMode,
                (false, _) => Action::Replace,
            }
        }
    };
    let owner = Some(target.owner);
    plan.changes.push(Change { path: path.to_owned(), action, mode, owner, part: Some(part) });
    Ok(())
}

/// Temporary files of ours whose writer is no more: a killed run may have left a key in one.
fn plan_leftovers(
    host: &dyn Host,
    bundle: &Bundle,
    target: &Target,
    plan: &mut Plan,
) -> Result<(), InstallError> {
    let files = ["ca.pem".to_owned(), bundle.key_file(), bundle.cert_file()];
    for name in host.list(&target.dir)? {
        let writer = files.iter().find_map(|file| crate::files::temporary_writer(&name, file));
        if let Some(pid) = writer {
            if host.stat(Path::new(&format!("/proc/{pid}")))?.is_none() {
                plan.changes.push(Change {
                    path: target.dir.join(name),
                    action: Action::RemoveLeftover,
                    mode: FileMode::SECRET,
                    owner: None,
                    part: None,
                });
            }
        } else if name == "ca-key.pem" {
            let path = target.dir.join(name);
            plan.warnings.push(format!("{} is a CA key on a node: whoever has it is the CA", path.display()));
        }
    }
    Ok(())
}

/// What a regular file holds; none when nothing is there.
pub(super) fn content(host: &dyn Host, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, InstallError> {
    let what = match host.stat(path)?.map(|stat| stat.kind) {
        None => return Ok(None),
        Some(FileKind::File) => return Ok(host.read(path)?.map(|image| Zeroizing::new(image.bytes))),
        Some(FileKind::Symlink) => "a symlink",
        Some(FileKind::Directory) => "a directory",
        Some(FileKind::Other) => "a device, pipe or socket",
    };
    Err(InstallError::NotRegular { path: path.to_owned(), what })
}

/// Whether `owner` may walk through a directory, its supplementary groups left aside.
fn may_enter(owner: Owner, dir: FileStat) -> bool {
    Reader::of(owner).may(dir, Access::Enter)
}

fn octal<S: serde::Serializer>(mode: &FileMode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_of_the_first_loaded_unit() {
        let debian =
            "User=\nLoadState=not-found\n\nUser=etcd\nLoadState=loaded\n\nUser=x\nLoadState=loaded\n";
        assert_eq!(first_unit_user(debian).as_deref(), Some("etcd"));
        assert_eq!(first_unit_user("LoadState=loaded\nUser=\n").as_deref(), Some("root"));
        assert_eq!(first_unit_user("LoadState=loaded\n").as_deref(), Some("root"));
        assert_eq!(first_unit_user("LoadState=not-found\nUser=\n"), None);
        assert_eq!(first_unit_user(""), None);
    }

    #[test]
    fn who_may_enter_a_directory() {
        let dir = |mode, uid, gid| FileStat {
            kind: FileKind::Directory,
            mode: FileMode::new(mode),
            owner: Owner { uid, gid },
        };
        let etcd = Owner { uid: 997, gid: 998 };
        assert!(may_enter(etcd, dir(0o755, 0, 0)));
        assert!(may_enter(etcd, dir(0o700, 997, 0)));
        assert!(may_enter(etcd, dir(0o750, 0, 998)));
        assert!(!may_enter(etcd, dir(0o700, 0, 0)));
        assert!(!may_enter(etcd, dir(0o701, 0, 998)), "the group's bits decide for its members");
        assert!(may_enter(Owner { uid: 0, gid: 0 }, dir(0o000, 1, 1)));
    }
}
