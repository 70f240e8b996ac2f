//! What is: every member's process, disk, API answers and traces, looked at anew before each step.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::etcd::config::default_of;
use crate::etcd::{Config, Fault, Member, MemberId, MemberList, PeerUrl, Scheme, Status};
use crate::files::FileImage;
use crate::host::{Launch, RunningProcess};
use crate::systemd::layers::OWN_FILES;

use super::discover::config_by;
use super::error::MigrateError;
use super::node::Node;
use super::peers::{PeerAt, PeerPorts};
use super::place::{Planned, certificate_files};
use super::plan::Standing;
use super::speak::Speaker;
use super::stage::{RELEVANT, Recipe, Settings, Stage, can_share_port, differences, own_tls, recognise};
use super::traces::Traces;

/// Clocks further apart than this make a fresh certificate invalid: it is backdated by five minutes.
const CLOCK_LIMIT: Duration = Duration::from_secs(240);

/// The cluster as it is.
#[derive(Debug)]
pub struct Observed {
    /// Its identifier; 0 when nobody is up who could tell it.
    pub cluster_id: u64,
    /// Its members, in the inventory's order.
    pub members: Vec<Sight>,
}

/// A member as it is.
#[derive(Debug)]
pub struct Sight {
    /// What the planner needs to know.
    pub standing: Standing,
    /// Its identifier.
    pub id: MemberId,
    /// Its peer URLs in the members list.
    pub peer_urls: Vec<PeerUrl>,
    /// The client URLs the members list shows.
    pub client_urls: Vec<String>,
    /// Its process; none when it is down.
    pub process: Option<RunningProcess>,
    /// What the process runs with.
    pub running: Option<Settings>,
    /// What it would run with if this tool had never been there.
    pub base: Settings,
    /// Whether it runs in Container Linux' container.
    pub contained: bool,
    /// Its version.
    pub version: String,
    /// What it says of itself; none when it does not answer.
    pub status: Option<Status>,
    /// What the process and the disk disagree about, where that is no stage of ours.
    pub drift: Option<String>,
}

/// How the stages are made, as the operator wants it.
#[derive(Debug, Clone, Copy)]
pub struct Wishes {
    /// Clients must show a certificate.
    pub client_auth: bool,
    /// https shares the client port with http where the version can.
    pub shared_port: bool,
}

impl Observed {
    /// Its identifier in hexadecimal, as etcd writes it.
    pub fn cluster(&self) -> String {
        if self.cluster_id == 0 { "unknown".to_owned() } else { format!("{:x}", self.cluster_id) }
    }

    /// What the planner needs to know.
    pub fn standings(&self) -> Vec<Standing> {
        self.members.iter().map(|member| member.standing.clone()).collect()
    }
}

impl Sight {
    /// Its peer URLs as they are to be said.
    pub fn peer_urls_at(&self, at: PeerAt) -> Vec<PeerUrl> {
        PeerPorts::of(&self.base).urls(&self.peer_urls, at)
    }

    /// What this member's stages are made from.
    pub fn recipe<'a>(&'a self, node: &'a Node, wishes: Wishes) -> Recipe<'a> {
        recipe(&self.base, self.contained, node, &self.version, wishes)
    }
}

fn recipe<'a>(
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

/// What can be seen on one machine without etcd's help.
struct Disk {
    process: Option<RunningProcess>,
    running: Option<Settings>,
    next: Settings,
    base: Settings,
    installed: bool,
    traces: bool,
    launch: Launch,
    contained: bool,
}

