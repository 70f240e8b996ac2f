//! What a unit runs now.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::host::{Host, proc};
use crate::systemd::Definition;
use crate::systemd::unit::Fragment;

use super::plan::Plan;

/// A unit's main process.
pub(super) struct Process {
    pub(super) identity: String,
    argv: Vec<String>,
    env: BTreeMap<String, String>,
}

impl Process {
    /// The main process of an active unit; none when it is not active, or leaves no process.
    pub(super) fn of(host: &dyn Host, unit: &str) -> Result<Option<Self>, String> {
        const SCRIPT: &str = r#"
state=$(systemctl show -p ActiveState,MainPID,InvocationID -- "$1") || exit 9
for line in $state; do case $line in
    ActiveState=active) up=1 ;; MainPID=*) pid=${line#*=} ;; InvocationID=*) id=${line#*=} ;;
esac; done
if [ -z "$up" ] || [ "${pid:-0}" = 0 ]; then exit 0; fi
printf '%s\n' "$id/$pid"
base64 -w0 "/proc/$pid/cmdline"
echo
base64 -w0 "/proc/$pid/environ"
"#;
        let output = host.run(&["sh", "-c", SCRIPT, "sh", unit], Duration::from_secs(20));
        let output = output.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut lines = text.lines();
        let Some(identity) = lines.next() else { return Ok(None) };
        let mut decoded = || STANDARD.decode(lines.next().unwrap_or_default()).unwrap_or_default();
        let (cmdline, environ) = (decoded(), decoded());
        Ok(Some(Self {
            identity: identity.to_owned(),
            argv: proc::parse_cmdline(&cmdline),
            env: proc::parse_environ(&environ),
        }))
    }

    /// Whether it runs with what a plan puts on the disk. `stale` says that something of ours is to go.
    pub(super) fn has(&self, base: &Definition, plan: &Plan, stale: bool) -> bool {
        let mut next = base.clone();
        for file in &plan.files {
            let path = file.path.to_string_lossy().into_owned();
            if path.ends_with(".conf") {
                next.fragments.push(Fragment::new(path, file.content.clone()));
            } else {
                next.env_files.insert(path, Some(file.content.clone()));
            }
        }
        let (Ok(want), Ok(was)) = (next.command(), base.command()) else { return false };
        let env = want.env.iter().all(|(name, value)| self.env.get(name) == Some(value));
        // The words of a shell's script are its own affair: they count only where the plan changes them.
        let argv = want.argv == was.argv || want.argv.iter().skip(1).all(|word| self.argv.contains(word));
        let left = stale && (was.argv.iter().skip(1).any(|word| !self.argv.contains(word)));
        env && argv
            && !left
            && !(stale && self.env.iter().any(|(name, _)| ours(name) && !want.env.contains_key(name)))
    }
}

/// Whether a variable is one that we set.
fn ours(name: &str) -> bool {
    ["FLANNELD_ETCD_", "FLEET_ETCD_", "ETCDCTL_", "ETCD_"].iter().any(|prefix| name.starts_with(prefix))
}
