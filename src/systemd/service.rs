//! The unit that runs etcd on a host under systemd.
//!
//! Only a POSIX shell, coreutils, `systemctl` and `journalctl` are asked for on the host. What the disk would start is
//! read from the disk, not from systemd, which may not have been told of a change; what runs is read from the process.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::launch::Definition;
use super::layers::{self, Beside};
use super::look::{self, Seen};
use super::show::{self, Shown};
use super::unit::{Fragment, SEARCH_PATH, UnitError, dropin_dirs, merge_dropins};
use super::words::Specifiers;
use crate::files::{FileMode, Meta};
use crate::host::{
    Absence, Host, HostError, Launch, Layer, LayerFile, Look, RunOutput, RunningProcess, Service,
};

/// The units that etcd is known to run as, in the order they are looked for.
pub const KNOWN_UNITS: [&str; 3] = ["etcd.service", "etcd2.service", "etcd-member.service"];

/// How long a question to systemd may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a start may take until the process is etcd and no longer what starts it.
const EXEC: Duration = Duration::from_secs(2);

/// The unit that runs etcd on a host.
pub struct SystemdService {
    host: Arc<dyn Host>,
    /// The canonical name, by which systemd knows it.
    id: String,
    /// All names.
    names: Vec<String>,
    specifiers: OnceLock<Specifiers>,
}

impl std::fmt::Debug for SystemdService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SystemdService({} on {})", self.id, self.host.name())
    }
}

impl SystemdService {
    /// The unit of this name, or the one that etcd is found to run as: of those that are known the one that runs, else
    /// the first that exists. Its name is the canonical one: on Debian `etcd2.service` is `etcd.service`.
    ///
    /// # Errors
    /// [`HostError::Service`] when there is none, or when etcd there is not ours to configure (kubeadm, k3s, RKE2).
    pub fn find(host: Arc<dyn Host>, unit: Option<&str>) -> Result<Self, HostError> {
        let asked = match unit {
            Some(unit) => vec![show::unit_name(unit)],
            None => KNOWN_UNITS.map(str::to_owned).into(),
        };
        let mut found: Vec<Shown> = Vec::new();
        for name in &asked {
            let shown = ask(&*host, name)?;
            if shown.is_loaded() && found.iter().all(|other| other.id != shown.id) {
                found.push(shown);
            }
        }
        let at = found.iter().position(Shown::is_active).unwrap_or(0);
        if found.is_empty() {
            let what = elsewhere(&*host)?.unwrap_or("there is no such unit");
            return Err(wrong(&*host, &asked.join(", "), what));
        }
        let shown = found.swap_remove(at);
        Ok(Self { host, id: shown.id, names: shown.names, specifiers: OnceLock::new() })
    }

    /// The unit as it stands on the disk, ours included.
    ///
    /// # Errors
    /// [`HostError`]
    pub fn definition(&self) -> Result<Definition, HostError> {
        let seen = self.see()?;
        self.define(seen.unit, seen.dropins)
    }

    /// One look at the unit: systemd's word, its files, its process.
    fn see(&self) -> Result<Seen, HostError> {
        let files = show::file_names(&self.id);
        let files =
            files.iter().flat_map(|name| SEARCH_PATH.iter().map(move |root| format!("{root}/{name}")));
        let names: Vec<String> = self.names.iter().flat_map(|name| show::file_names(name)).collect();
        let dirs = dropin_dirs(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let mut words = vec![self.id.clone(), show::PROPERTIES.to_owned()];
        words.extend(files);
        words.push("--".to_owned());
        words.extend(dirs);
        self.seen(&look::unit_script(), &words)
    }

    fn seen(&self, script: &str, words: &[String]) -> Result<Seen, HostError> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Seen::parse(&self.shell(script, &words)?.stdout).map_err(|what| self.wrong(what))
    }

    /// The unit of these files, with the environment files that it names.
    fn define(&self, unit: Option<Fragment>, dropins: Vec<Fragment>) -> Result<Definition, HostError> {
        let mut fragments = vec![unit.ok_or_else(|| self.wrong("its unit file is not there"))?];
        fragments.extend(merge_dropins(dropins));
        let specifiers = self.specifiers()?;
        let mut definition =
            Definition { unit: self.id.clone(), fragments, specifiers, env_files: Default::default() };
        let wanted = definition.environment_files().map_err(|error| self.unit_error(&error))?;
        let paths: Vec<_> = wanted.into_iter().map(|file| file.path).collect();
        definition.env_files = paths.iter().map(|path| (path.clone(), None)).collect();
        for file in self.read_all(&paths)? {
            definition.env_files.insert(file.path, Some(file.text));
        }
        Ok(definition)
    }

