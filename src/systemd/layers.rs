//! Our settings as drop-ins, where they win.
//!
//! A setting is changed where it already comes from: by variable where nothing stronger names it (in a file of our own
//! where the unit has environment files, since these beat `Environment=`), by a flag at the end of the command line
//! where a flag names it (the last of duplicates wins), in a copy of the configuration file where there is one. What is
//! rendered is not trusted: the unit with the new drop-in is evaluated, and only a drop-in that puts every setting in
//! force is given out.

use std::collections::BTreeMap;

use super::launch::{Definition, base_name};
use super::unit::{Fragment, OWN_DIR, UnitError, exec_start, merge_dropins};
use super::{shell, words};
use crate::etcd::flags::env_name;
use crate::etcd::{Config, config_file};
use crate::host::{Layer, MARK, envfile};

/// Where files of ours that are no drop-ins go, in a directory a unit.
pub const OWN_FILES: &str = "/etc/etcd-pki";

type Settings = BTreeMap<String, String>;

/// The files of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The drop-in.
    pub dropin: Fragment,
    /// What the drop-in names, to be there before it and until after it is gone.
    pub beside: Option<Beside>,
}

/// A file that a drop-in names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beside {
    /// An environment file.
    Environment(Fragment),
    /// A copy of the configuration file, for the same readers as the original at `like`.
    ConfigFile {
        /// The copy.
        copy: Fragment,
        /// The original's path.
        like: String,
    },
}

/// Renders layers, each on top of those before it, for a unit that holds nothing of ours. `config_file` is the text of
/// the configuration file, where the unit names one.
///
/// # Errors
/// [`UnitError::Overridden`] when a setting cannot be made to win; otherwise where the unit is not understood.
pub fn render(
    base: &Definition,
    config_file: Option<&str>,
    layers: &[Layer],
) -> Result<Vec<Rendered>, UnitError> {
    let mut renderer = Renderer { base, current: base.clone(), flags: Settings::new(), file: None };
    renderer.file = match config(base)?.file() {
        Some(path) => {
            let text = config_file.ok_or_else(|| overridden("config-file", "its file cannot be read"))?;
            Some((path.to_owned(), text.to_owned()))
        }
        None => None,
    };
    layers.iter().map(|layer| renderer.layer(layer)).collect()
}

/// The settings that a unit would start etcd with.
///
/// # Errors
/// [`UnitError`]
pub fn config(definition: &Definition) -> Result<Config, UnitError> {
    let launch = definition.etcd()?;
    Config::of(&launch).map_err(|error| overridden("ExecStart", &error.to_string()))
}

struct Renderer<'a> {
    base: &'a Definition,
    /// The unit with the layers rendered so far.
    current: Definition,
    /// What those layers set by flag.
    flags: Settings,
    /// The configuration file's path and text, with those layers' settings.
    file: Option<(String, String)>,
}

