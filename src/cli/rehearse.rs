//! `rehearse`: the whole migration on a throw-away cluster.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};

use super::output::Style;
use super::{Context, Exit, Failure, Outcome};
use crate::rehearse::cluster::{self, ClusterError};
use crate::rehearse::{self, Figures, Kept, Moment, Rehearsal, RehearseError, Settings, Timeline};
use crate::shell;
use crate::text::path_text;

/// Rehearse the migration on a throw-away cluster of real etcd processes, under load.
///
/// Starts members on loopback addresses of their own, on plain HTTP; lets clients write and watch; makes a CA and
/// certificates; migrates the cluster to mutual TLS with this very program; and proves the end: https everywhere,
/// plain HTTP and clients without a certificate refused, no acknowledged write lost. Nothing is left behind.
#[derive(Debug, clap::Args)]
pub struct RehearseArgs {
    /// How many members.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=i64::from(cluster::MOST_MEMBERS)))]
    members: u8,
    /// The etcd binary; the one in PATH when absent.
    #[arg(long, value_name = "PATH")]
    etcd: Option<PathBuf>,
    /// The first member's address, in 127.0.0.0/8; the others follow it.
    #[arg(long, value_name = "IP", default_value = "127.0.1.1")]
    base: Ipv4Addr,
    /// The API that the clients speak.
    #[arg(long, value_enum, default_value_t = Speaks::Auto)]
    api: Speaks,
    /// Go back to plain HTTP afterwards, and prove that too.
    #[arg(long)]
    rollback: bool,
    /// Leave the cluster running.
    #[arg(long)]
    keep: bool,
    /// Kill the migration N times, at random moments, and run it again.
    #[arg(long, value_name = "N", default_value_t = 0)]
    interrupt: u32,
    /// What the random moments of --interrupt come from, to have the same again.
    #[arg(long, value_name = "NUMBER", requires = "interrupt")]
    seed: Option<u64>,
    /// Where everything goes: it must not exist or be empty, and it stays. A temporary directory when absent.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Stop a cluster that --keep left running in DIR.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["members", "etcd", "base", "api", "rollback", "keep", "interrupt", "dir"])]
    stop: Option<PathBuf>,
}

/// The API that the load speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Speaks {
    /// v3, by the JSON gateway.
    Auto,
    /// The v2 API.
    V2,
    /// v3, by the JSON gateway.
    V3,
}

/// Runs the command.
///
/// # Errors
/// A [`Failure`] before the cluster is up; afterwards the result says what went wrong.
pub fn run(context: &Context, args: &RehearseArgs) -> Outcome {
    if let Some(dir) = &args.stop {
        return stop(context, dir);
    }
    let settings = settings(args)?;
    let interrupted = catch_signals()?;
    show_plan(context, args, &settings);
    context.out.check_unchanged()?;
    let tell = |moment: &Moment| show(context, moment);
    let timeline = Timeline::new(&tell);
    let mut rehearsal = Rehearsal::start(settings, &timeline, &interrupted).map_err(failure)?;
    let done = rehearsal.run(&timeline, &interrupted);
    let figures = done.as_ref().map_or_else(|_| rehearsal.figures(), |figures| *figures);
    let failure = match done {
        Ok(figures) => bad_figures(figures),
        Err(error) => Some(failure(error)),
    };
    let killed = rehearsal.killed();
    let is_interrupted = failure.as_ref().is_some_and(|failure| failure.code == "interrupted");
    let kept = if args.keep && !is_interrupted {
        Some(rehearsal.keep().map_err(self::failure)?)
    } else {
        drop(rehearsal);
        None
    };
    show_result(context, args, figures, killed, failure.as_ref(), kept.as_ref());
    if kept.is_some() {
        context.out.check()?;
    }
    Ok(if failure.is_none() { Exit::Done } else { Exit::No })
}

fn settings(args: &RehearseArgs) -> Result<Settings, Failure> {
    let exe = std::env::current_exe().map_err(|error| {
        Failure::usage("no-executable", format!("cannot tell where this program is: {error}"))
    })?;
    let cluster = |error| failure(RehearseError::Cluster(error));
    let etcd = cluster::find_etcd(args.etcd.as_deref()).map_err(cluster)?;
    let addresses = cluster::addresses(args.base, args.members).map_err(cluster)?;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    Ok(Settings {
        exe,
        etcd,
        addresses,
        v2: args.api == Speaks::V2,
        rollback: args.rollback,
        interrupt: args.interrupt,
        seed: args.seed.unwrap_or(now),
        dir: args.dir.clone(),
    })
}

fn catch_signals() -> Result<Arc<AtomicBool>, Failure> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))
            .map_err(|error| Failure::no("no-signals", format!("cannot catch signals: {error}")))?;
    }
    Ok(interrupted)
}

