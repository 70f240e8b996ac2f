//! The unit that runs etcd on a host under systemd.
//!
//! Only a POSIX shell, coreutils, `systemctl` and `journalctl` are asked for on the host. What the disk would start is
//! read from the disk, not from systemd, which may not have been told of a change; what runs is read from the process.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::launch::Definition;
use super::layers::{self, Beside};
use super::show::{self, Shown};
use super::unit::{Fragment, SEARCH_PATH, UnitError, dropin_dirs, merge_dropins};
use super::words::Specifiers;
use crate::files::{FileMode, Meta};
use crate::host::{Host, HostError, Launch, Layer, LayerFile, RunOutput, RunningProcess, Service, proc};

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

    /// The user the unit names; `None` is root.
    ///
    /// # Errors
    /// [`HostError`]
    pub fn user(&self) -> Result<Option<String>, HostError> {
        Ok(self.definition()?.service().user)
    }

    /// The unit as it stands on the disk, ours included.
    ///
    /// # Errors
    /// [`HostError`]
    pub fn definition(&self) -> Result<Definition, HostError> {
        let shown = ask(&*self.host, &self.id)?;
        let files: Vec<String> = show::file_names(&self.id)
            .iter()
            .flat_map(|name| SEARCH_PATH.iter().map(move |root| format!("{root}/{name}")))
            .chain(shown.fragment_path)
            .collect();
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let names: Vec<String> = names.iter().flat_map(|name| show::file_names(name)).collect();
        let dirs = dropin_dirs(&names.iter().map(String::as_str).collect::<Vec<_>>());

        let unit = self.read_first(&files)?.ok_or_else(|| self.wrong("its unit file is not there"))?;
        let mut fragments = vec![unit];
        fragments.extend(merge_dropins(self.read_dropins(&dirs)?));
        let specifiers = self.specifiers()?;
        let mut definition =
            Definition { unit: self.id.clone(), fragments, specifiers, env_files: Default::default() };
        let wanted = definition.environment_files().map_err(|error| self.unit_error(&error))?;
        let paths: Vec<_> = wanted.into_iter().map(|file| file.path).collect();
        for path in paths {
            let text = self.read_all(std::slice::from_ref(&path))?.pop().map(|file| file.text);
            definition.env_files.insert(path, text);
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
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        self.fragments(&self.shell(SCRIPT, &paths)?)
    }

    fn read_first(&self, paths: &[String]) -> Result<Option<Fragment>, HostError> {
        Ok(self.read_all(paths)?.into_iter().next())
    }

    /// Reads the drop-ins in those of the directories that are there, in the directories' order.
    fn read_dropins(&self, dirs: &[String]) -> Result<Vec<Fragment>, HostError> {
        const SCRIPT: &str = "for d do [ -d \"$d\" ] || continue; \
            for f in \"$d\"/*.conf; do [ -e \"$f\" ] || continue; \
            printf '%s\\0' \"$f\"; cat <\"$f\" || exit 9; printf '\\0'; done; done";
        let dirs: Vec<&str> = dirs.iter().map(String::as_str).collect();
        self.fragments(&self.shell(SCRIPT, &dirs)?)
    }

    fn fragments(&self, output: &RunOutput) -> Result<Vec<Fragment>, HostError> {
        let text = String::from_utf8_lossy(&output.stdout);
        let parts: Vec<&str> = text.split_terminator('\0').collect();
        if !parts.len().is_multiple_of(2) {
            return Err(self.wrong("a unit file holds a zero byte"));
        }
        Ok(parts.chunks_exact(2).map(|pair| Fragment::new(pair[0], pair[1])).collect())
    }

    fn shell(&self, script: &str, arguments: &[&str]) -> Result<RunOutput, HostError> {
        let argv = [&["sh", "-c", script, "sh"], arguments].concat();
        let output = self.host.run(&argv, PATIENCE)?;
        if output.status == Some(0) { Ok(output) } else { Err(self.wrong(&said(&output))) }
    }

    fn systemctl(&self, words: &[&str]) -> Result<RunOutput, HostError> {
        let output = self.host.run(&[&["systemctl"], words].concat(), PATIENCE)?;
        if output.status == Some(0) {
            return Ok(output);
        }
        Err(self.wrong(&format!("systemctl {}: {}", words[0], said(&output))))
    }

    fn wrong(&self, what: &str) -> HostError {
        wrong(&*self.host, &self.id, what)
    }

    fn unit_error(&self, error: &UnitError) -> HostError {
        self.wrong(&error.to_string())
    }

    /// The etcd among the unit's processes: the main process, or one below it.
    fn etcd_process(&self, shown: &Shown) -> Result<Option<RunningProcess>, HostError> {
        // The executable's link survives an upgrade of the file with ` (deleted)` behind its name.
        const SCRIPT: &str = r#"
pids=$1
for root in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    [ -n "$2" ] && [ -d "$root$2" ] && pids="$pids $(find "$root$2" -name cgroup.procs -exec cat {} + 2>/dev/null)"
done
for pid in $pids; do
    exe=$(readlink "/proc/$pid/exe" 2>/dev/null) || continue
    exe=${exe% (deleted)}
    case ${exe##*/} in etcd|etcd2|etcd[-._0-9]*) ;; *) continue ;; esac
    cmdline=$(base64 -w0 "/proc/$pid/cmdline") && environ=$(base64 -w0 "/proc/$pid/environ") || continue
    printf '%s\n%s\n%s\n' "$pid" "$cmdline" "$environ"
    cat "/proc/$pid/status"
    exit 0
done"#;
        let pid = shown.main_pid.to_string();
        let output = self.shell(SCRIPT, &[&pid, &shown.control_group])?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut parts = text.splitn(4, '\n');
        let (Some(pid), Some(cmdline), Some(environ), Some(status)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Ok(None);
        };
        let decode = |text: &str| STANDARD.decode(text).ok();
        let seen = (pid.parse().ok(), decode(cmdline), decode(environ), proc::parse_uid(status));
        let (Some(pid), Some(cmdline), Some(environ), Some(uid)) = seen else {
            return Err(self.wrong("its process is not as /proc shows processes"));
        };
        let launch = Launch { argv: proc::parse_cmdline(&cmdline), env: proc::parse_environ(&environ) };
        Ok(Some(RunningProcess { identity: format!("{}/{pid}", shown.invocation_id), pid, launch, uid }))
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
        let end = Instant::now() + EXEC;
        loop {
            let shown = ask(&*self.host, &self.id)?;
            if !shown.has_processes() {
                return Ok(None);
            }
            if let Some(process) = self.etcd_process(&shown)? {
                return Ok(Some(process));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
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
        return Err(wrong(host, unit, &format!("systemctl show: {}", said(&output))));
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

/// What a failed command said, or how it ended.
fn said(output: &RunOutput) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    match (stderr.trim(), output.status) {
        ("", Some(status)) => format!("it ended with status {status}"),
        ("", None) => "a signal ended it".to_owned(),
        (said, _) => said.to_owned(),
    }
}
