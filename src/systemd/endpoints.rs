//! Units that reach etcd, by endpoints that they name in variables or on command lines, and drop-ins that move them to
//! others. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::launch::Definition;
use super::layers::OWN_FILES;
use super::unit::{Fragment, OWN_DIR, UnitError, settings};
use crate::host::{MARK, envfile};

/// Where etcd is reached, as units may name it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// `host:port` of listeners.
    pub listeners: BTreeSet<String>,
}

/// What a unit is moved to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The URLs, joined by commas.
    pub urls: String,
    /// Variables that are set whatever the unit says now.
    pub variables: BTreeMap<String, String>,
    /// Flags at the end of `ExecStart=`.
    pub flags: Vec<String>,
    /// Whether `etcdctl` is told `--no-sync` (its v2 API alone knows that).
    pub no_sync: bool,
}

/// How a unit reaches etcd.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    /// Variables with endpoints, as they are in force.
    pub variables: BTreeMap<String, String>,
    /// The `Exec…=` settings whose lines name endpoints.
    pub commands: BTreeSet<String>,
    /// The `Exec…=` settings that call `etcdctl`.
    pub etcdctl: BTreeSet<String>,
    /// Whether such a call names its endpoints by a flag.
    pub etcdctl_flags: bool,
}

impl Uses {
    /// Whether it reaches etcd at all.
    pub fn is_empty(&self) -> bool {
        self.variables.is_empty() && self.commands.is_empty() && self.etcdctl.is_empty()
    }
}

/// How a unit reaches etcd.
///
/// # Errors
/// [`UnitError`]
pub fn uses(unit: &Definition, known: &Known) -> Result<Uses, UnitError> {
    let names = |text: &str| moved(text, known, "").is_some();
    let variables = unit.environment()?.into_iter().filter(|(_, value)| names(value)).collect();
    let (mut commands, mut etcdctl, mut etcdctl_flags) = (BTreeSet::new(), BTreeSet::new(), false);
    for (key, lines) in commands_of(unit) {
        if lines.iter().any(|line| names(line)) {
            commands.insert(key.clone());
        }
        for line in lines.iter().filter(|line| calls(line).next().is_some()) {
            etcdctl.insert(key.clone());
            etcdctl_flags |= ["--endpoint", "--peers", " -C "].iter().any(|flag| line.contains(flag));
        }
    }
    Ok(Uses { variables, commands, etcdctl, etcdctl_flags })
}

/// The drop-in that moves a unit without ours to a target, and the environment file that it names; `None` when there
/// is nothing to change.
///
/// # Errors
/// [`UnitError`]
pub fn render(
    unit: &Definition,
    uses: &Uses,
    known: &Known,
    target: &Target,
) -> Result<Option<(Fragment, Option<Fragment>)>, UnitError> {
    let mut variables = target.variables.clone();
    for (name, value) in &uses.variables {
        if let Some(new) = moved(value, known, &target.urls).filter(|new| new != value) {
            variables.entry(name.clone()).or_insert(new);
        }
    }
    let environment = unit.environment()?;
    variables.retain(|name, value| environment.get(name) != Some(value));
    let mut lines = String::new();
    for (key, before) in commands_of(unit) {
        let mut after: Vec<String> = before.iter().map(|line| command(line, known, target)).collect();
        if key == "ExecStart"
            && let Some(last) = after.last_mut()
        {
            last.extend(target.flags.iter().map(|flag| format!(" {flag}")));
        }
        if after != before {
            lines.push_str(&format!("{key}=\n"));
            lines.extend(after.iter().map(|line| format!("{key}={line}\n")));
        }
    }
    if variables.is_empty() && lines.is_empty() {
        return Ok(None);
    }
    let comment = format!(
        "{}: this unit's way to etcd. `etcd-pki migrate rollback` takes it away again.",
        MARK.trim_start_matches(['#', ' '])
    );
    let mut text = format!("# {comment}\n[Service]\n");
    let mut file = None;
    if !variables.is_empty() {
        // A file of ours wins over the unit's variables and over its files alike.
        let path = format!("{OWN_FILES}/{}/endpoints.env", unit.unit);
        let pairs = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let content = envfile::render(&comment, pairs).map_err(|error| UnitError::Overridden {
            flag: "EnvironmentFile".to_owned(),
            what: error.to_string(),
        })?;
        text.push_str(&format!("EnvironmentFile={path}\n"));
        file = Some(Fragment::new(path, content));
    }
    text.push_str(&lines);
    let path = format!("{OWN_DIR}/{}.d/{}", unit.unit, name(unit));
    Ok(Some((Fragment::new(path, text), file)))
}