fn show_plan(context: &Context, args: &RehearseArgs, settings: &Settings) {
    let out = &context.out;
    let version = &settings.etcd.version;
    let addresses: Vec<_> = settings.addresses.iter().map(ToString::to_string).collect();
    let mut steps = vec![
        "start them on plain HTTP, with 4 writers (100 writes a second) and a watcher",
        "make a CA and issue the members' and a client's certificates",
        "migrate, first roll: certificates in force, HTTP still served; it stops there, the clients speak HTTP",
        "teach the clients https; migrate, second roll: https for clients and peers, HTTP on loopback 4001 only",
        "prove it, member by member",
    ];
    if settings.rollback {
        steps.extend(["roll back to plain HTTP in two rolls", "prove that everything is as it was"]);
    }
    steps.push("hold every acknowledged write against what each member has");
    if context.out.json {
        out.json(&json!({
            "event": "rehearsal", "etcd": path_text(&settings.etcd.path), "version": version, "addresses": addresses,
            "seed": settings.seed, "steps": steps,
        }));
    } else {
        let etcd = settings.etcd.path.display();
        let title =
            format!("Rehearsal: {} × etcd {version} ({etcd}) on {}", args.members, addresses.join(", "));
        out.line(out.paint(title, Style::Bold));
        for (i, step) in steps.iter().enumerate() {
            out.line(format_args!("  {}. {step}", i + 1));
        }
        out.line("");
    }
    if args.members < 3 {
        let members = if args.members == 1 { "one member" } else { "two members" };
        out.warning(format_args!(
            "a cluster of {members} is down while a member restarts: writes wait for it"
        ));
    }
    if args.interrupt > 0 {
        out.note(format_args!(
            "the moments of the {} interruptions come from --seed {}",
            args.interrupt, settings.seed
        ));
    }
}

fn show(context: &Context, moment: &Moment) {
    let out = &context.out;
    if out.json {
        return out.json(moment);
    }
    let Some(what) = words(moment) else { return };
    let seconds = moment.at_ms / 1000;
    let time = out.paint(format!("{seconds:>4}.{:03} s", moment.at_ms % 1000), Style::Dim);
    let what = match moment.event.as_str() {
        "phase" => out.paint(what, Style::Bold),
        "command" => out.paint(format!("$ {what}"), Style::Cyan),
        "gate" => out.paint(what, Style::Green),
        _ => what,
    };
    match &moment.member {
        Some(member) => out.line(format_args!("{time}  {}  {what}", out.paint(member, Style::Cyan))),
        None => out.line(format_args!("{time}  {what}")),
    }
}

/// A moment as a line; `None` for those that only programs read.
fn words(moment: &Moment) -> Option<String> {
    let text = |name: &str| moment.more.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| moment.more.get(name).and_then(Value::as_u64).unwrap_or_default();
    Some(match moment.event.as_str() {
        "observed" | "plan" => return None,
        "step" if text("state") == "start" => {
            format!("step {} of {}: to {}", number("n"), number("of"), text("stage"))
        }
        "step" if text("state") == "done" => format!("step {} done in {} ms", number("n"), number("ms")),
        "action" if text("state") == "done" => return None,
        "gate" if text("when") == "served" => "its peer URL to be is served already".to_owned(),
        "gate" => format!("gate {} the restart held after {} ms", text("when"), number("ms")),
        "clients" => {
            let clients = moment.more.get("clients").and_then(Value::as_array).into_iter().flatten();
            let clients: Vec<_> = clients.filter_map(Value::as_str).collect();
            format!("it waits for clients that speak {}: {}", text("speak"), clients.join("; "))
        }
        "snapshot" => format!("a snapshot was taken: {}", text("path")),
        "done" => format!("done: {} steps in {} ms", number("steps"), number("ms")),
        _ => moment.what.clone(),
    })
}

fn bad_figures(figures: Figures) -> Option<Failure> {
    let Figures { lost, missed, failed, .. } = figures;
    (lost > 0 || missed > 0 || failed > 0).then(|| {
        let message = format!("{lost} writes lost, {failed} failed, the watcher missed {missed}");
        Failure::no("writes-lost", message)
    })
}

