//! One unit that reaches etcd, and how it is moved.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::files::{FileMode, Meta};
use crate::host::{Placement, Service as _};
use crate::systemd::endpoints::Uses;
use crate::systemd::unit::OWN_DIR;
use crate::systemd::{Definition, SystemdService, layers};

use super::super::traces::{Purpose, Traces};
use super::aim::Plan;
use super::process::Process;
use super::{Kind, MigrateError, Moved, Patience, Place, Stance, Surroundings, Ways, proxy, trouble};

/// Up for so long is up: one that dies of its settings dies at once. So long back its log is looked at.
const STEADY: Duration = Duration::from_secs(2);

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

    /// What of ours the traces know of this unit alone, the last first: drop-ins, files beside them, their directories, its
    /// certificates.
    fn ours(&self, traces: &Traces<'_>) -> Vec<PathBuf> {
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
        [format!("{name}-key.pem"), format!("{name}.pem")].map(|file| self.place.ssl_dir.join(file))
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
                files.into_iter().partition(|file| file.path.ends_with("ca.pem"));
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

    pub(super) fn process(&self) -> Result<Option<Process>, MigrateError> {
        Process::of(&*self.place.host, self.unit()).map_err(|what| trouble(self.place, self.unit(), what))
    }

    /// Waits until nothing of late in its log is against it, and it answers where it is a proxy: while members restart, what
    /// reaches them says so.
    fn is_well(&self, timeout: Duration) -> Result<(), MigrateError> {
        let end = Instant::now() + timeout;
        loop {
            let quiet = || self.complaint(STEADY).map_or(Ok(()), Err);
            let Err(why) = proxy::answers(self.place, &self.base, self.kind).and_then(|()| quiet()) else {
                return Ok(());
            };
            if Instant::now() >= end {
                return Err(trouble(self.place, self.unit(), why));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Waits until it stays up, and answers where it is a proxy.
    pub(super) fn works(&self, patience: Patience) -> Result<(), MigrateError> {
        let end = Instant::now() + patience.most;
        let mut since: Option<(Instant, String)> = None;
        loop {
            let process = self.process()?;
            let mut what = format!("{} is not running", self.unit());
            match process {
                Some(process) => match &since {
                    Some((start, identity)) if *identity == process.identity => {
                        what = "it does not stay up".to_owned();
                        if start.elapsed() >= STEADY {
                            let quiet = || self.complaint(STEADY).map_or(Ok(()), Err);
                            match proxy::answers(self.place, &self.base, self.kind).and_then(|()| quiet()) {
                                Ok(()) => return Ok(()),
                                Err(why) => what = why,
                            }
                        }
                    }
                    _ => since = Some((Instant::now(), process.identity)),
                },
                None => since = None,
            }
            if Instant::now() >= end {
                return Err(trouble(self.place, self.unit(), what));
            }
            std::thread::sleep(patience.pause);
        }
    }
}

impl Station<'_> {
    /// What its log has said of etcd lately that a program that reaches it would not say.
    fn complaint(&self, lately: Duration) -> Option<String> {
        const WORDS: [&str; 7] = [
            "x509",
            "bad certificate",
            "connection refused",
            "cluster is unavailable",
            "no endpoints available",
            "client: etcd",
            "zero endpoints",
        ];
        if self.kind.is_proxy() {
            // It is asked, which says more.
            return None;
        }
        let since = self.place.host.clock().ok()?.checked_sub(lately)?;
        let lines = self.service.log_since(since).ok()?;
        let telling = |line: &&String| WORDS.iter().any(|word| line.contains(word));
        lines.iter().rfind(telling).map(|line| format!("its log says: {line}"))
    }
}