impl Renderer<'_> {
    fn layer(&mut self, layer: &Layer) -> Result<Rendered, UnitError> {
        let mut refusal = None;
        for name in self.names(layer.name) {
            match self.attempt(layer, &name) {
                Ok((rendered, next, flags, file)) => {
                    (self.current, self.flags, self.file) = (next, flags, file);
                    return Ok(rendered);
                }
                Err(error) => refusal = Some(error),
            }
        }
        Err(refusal.unwrap_or_else(|| overridden(layer.name, "no name is free for its drop-in")))
    }

    /// The names to try for a drop-in: its own, and one that sorts after everything that is not ours.
    fn names(&self, layer: &str) -> Vec<String> {
        let taken = |name: &String| self.base.fragments.iter().any(|fragment| fragment.name() == name);
        let dropins = self.base.fragments.iter().skip(1);
        let last = dropins.filter_map(|fragment| fragment.name().strip_suffix(".conf")).max();
        // An underscore sorts after the dot of `.conf`.
        let after = last.map(|stem| format!("{stem}_{layer}.conf"));
        [Some(format!("{layer}.conf")), after].into_iter().flatten().filter(|name| !taken(name)).collect()
    }

    #[allow(clippy::type_complexity, reason = "what the renderer becomes")]
    fn attempt(
        &self,
        layer: &Layer,
        name: &str,
    ) -> Result<(Rendered, Definition, Settings, Option<(String, String)>), UnitError> {
        if let Some((path, text)) = &self.file {
            let text = config_file::with_settings(text, &layer.settings)
                .map_err(|error| overridden("config-file", &error.to_string()))?;
            return self.by_config_file(layer, name, path, text);
        }
        let (mut by_env, mut by_flag) = (layer.settings.clone(), self.flags.clone());
        // First everything by variable; what does not win so goes to the command line, and if that reveals more, again.
        for _ in 0..=layer.settings.len() {
            let rendered = self.by_env_and_flags(layer, name, &by_env, &by_flag)?;
            let next = self.with(&rendered);
            let lost = losers(&config(&next)?, &config(self.base)?, &layer.settings);
            if lost.is_empty() {
                return Ok((rendered, next, by_flag, None));
            }
            let before = by_env.len();
            for flag in &lost {
                if let Some(value) = by_env.remove(flag) {
                    by_flag.insert(flag.clone(), value);
                }
            }
            if by_env.len() == before {
                return Err(overridden(&lost[0], &format!("{name} does not win over what the unit says")));
            }
        }
        Err(overridden(layer.name, "its settings contradict each other"))
    }

    fn by_env_and_flags(
        &self,
        layer: &Layer,
        name: &str,
        by_env: &Settings,
        by_flag: &Settings,
    ) -> Result<Rendered, UnitError> {
        let mut text = head(layer);
        let mut beside = None;
        let variables: Vec<_> = by_env.iter().map(|(flag, value)| (env_name(flag), value.as_str())).collect();
        if self.base.environment_files()?.is_empty() {
            for (variable, value) in &variables {
                text.push_str(&format!("Environment={}\n", words::literal_assignment(variable, value)));
            }
        } else if !variables.is_empty() {
            let path = self.own_file(layer, "env");
            let pairs = variables.iter().map(|(variable, value)| (variable.as_str(), *value));
            let content = envfile::render(&comment(layer), pairs)
                .map_err(|error| overridden(layer.name, &error.to_string()))?;
            text.push_str(&format!("EnvironmentFile={path}\n"));
            beside = Some(Beside::Environment(Fragment::new(path, content)));
        }
        // Once a flag is ours the whole line is, in every later layer that changes it.
        if layer.settings.keys().any(|flag| by_flag.contains_key(flag)) {
            text.push_str(&self.exec_start(by_flag)?);
        }
        Ok(Rendered { dropin: self.dropin(name, text), beside })
    }

    #[allow(clippy::type_complexity, reason = "what the renderer becomes")]
    fn by_config_file(
        &self,
        layer: &Layer,
        name: &str,
        like: &str,
        content: String,
    ) -> Result<(Rendered, Definition, Settings, Option<(String, String)>), UnitError> {
        let path = self.own_file(layer, "yaml");
        let flag = Settings::from([("config-file".to_owned(), path.clone())]);
        let text = head(layer) + &self.exec_start(&flag)?;
        let marked: String = comment(layer).lines().map(|line| format!("# {line}\n")).collect();
        let unmarked = content.lines().skip_while(|line| line.starts_with(MARK)).collect::<Vec<_>>();
        let copy = Fragment::new(path.clone(), marked + &unmarked.join("\n") + "\n");
        let beside = Some(Beside::ConfigFile { copy, like: like.to_owned() });
        let rendered = Rendered { dropin: self.dropin(name, text), beside };
        let next = self.with(&rendered);
        if config(&next)?.file() != Some(path.as_str()) {
            return Err(overridden("config-file", &format!("{name} does not win over what the unit says")));
        }
        Ok((rendered, next, Settings::new(), Some((like.to_owned(), content))))
    }

    /// The unit's own command line with flags at its end, after a reset.
    fn exec_start(&self, flags: &Settings) -> Result<String, UnitError> {
        let service = self.base.service();
        let line = exec_start(&service)?;
        let split = words::split(&line.value).map_err(UnitError::words(&line.from))?;
        let flags = flags.iter().map(|(flag, value)| format!("--{flag}={value}"));
        let program = split.first().map(|word| word.trim_start_matches(['@', '-', ':', '+', '!']));
        let is_shell = program.is_some_and(|program| {
            matches!(base_name(program), "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh")
        });
        let whole = match shell::script_at(&split).filter(|_| is_shell) {
            Some(at) => {
                let mut split = split;
                for flag in flags {
                    let flag = shell::quote(&flag).replace('%', "%%").replace('$', "$$");
                    split[at] = format!("{} {flag}", split[at].trim_end());
                }
                split.iter().map(|word| words::quote(word)).collect::<Vec<_>>().join(" ")
            }
            None => flags.fold(line.value.trim_end().to_owned(), |line, flag| {
                format!("{line} {}", words::literal_argument(&flag))
            }),
        };
        Ok(format!("ExecStart=\nExecStart={whole}\n"))
    }

    /// The unit as it would be with a layer more.
    fn with(&self, rendered: &Rendered) -> Definition {
        let mut next = self.current.clone();
        if let Some(Beside::Environment(file)) = &rendered.beside {
            next.env_files.insert(file.path.clone(), Some(file.text.clone()));
        }
        let rest = if next.fragments.is_empty() { Vec::new() } else { next.fragments.split_off(1) };
        let dropins = rest.into_iter().chain([rendered.dropin.clone()]).collect();
        next.fragments.extend(merge_dropins(dropins));
        next
    }

    fn dropin(&self, name: &str, text: String) -> Fragment {
        Fragment::new(format!("{OWN_DIR}/{}.d/{name}", self.base.unit), text)
    }

    fn own_file(&self, layer: &Layer, extension: &str) -> String {
        format!("{OWN_FILES}/{}/{}.{extension}", self.base.unit, layer.name)
    }
}

/// The settings that are not in force as wanted, or that now collide with their variable where they did not before.
fn losers(config: &Config, before: &Config, wanted: &Settings) -> Vec<String> {
    let lost = wanted.iter().filter(|(flag, value)| {
        let collides = |config: &Config| config.conflicts().iter().any(|conflict| conflict.flag == **flag);
        config.get(flag) != Some(value.as_str()) || (collides(config) && !collides(before))
    });
    lost.map(|(flag, _)| flag.clone()).collect()
}

fn comment(layer: &Layer) -> String {
    format!(
        "{}: {}. `etcd-pki migrate rollback` takes it away again.",
        MARK.trim_start_matches(['#', ' ']),
        layer.name
    )
}

fn head(layer: &Layer) -> String {
    format!("# {}\n[Service]\n", comment(layer))
}

fn overridden(flag: &str, what: &str) -> UnitError {
    UnitError::Overridden { flag: flag.to_owned(), what: what.to_owned() }
}