fn show_result(
    context: &Context,
    args: &RehearseArgs,
    figures: Figures,
    killed: u32,
    failure: Option<&Failure>,
    kept: Option<&Kept>,
) {
    let out = &context.out;
    if out.json {
        let mut result = json!({"event": "result", "ok": failure.is_none()});
        let more = serde_json::to_value(figures).expect("numbers can be written as JSON");
        if let (Some(result), Value::Object(more)) = (result.as_object_mut(), more) {
            result.extend(more);
            if args.interrupt > 0 {
                result.insert("killed".into(), json!(killed));
            }
            if let Some(kept) = kept {
                result.insert("dir".into(), json!(path_text(&kept.dir)));
            }
            if let Some(Failure { code, message, hint, .. }) = failure {
                result.insert("error".into(), json!({"code": code, "message": message, "hint": hint}));
            }
        }
        return out.json(&result);
    }
    let Figures { writes, failed, lost, missed, longest_gap_ms, slowest_ms } = figures;
    let line = format!(
        "{writes} writes, {failed} failed, {lost} lost, {missed} missed by the watcher; \
         longest gap {longest_gap_ms} ms, slowest write {slowest_ms} ms"
    );
    out.line("");
    if args.interrupt > 0 {
        out.line(format_args!("the migration was killed {killed} times and run again"));
    }
    out.line(out.paint(line, if failure.is_none() { Style::Green } else { Style::Red }));
    if let Some(failure) = failure {
        let logs = "run it with `--dir DIR` to keep every member's log and files";
        let logs = (args.dir.is_none() && kept.is_none()).then(|| logs.into());
        let hint = failure.hint.clone().or(logs).map(|hint| hint.at(&context.invocation));
        out.error(&failure.message, hint.as_ref());
    }
    if let Some(kept) = kept {
        show_kept(context, kept);
    }
}

fn show_kept(context: &Context, kept: &Kept) {
    let out = &context.out;
    let (dir, pki, url) = (shell::path(&kept.dir), shell::path(&kept.pki), &kept.url);
    let (mut etcdctl, mut curl) = (String::new(), String::new());
    if kept.is_tls {
        let pair = format!("--cert {pki}/client.pem --key {pki}/client-key.pem --cacert {pki}/ca.pem");
        etcdctl = format!(" {pair}");
        curl = format!(" {pair}");
    }
    let name = std::env::args().next().unwrap_or_else(|| "etcd-pki".to_owned());
    let name = shell::quote(&name);
    out.line("");
    out.line(format_args!("It is left running in {dir}. To look around:"));
    out.line(format_args!("  ETCDCTL_API=3 etcdctl --endpoints {url}{etcdctl} member list -w table"));
    out.line(format_args!("  curl{curl} {url}/health"));
    out.line(format_args!("  {name} migrate status --inventory {dir}/cluster.toml --pki-dir {pki}"));
    out.line(format_args!("  tail {dir}/server1/etcd.log"));
    out.line("To stop it:");
    out.line(format_args!("  {name} rehearse --stop {dir}"));
}

fn stop(context: &Context, dir: &std::path::Path) -> Outcome {
    let stopped = rehearse::stop(dir).map_err(failure)?;
    if context.out.json {
        context.out.json(&json!({"event": "stopped", "members": stopped, "dir": path_text(dir)}));
    } else {
        context.out.line(format_args!("stopped {stopped} members"));
    }
    context.out.check()?;
    Ok(Exit::Done)
}

fn failure(error: RehearseError) -> Failure {
    let message = error.to_string();
    match error {
        RehearseError::Cluster(error) => cluster_failure(&error, message),
        RehearseError::Directory { .. } => Failure::no("directory", message),
        RehearseError::File(_) => Failure::no("file", message),
        RehearseError::Interrupted => interrupted(),
        RehearseError::Load(_) => Failure::no("load", message),
        RehearseError::Proof(_) => Failure::no("not-proved", message),
        RehearseError::Tool { .. } => Failure::no("command-failed", message),
    }
}

fn interrupted() -> Failure {
    Failure::no("interrupted", "interrupted: everything was stopped and removed")
}

fn cluster_failure(error: &ClusterError, message: String) -> Failure {
    match error {
        ClusterError::Addresses { .. } => {
            Failure::usage("bad-base", message).hint("choose another `--base`, such as 127.0.1.1")
        }
        ClusterError::Interrupted => interrupted(),
        ClusterError::NoEtcd => Failure::no("no-etcd", message)
            .hint("install it (Debian: `apt-get install etcd-server`) or name it with `--etcd PATH`"),
        ClusterError::NotEtcd { .. } => {
            Failure::usage("not-etcd", message).hint("name the etcd binary itself with `--etcd PATH`")
        }
        ClusterError::PortInUse { .. } => Failure::no("port-in-use", message).hint(
            "another rehearsal or an etcd runs there: stop it, or use other addresses, such as `--base 127.0.2.1`",
        ),
        ClusterError::Listen { .. } => Failure::no("cannot-listen", message)
            .hint("choose another `--base`: on Linux all of 127.0.0.0/8 is the loopback interface's"),
        _ => Failure::no("cluster", message),
    }
}
