//! The directory of the control sockets: this user's alone, on a path short enough for a socket.

use std::path::{Path, PathBuf};

use crate::files::{self, FileKind, FileMode, Meta};

/// The longest path ssh can use: a socket's address holds 108 bytes, and it adds a dot and 16 letters while it sets the
/// socket up.
const LONGEST: usize = 108 - 1 - 17 - 4;
const PREFIX: &str = "etcd-pki-";

/// The directory; removed when it is dropped.
#[derive(Debug)]
pub(super) struct RuntimeDir {
    path: PathBuf,
}

impl RuntimeDir {
    /// Makes it, and removes those that processes which are no more have left behind.
    pub(super) fn make() -> std::io::Result<Self> {
        let own = rustix::process::geteuid().as_raw();
        let xdg = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let places = xdg
            .into_iter()
            .chain([PathBuf::from("/run").join(PREFIX.trim_end_matches('-')), PathBuf::from("/tmp")]);
        let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
        for place in places.filter(|place| place.is_absolute()) {
            if place.ends_with(PREFIX.trim_end_matches('-')) {
                // Ours if we are root; otherwise it cannot be made, and the next place is taken.
                let _ = files::make_dir(&place, Meta::mode(FileMode::SECRET_DIR));
            }
            sweep(&place, own);
            for attempt in 0..100u32 {
                let path = place.join(format!("{PREFIX}{}-{attempt}", std::process::id()));
                if path.as_os_str().len() > LONGEST {
                    break;
                }
                match files::make_dir(&path, Meta::mode(FileMode::SECRET_DIR)) {
                    Ok(true) => return Ok(Self { path }),
                    // Somebody else's, whatever it is.
                    Ok(false) => {}
                    Err(error) => {
                        last = std::io::Error::other(error.to_string());
                        break;
                    }
                }
            }
        }
        Err(last)
    }

    /// A socket's path in it.
    pub(super) fn socket(&self, number: usize) -> PathBuf {
        self.path.join(number.to_string())
    }
}

impl Drop for RuntimeDir {
    fn drop(&mut self) {
        let _ = files::remove_tree(&self.path);
    }
}

/// Removes what dead processes of ours left: they could not clean up.
fn sweep(place: &Path, own: u32) {
    for name in files::list(place).unwrap_or_default() {
        let Some(pid) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')).map(|(pid, _)| pid)
        else {
            continue;
        };
        let path = place.join(&name);
        let process = |pid: u32| files::kind_at(&Path::new("/proc").join(pid.to_string()));
        let alive = pid.parse().is_ok_and(|pid| !matches!(process(pid), Ok(None)));
        let ours = files::stat(&path).is_ok_and(|stat| {
            stat.is_some_and(|stat| stat.kind == FileKind::Directory && stat.owner.uid == own)
        });
        if !alive && ours {
            let _ = files::remove_tree(&path);
        }
    }
}
