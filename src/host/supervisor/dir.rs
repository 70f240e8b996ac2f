//! The directory of a supervised local etcd, and what its next start runs with.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{self, FileError, FileMode, Meta};
use crate::host::{Launch, WRITTEN_BY, envfile};

/// The search path of a supervised etcd: its environment holds this, `HOME`, and what the files say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is run, and where: `unit.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// The program, an absolute path, and its arguments.
    pub exec: Vec<String>,
    /// The loopback address that is the member's own.
    pub address: IpAddr,
}

/// The directory of a supervised etcd.
///
/// `unit.toml` says what is run; `etcd.env` is the base environment, which is the user's, and `etcd.env.d/*.env`
/// are read after it in the order of their names, a later setting winning, as later `EnvironmentFile=` lines do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessDir(PathBuf);

/// Why a directory cannot be read as a supervised etcd's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that must be there is not.
    #[error("{path} is not there: this is no directory of a supervised etcd")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file does not say what it should.
    #[error("{path}: {what}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

impl ProcessDir {
    /// The directory at `path`; nothing is looked at yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The base environment file.
    pub fn base_file(&self) -> PathBuf {
        self.0.join("etcd.env")
    }

    /// Where layers go.
    pub fn layer_dir(&self) -> PathBuf {
        self.0.join("etcd.env.d")
    }

    /// The file of the layer `name`.
    pub fn layer_file(&self, name: &str) -> PathBuf {
        self.layer_dir().join(format!("{name}.env"))
    }

    /// etcd's data directory.
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// Where the member's certificates go.
    pub fn ssl(&self) -> PathBuf {
        self.0.join("ssl")
    }

    /// Where the tool keeps its lock and pre-images.
    pub fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    /// What etcd printed, each line after the time it was read.
    pub fn log(&self) -> PathBuf {
        self.0.join("etcd.log")
    }

    /// The supervisor's socket.
    pub fn socket(&self) -> PathBuf {
        self.0.join("supervisor.sock")
    }

    /// The lock that its one supervisor holds.
    pub fn lock(&self) -> PathBuf {
        self.0.join("supervisor.lock")
    }

    /// Lays out a new directory with a base environment.
    ///
    /// # Errors
    /// [`DirError`], also when there is one already.
    pub fn create(&self, unit: &Unit, base: &BTreeMap<String, String>) -> Result<(), DirError> {
        let private = Meta::mode(FileMode::SECRET_DIR);
        for dir in [&self.0, &self.layer_dir(), &self.data(), &self.ssl(), &self.state()] {
            files::make_dir(dir, private)?;
        }
        let toml = toml::to_string(unit).expect("a list of strings and an address can be written as TOML");
        files::create_new(&self.0.join("unit.toml"), toml.as_bytes(), Meta::mode(FileMode::PUBLIC))?;
        let pairs = base.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let base = envfile::render("The member's base environment.", pairs)
            .map_err(|error| DirError::Wrong { path: self.base_file(), what: error.to_string() })?;
        files::create_new(&self.base_file(), base.as_bytes(), Meta::mode(FileMode::PUBLIC))?;
        Ok(())
    }

    /// What is run, and where.
    ///
    /// # Errors
    /// [`DirError`]
    pub fn unit(&self) -> Result<Unit, DirError> {
        let path = self.0.join("unit.toml");
        let text = self.text(&path)?.ok_or_else(|| DirError::Missing { path: path.clone() })?;
        let wrong = |what: String| DirError::Wrong { path: path.clone(), what };
        let unit: Unit = toml::from_str(&text).map_err(|error| wrong(error.message().to_owned()))?;
        match unit.exec.first() {
            Some(program) if program.starts_with('/') => Ok(unit),
            _ => Err(wrong("exec does not begin with an absolute path".to_owned())),
        }
    }

    /// What the next start runs with; `with_ours` tells whether our own layers count.
    ///
    /// # Errors
    /// [`DirError`]
    pub fn launch(&self, with_ours: bool) -> Result<Launch, DirError> {
        let home = self.0.display().to_string();
        let mut env = BTreeMap::from([("PATH".to_owned(), PATH.to_owned()), ("HOME".to_owned(), home)]);
        for path in self.environment_files()? {
            let Some(text) = self.text(&path)? else { continue };
            let is_ours = text.strip_prefix("# ").is_some_and(|rest| rest.starts_with(WRITTEN_BY));
            if with_ours || !is_ours {
                env.extend(envfile::variables(&text));
            }
        }
        Ok(Launch { argv: self.unit()?.exec, env })
    }

    fn environment_files(&self) -> Result<Vec<PathBuf>, DirError> {
        let mut all = vec![self.base_file()];
        let mut layers: Vec<_> = files::list(&self.layer_dir())?;
        layers.retain(|name| name.ends_with(".env") && !name.starts_with('.'));
        all.extend(layers.into_iter().map(|name| self.layer_dir().join(name)));
        Ok(all)
    }

    fn text(&self, path: &Path) -> Result<Option<String>, DirError> {
        let Some(image) = files::read(path)? else { return Ok(None) };
        let text = String::from_utf8(image.bytes)
            .map_err(|_| DirError::Wrong { path: path.to_owned(), what: "not UTF-8".to_owned() })?;
        Ok(Some(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_later_file_wins_and_the_base_is_what_others_wrote() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = ProcessDir::new(temporary.path().join("server1"));
        let unit = Unit { exec: vec!["/usr/bin/etcd".to_owned()], address: "127.0.1.1".parse().unwrap() };
        dir.create(&unit, &env(&[("ETCD_NAME", "server1"), ("A", "base $x \"y\" \\")])).unwrap();
        assert!(dir.create(&unit, &env(&[])).is_err(), "nothing is overwritten");
        let put = |name: &str, text: &str| {
            files::create_new(&dir.layer_file(name), text.as_bytes(), Meta::mode(FileMode::PUBLIC)).unwrap();
        };
        put("40-tls", &format!("# {WRITTEN_BY}.\nA=forty\n"));
        put("30-user", "A='thirty'\nB=user\n");
        let next = dir.launch(true).unwrap();
        assert_eq!(next.argv, ["/usr/bin/etcd"]);
        assert_eq!((next.env["A"].as_str(), next.env["B"].as_str()), ("forty", "user"));
        let base = dir.launch(false).unwrap();
        assert_eq!((base.env["A"].as_str(), base.env["ETCD_NAME"].as_str()), ("thirty", "server1"));
        files::remove(&dir.layer_file("30-user")).unwrap();
        assert_eq!(
            dir.launch(false).unwrap().env["A"],
            "base $x \"y\" \\",
            "quoting is undone as it was done"
        );
    }

    #[test]
    fn a_directory_of_something_else_is_said() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = ProcessDir::new(temporary.path());
        assert!(matches!(dir.launch(true), Err(DirError::Missing { .. })));
    }
}
