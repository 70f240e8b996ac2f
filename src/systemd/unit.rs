//! Unit files and drop-ins: which of them count, and what they add up to (systemd.unit(5), systemd.exec(5)).

use super::words::{self, WordError};

/// Where units and drop-ins are looked for, what wins first. (`systemd-analyze unit-paths`, without those for
/// generators, which no unit of etcd comes from, and with both spellings of an unmerged `/usr`.)
pub const SEARCH_PATH: [&str; 8] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/lib/systemd/system",
    "/usr/lib/systemd/system",
];

/// Where our own drop-ins go.
pub const OWN_DIR: &str = "/etc/systemd/system";

/// A unit file or drop-in, as it stands on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// Where it is.
    pub path: String,
    /// What it says.
    pub text: String,
}

impl Fragment {
    /// From its parts.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// The file's name, by which drop-ins are ordered and mask each other.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// The directories of a unit's drop-ins, what wins first: for each of its names (`etcd.service`, its alias
/// `etcd2.service`), for the prefixes that end in a dash (`etcd-.service.d`), and for all services.
pub fn dropin_dirs(names: &[&str]) -> Vec<String> {
    let mut below = Vec::new();
    for name in names {
        below.push(format!("{name}.d"));
        let Some((stem, kind)) = name.rsplit_once('.') else { continue };
        let dashes = stem.match_indices('-').map(|(at, _)| at).collect::<Vec<_>>();
        below.extend(dashes.into_iter().rev().map(|at| format!("{}.{kind}.d", &stem[..=at])));
    }
    below.push("service.d".to_owned());
    below.dedup();
    // The more specific directory wins over the place where it stands.
    below.iter().flat_map(|dir| SEARCH_PATH.iter().map(move |root| format!("{root}/{dir}"))).collect()
}

/// Of drop-ins found in directories, what wins first: those that count, in the order in which they are read. Of two with
/// one name the first wins; they are read by name.
pub fn merge_dropins(found: Vec<Fragment>) -> Vec<Fragment> {
    let mut chosen: Vec<Fragment> = Vec::new();
    for fragment in found {
        if fragment.name().ends_with(".conf") && chosen.iter().all(|other| other.name() != fragment.name()) {
            chosen.push(fragment);
        }
    }
    chosen.sort_by(|a, b| a.name().cmp(b.name()));
    chosen
}

/// The settings of `[Service]` that decide what etcd runs with, raw: specifiers and variables as they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// `ExecStart=` lines.
    pub exec_start: Vec<Assigned>,
    /// `Environment=` lines.
    pub environment: Vec<Assigned>,
    /// `EnvironmentFile=` lines.
    pub environment_files: Vec<Assigned>,
    /// `UnsetEnvironment=` lines.
    pub unset_environment: Vec<Assigned>,
    /// `User=`.
    pub user: Option<String>,
    /// `WorkingDirectory=`.
    pub working_directory: Option<String>,
}

/// A setting and the file it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// What stands behind the equals sign.
    pub value: String,
    /// The file.
    pub from: String,
}

impl Service {
    /// What fragments add up to: the unit file first, then its drop-ins in order.
    pub fn of<'a>(fragments: impl IntoIterator<Item = &'a Fragment>) -> Self {
        let mut service = Self::default();
        for fragment in fragments {
            for (section, key, value) in settings(&fragment.text) {
                if section == "Service" {
                    service.assign(&key, value, &fragment.path);
                }
            }
        }
        service
    }

    fn assign(&mut self, key: &str, value: String, from: &str) {
        let list = match key {
            "ExecStart" => &mut self.exec_start,
            "Environment" => &mut self.environment,
            "EnvironmentFile" => &mut self.environment_files,
            "UnsetEnvironment" => &mut self.unset_environment,
            "User" => return self.user = Some(value).filter(|user| !user.is_empty()),
            "WorkingDirectory" => return self.working_directory = Some(value).filter(|dir| !dir.is_empty()),
            _ => return,
        };
        // Nothing behind the sign forgets what was said before.
        if value.is_empty() {
            list.clear();
        } else {
            list.push(Assigned { value, from: from.to_owned() });
        }
    }
}

/// The settings of a unit file as `(section, key, value)`, in order. Lines that systemd would warn of and pass over are
/// passed over.
pub fn settings(text: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut section = String::new();
    for line in logical_lines(text) {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((key, value)) = line.split_once('=') {
            found.push((section.clone(), key.trim_end().to_owned(), value.trim().to_owned()));
        }
    }
    found
}

/// Lines without comments, those that end in a backslash joined with the next by a space. A comment among continued
/// lines is skipped and does not end them.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open: Option<String> = None;
    for line in text.split(['\n', '\r']) {
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        let whole = match open.take() {
            Some(before) => before + line,
            None => line.to_owned(),
        };
        match continued(&whole) {
            Some(start) => open = Some(format!("{start} ")),
            None => lines.push(whole),
        }
    }
    lines.extend(open);
    lines
}

