//! Whose files are believed: those that nobody else can write or replace, as sshd's StrictModes has it (sshd_config(5)).

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode};
use rustix::io::Errno;

use super::{FileError, FileImage};
use crate::shell;

/// The most symlinks that are followed on the way to a directory, as Linux itself has it (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// The users whose files are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// None: everybody's.
    owners: Option<Vec<u32>>,
}

impl Trust {
    /// The caller and root; for root under sudo also the user who called sudo (`SUDO_UID`).
    pub fn caller() -> Self {
        let own = rustix::process::geteuid().as_raw();
        let mut owners = vec![own, 0];
        if own == 0
            && let Some(user) = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok())
        {
            owners.push(user);
        }
        Self { owners: Some(owners) }
    }

    /// Everybody: for directories that several users share on purpose.
    pub const fn everybody() -> Self {
        Self { owners: None }
    }

    /// Refuses a directory that somebody else owns or may write to, or that somebody else could put another one in the
    /// place of: every directory on the way to it is looked at, and every symlink. What is not there yet is no fault.
    ///
    /// A directory on the way that everybody may write to is fine where it is sticky, such as /tmp: nobody else can
    /// rename what is in it.
    ///
    /// # Errors
    /// [`FileError::Untrusted`], [`FileError::Io`].
    pub fn check_dir(&self, path: &Path) -> Result<(), FileError> {
        if self.owners.is_none() {
            return Ok(());
        }
        let mut left = components(path);
        let mut at = PathBuf::from("/");
        if path.is_relative() {
            let here = std::env::current_dir().map_err(|source| FileError::Io {
                action: "look at",
                path: path.to_owned(),
                source,
            })?;
            left.splice(0..0, components(&here));
        }
        left.reverse();
        let mut links = 0;
        self.check_entry(
            &at,
            &stat(&at)?.ok_or_else(|| FileError::io("look at", &at)(Errno::NOENT))?,
            false,
        )?;
        while let Some(name) = left.pop() {
            if name == Path::new("..") {
                at.pop();
                continue;
            }
            at.push(&name);
            let Some(entry) = stat(&at)? else { return Ok(()) };
            if FileType::from_raw_mode(entry.st_mode) == FileType::Symlink {
                self.check_owner(&at, entry.st_uid)?;
                links += 1;
                if links > MOST_LINKS {
                    return Err(FileError::io("look at", &at)(Errno::LOOP));
                }
                let target = rustix::fs::readlink(&at, Vec::new()).map_err(FileError::io("read", &at))?;
                let target = PathBuf::from(std::ffi::OsStr::from_bytes(target.to_bytes()));
                at.pop();
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                left.extend(components(&target).into_iter().rev());
                continue;
            }
            self.check_entry(&at, &entry, left.is_empty())?;
        }
        Ok(())
    }

    /// Refuses a file that somebody else owns or may write to.
    ///
    /// # Errors
    /// [`FileError::Untrusted`]
    pub fn check_file(&self, path: &Path, image: &FileImage) -> Result<(), FileError> {
        if self.owners.is_none() {
            return Ok(());
        }
        self.check_owner(path, image.owner.uid)?;
        check_mode(path, image.mode.bits())
    }

    fn check_entry(&self, path: &Path, entry: &rustix::fs::Stat, is_last: bool) -> Result<(), FileError> {
        self.check_owner(path, entry.st_uid)?;
        let is_sticky = Mode::from_raw_mode(entry.st_mode).contains(Mode::SVTX);
        if is_sticky && !is_last { Ok(()) } else { check_mode(path, entry.st_mode & 0o7777) }
    }

    fn check_owner(&self, path: &Path, uid: u32) -> Result<(), FileError> {
        if self.owners.as_ref().is_none_or(|owners| owners.contains(&uid)) {
            return Ok(());
        }
        let why = format!("belongs to user {uid}, who could replace what is in it");
        Err(FileError::Untrusted { path: path.to_owned(), why, cure: None })
    }
}

fn check_mode(path: &Path, mode: u32) -> Result<(), FileError> {
    if mode & 0o022 == 0 {
        return Ok(());
    }
    let why = format!("may be written to by other users (mode {mode:04o})");
    let cure = Some(format!("chmod go-w {}", shell::path(path)));
    Err(FileError::Untrusted { path: path.to_owned(), why, cure })
}

fn stat(path: &Path) -> Result<Option<rustix::fs::Stat>, FileError> {
    match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(FileError::io("look at", path)(errno)),
    }
}

/// The names on a path, `..` among them.
fn components(path: &Path) -> Vec<PathBuf> {
    let is_name = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    path.components().filter(is_name).map(|part| PathBuf::from(part.as_os_str())).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn dir(mode: u32) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        dir
    }

    fn refusal(trust: &Trust, path: &Path) -> String {
        trust.check_dir(path).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused_wherever_it_is_on_the_way() {
        let trust = Trust::caller();
        let outer = dir(0o755);
        let inner = outer.path().join("a/pki");
        std::fs::create_dir_all(&inner).unwrap();
        assert_eq!(refusal(&trust, &inner), "");
        for (path, mode) in [(inner.clone(), 0o777), (inner.clone(), 0o1777), (outer.path().join("a"), 0o770)]
        {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let said = refusal(&trust, &inner);
            assert!(said.contains(path.to_str().unwrap()) && said.contains(&format!("{mode:04o}")), "{said}");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        // Sticky, on the way: nobody else can rename what is in it.
        std::fs::set_permissions(outer.path().join("a"), std::fs::Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(refusal(&trust, &inner), "");
        // What a symlink leads to counts, and so does the way to it.
        let link = outer.path().join("link");
        let open = dir(0o777);
        std::os::unix::fs::symlink(open.path(), &link).unwrap();
        assert!(refusal(&trust, &link).contains(open.path().to_str().unwrap()));
        assert_eq!(refusal(&trust, &outer.path().join("not/there")), "");
        assert_eq!(refusal(&Trust::everybody(), &link), "");
    }

    #[test]
    fn somebody_elses_directory_is_refused() {
        let stranger = Trust { owners: Some(vec![0]) };
        let own = dir(0o700);
        let is_root = rustix::process::geteuid().is_root();
        let said = refusal(&stranger, own.path());
        assert_eq!(said.is_empty(), is_root, "{said}");
        if is_root {
            std::os::unix::fs::chown(own.path(), Some(65_534), None).unwrap();
            assert!(refusal(&Trust { owners: Some(vec![0]) }, own.path()).contains("user 65534"));
        }
    }
}
