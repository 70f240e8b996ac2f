//! What must change on a host for a bundle to be in place.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::change::{Action, Change, Part, Plan, Target};
use super::error::InstallError;
use super::unfinished::NOTE;
use crate::files::{FileKind, FileMode, FileStat, Owner, temporary_writer};
use crate::host::access::{Access, Reader};
use crate::host::bundle::{Bundle, Standing};
use crate::host::{Host, HostError};
use crate::inventory::pair_files::CA_FILE;

/// What must change on `host` for `bundle` to be in place. Nothing is written.
///
/// # Errors
/// [`InstallError`]
pub fn plan(host: &dyn Host, bundle: &Bundle, target: &Target) -> Result<Plan, InstallError> {
    let mut plan = Plan::default();
    plan_directory(host, target, &mut plan)?;
    let ca = target.dir.join(CA_FILE);
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
    plan_leftovers(host, target, &mut plan)?;
    Ok(plan)
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
                plan.ca = Some(existing.to_vec());
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

fn plan_leftovers(host: &dyn Host, target: &Target, plan: &mut Plan) -> Result<(), InstallError> {
    for path in leftovers(host, &target.dir, |file| file.ends_with(".pem") || file == NOTE)? {
        plan.changes.push(Change {
            path,
            action: Action::RemoveLeftover,
            mode: FileMode::SECRET,
            owner: None,
            part: None,
        });
    }
    let ca_key = target.dir.join("ca-key.pem");
    if host.stat(&ca_key)?.is_some() {
        plan.warnings.push(format!("{} is a CA key on a node: whoever has it is the CA", ca_key.display()));
    }
    Ok(())
}

/// Temporary files of ours in a directory whose writer has died, of the files that `is_ours` names: a killed run may have
/// left a key in one.
pub(in crate::host) fn leftovers(
    host: &dyn Host,
    dir: &Path,
    is_ours: impl Fn(&str) -> bool,
) -> Result<Vec<PathBuf>, HostError> {
    let mut left = Vec::new();
    for name in host.list(dir)? {
        let parts = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".tmp")?.rsplit_once('.'));
        let Some((file, _)) = parts.filter(|(file, _)| is_ours(file)) else { continue };
        let Some(pid) = temporary_writer(&name, file) else { continue };
        if host.stat(Path::new(&format!("/proc/{pid}")))?.is_none() {
            left.push(dir.join(name));
        }
    }
    Ok(left)
}

/// What a regular file holds; none when nothing is there.
pub(in crate::host) fn content(
    host: &dyn Host,
    path: &Path,
) -> Result<Option<Zeroizing<Vec<u8>>>, InstallError> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