/// The line without its last backslash, if that one is not itself escaped.
fn continued(line: &str) -> Option<&str> {
    let backslashes = line.bytes().rev().take_while(|&b| b == b'\\').count();
    if backslashes % 2 == 1 { line.strip_suffix('\\') } else { None }
}

/// The unit's `ExecStart=`, of which a service that stays up has exactly one.
///
/// # Errors
/// [`UnitError::ExecStart`]
pub fn exec_start(service: &Service) -> Result<&Assigned, UnitError> {
    match service.exec_start.as_slice() {
        [one] => Ok(one),
        [] => Err(UnitError::ExecStart { what: "there is none" }),
        _ => Err(UnitError::ExecStart { what: "there is more than one" }),
    }
}

/// A unit that we cannot read as systemd does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// An environment file that must be there is not.
    #[error("EnvironmentFile={path} is not there")]
    EnvironmentFile {
        /// The file.
        path: String,
    },
    /// Not one command.
    #[error("ExecStart=: {what}")]
    ExecStart {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Our settings cannot be made to win.
    #[error("{flag} cannot be set: {what}")]
    Overridden {
        /// The flag, without dashes.
        flag: String,
        /// Why.
        what: String,
    },
    /// A line of words.
    #[error("{from}: {source}")]
    Words {
        /// The file it stands in.
        from: String,
        /// What is wrong with it.
        source: WordError,
    },
}

impl UnitError {
    pub(super) fn words(from: &str) -> impl Fn(WordError) -> Self + '_ {
        move |source| Self::Words { from: from.to_owned(), source }
    }
}

/// Splits a setting into words; those that are `NAME=value` in `Environment=`, names in `UnsetEnvironment=`.
pub(super) fn words_of(
    assigned: &Assigned,
    specifiers: &words::Specifiers,
) -> Result<Vec<String>, UnitError> {
    let wrong = UnitError::words(&assigned.from);
    let split = words::split(&assigned.value).map_err(&wrong)?;
    split.iter().map(|word| specifiers.expand(word).map_err(&wrong)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_comments_skipped() {
        let text = "[Unit]\nDescription=x\n[Service]\n# ExecStart=no\nExecStart=/usr/bin/etcd \\\n  --a \\\n; no\n  --b\n\
                    Environment = A=1 \n broken\n[Install]\nExecStart=other\nX=y\\\\\n";
        let found = settings(text);
        let service: Vec<_> = found.iter().filter(|(section, ..)| section == "Service").collect();
        assert_eq!(service.len(), 2);
        assert_eq!(service[0].2, "/usr/bin/etcd    --a    --b");
        assert_eq!(service[1].2, "A=1");
        assert_eq!(found.last().unwrap().2, "y\\\\");
    }

    #[test]
    fn an_empty_assignment_forgets() {
        let unit =
            Fragment::new("/lib/u", "[Service]\nExecStart=/a\nEnvironment=A=1\nEnvironment=B=2\nUser=etcd\n");
        let dropin = Fragment::new(
            "/etc/d",
            "[Service]\nExecStart=\nExecStart=/b\nEnvironment=\nEnvironment=C=3\nUser=\n",
        );
        let service = Service::of([&unit, &dropin]);
        assert_eq!(exec_start(&service).unwrap().value, "/b");
        assert_eq!(service.environment.len(), 1);
        assert_eq!(service.environment[0].from, "/etc/d");
        assert_eq!(service.user, None);
        let twice = Fragment::new("/etc/d", "[Service]\nExecStart=/b\n");
        assert!(exec_start(&Service::of([&unit, &twice])).is_err());
    }

    #[test]
    fn drop_ins_merge_by_name_and_are_read_by_name() {
        let at = |path: &str| Fragment::new(path, path);
        let merged = merge_dropins(vec![
            at("/etc/systemd/system/etcd2.service.d/30-certs.conf"),
            at("/etc/systemd/system/etcd2.service.d/30-certs.conf.tmp"),
            at("/etc/systemd/system/etcd2.service.d/10-first.conf"),
            at("/run/systemd/system/etcd2.service.d/20-cloudinit.conf"),
            at("/run/systemd/system/etcd2.service.d/30-certs.conf"),
        ]);
        let paths: Vec<_> = merged.iter().map(|fragment| fragment.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "/etc/systemd/system/etcd2.service.d/10-first.conf",
                "/run/systemd/system/etcd2.service.d/20-cloudinit.conf",
                "/etc/systemd/system/etcd2.service.d/30-certs.conf",
            ]
        );
    }

    #[test]
    fn drop_in_directories_are_those_of_all_names() {
        let dirs = dropin_dirs(&["etcd-member.service", "etcd.service"]);
        let place = |dir: &str| dirs.iter().position(|other| other == dir).unwrap();
        assert!(
            place("/etc/systemd/system/etcd-member.service.d")
                < place("/run/systemd/system/etcd-member.service.d")
        );
        assert!(
            place("/run/systemd/system/etcd-member.service.d") < place("/etc/systemd/system/etcd-.service.d")
        );
        assert!(dirs.contains(&"/lib/systemd/system/service.d".to_owned()));
        assert!(dirs.contains(&"/etc/systemd/system/etcd.service.d".to_owned()));
    }
}
