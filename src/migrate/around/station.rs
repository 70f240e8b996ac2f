//! One unit that reaches etcd: what it is, and what of it is ours.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::Service as _;
use crate::inventory::pair_files;
use crate::systemd::endpoints::Uses;
use crate::systemd::unit::OWN_DIR;
use crate::systemd::{Definition, SystemdService, layers};

use super::super::error::MigrateError;
use super::super::traces::{Purpose, Traces};
use super::place::Place;
use super::stance::{Kind, Moved, Stance};

/// A unit that reaches etcd.
pub(super) struct Station<'a> {
    pub(super) place: &'a Place,
    pub(super) service: SystemdService,
    /// The unit without ours.
    pub(super) base: Definition,
    pub(super) kind: Kind,
    pub(super) uses: Uses,
    /// A proxy that the inventory asks for and that is not there yet: its unit runs nothing now.
    pub(super) new: bool,
}

impl Station<'_> {
    pub(super) fn unit(&self) -> &str {
        self.service.name()
    }

    /// What is told of it.
    pub(super) fn told(&self, stance: Stance) -> Moved {
        Moved {
            host: self.place.name.clone(),
            unit: self.unit().to_owned(),
            kind: self.kind,
            stance,
            on_member: self.place.member_unit.is_some(),
            restarted: false,
        }
    }

    /// The file that says that we enabled the unit: who did not, does not disable it.
    pub(super) fn mark(&self) -> PathBuf {
        format!("{}/{}/enabled", layers::OWN_FILES, self.unit()).into()
    }

    /// Whether the unit starts at boot by somebody else's will.
    pub(super) fn is_enabled(&self) -> Result<bool, MigrateError> {
        let host = &self.place.host;
        let output =
            host.run(&["systemctl", "is-enabled", "-q", "--", self.unit()], Duration::from_secs(20))?;
        Ok(output.status == Some(0) && host.stat(&self.mark())?.is_none())
    }

    /// What of ours the traces know of this unit alone, the last first: drop-ins, files beside them, their directories, its
    /// certificates.
    pub(super) fn ours(&self, traces: &Traces<'_>) -> Vec<PathBuf> {
        let dirs = self.dirs();
        let certificates = self.certificates_at();
        let mine = |path: &Path| {
            dirs.iter().any(|dir| path == dir || path.parent() == Some(dir))
                || certificates.iter().any(|own| own == path)
        };
        let around = traces.paths().rev().filter(|(path, purpose)| *purpose == Purpose::Around && mine(path));
        around.map(|(path, _)| path.to_owned()).collect()
    }

    fn dirs(&self) -> [PathBuf; 2] {
        let unit = self.unit();
        [format!("{OWN_DIR}/{unit}.d").into(), format!("{}/{unit}", layers::OWN_FILES).into()]
    }

    /// The name of its pair: the proxy's in the inventory, else the unit's own.
    pub(super) fn pair_name(&self) -> &str {
        if self.kind.is_proxy() && self.place.proxy.is_some() {
            return &self.place.name;
        }
        let unit = self.unit();
        unit.rsplit_once('.').map_or(unit, |(stem, _)| stem)
    }

    pub(super) fn certificates_at(&self) -> [PathBuf; 2] {
        let name = self.pair_name();
        [pair_files::key_file(name), pair_files::cert_file(name)].map(|file| self.place.ssl_dir.join(file))
    }
}
