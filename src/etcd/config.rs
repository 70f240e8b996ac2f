//! The settings a member runs with: flags, `ETCD_*` variables or a configuration file, as etcd weighs them.
//!
//! etcd parses its flags with Go's `flag` package, then takes each flag that was not given from its variable
//! (`pkg/flags.SetFlagsFromEnv`), unless a configuration file is named: then flags and variables are ignored without a
//! word (seen on 3.3, 3.4 and 3.5).

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::config_file::{self, ConfigFileError};
use super::flags::{ConfigError, default_of, flag_name, parse_flags};
use super::types::{Url, UrlError};
use crate::host::Launch;

/// What a member runs, or would run, with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    settings: BTreeMap<String, (String, Source)>,
    conflicts: Vec<Conflict>,
    file: Option<(String, Source)>,
}

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The variable of this name.
    Env(String),
    /// The configuration file.
    File,
    /// A flag on the command line.
    Flag,
}

/// A flag and its variable, both set: etcd 3.4 and later will not start, even when they are equal or the variable is
/// empty; 3.3 and older warn and take the flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The flag, without dashes.
    pub flag: String,
    /// The variable.
    pub variable: String,
}

impl Config {
    /// The settings that an etcd started like this has. Where a configuration file is named, they are empty until
    /// [`Self::with_file`].
    ///
    /// # Errors
    /// [`ConfigError`] where etcd would not start, or is no member (`etcd grpc-proxy`).
    pub fn of(launch: &Launch) -> Result<Self, ConfigError> {
        let arguments = launch.argv.get(1..).ok_or(ConfigError::NoProgram)?;
        if let Some(name) = arguments.first().filter(|name| matches!(name.as_str(), "gateway" | "grpc-proxy"))
        {
            return Err(ConfigError::Subcommand { name: name.clone() });
        }
        let flags = parse_flags(arguments)?;
        if let Some((path, source)) = config_file_of(&flags, &launch.env) {
            let file = Some((path, source));
            return Ok(Self { settings: BTreeMap::new(), conflicts: Vec::new(), file });
        }

        let mut settings = BTreeMap::new();
        let mut conflicts = Vec::new();
        for (variable, value) in &launch.env {
            let Some(flag) = flag_name(variable) else { continue };
            if flags.contains_key(&flag) {
                conflicts.push(Conflict { flag, variable: variable.clone() });
            } else if !value.is_empty() {
                settings.insert(flag, (value.clone(), Source::Env(variable.clone())));
            }
        }
        settings.extend(flags.into_iter().map(|(flag, value)| (flag, (value, Source::Flag))));
        Ok(Self { settings, conflicts, file: None })
    }

    /// The settings that the configuration file holds, with nested ones under their flag's name
    /// (`client-transport-security: cert-file` is `cert-file`, under `peer-…` it is `peer-cert-file`).
    ///
    /// # Errors
    /// [`ConfigFileError`] where the text is not what etcd's configuration files look like.
    pub fn with_file(&self, text: &str) -> Result<Self, ConfigFileError> {
        let found = config_file::settings(text)?;
        // A key without a value leaves etcd's default.
        let settings = found.into_iter().filter(|(_, value)| !value.is_empty());
        let settings = settings.map(|(flag, value)| (flag, (value, Source::File))).collect();
        Ok(Self { settings, conflicts: Vec::new(), file: self.file.clone() })
    }

    /// The configuration file, if one is named: as the process sees it, relative to its working directory.
    pub fn file(&self) -> Option<&str> {
        self.file.as_ref().map(|(path, _)| path.as_str())
    }

    /// What names the configuration file: [`Source::Flag`] or [`Source::Env`].
    pub fn file_source(&self) -> Option<&Source> {
        self.file.as_ref().map(|(_, source)| source)
    }

    /// What was set for a flag (its name without dashes), from whatever source.
    pub fn get(&self, flag: &str) -> Option<&str> {
        self.settings.get(flag).map(|(value, _)| value.as_str())
    }

