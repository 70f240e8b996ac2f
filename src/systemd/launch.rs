//! What a unit would start: its command and environment, and etcd's own beneath a shell or another wrapper.

use std::collections::BTreeMap;

use super::shell;
use super::unit::{Assigned, Fragment, Service, UnitError, exec_start, words_of};
use super::words::{self, Specifiers, WordError};
use crate::host::{Launch, MARK, envfile};

/// A unit as it stands on the disk, with everything that decides what it starts: nothing more is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its canonical name, such as `etcd.service`.
    pub unit: String,
    /// The unit file, then the drop-ins that count, in order.
    pub fragments: Vec<Fragment>,
    /// What its specifiers stand for.
    pub specifiers: Specifiers,
    /// The environment files it names, ours included; `None` is one that is not there.
    pub env_files: BTreeMap<String, Option<String>>,
}

/// An `EnvironmentFile=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentFile {
    /// Where it is.
    pub path: String,
    /// Whether the unit starts without it.
    pub optional: bool,
}

impl Definition {
    /// The same without what we wrote.
    #[must_use]
    pub fn without_ours(&self) -> Self {
        let fragments = self.fragments.iter().filter(|fragment| !is_ours(&fragment.text)).cloned();
        Self { fragments: fragments.collect(), ..self.clone() }
    }

    /// What the fragments add up to.
    pub fn service(&self) -> Service {
        Service::of(&self.fragments)
    }

    /// The environment files that the unit names, in the order in which they are read.
    ///
    /// # Errors
    /// [`UnitError`]
    pub fn environment_files(&self) -> Result<Vec<EnvironmentFile>, UnitError> {
        environment_files(&self.service(), &self.specifiers)
    }