/// A name for the drop-in that sorts after everything that is not ours.
fn name(unit: &Definition) -> String {
    const OWN: &str = "50-etcd-pki";
    let stems = unit.fragments.iter().skip(1).filter_map(|fragment| fragment.name().strip_suffix(".conf"));
    match stems.max().filter(|last| *last >= OWN) {
        // An underscore sorts after the dot of `.conf`.
        Some(last) => format!("{last}_etcd-pki.conf"),
        None => format!("{OWN}.conf"),
    }
}

/// The lines of every `Exec…=` of a service, raw, after resets.
fn commands_of(unit: &Definition) -> BTreeMap<String, Vec<String>> {
    let mut commands: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for fragment in &unit.fragments {
        for (section, key, value) in settings(&fragment.text) {
            if section == "Service" && key.starts_with("Exec") && !key.starts_with("ExecSearch") {
                let lines = commands.entry(key).or_default();
                if value.is_empty() { lines.clear() } else { lines.push(value) }
            }
        }
    }
    commands
}

fn command(line: &str, known: &Known, target: &Target) -> String {
    let mut line = moved(line, known, &target.urls).unwrap_or_else(|| line.to_owned());
    if target.no_sync && !line.contains("--no-sync") {
        let ends: Vec<usize> = calls(&line).collect();
        for end in ends.into_iter().rev() {
            line.insert_str(end, " --no-sync");
        }
    }
    line
}

/// Where each call of `etcdctl` in a line ends its name.
fn calls(line: &str) -> impl Iterator<Item = usize> + '_ {
    const NAME: &str = "etcdctl";
    line.match_indices(NAME).filter_map(move |(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + NAME.len()..].chars().next();
        let begins = before.is_none_or(|c| c.is_whitespace() || "/\"'`;(&|-@:+!".contains(c));
        let ends = after.is_none_or(char::is_whitespace);
        (begins && ends).then_some(at + NAME.len())
    })
}

/// A text with every list of endpoints that names a known one replaced; `None` when it names none.
fn moved(text: &str, known: &Known, to: &str) -> Option<String> {
    let part = |c: char| c.is_ascii_alphanumeric() || ".:/-_[],".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut found = false;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        match list(run, known) {
            Some(path) => {
                found = true;
                match path {
                    "" => out.push_str(to),
                    path => out.extend([to.split(',').next().unwrap_or(to), path]),
                }
            }
            None => out.push_str(run),
        }
        let end = behind.find(part).unwrap_or(behind.len());
        out.push_str(&behind[..end]);
        rest = &behind[end..];
    }
    found.then_some(out)
}

/// Whether a run of characters is a list of endpoints with a known one among them; returns the path of a single one.
fn list<'a>(run: &'a str, known: &Known) -> Option<&'a str> {
    let items: Vec<(&str, &str)> = run.split(',').map(endpoint).collect::<Option<_>>()?;
    if !items.iter().any(|(at, _)| known.listeners.contains(*at)) {
        return None;
    }
    match items.as_slice() {
        [(_, path)] => Some(if *path == "/" { "" } else { path }),
        many => many.iter().all(|(_, path)| matches!(*path, "" | "/")).then_some(""),
    }
}

