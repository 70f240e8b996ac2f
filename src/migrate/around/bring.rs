//! Bringing a unit to a stance: its files are placed, and it is started anew until it works.

use std::path::PathBuf;
use std::time::Duration;

use crate::files::{FileMode, Meta};
use crate::host::{Placement, Service as _};
use crate::inventory::pair_files::CA_FILE;

use super::super::error::MigrateError;
use super::super::traces::{Purpose, Traces};
use super::place::{Surroundings, trouble};
use super::plan::Plan;
use super::stance::Stance;
use super::station::Station;
use super::ways::Ways;
use super::works::Patience;

impl Station<'_> {
    /// Brings it to a stance; returns whether anything had to be done.
    pub(super) fn bring(
        &self,
        around: &Surroundings,
        ways: &Ways,
        stance: Stance,
        timeout: Duration,
        tell: &mut dyn FnMut(bool) -> Result<(), MigrateError>,
    ) -> Result<bool, MigrateError> {
        let host = &*self.place.host;
        let plan = self.plan(around, ways, stance)?;
        let mut traces = Traces::load(host)?;
        let mut stale = self.ours(&traces);
        stale.retain(|path| !plan.holds(path));
        let same = self.placed(&plan)?;
        let process = self.process()?;
        let starts = self.new && !plan.files.is_empty();
        let stops = self.new && plan.files.is_empty() && !stale.is_empty();
        let restart = match &process {
            Some(process) => !process.has(&self.base, &plan, !stale.is_empty()),
            None => starts,
        };
        if same && stale.is_empty() && !restart {
            if process.is_some() {
                self.is_well(timeout)?;
            }
            return Ok(false);
        }
        tell(restart)?;
        self.place(&mut traces, &plan)?;
        // Gone before the restart, forgotten after it: a run that is killed in between finds the traces, and restarts.
        traces.undo(&stale)?;
        if stops {
            let enabled_by_us = stale.iter().any(|path| *path == self.mark());
            let words: &[&str] = if enabled_by_us { &["disable", "--now"] } else { &["stop"] };
            self.systemctl(words)?;
        } else if starts {
            self.systemctl(&["enable"])?;
            self.service.restart()?;
        } else if restart {
            self.service.restart()?;
        } else {
            host.run(&["systemctl", "daemon-reload"], timeout)?;
        }
        if !stops && (starts || process.is_some()) {
            self.works(Patience { most: timeout, pause: Duration::from_millis(200) })?;
        }
        traces.put_back(&stale)?;
        Ok(true)
    }

    fn systemctl(&self, words: &[&str]) -> Result<(), MigrateError> {
        let words = [&["systemctl", "-q"], words, &["--", self.unit()]].concat();
        let output = self.place.host.run(&words, Duration::from_secs(30))?;
        if output.status == Some(0) {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(trouble(self.place, self.unit(), format!("systemctl {}: {}", words[2], said.trim())))
    }

    /// The highest stance whose files are all there.
    pub(super) fn stance(&self, around: &Surroundings, ways: &Ways) -> Result<Stance, MigrateError> {
        for stance in [Stance::Https, Stance::Loopback] {
            // One without a certificate cannot be there.
            let Ok(plan) = self.plan(around, ways, stance) else { continue };
            if self.placed(&plan)? {
                return Ok(stance);
            }
        }
        Ok(Stance::AsWas)
    }

    /// Whether the plan's files are all there as they should be.
    fn placed(&self, plan: &Plan) -> Result<bool, MigrateError> {
        let settings = plan.files.iter().map(|file| (&file.path, file.content.as_bytes()));
        let certificates = plan.certificates.iter().map(|(path, bytes, _)| (path, bytes.as_slice()));
        let wanted: Vec<_> = settings.chain(certificates).collect();
        let paths: Vec<PathBuf> = wanted.iter().map(|(path, _)| (*path).clone()).collect();
        let images = self.place.host.read_many(&paths)?;
        Ok(wanted
            .iter()
            .zip(images)
            .all(|((_, bytes), image)| image.is_some_and(|image| image.bytes == *bytes)))
    }

    fn place(&self, traces: &mut Traces<'_>, plan: &Plan) -> Result<(), MigrateError> {
        let owner = match self.service.user()? {
            Some(user) => Some(self.place.host.owner(&user)?),
            None => None,
        };
        if !plan.certificates.is_empty() {
            traces.make_dir(
                &self.place.ssl_dir,
                Meta { mode: FileMode::DIR, owner: None },
                Purpose::Around,
            )?;
            let files: Vec<_> = plan
                .certificates
                .iter()
                .map(|(path, bytes, mode)| Placement { path, bytes, meta: Meta { mode: *mode, owner } })
                .collect();
            // The CA may be there already, and belong to the member.
            let (shared, own): (Vec<_>, Vec<_>) =
                files.into_iter().partition(|file| file.path.ends_with(CA_FILE));
            for file in shared {
                if self.place.host.stat(file.path)?.is_none() {
                    traces.place_all(&[file], Purpose::Around)?;
                }
            }
            traces.place_all(&own, Purpose::Around)?;
        }
        for file in &plan.files {
            if let Some(dir) = file.path.parent() {
                traces.make_dir(dir, Meta::mode(FileMode::DIR), Purpose::Around)?;
            }
        }
        let files: Vec<_> = plan
            .files
            .iter()
            .map(|file| Placement { path: &file.path, bytes: file.content.as_bytes(), meta: file.meta })
            .collect();
        traces.place_all(&files, Purpose::Around)
    }
}
