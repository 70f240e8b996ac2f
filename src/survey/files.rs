//! What is said of the files themselves: whether etcd's user can read them, and who else can.

use super::finding;
use crate::advice::{Advice, CommandLine};
use crate::host::access::{End, Reader, Walk};
use crate::verify::{Code, Finding, Severity};

/// What keeps a user from a file; `what` is what names it, such as `--key-file`. Always something that makes etcd
/// refuse, but for a file that only we could not read.
pub fn unreadable(reader: Option<&Reader>, what: &str, walk: &Walk) -> Option<Finding> {
    let error = |message: String, says: String, fix: Advice| {
        Some(Finding { etcd_says: Some(says), ..finding(Code::KeyUnreadable, Severity::Error, message, fix) })
    };
    if let End::Absent(path) = &walk.end {
        return error(
            format!("{what} names {}, but {path} is not there", walk.path),
            format!("open {}: no such file or directory", walk.path),
            "install the files: `etcd-pki install NAME --host HOST`".into(),
        );
    }
    if let Some((reader, step)) = reader.and_then(|reader| Some((reader, reader.obstacle(walk)?))) {
        let (uid, gid) = (step.stat.owner.uid, step.stat.owner.gid);
        return error(
            format!(
                "etcd's user {} may not read {}: {} has mode {} and belongs to {uid}:{gid}",
                reader.name, walk.path, step.path, step.stat.mode
            ),
            format!("open {}: permission denied", walk.path),
            CommandLine::program("chown").arg(&reader.name).arg(&step.path).into(),
        );
    }
    match &walk.end {
        End::Wrong(why) => Some(finding(
            Code::KeyUnreadable,
            Severity::Warning,
            format!("{} could not be read for judging: {why}", walk.path),
            "run this as root, or with --become",
        )),
        _ => None,
    }
}

/// A key that others than its reader can use. A group that the reader belongs to is taken for its own.
pub fn exposed(reader: Option<&Reader>, key: &Walk) -> Option<Finding> {
    let file = key.file()?;
    let own_group = reader.is_some_and(|reader| reader.groups.contains(&file.stat.owner.gid));
    let others = if own_group { 0o007 } else { 0o077 };
    (file.stat.mode.bits() & others != 0).then(|| {
        finding(
            Code::KeyExposed,
            Severity::Warning,
            format!("{} has mode {}: others may use the key", file.path, file.stat.mode),
            format!("chmod 0600 {}", file.path),
        )
    })
}