/// `host:port` and the path of an endpoint in plain text.
fn endpoint(item: &str) -> Option<(&str, &str)> {
    let at = item.strip_prefix("http://").unwrap_or(item);
    let (at, path) = at.split_at(at.find('/').unwrap_or(at.len()));
    let (host, port) = at.rsplit_once(':')?;
    let is_port = !port.is_empty() && port.len() <= 5 && port.chars().all(|c| c.is_ascii_digit());
    (is_port && !host.is_empty()).then_some((at, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd::words::Specifiers;

    fn known() -> Known {
        let at =
            ["127.0.0.1:2379", "localhost:2379", "127.0.0.1:4001", "172.16.0.101:2379", "172.16.0.102:2379"];
        Known { listeners: at.map(str::to_owned).into() }
    }

    fn unit(text: &str) -> Definition {
        Definition {
            unit: "x.service".into(),
            fragments: vec![Fragment::new("/lib/systemd/system/x.service", text)],
            specifiers: Specifiers::new("x.service", "server1", ""),
            env_files: BTreeMap::new(),
        }
    }

    fn rendered(text: &str, target: &Target) -> Option<(String, String)> {
        let unit = unit(text);
        let uses = uses(&unit, &known()).unwrap();
        let (dropin, file) = render(&unit, &uses, &known(), target).unwrap()?;
        let tail = |text: &str| text.split_once('\n').unwrap().1.to_owned();
        Some((tail(&dropin.text), file.map(|file| tail(&file.text)).unwrap_or_default()))
    }

    fn loopback() -> Target {
        Target { urls: "http://127.0.0.1:4001".into(), ..Target::default() }
    }

    #[test]
    fn endpoints_are_found_wherever_they_stand() {
        for (text, moved_to) in [
            ("http://127.0.0.1:2379", "http://127.0.0.1:4001"),
            ("--e=http://172.16.0.101:2379,http://172.16.0.102:2379 -x", "--e=http://127.0.0.1:4001 -x"),
            ("\"172.16.0.101:2379,172.16.0.102:2379\"", "\"http://127.0.0.1:4001\""),
            ("http://127.0.0.1:2379,http://127.0.0.1:4001", "http://127.0.0.1:4001"),
            ("curl http://localhost:2379/v2/keys/a?b=c", "curl http://127.0.0.1:4001/v2/keys/a?b=c"),
            ("http://127.0.0.1:2379/", "http://127.0.0.1:4001"),
        ] {
            assert_eq!(moved(text, &known(), "http://127.0.0.1:4001").as_deref(), Some(moved_to), "{text}");
        }
        for text in
            ["http://10.0.0.9:2379", "https://127.0.0.1:2379", "/etc/etcd", "2379", "a:b", "127.0.0.1:80"]
        {
            assert_eq!(moved(text, &known(), "x"), None, "{text}");
        }
    }

    #[test]
    fn variables_move_by_a_file_and_lines_by_a_reset() {
        let text = "[Service]\nEnvironment=FLANNELD_ETCD_ENDPOINTS=http://127.0.0.1:2379 OTHER=1\n\
                    ExecStart=/opt/flanneld --ip-masq\n";
        let (dropin, file) = rendered(text, &loopback()).unwrap();
        assert_eq!(dropin, "[Service]\nEnvironmentFile=/etc/etcd-pki/x.service/endpoints.env\n");
        assert_eq!(file.trim(), "FLANNELD_ETCD_ENDPOINTS=\"http://127.0.0.1:4001\"");

        let text = "[Service]\nExecStartPre=-/bin/sh -c 'etcdctl --endpoints http://127.0.0.1:2379 set /a b'\n\
                    ExecStart=/usr/bin/x --etcd http://172.16.0.101:2379\nExecStop=/usr/bin/etcdctl rm /a\n";
        let (dropin, file) = rendered(text, &Target { no_sync: true, ..loopback() }).unwrap();
        assert_eq!(
            dropin,
            "[Service]\nExecStart=\nExecStart=/usr/bin/x --etcd http://127.0.0.1:4001\nExecStartPre=\n\
             ExecStartPre=-/bin/sh -c 'etcdctl --no-sync --endpoints http://127.0.0.1:4001 set /a b'\nExecStop=\n\
             ExecStop=/usr/bin/etcdctl --no-sync rm /a\n"
        );
        assert_eq!(file, "");
    }

    #[test]
    fn what_is_there_already_is_left_alone() {
        let text =
            "[Service]\nEnvironment=FLEET_ETCD_SERVERS=http://127.0.0.1:4001\nExecStart=/usr/bin/fleetd\n";
        assert_eq!(rendered(text, &loopback()), None);
    }
}