    fn specifiers(&self) -> Result<Specifiers, HostError> {
        if let Some(known) = self.specifiers.get() {
            return Ok(known.clone());
        }
        let output = self.shell("uname -n; cat /etc/machine-id 2>/dev/null || :", &[])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = text.lines();
        let (host, machine) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
        Ok(self.specifiers.get_or_init(|| Specifiers::new(&self.id, host, machine)).clone())
    }

    /// The text of the configuration file that etcd would be started with, and its path.
    fn config_file(&self, definition: &Definition) -> Result<Option<Fragment>, HostError> {
        let config = layers::config(definition).map_err(|error| self.unit_error(&error))?;
        let Some(path) = config.file() else { return Ok(None) };
        let path = match definition.service().working_directory {
            Some(dir) if !path.starts_with('/') => format!("{}/{path}", dir.trim_start_matches('-')),
            _ => path.to_owned(),
        };
        Ok(self.read_all(&[path])?.pop())
    }

    /// Reads those of the files that are there.
    fn read_all(&self, paths: &[String]) -> Result<Vec<Fragment>, HostError> {
        const SCRIPT: &str = "for f do [ -e \"$f\" ] || continue; \
            printf '%s\\0' \"$f\"; cat <\"$f\" || exit 9; printf '\\0'; done";
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        self.fragments(&self.shell(SCRIPT, &paths)?)
    }

    fn fragments(&self, output: &RunOutput) -> Result<Vec<Fragment>, HostError> {
        let text = String::from_utf8_lossy(&output.stdout);
        let parts: Vec<&str> = text.split_terminator('\0').collect();
        if !parts.len().is_multiple_of(2) {
            return Err(self.wrong("an environment file holds a zero byte"));
        }
        Ok(parts.chunks_exact(2).map(|pair| Fragment::new(pair[0], pair[1])).collect())
    }

    fn shell(&self, script: &str, arguments: &[&str]) -> Result<RunOutput, HostError> {
        let argv = [&["sh", "-c", script, "sh"], arguments].concat();
        let output = self.host.run(&argv, PATIENCE)?;
        if output.status == Some(0) { Ok(output) } else { Err(self.wrong(&told(&said(&output)))) }
    }

    fn systemctl(&self, words: &[&str]) -> Result<RunOutput, HostError> {
        let output = self.host.run(&[&["systemctl"], words].concat(), PATIENCE)?;
        if output.status == Some(0) {
            return Ok(output);
        }
        Err(self.wrong(&format!("systemctl {}: {}", words[0], told(&said(&output)))))
    }

    fn wrong(&self, what: &str) -> HostError {
        wrong(&*self.host, &self.id, what)
    }

    fn unit_error(&self, error: &UnitError) -> HostError {
        self.wrong(&error.to_string())
    }

    /// The etcd that was seen, or the one that is seen soon: a process is etcd a moment after it was started.
    fn etcd_process(&self, mut seen: Seen) -> Result<Option<RunningProcess>, HostError> {
        let end = Instant::now() + EXEC;
        loop {
            if seen.process.is_some() || !seen.shown.has_processes() || Instant::now() >= end {
                return Ok(seen.process);
            }
            std::thread::sleep(Duration::from_millis(50));
            seen = self.see_process()?;
        }
    }

    fn see_process(&self) -> Result<Seen, HostError> {
        self.seen(&look::process_script(), &[self.id.clone(), show::PROPERTIES.to_owned()])
    }

    /// A copy is readable by whoever reads the original.
    fn meta_like(&self, path: &str) -> Result<Meta, HostError> {
        let output = self.shell("readlink -f -- \"$1\"", &[path])?;
        let real = String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned();
        match self.host.read(Path::new(&real))? {
            Some(image) => Ok(Meta { mode: image.mode, owner: Some(image.owner) }),
            None => Err(self.wrong(&format!("{path} is not there"))),
        }
    }
}

impl Service for SystemdService {
    fn name(&self) -> &str {
        &self.id
    }

    fn running(&self) -> Result<Option<RunningProcess>, HostError> {
        self.etcd_process(self.see_process()?)
    }

    fn look(&self) -> Result<Look, HostError> {
        let mut seen = self.see()?;
        let definition = self.define(seen.unit.take(), std::mem::take(&mut seen.dropins))?;
        let etcd = |definition: &Definition| definition.etcd().map_err(|error| self.unit_error(&error));
        Ok(Look {
            contained: definition.is_contained(),
            next: etcd(&definition)?,
            base: etcd(&definition.without_ours())?,
            running: self.etcd_process(seen)?,
        })
    }

    fn user(&self) -> Result<Option<String>, HostError> {
        Ok(self.definition()?.service().user)
    }

    fn next_start(&self) -> Result<Launch, HostError> {
        self.definition()?.etcd().map_err(|error| self.unit_error(&error))
    }

