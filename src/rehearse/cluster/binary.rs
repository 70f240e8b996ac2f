//! The etcd that members run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::ClusterError;
use crate::files;
use crate::host::command;

/// The etcd binary and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// Its absolute path.
    pub path: PathBuf,
    /// Such as `3.4.23`.
    pub version: String,
}

/// Finds etcd and asks it for its version.
///
/// # Errors
/// [`ClusterError::NoEtcd`], [`ClusterError::NotEtcd`].
pub fn find_etcd(given: Option<&Path>) -> Result<Binary, ClusterError> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => {
            let search = std::env::var_os("PATH").unwrap_or_default();
            let mut candidates = std::env::split_paths(&search).map(|dir| dir.join("etcd"));
            candidates.find(|path| files::is_file(path).unwrap_or(false)).ok_or(ClusterError::NoEtcd)?
        }
    };
    let wrong = |what: String| ClusterError::NotEtcd { path: path.clone(), what };
    let path = path.canonicalize().map_err(|error| wrong(error.to_string()))?;
    let mut ask = command::command(&path);
    // ETCD_* variables of the caller's would count as settings.
    ask.arg("--version").env_clear();
    if let Some((name, value)) = unsupported_architecture() {
        ask.env(name, value);
    }
    let output = command::run(ask, b"", Duration::from_secs(10)).map_err(|error| wrong(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.lines().find_map(|line| line.strip_prefix("etcd Version:")).map(str::trim);
    let version = version.ok_or_else(|| wrong("`--version` does not print `etcd Version:`".to_owned()))?;
    Ok(Binary { version: version.to_owned(), path })
}

/// etcd up to 3.4 refuses to run on ARM unless it is told that this is known.
pub(super) fn unsupported_architecture() -> Option<(&'static str, &'static str)> {
    cfg!(target_arch = "aarch64").then_some(("ETCD_UNSUPPORTED_ARCH", "arm64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_etcd_is_said() {
        let missing = find_etcd(Some(Path::new("/nonexistent/etcd"))).unwrap_err();
        assert!(matches!(missing, ClusterError::NotEtcd { .. }), "{missing}");
        let other = find_etcd(Some(Path::new("/bin/true"))).unwrap_err();
        assert!(other.to_string().contains("does not print"), "{other}");
    }
}
