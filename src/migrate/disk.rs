//! What can be seen on a member's machine without etcd's help: its process, what its disk would start, our files there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::etcd::Config;
use crate::etcd::flags::default_of;
use crate::files::FileImage;
use crate::host::{Launch, RunningProcess};
use crate::systemd::drop_ins;
use crate::systemd::layers::OWN_FILES;

use super::error::MigrateError;
use super::node::Node;
use super::place::{Planned, certificate_files};
use super::recipe::{Recipe, Wishes, can_share_port};
use super::settings::{RELEVANT, Settings};
use super::stage::Stage;
use super::traces::Traces;

/// What can be seen on one machine without etcd's help.
pub(super) struct Disk {
    pub(super) process: Option<RunningProcess>,
    pub(super) running: Option<Settings>,
    pub(super) next: Settings,
    pub(super) base: Settings,
    pub(super) installed: bool,
    pub(super) traces: bool,
    pub(super) launch: Launch,
    pub(super) contained: bool,
}

pub(super) fn look(node: &Node, wishes: Wishes) -> Result<Disk, MigrateError> {
    let look = node.service.look()?;
    // Everything else that is on the disk, in one go: over ssh each question costs more than its answer.
    let launches = [look.running.as_ref().map(|process| &process.launch), Some(&look.next), Some(&look.base)];
    let certificates = certificate_files(node, None);
    let traces = Traces::file(&*node.host);
    let mut wanted = vec![traces.clone()];
    wanted.extend(certificates.iter().map(|file| file.path.clone()));
    wanted.extend(launches.into_iter().flatten().filter_map(config_file));
    wanted.sort();
    wanted.dedup();
    let images: BTreeMap<_, _> = wanted.iter().zip(node.host.read_many(&wanted)?).collect();
    let image = |path: &Path| images.get(&path.to_owned()).and_then(Option::as_ref);
    let settings = |launch: &Launch| settings_by(node, launch, |path| Ok(image(path).cloned()));

    let (next, base) = (settings(&look.next)?, settings(&look.base)?);
    let in_force = |process: &RunningProcess| match taken_away(node, &process.launch, &image) {
        // Between the change of the files and the restart: it runs with what it read when it started.
        Some(stage) => recipe(&base, look.contained, node, "", wishes)
            .settings(stage)
            .map_err(|source| MigrateError::Url { member: node.name.clone(), source }),
        None => settings(&process.launch),
    };
    let running = look.running.as_ref().map(in_force).transpose()?;
    let placed = |file: &Planned<'_>| {
        image(&file.path).is_some_and(|image| image.bytes == *file.bytes && image.mode == file.mode)
    };
    let installed = node.pair.is_some() && certificates.iter().all(placed);
    let traces = !Traces::parse(&*node.host, image(&traces))?.is_empty();
    Ok(Disk {
        process: look.running,
        running,
        next,
        base,
        installed,
        traces,
        launch: look.next,
        contained: look.contained,
    })
}

/// The settings that the stages are about, as a launch has them.
pub(super) fn settings(node: &Node, launch: &Launch) -> Result<Settings, MigrateError> {
    settings_by(node, launch, |path| Ok(node.host.read(path)?))
}

/// The stage of a configuration file of ours that a process was started with and that has been taken away since.
fn taken_away<'a>(
    node: &Node,
    launch: &Launch,
    image: &impl Fn(&Path) -> Option<&'a FileImage>,
) -> Option<Stage> {
    let path = config_file(launch)?;
    let ours = Path::new(OWN_FILES).join(node.service.name());
    if path.parent() != Some(&ours) || image(&path).is_some() {
        return None;
    }
    match path.file_stem()?.to_str()? {
        drop_ins::LOOPBACK => Some(Stage::Loopback),
        drop_ins::CERTIFICATES => Some(Stage::Certs),
        drop_ins::TLS => Some(Stage::Tls),
        _ => None,
    }
}

/// The file that a launch takes its settings from, if it takes them from one.
fn config_file(launch: &Launch) -> Option<PathBuf> {
    Config::of(launch).ok()?.file().map(PathBuf::from)
}

fn settings_by(
    node: &Node,
    launch: &Launch,
    read: impl Fn(&Path) -> Result<Option<FileImage>, MigrateError>,
) -> Result<Settings, MigrateError> {
    let config = config_by(&node.name, launch, read)?;
    let mut settings = Settings::new();
    for flag in RELEVANT {
        if let Some(value) = config.get(flag) {
            settings.insert(flag.to_owned(), value.to_owned());
        }
    }
    // What etcd does when they are not given. It advertises its default only where it listens there as well.
    for flag in ["advertise-client-urls", "listen-client-urls", "listen-peer-urls"] {
        let default = default_of(flag).expect("etcd has a default for it");
        settings.entry(flag.to_owned()).or_insert_with(|| default.to_owned());
    }
    Ok(settings)
}

/// The configuration of a launch; that of its file, as `read` gives it, where it has one.
pub(super) fn config_by(
    member: &str,
    launch: &Launch,
    read: impl Fn(&Path) -> Result<Option<FileImage>, MigrateError>,
) -> Result<Config, MigrateError> {
    let drift = |what: String| MigrateError::Drift { member: member.to_owned(), what };
    let config = Config::of(launch).map_err(|error| drift(error.to_string()))?;
    let Some(path) = config.file().map(PathBuf::from) else { return Ok(config) };
    let image = read(&path)?.ok_or_else(|| drift(format!("{} is not there", path.display())))?;
    let text = String::from_utf8_lossy(&image.bytes).into_owned();
    config.with_file(&text).map_err(|error| drift(format!("{}: {error}", path.display())))
}

pub(super) fn recipe<'a>(
    base: &'a Settings,
    contained: bool,
    node: &'a Node,
    version: &str,
    wishes: Wishes,
) -> Recipe<'a> {
    Recipe {
        base,
        contained,
        ssl_dir: &node.ssl_dir,
        pair: &node.name,
        loopback: node.host.loopback(),
        shared_port: wishes.shared_port && can_share_port(version),
        client_auth: wishes.client_auth,
    }
}

/// What `etcd --version` says there; empty when it cannot be asked.
pub(super) fn version_of_program(node: &Node, launch: &Launch) -> String {
    let Some(program) = launch.argv.first() else { return String::new() };
    let output = node.host.run(&[program, "--version"], Duration::from_secs(20));
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("etcd Version: ")).unwrap_or_default().trim().to_owned()
}