    fn base(&self) -> Result<Launch, HostError> {
        self.definition()?.without_ours().etcd().map_err(|error| self.unit_error(&error))
    }

    fn layer_files(&self, layers: &[Layer]) -> Result<Vec<LayerFile>, HostError> {
        let base = self.definition()?.without_ours();
        let config_file = self.config_file(&base)?;
        let text = config_file.as_ref().map(|file| file.text.as_str());
        let rendered = layers::render(&base, text, layers).map_err(|error| self.unit_error(&error))?;
        let mut files = Vec::new();
        for one in rendered {
            match one.beside {
                Some(Beside::Environment(file)) => files.push(file_of(file, Meta::mode(FileMode::PUBLIC))),
                Some(Beside::ConfigFile { copy, .. }) => {
                    let like = config_file.as_ref().map_or("", |file| file.path.as_str());
                    files.push(file_of(copy, self.meta_like(like)?));
                }
                None => {}
            }
            files.push(file_of(one.dropin, Meta::mode(FileMode::PUBLIC)));
        }
        Ok(files)
    }

    fn restart(&self) -> Result<(), HostError> {
        // NeedDaemonReload is not to be trusted.
        self.systemctl(&["daemon-reload"])?;
        // A unit that has used up its starts would refuse; one that has not failed does not mind.
        self.host.run(&["systemctl", "reset-failed", &self.id], PATIENCE)?;
        // Type=notify and an isolated member: a restart that waits may wait for ever.
        self.systemctl(&["restart", "--no-block", &self.id]).map(drop)
    }

    fn absence(&self) -> Result<Absence, HostError> {
        let shown = self.see_process()?.shown;
        Ok(Absence { failed: shown.failure(), doing: shown.doing() })
    }

    fn log_since(&self, since: SystemTime) -> Result<Vec<String>, HostError> {
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = format!("@{}.{:06}", since.as_secs(), since.subsec_micros());
        let argv = ["journalctl", "--no-pager", "-q", "-a", "-o", "cat", "-u", &self.id, "--since", &since];
        let output = self.host.run(&argv, PATIENCE)?;
        if output.status != Some(0) {
            return Err(self.wrong(&format!("journalctl: {}", said(&output))));
        }
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }
}

fn file_of(fragment: Fragment, meta: Meta) -> LayerFile {
    LayerFile { path: fragment.path.into(), content: fragment.text, meta }
}

fn ask(host: &dyn Host, unit: &str) -> Result<Shown, HostError> {
    let argv = ["systemctl", "show", "--no-pager", "-p", show::PROPERTIES, "--", unit];
    let output = host.run(&argv, PATIENCE)?;
    if output.status != Some(0) {
        return Err(wrong(host, unit, &format!("systemctl show: {}", told(&said(&output)))));
    }
    Ok(Shown::parse(&String::from_utf8_lossy(&output.stdout)))
}

/// Whose etcd it is, where it is known not to be a unit's.
fn elsewhere(host: &dyn Host) -> Result<Option<&'static str>, HostError> {
    const SIGNS: [(&str, &str); 3] = [
        (
            "/etc/kubernetes/manifests/etcd.yaml",
            "etcd is a static pod of kubeadm there, with TLS of its own: kubeadm certs renew, or kubeadm's documentation",
        ),
        (
            "/var/lib/rancher/rke2/server",
            "etcd is part of RKE2 there, which keeps its certificates: rke2 certificate rotate",
        ),
        (
            "/var/lib/rancher/k3s/server",
            "etcd is part of k3s there, which keeps its certificates: k3s certificate rotate",
        ),
    ];
    for (path, what) in SIGNS {
        if host.stat(Path::new(path))?.is_some() {
            return Ok(Some(what));
        }
    }
    Ok(None)
}

fn wrong(host: &dyn Host, unit: &str, what: &str) -> HostError {
    HostError::Service { host: host.name().to_owned(), service: unit.to_owned(), what: what.to_owned() }
}

/// What systemd said, with what it means when it has begun to stop everything: it starts nothing more then, and soon answers
/// nobody.
fn told(said: &str) -> String {
    const SIGNS: [&str; 5] = [
        "is destructive",
        "shutting down",
        "Failed to connect to bus",
        "Transport endpoint is not connected",
        "Connection reset by peer",
    ];
    let ends = SIGNS.iter().any(|sign| said.contains(sign));
    format!("{}{said}", if ends { "the host is shutting down or rebooting: " } else { "" })
}

/// What a failed command said, or how it ended.
fn said(output: &RunOutput) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    match (stderr.trim(), output.status) {
        ("", Some(status)) => format!("it ended with status {status}"),
        ("", None) => "a signal ended it".to_owned(),
        (said, _) => said.to_owned(),
    }
}
