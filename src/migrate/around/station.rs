//! One unit that reaches etcd, and how it is moved.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::files::{FileMode, Meta};
use crate::host::{Host, Layer, LayerFile, Placement, Service as _, proc};
use crate::systemd::endpoints::{Target, Uses, render};
use crate::systemd::unit::{Fragment, OWN_DIR};
use crate::systemd::{Definition, SystemdService, layers};

use super::super::stage::LEGACY_PORT;
use super::super::traces::{Purpose, Traces};
use super::{Kind, MigrateError, Moved, Patience, Place, Stance, Surroundings, Ways, proxy, trouble};

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

/// What a stance takes on the disk.
struct Plan {
    files: Vec<LayerFile>,
    certificates: Vec<(PathBuf, Vec<u8>, FileMode)>,
}

impl Plan {
    /// Whether it has a file at this path, or below it.
    fn holds(&self, path: &Path) -> bool {
        let settings = self.files.iter().map(|file| &file.path);
        let certificates = self.certificates.iter().map(|(path, ..)| path);
        settings.chain(certificates).any(|own| own.starts_with(path))
    }
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
    fn mark(&self) -> PathBuf {
        format!("{}/{}/enabled", layers::OWN_FILES, self.unit()).into()
    }

    /// Whether the unit starts at boot by somebody else's will.
    fn is_enabled(&self) -> Result<bool, MigrateError> {
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
    fn pair_name(&self) -> &str {
        if self.kind.is_proxy() && self.place.proxy.is_some() {
            return &self.place.name;
        }
        let unit = self.unit();
        unit.rsplit_once('.').map_or(unit, |(stem, _)| stem)
    }

    fn certificates_at(&self) -> [PathBuf; 2] {
        let name = self.pair_name();
        [format!("{name}-key.pem"), format!("{name}.pem")].map(|file| self.place.ssl_dir.join(file))
    }

    fn plan(&self, around: &Surroundings, ways: &Ways, stance: Stance) -> Result<Plan, MigrateError> {
        let wrong = |what: String| trouble(self.place, self.unit(), what);
        let mut plan = Plan { files: Vec::new(), certificates: Vec::new() };
        let on_member = self.place.member_unit.is_some();
        let secure = match stance {
            Stance::AsWas => false,
            Stance::Loopback => self.kind.is_proxy(),
            Stance::Https => self.kind.is_proxy() || on_member,
        };
        if secure && self.kind == Kind::Other {
            return Err(wrong(
                "how it takes a certificate is not known: move it to https by hand".to_owned(),
            ));
        }
        if secure {
            let name = self.pair_name();
            let pair = around.pairs.get(name).ok_or_else(|| MigrateError::NoPair {
                member: name.to_owned(),
                what: format!("{} of {} has no pair in the PKI directory", self.unit(), self.place.name),
            })?;
            let [key, cert] = self.certificates_at();
            plan.certificates = vec![
                (key, pair.key_pem.to_vec(), FileMode::SECRET),
                (cert, pair.cert_pem.clone(), FileMode::PUBLIC),
                (self.place.ssl_dir.join("ca.pem"), pair.ca_pem.clone(), FileMode::PUBLIC),
            ];
        }
        if stance == Stance::AsWas {
            return Ok(plan);
        }
        if self.kind == Kind::V2Proxy {
            let mut settings = proxy::settings(&self.place.ssl_dir, self.pair_name());
            if self.new {
                settings.insert("proxy".to_owned(), "on".to_owned());
                settings.insert("initial-cluster".to_owned(), ways.cluster.clone());
            }
            plan.files = self.service.layer_files(&[Layer { name: "30-certs", settings }])?;
            if self.new && !self.is_enabled()? {
                let content = "Written by etcd-pki: `systemctl enable` was its doing.\n".to_owned();
                plan.files.push(LayerFile { path: self.mark(), content, meta: Meta::mode(FileMode::PUBLIC) });
            }
            return Ok(plan);
        }
        let target = self.target(ways, secure);
        let files = render(&self.base, &self.uses, &ways.known(self.place), &target);
        let file = |fragment: Fragment| LayerFile {
            path: fragment.path.into(),
            content: fragment.text,
            meta: Meta::mode(FileMode::PUBLIC),
        };
        if let Some((dropin, beside)) = files.map_err(|error| wrong(error.to_string()))? {
            plan.files.extend(beside.map(file));
            plan.files.push(file(dropin));
        }
        Ok(plan)
    }

    fn target(&self, ways: &Ways, secure: bool) -> Target {
        let [key, cert] = self.certificates_at().map(|path| path.display().to_string());
        let ca = self.place.ssl_dir.join("ca.pem").display().to_string();
        let urls = match self.place.member_unit {
            // A proxy reaches every member, whichever port its https is on.
            _ if self.kind.is_proxy() => [ways.https.as_slice(), &ways.meanwhile].concat().join(","),
            Some(_) if secure => {
                let local = ways.local.get(&self.place.name);
                local.into_iter().chain(&ways.https).cloned().collect::<Vec<_>>().join(",")
            }
            Some(_) => format!("http://127.0.0.1:{LEGACY_PORT}"),
            // Where a proxy is and no member, the proxy is the way.
            None => "http://127.0.0.1:2379".to_owned(),
        };
        let on_member = self.place.member_unit.is_some();
        let environment = self.base.environment().unwrap_or_default();
        let v2 = environment.get("ETCDCTL_API").map_or(ways.v2, |api| api == "2");
        let mut target = Target { urls: urls.clone(), ..Target::default() };
        let mut set = |pairs: &[(&str, &str)]| {
            target
                .variables
                .extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        };
        match (self.kind, secure) {
            (Kind::GrpcProxy, _) => {
                target.flags =
                    vec![format!("--cacert={ca}"), format!("--cert={cert}"), format!("--key={key}")];
            }
            (Kind::Flannel, true) => set(&[
                ("FLANNELD_ETCD_ENDPOINTS", &urls),
                ("FLANNELD_ETCD_CAFILE", &ca),
                ("FLANNELD_ETCD_CERTFILE", &cert),
                ("FLANNELD_ETCD_KEYFILE", &key),
            ]),
            (Kind::Fleet, true) => set(&[
                ("FLEET_ETCD_SERVERS", &urls),
                ("FLEET_ETCD_CAFILE", &ca),
                ("FLEET_ETCD_CERTFILE", &cert),
                ("FLEET_ETCD_KEYFILE", &key),
            ]),
            (Kind::Etcdctl, _) => {
                target.no_sync = v2;
                // A flag and its variable together are fatal; a proxy is where etcdctl looks by itself.
                if !self.uses.etcdctl_flags && on_member {
                    set(&[("ETCDCTL_ENDPOINTS", &urls)]);
                }
                if secure && v2 {
                    set(&[
                        ("ETCDCTL_CA_FILE", &ca),
                        ("ETCDCTL_CERT_FILE", &cert),
                        ("ETCDCTL_KEY_FILE", &key),
                    ]);
                } else if secure {
                    set(&[("ETCDCTL_CACERT", &ca), ("ETCDCTL_CERT", &cert), ("ETCDCTL_KEY", &key)]);
                }
            }
            _ => {}
        }
        target
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

    fn process(&self) -> Result<Option<Process>, MigrateError> {
        Process::of(&*self.place.host, self.unit()).map_err(|what| trouble(self.place, self.unit(), what))
    }

    /// Waits until it stays up, and answers where it is a proxy.
    fn works(&self, patience: Patience) -> Result<(), MigrateError> {
        /// Up for so long is up: one that dies of its settings dies at once.
        const STEADY: Duration = Duration::from_secs(2);
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

/// A unit's main process.
struct Process {
    identity: String,
    argv: Vec<String>,
    env: BTreeMap<String, String>,
}

impl Process {
    /// The main process of an active unit; none when it is not active, or leaves no process.
    fn of(host: &dyn Host, unit: &str) -> Result<Option<Self>, String> {
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
    fn has(&self, base: &Definition, plan: &Plan, stale: bool) -> bool {
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