    /// Where a flag's value comes from.
    pub fn source_of(&self, flag: &str) -> Source {
        self.settings.get(flag).map_or(Source::Default, |(_, source)| source.clone())
    }

    /// What is in force for a flag: what was set, else etcd's default; `None` where the default is nothing.
    pub fn effective(&self, flag: &str) -> Option<Cow<'_, str>> {
        if let Some(value) = self.get(flag) {
            return Some(Cow::Borrowed(value));
        }
        let name = || self.get("name").unwrap_or("default");
        match flag {
            "data-dir" => Some(Cow::Owned(format!("{}.etcd", name()))),
            "initial-cluster" => {
                let peers = self.effective("initial-advertise-peer-urls")?;
                Some(Cow::Owned(
                    peers.split(',').map(|url| format!("{}={url}", name())).collect::<Vec<_>>().join(","),
                ))
            }
            _ => default_of(flag).map(Cow::Borrowed),
        }
    }

    /// The URLs in force for a flag that holds a list of them; empty where neither set nor default.
    ///
    /// # Errors
    /// [`UrlError`] on one that is not http or https with a host and a port (etcd also knows unix sockets).
    pub fn urls<Side>(&self, flag: &str) -> Result<Vec<Url<Side>>, UrlError> {
        match self.effective(flag) {
            Some(text) if !text.trim().is_empty() => Url::list(&text),
            _ => Ok(Vec::new()),
        }
    }

    /// Whether a boolean flag is in force, by Go's words for true.
    pub fn is_on(&self, flag: &str) -> bool {
        matches!(self.effective(flag).as_deref(), Some("1" | "t" | "T" | "true" | "TRUE" | "True"))
    }

    /// Every flag that was set, with its value and source, in order of name. Variables that belong to no flag
    /// (`ETCD_UNSUPPORTED_ARCH`, `ETCD_SSL_DIR`) are among them: which flags there are depends on the version.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str, &Source)> {
        self.settings.iter().map(|(flag, (value, source))| (flag.as_str(), value.as_str(), source))
    }

    /// The flags whose variable is set as well.
    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// The conflicts that keep an etcd of this version (`3.4.23`) from starting.
    pub fn fatal_conflicts(&self, version: &str) -> &[Conflict] {
        let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if (major, minor) >= (3, 4) { &self.conflicts } else { &[] }
    }
}