/// Looks at every member.
///
/// # Errors
/// [`MigrateError`] when a host cannot be looked at, when no member answers, or when the cluster that answers is not
/// the inventory's.
pub fn observe(nodes: &[Node], wishes: Wishes) -> Result<Observed, MigrateError> {
    let disks = in_parallel(nodes, |_, node| look(node, wishes))?;
    let (list, asked) = member_list(nodes, &disks)?;
    let cluster_id = list.cluster_id.unwrap_or_default();
    if list.members.len() != nodes.len() {
        let known: Vec<_> = list.members.iter().map(|member| member.name.as_str()).collect();
        return Err(MigrateError::WrongCluster(format!(
            "the cluster has {} members ({}), the inventory names {}",
            list.members.len(),
            known.join(", "),
            nodes.len()
        )));
    }
    let statuses = std::thread::scope(|scope| {
        let ask = |(node, disk): (&'_ Node, &'_ Disk)| {
            disk.running.as_ref().and_then(|running| Speaker::to(node, running).status().ok())
        };
        let threads: Vec<_> = nodes.iter().zip(&disks).map(|pair| scope.spawn(move || ask(pair))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_default()).collect::<Vec<_>>()
    });
    let known = statuses.iter().flatten().map(|status| status.version.clone()).max();
    let mut members = Vec::with_capacity(nodes.len());
    for ((node, disk), status) in nodes.iter().zip(disks).zip(statuses) {
        let member = find(&list, node, &disk).ok_or_else(|| {
            MigrateError::WrongCluster(format!(
                "{} is not a member of the cluster that {asked} answers for",
                node.name
            ))
        })?;
        let version = match (&status, &known) {
            (Some(status), _) => status.version.clone(),
            (None, Some(known)) => known.clone(),
            (None, None) => version_of_program(node, &disk.launch),
        };
        members.push(sight(node, disk, member, status, version, wishes)?);
    }
    let leader = members.iter().find_map(|member| member.status.as_ref()?.leader);
    for member in &mut members {
        member.standing.leader = Some(member.id) == leader;
    }
    Ok(Observed { cluster_id, members })
}

/// Does something for every node, by its place, at once; the first error wins.
pub(super) fn in_parallel<T: Send>(
    nodes: &[Node],
    work: impl Fn(usize, &Node) -> Result<T, MigrateError> + Sync,
) -> Result<Vec<T>, MigrateError> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            nodes.iter().enumerate().map(|(i, node)| scope.spawn(move || work(i, node))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a look at a host does not panic")).collect()
    })
}

/// Whether every member's clock is near enough to this machine's.
///
/// # Errors
/// [`MigrateError::Clock`]
pub(super) fn clocks(nodes: &[Node]) -> Result<(), MigrateError> {
    in_parallel(nodes, |_, node| {
        let before = SystemTime::now();
        let clock = node.host.clock()?;
        let after = SystemTime::now();
        let apart = clock.duration_since(after).or_else(|_| before.duration_since(clock)).unwrap_or_default();
        if apart > CLOCK_LIMIT {
            return Err(MigrateError::Clock { member: node.name.clone(), seconds: apart.as_secs() });
        }
        Ok(())
    })?;
    Ok(())
}

fn look(node: &Node, wishes: Wishes) -> Result<Disk, MigrateError> {
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
        "25-insecure_localhost" => Some(Stage::Loopback),
        "30-certs" => Some(Stage::Certs),
        "32-second_peer_port" => Some(Stage::Beside),
        "34-peer_tls" => Some(Stage::Bridge),
        "40-tls" => Some(Stage::Tls),
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

fn sight(
    node: &Node,
    disk: Disk,
    member: &Member,
    status: Option<Status>,
    version: String,
    wishes: Wishes,
) -> Result<Sight, MigrateError> {
    let malformed = |source| MigrateError::Url { member: node.name.clone(), source };
    let peer_urls = member
        .peer_urls
        .iter()
        .map(|url| url.parse())
        .collect::<Result<Vec<PeerUrl>, _>>()
        .map_err(malformed)?;
    let recipe = recipe(&disk.base, disk.contained, node, &version, wishes);
    let stage_of = |settings: &Settings| recognise(&recipe, settings).map_err(malformed);
    let on_disk = stage_of(&disk.next)?;
    let in_force = disk.running.as_ref().map(stage_of).transpose()?;
    let mut drift = None;
    let mut unknown = |what: &str, actual: &Settings| -> Result<Stage, MigrateError> {
        let (stage, apart) = nearest(&recipe, actual).map_err(malformed)?;
        drift = Some(format!("{what} {apart}"));
        Ok(stage)
    };
    let running = match (&disk.running, in_force) {
        (Some(actual), Some(None)) => Some(unknown("the process runs with", actual)?),
        (_, stage) => stage.flatten(),
    };
    let on_disk = match on_disk {
        Some(stage) => stage,
        None => unknown("the next start would run with", &disk.next)?,
    };
    if on_disk.min(running.unwrap_or(on_disk)) < Stage::Tls {
        is_plain_by_itself(node, &disk.base)?;
    }
    // A process that does not answer yet is there, but not up.
    let standing = Standing {
        running,
        disk: on_disk,
        peer_url: PeerPorts::of(&disk.base).at(&peer_urls),
        leader: false,
        installed: disk.installed,
        traces: disk.traces,
    };
    Ok(Sight {
        standing,
        id: member.id,
        peer_urls,
        client_urls: member.client_urls.clone(),
        process: disk.process,
        running: disk.running,
        base: disk.base,
        contained: disk.contained,
        version,
        status,
        drift,
    })
}

/// Makes sure that a member would speak plain HTTP without this tool's settings.
///
/// # Errors
/// [`MigrateError::OwnTls`]
pub(super) fn is_plain_by_itself(node: &Node, base: &Settings) -> Result<(), MigrateError> {
    own_tls(base).map_or(Ok(()), |(flag, value)| {
        let (member, flag, value) = (node.name.clone(), flag.to_owned(), value.to_owned());
        Err(MigrateError::OwnTls { member, flag, value })
    })
}

/// The stage with the fewest differences, and what they are.
fn nearest(recipe: &Recipe<'_>, actual: &Settings) -> Result<(Stage, String), crate::etcd::UrlError> {
    let mut best = (Stage::Plain, differences(&recipe.settings(Stage::Plain)?, actual));
    for stage in Stage::ALL {
        let apart = differences(&recipe.settings(stage)?, actual);
        if apart.len() < best.1.len() {
            best = (stage, apart);
        }
    }
    let apart =
        best.1.iter().map(|(flag, wanted, actual)| format!("{flag}={actual:?} instead of {wanted:?}"));
    Ok((best.0, apart.collect::<Vec<_>>().join(", ")))
}

fn find<'a>(list: &'a MemberList, node: &Node, disk: &Disk) -> Option<&'a Member> {
    let own = disk.base.get("initial-advertise-peer-urls").map_or("", String::as_str);
    let own = PeerUrl::list(own).unwrap_or_default();
    let ports = PeerPorts::of(&disk.base);
    let same_place = |member: &&Member| {
        let urls: Vec<_> = member.peer_urls.iter().filter_map(|url| url.parse::<PeerUrl>().ok()).collect();
        ports.urls(&urls, PeerAt::Plain).iter().any(|url| own.iter().any(|own| own.at() == url.at()))
    };
    list.members
        .iter()
        .find(|member| member.name == node.name)
        .or_else(|| list.members.iter().find(same_place))
}

