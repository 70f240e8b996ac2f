//! One member, looked at: its process, its disk, its files, and what it says of itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::time::OffsetDateTime;

use super::{FILES, Member, Place, SurveyError, Terms, ask};
use crate::etcd::{Config, Url};
use crate::host::access::{self, End, Reader, Sight, Walk};
use crate::host::{Host, Launch};
use crate::verify::GoVersion;

/// How long `etcd --version` may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Looks at a member.
///
/// # Errors
/// [`SurveyError`] when its machine cannot be asked, or nothing there says what etcd runs with.
pub fn look(place: &Place, terms: &Terms) -> Result<Member, SurveyError> {
    let host = &place.host;
    let wrong = |what: String| SurveyError::Configuration { member: place.name.clone(), what };
    let process = place.service.running()?;
    let pid = process.as_ref().map(|process| process.pid);
    let launch = place.service.next_start();
    let next = match &launch {
        Ok(launch) => config_of(&**host, None, launch),
        Err(error) => Err(error.to_string()),
    };
    let running = process.as_ref().map(|process| config_of(&**host, pid, &process.launch));
    let config = match running.as_ref().unwrap_or(&next) {
        Ok(config) => config.clone(),
        Err(what) => return Err(wrong(what.clone())),
    };
    let drift = match (&running, &next) {
        (Some(Ok(running)), Ok(next)) => apart(running, next),
        _ => Vec::new(),
    };

    let named: Vec<(&'static str, String)> =
        FILES.iter().filter_map(|&flag| Some((flag, config.get(flag)?.to_owned()))).collect();
    let named: Vec<_> = named.into_iter().filter(|(_, path)| !path.is_empty()).collect();
    let paths: Vec<&str> = named.iter().map(|(_, path)| path.as_str()).collect();
    let Sight { reader, since, walks } = access::walk(&**host, pid, &paths)?;
    let files: BTreeMap<_, _> = named.iter().map(|(flag, _)| *flag).zip(walks).collect();
    let reader = match reader {
        Some(reader) => Some(reader),
        None => Reader::named(&**host, place.service.user()?.as_deref().unwrap_or("root")).ok(),
    };
    // The program that runs, even where it is in a container or its file has gone.
    let program = match (pid, &launch) {
        (Some(pid), _) => Some(format!("/proc/{pid}/exe")),
        (None, Ok(launch)) => launch.argv.first().cloned(),
        (None, Err(_)) => None,
    };
    let (version, go) = program.map_or((None, None), |program| versions(&**host, &program));
    let started = process.as_ref().map(|process| &process.launch).or(launch.as_ref().ok());
    let told = started.and_then(|launch| launch.env.get("GODEBUG"));
    let built = go.map(|go| told.map_or(go, |settings| go.with_godebug(settings)));
    let go = terms.go.or(built).unwrap_or(GoVersion::NEWEST).with_godebug(&terms.godebug);
    let clock = match terms.at {
        Some(at) => at,
        None => OffsetDateTime::from(host.clock()?),
    };
    let mut member = Member {
        name: place.name.clone(),
        unit: place.service.name().to_owned(),
        runs: process.is_some(),
        drift,
        next,
        go,
        version,
        at: clock,
        since,
        reader,
        ca_keys: ca_keys(&**host, &files),
        files,
        client_urls: urls(&config, "advertise-client-urls"),
        peer_urls: urls(&config, "initial-advertise-peer-urls"),
        authentication: None,
        config,
        host: Arc::clone(host),
    };
    if member.runs {
        ask::ask(&mut member, terms);
    }
    Ok(member)
}

fn urls<Side>(config: &Config, flag: &str) -> Vec<Url<Side>> {
    config.urls(flag).unwrap_or_default()
}

/// The settings of a launch, with those of its configuration file as the process sees it.
fn config_of(host: &dyn Host, pid: Option<u32>, launch: &Launch) -> Result<Config, String> {
    let config = Config::of(launch).map_err(|error| error.to_string())?;
    let Some(path) = config.file() else { return Ok(config) };
    let sight = access::walk(host, pid, &[path]).map_err(|error| error.to_string())?;
    match sight.walks.first().map(|walk| &walk.end) {
        Some(End::File(bytes)) => {
            let text = String::from_utf8_lossy(bytes);
            config.with_file(&text).map_err(|error| format!("{path}: {error}"))
        }
        Some(End::Wrong(what)) => Err(format!("{path}: {what}")),
        _ => Err(format!("{path} is not there")),
    }
}

/// The settings in which two configurations differ.
fn apart(running: &Config, next: &Config) -> Vec<String> {
    let all = |config: &Config| -> BTreeMap<String, String> {
        config.all().map(|(flag, value, _)| (flag.to_owned(), value.to_owned())).collect()
    };
    let (running, next) = (all(running), all(next));
    let flags: std::collections::BTreeSet<_> = running.keys().chain(next.keys()).collect();
    let value = |of: &BTreeMap<String, String>, flag: &String| match of.get(flag) {
        Some(value) => format!("{value:?}"),
        None => "nothing".to_owned(),
    };
    let differing = flags.into_iter().filter(|flag| running.get(*flag) != next.get(*flag));
    differing
        .map(|flag| format!("{flag} is {}, the disk says {}", value(&running, flag), value(&next, flag)))
        .collect()
}

/// What `etcd --version` says of etcd and of Go, with the `GODEBUG` that the program was built with: `go version -m` reads
/// the same lines out of it.
fn versions(host: &dyn Host, program: &str) -> (Option<String>, Option<GoVersion>) {
    const SCRIPT: &str = r#""$1" --version; LC_ALL=C grep -a -o -m 1 'DefaultGODEBUG=[a-zA-Z0-9=,]*' "$1""#;
    let Ok(output) = host.run(&["sh", "-c", SCRIPT, "sh", program], PATIENCE) else { return (None, None) };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let go: Option<GoVersion> = field("Go Version:").and_then(|go| go.parse().ok());
    let built_with = field("DefaultGODEBUG=").unwrap_or_default();
    (field("etcd Version:").map(str::to_owned), go.map(|go| go.with_godebug(built_with)))
}

/// Keys that lie beside the files in use under the names that a CA's key has.
fn ca_keys(host: &dyn Host, files: &BTreeMap<&'static str, Walk>) -> Vec<String> {
    let dirs: std::collections::BTreeSet<&Path> =
        files.values().filter_map(|walk| Path::new(&walk.path).parent()).collect();
    let mut found = Vec::new();
    for dir in dirs.into_iter().filter(|dir| dir.is_absolute()) {
        let names = host.list(dir).unwrap_or_default();
        let keys =
            names.into_iter().filter(|name| matches!(name.as_str(), "ca-key.pem" | "ca.key" | "ca.key.pem"));
        found.extend(keys.map(|name| dir.join(name).display().to_string()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_names_what_differs() {
        let config = |flags: &[&str]| {
            let argv = std::iter::once("etcd").chain(flags.iter().copied()).map(str::to_owned).collect();
            Config::of(&Launch { argv, env: BTreeMap::new() }).unwrap()
        };
        let found = apart(&config(&["--name=a", "--cert-file=x"]), &config(&["--name=a", "--key-file=y"]));
        assert_eq!(
            found,
            ["cert-file is \"x\", the disk says nothing", "key-file is nothing, the disk says \"y\""]
        );
    }
}
