//! A PKI directory to work in, the binary, and other people's tools.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory with a `pki` in it, removed at the end.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Ended with exit code 0.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Ended with `code` and an error that says `words` (with a hint).
    pub(crate) fn refused(self, code: i32, words: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.contains(words), "{words:?} is not in {self:?}");
        assert!(self.err.contains("hint: "), "{self:?}");
        let lines = self.err.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(lines, 1, "one clear line: {self:?}");
        self
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Bench {
    /// Without a CA.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// With a CA.
    pub(crate) fn new() -> Self {
        let bench = Self::empty();
        bench.run(&["init-ca"]).ok();
        bench
    }

    /// Another one with copies of all its files.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::empty();
        let copied =
            Command::new("cp").arg("-a").arg(self.root().join(".")).arg(copy.root()).status().unwrap();
        assert!(copied.success());
        copy
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.dir.path().join("pki")
    }

    /// A file of the PKI directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.pki().join(name)
    }

    /// The binary, ready to run.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_etcd-pki"));
        self.prepare(&mut command).args(args);
        command
    }

    /// The environment of the binary, for a command that runs it.
    pub(crate) fn prepare<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("NO_COLOR", "1");
        command.env("ETCDPKI_DIR", self.pki()).current_dir(self.root()).stdin(std::process::Stdio::null())
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.command(args).output().unwrap().into()
    }

    /// The ledger's lines.
    pub(crate) fn ledger(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.file("ledger.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Every file below the PKI directory with its content, to see that nothing changed.
    pub(crate) fn snapshot(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut dirs = vec![self.pki()];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(&dir).into_iter().flatten() {
                let path = entry.unwrap().path();
                // The lock says who holds it, and is no part of what is kept.
                if path.is_dir() {
                    dirs.push(path);
                } else if !path.ends_with("lock") {
                    files.push((path.clone(), std::fs::read(&path).unwrap()));
                }
            }
        }
        files.sort();
        files
    }
}

/// Runs a tool to its end.
pub(crate) fn tool(program: &str, args: &[&str]) -> Ran {
    Command::new(program).args(args).stdin(std::process::Stdio::null()).output().unwrap().into()
}

/// Runs openssl, which must succeed; returns what it printed.
pub(crate) fn openssl(args: &[&str]) -> String {
    tool("openssl", args).ok().out
}

/// The path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The permission bits of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().unwrap().permissions().mode() & 0o7777
}

/// Whether a certificate and a key belong together, as OpenSSL sees it.
pub(crate) fn belong_together(cert: &Path, key: &Path) -> bool {
    let public = openssl(&["x509", "-in", text(cert), "-noout", "-pubkey"]);
    public == openssl(&["pkey", "-in", text(key), "-pubout"])
}

/// Whether strace can trace here.
pub(crate) fn can_trace() -> bool {
    let tried = Command::new("strace").args(["-qq", "-o", "/dev/null", "/bin/true"]).output();
    tried.is_ok_and(|output| output.status.success())
}