fn member_list(nodes: &[Node], disks: &[Disk]) -> Result<(MemberList, String), MigrateError> {
    if let ([node], [disk]) = (nodes, disks)
        && disk.process.is_none()
        && disk.traces
    {
        return Ok((alone(node, disk)?, node.name.clone()));
    }
    let mut refused = Vec::new();
    for (node, disk) in nodes.iter().zip(disks) {
        let Some(running) = &disk.running else {
            refused.push(format!("{} is down", node.name));
            continue;
        };
        match Speaker::to(node, running).members() {
            Ok(list) => return Ok((list, node.name.clone())),
            Err(error) if matches!(error.fault, Fault::Auth { .. }) => {
                return Err(MigrateError::of(&node.name, error));
            }
            Err(error) => refused.push(error.to_string()),
        }
    }
    Err(MigrateError::NoAnswer(refused.join("; ")))
}

/// The only member of a cluster went down on our way: nobody is left to ask, and it has to be started all the same, or to
/// be led back. Its peer URL is taken to be what the disk would listen with; nobody else looks for it there, and the next
/// look, once it runs, says what it really is.
fn alone(node: &Node, disk: &Disk) -> Result<MemberList, MigrateError> {
    let config = config_by(&node.name, &disk.launch, |path| Ok(node.host.read(path)?))?;
    let urls = config.urls("initial-advertise-peer-urls");
    let urls = urls.map_err(|source| MigrateError::Url { member: node.name.clone(), source })?;
    let listens = PeerUrl::list(disk.next.get("listen-peer-urls").map_or("", String::as_str));
    let listens = listens.map_err(|source| MigrateError::Url { member: node.name.clone(), source })?;
    let scheme = listens.first().map_or(Scheme::Http, PeerUrl::scheme);
    let member = Member {
        id: MemberId::UNKNOWN,
        name: node.name.clone(),
        peer_urls: urls.iter().map(|url| url.with_scheme(scheme).to_string()).collect(),
        client_urls: Vec::new(),
        learner: false,
    };
    Ok(MemberList { cluster_id: None, answered_by: None, members: vec![member] })
}

/// What `etcd --version` says there; empty when it cannot be asked.
fn version_of_program(node: &Node, launch: &Launch) -> String {
    let Some(program) = launch.argv.first() else { return String::new() };
    let output = node.host.run(&[program, "--version"], Duration::from_secs(20));
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("etcd Version: ")).unwrap_or_default().trim().to_owned()
}