fn config_file_of(
    flags: &BTreeMap<String, String>,
    env: &BTreeMap<String, String>,
) -> Option<(String, Source)> {
    const VARIABLE: &str = "ETCD_CONFIG_FILE";
    let set = |value: Option<&String>| value.filter(|path| !path.is_empty()).cloned();
    set(flags.get("config-file"))
        .map(|path| (path, Source::Flag))
        .or_else(|| set(env.get(VARIABLE)).map(|path| (path, Source::Env(VARIABLE.to_owned()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::types::{ClientSide, PeerSide};

    fn launch(argv: &[&str], env: &[(&str, &str)]) -> Launch {
        Launch {
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            env: env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }

    fn config(argv: &[&str], env: &[(&str, &str)]) -> Config {
        Config::of(&launch(argv, env)).unwrap()
    }

    #[test]
    fn flags_are_taken_as_go_takes_them() {
        let config = config(
            &[
                "/usr/bin/etcd",
                "--name=a",
                "-data-dir",
                "/var/lib/etcd",
                "--client-cert-auth",
                "--peer-client-cert-auth=true",
                "--listen-client-urls",
                "http://127.0.0.1:2379",
                "--listen-client-urls=https://10.0.0.1:2379,http://127.0.0.1:4001",
                "--auto-tls=0",
                "--cors=",
            ],
            &[],
        );
        assert_eq!(config.get("name"), Some("a"));
        assert_eq!(config.get("data-dir"), Some("/var/lib/etcd"));
        assert_eq!(config.get("cors"), Some(""));
        assert!(config.is_on("client-cert-auth") && config.is_on("peer-client-cert-auth"));
        assert!(!config.is_on("auto-tls") && config.is_on("strict-reconfig-check"));
        // The last of duplicates.
        let urls = config.urls::<ClientSide>("listen-client-urls").unwrap();
        assert_eq!(super::super::types::join(&urls), "https://10.0.0.1:2379,http://127.0.0.1:4001");
        assert_eq!(config.source_of("listen-client-urls"), Source::Flag);
        assert_eq!(config.source_of("listen-peer-urls"), Source::Default);
    }

    #[test]
    fn variables_fill_what_flags_leave_open() {
        let config = config(
            &["etcd", "--name", "a"],
            &[
                ("ETCD_LISTEN_PEER_URLS", "http://10.0.0.1:2380"),
                ("ETCD_NAME", "b"),
                ("ETCD_DATA_DIR", ""),
                ("HOME", "/root"),
            ],
        );
        assert_eq!(config.get("name"), Some("a"));
        assert_eq!(config.source_of("listen-peer-urls"), Source::Env("ETCD_LISTEN_PEER_URLS".into()));
        assert_eq!(config.effective("data-dir").as_deref(), Some("a.etcd"));
        assert_eq!(config.effective("initial-cluster").as_deref(), Some("a=http://localhost:2380"));
        let conflict = Conflict { flag: "name".into(), variable: "ETCD_NAME".into() };
        assert_eq!(config.conflicts(), std::slice::from_ref(&conflict));
        assert_eq!(config.fatal_conflicts("3.3.25"), []);
        assert_eq!(config.fatal_conflicts("3.4.23"), [conflict]);
        assert_eq!(config.all().count(), 2);
    }

    #[test]
    fn an_empty_variable_still_conflicts() {
        let config = config(&["etcd", "--name", "a"], &[("ETCD_NAME", "")]);
        assert_eq!(config.fatal_conflicts("3.5.16").len(), 1);
    }

    #[test]
    fn a_configuration_file_silences_flags_and_variables() {
        for (argv, env, source) in [
            (&["etcd", "--config-file=/etc/etcd.yaml", "--name", "a"][..], &[][..], Source::Flag),
            (&["etcd"], &[("ETCD_CONFIG_FILE", "/etc/etcd.yaml")], Source::Env("ETCD_CONFIG_FILE".into())),
        ] {
            let mut env = env.to_vec();
            env.push(("ETCD_NAME", "b"));
            let config = config(argv, &env);
            assert_eq!((config.file(), config.file_source()), (Some("/etc/etcd.yaml"), Some(&source)));
            assert_eq!((config.get("name"), config.conflicts()), (None, &[][..]));
            let config =
                config.with_file("name: c\npeer-transport-security:\n  cert-file: /x.pem\n").unwrap();
            assert_eq!(config.get("name"), Some("c"));
            assert_eq!(config.get("peer-cert-file"), Some("/x.pem"));
            assert_eq!(config.source_of("name"), Source::File);
        }
    }

    #[test]
    fn what_etcd_does_not_start_with_is_an_error() {
        let error = |argv: &[&str]| Config::of(&launch(argv, &[])).unwrap_err();
        assert_eq!(error(&[]), ConfigError::NoProgram);
        assert_eq!(error(&["etcd", "--name"]), ConfigError::NoValue { flag: "name".into() });
        assert_eq!(
            error(&["etcd", "grpc-proxy", "start"]),
            ConfigError::Subcommand { name: "grpc-proxy".into() }
        );
        for stray in [
            &["etcd", "--client-cert-auth", "true"][..],
            &["etcd", "-"],
            &["etcd", "--", "x"],
            &["etcd", "---a"],
        ] {
            assert!(matches!(error(stray), ConfigError::Argument { .. }), "{stray:?}");
        }
    }

    #[test]
    fn a_malformed_url_is_an_error_not_a_guess() {
        let config = config(&["etcd", "--listen-peer-urls=10.0.0.1:2380"], &[]);
        assert!(config.urls::<PeerSide>("listen-peer-urls").is_err());
        assert_eq!(config.urls::<ClientSide>("listen-metrics-urls"), Ok(vec![]));
    }
}