    /// The variables the unit starts its command with, as far as the unit sets them: `Environment=`, then the files,
    /// each over what was before, then `UnsetEnvironment=`.
    ///
    /// # Errors
    /// [`UnitError`]
    pub fn environment(&self) -> Result<BTreeMap<String, String>, UnitError> {
        let service = self.service();
        let mut env = BTreeMap::new();
        for assigned in &service.environment {
            let words = words_of(assigned, &self.specifiers)?;
            let pairs = words.iter().filter_map(|word| word.split_once('='));
            let valid = pairs.filter(|(name, value)| envfile::is_name(name) && envfile::is_value(value));
            env.extend(valid.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        for file in environment_files(&service, &self.specifiers)? {
            match self.env_files.get(&file.path).and_then(Option::as_ref) {
                Some(text) => env.extend(envfile::parse(text)),
                None if file.optional => {}
                None => return Err(UnitError::EnvironmentFile { path: file.path }),
            }
        }
        for assigned in &service.unset_environment {
            for word in words_of(assigned, &self.specifiers)? {
                match word.split_once('=') {
                    Some((name, value)) => {
                        env.retain(|had, what| had != name || what != value);
                    }
                    None => {
                        env.remove(&word);
                    }
                }
            }
        }
        Ok(env)
    }

    /// What systemd would start: the whole command line, wrappers included, and the variables that the unit sets.
    ///
    /// # Errors
    /// [`UnitError`]
    pub fn command(&self) -> Result<Launch, UnitError> {
        let service = self.service();
        let line = exec_start(&service)?;
        let wrong = UnitError::words(&line.from);
        let env = self.environment()?;
        let mut words = words::split(&line.value).map_err(&wrong)?;
        let prefix = strip_prefix(&mut words).map_err(&wrong)?;
        let words = words.iter().map(|word| self.specifiers.expand(word));
        let mut words = words.collect::<Result<Vec<_>, _>>().map_err(&wrong)?;
        if words.iter().any(|word| word == ";") {
            return Err(UnitError::ExecStart { what: "there is more than one command in it" });
        }
        if !prefix.verbatim {
            let arguments = words::substitute(&words[1..], &env).map_err(&wrong)?;
            words.splice(1.., arguments);
        }
        if prefix.names_itself && words.len() > 1 {
            // The second word is what the program is told its name is.
            words.remove(1);
        }
        Ok(Launch { argv: words, env })
    }

    /// Whether it is Container Linux' wrapper, which starts etcd in a container (`/usr/lib/coreos/etcd-wrapper`, Flatcar's
    /// `/usr/lib/flatcar/etcd-wrapper`).
    pub fn is_contained(&self) -> bool {
        let words = self.command().map(|launch| launch.argv).unwrap_or_default();
        words.iter().any(|word| base_name(word) == "etcd-wrapper")
    }

    /// What etcd itself would be started with.
    ///
    /// # Errors
    /// [`UnitError`]; also where the command is not one that we see through.
    pub fn etcd(&self) -> Result<Launch, UnitError> {
        beneath(self.command()?)
    }
}

/// Whether a unit file, drop-in or environment file was written by us.
pub fn is_ours(text: &str) -> bool {
    text.starts_with(MARK)
}

fn environment_files(service: &Service, specifiers: &Specifiers) -> Result<Vec<EnvironmentFile>, UnitError> {
    let one = |assigned: &Assigned| {
        let path = specifiers.expand(&assigned.value).map_err(UnitError::words(&assigned.from))?;
        let (path, optional) = match path.strip_prefix('-') {
            Some(path) => (path.to_owned(), true),
            None => (path, false),
        };
        if path.contains(['*', '?', '[']) {
            let what = WordError { what: "an EnvironmentFile= with wildcards is not understood" };
            return Err(UnitError::words(&assigned.from)(what));
        }
        Ok(EnvironmentFile { path, optional })
    };
    service.environment_files.iter().map(one).collect()
}

/// The special characters before a command's path.
struct Prefix {
    /// `@`
    names_itself: bool,
    /// `:`
    verbatim: bool,
}

fn strip_prefix(words: &mut [String]) -> Result<Prefix, WordError> {
    let first = words.first_mut().ok_or(WordError { what: "there is no command" })?;
    let path = first.trim_start_matches(['@', '-', ':', '+', '!']);
    let marks = &first[..first.len() - path.len()];
    let prefix = Prefix { names_itself: marks.contains('@'), verbatim: marks.contains(':') };
    *first = path.to_owned();
    Ok(prefix)
}

/// The etcd beneath `env`, a shell's `-c`, or a program that starts it with its arguments at the end of its own.
fn beneath(mut launch: Launch) -> Result<Launch, UnitError> {
    const DEEPEST: usize = 8;
    for _ in 0..DEEPEST {
        let program = launch.argv.first().ok_or(UnitError::ExecStart { what: "there is no command" })?;
        match base_name(program) {
            "env" => launch = unwrap_env(launch),
            "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh" => launch = shell::unwrap(&launch)?,
            "docker" | "podman" | "rkt" | "nerdctl" => {
                return Err(UnitError::ExecStart { what: "etcd is started by a container engine" });
            }
            name if name.starts_with("etcd") => return Ok(launch),
            _ => {
                let etcd = launch.argv.iter().position(|word| base_name(word) == "etcd");
                let at = etcd.ok_or(UnitError::ExecStart { what: "no etcd is found in it" })?;
                launch.argv.drain(..at);
            }
        }
    }
    Err(UnitError::ExecStart { what: "it is wrapped too deeply" })
}

pub(super) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `env [-i] [-u NAME] [NAME=VALUE]… COMMAND`
fn unwrap_env(launch: Launch) -> Launch {
    let Launch { argv, mut env } = launch;
    let mut rest = argv.into_iter().skip(1).peekable();
    while let Some(word) = rest.peek() {
        let unset = word.strip_prefix("--unset=").map(str::to_owned);
        match word.as_str() {
            "-i" | "-" | "--ignore-environment" => env.clear(),
            "-u" | "--unset" => {
                rest.next();
                if let Some(name) = rest.peek() {
                    env.remove(name);
                }
            }
            _ if unset.is_some() => {
                env.remove(&unset.unwrap_or_default());
            }
            word if word.starts_with('-') => {}
            word => match word.split_once('=') {
                Some((name, value)) => {
                    env.insert(name.to_owned(), value.to_owned());
                }
                None => break,
            },
        }
        rest.next();
    }
    Launch { argv: rest.collect(), env }
}
