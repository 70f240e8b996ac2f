//! A backup of v2 data before the first change: the snapshot holds v3's alone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::etcd::Scheme;
use crate::files::{FileMode, Meta};

use super::disk::config_by;
use super::error::MigrateError;
use super::node::Node;
use super::observe::Observed;
use super::speak::Speaker;

/// How long it may take: it copies the write-ahead log.
const PATIENCE: Duration = Duration::from_secs(300);

/// A backup that was made.
pub(super) struct Made {
    pub(super) member: String,
    /// The directory, on that member's host.
    pub(super) path: PathBuf,
}

/// Has a member that does not lead, where there is such a one, write a v2 backup beside its data, if there is any v2 data;
/// `etcdctl` on its host makes it.
///
/// # Errors
/// [`MigrateError::NoSnapshot`] when there is v2 data and no backup can be made of it.
pub(super) fn take(nodes: &[Node], observed: &Observed) -> Result<Option<Made>, MigrateError> {
    let mut members: Vec<_> = nodes.iter().zip(&observed.members).collect();
    members.sort_by_key(|(_, sight)| sight.standing.leader);
    let up = members.into_iter().find_map(|(node, sight)| {
        let running = sight.running.as_ref()?;
        Speaker::to(node, running).has_v2_data().then_some((node, sight.process.as_ref()?, running))
    });
    let Some((node, process, running)) = up else { return Ok(None) };
    let refuse = |why: String| MigrateError::NoSnapshot { why: format!("{}: v2 data: {why}", node.name) };
    let config = config_by(&node.name, &process.launch, |path| Ok(node.host.read(path)?))?;
    let data = config.get("data-dir").filter(|dir| Path::new(dir).is_absolute());
    let data = data.ok_or_else(|| refuse("its data-dir is no absolute path".to_owned()))?;
    let at = super::now().replace([':', '-'], "");
    let path = node.host.state_dir().join(format!("v2-backup-{at}"));
    node.host.make_dir(&node.host.state_dir(), Meta::mode(FileMode::SECRET_DIR))?;
    node.host.make_dir(&path, Meta::mode(FileMode::SECRET_DIR))?;
    let shown = path.to_string_lossy().into_owned();
    let endpoint = node.client_urls(running).into_iter().find(|url| url.scheme() == Scheme::Http);
    let endpoint = endpoint.map_or_else(String::new, |url| format!("ETCDCTL_ENDPOINTS={url}"));
    // umask: the copies inside are nobody else's to read either.
    let script = "umask 077; exec env \"$@\"";
    let mut argv = vec!["sh", "-c", script, "sh", "ETCDCTL_API=2"];
    if !endpoint.is_empty() {
        argv.push(&endpoint);
    }
    argv.extend(["etcdctl", "backup", "--data-dir", data, "--backup-dir", &shown]);
    if let Some(wal) = config.get("wal-dir") {
        argv.extend(["--wal-dir", wal]);
    }
    let output = node.host.run(&argv, PATIENCE)?;
    if output.status == Some(0) {
        return Ok(Some(Made { member: node.name.clone(), path }));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().lines().last().unwrap_or("etcdctl backup failed without a word");
    Err(refuse(said.chars().filter(|c| !c.is_control()).collect()))
}
