//! A directory to work in, always at the same path, and the tool.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::calls::{Call, TRACED, parse};
use crate::image::Image;

const TOOL: &str = env!("CARGO_BIN_EXE_etcd-pki");

/// Where a scenario's commands run. The paths in it are the same in every run.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
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
    /// In memory where that is possible: nothing here depends on a disk, and thousands of runs sync.
    pub(crate) fn new() -> Self {
        let mut scratch = tempfile::Builder::new();
        let scratch = scratch.prefix("etcd-pki-crash-");
        let dir = scratch.tempdir_in(Path::new("/dev/shm")).or_else(|_| scratch.tempdir()).unwrap();
        std::fs::create_dir(dir.path().join("work")).unwrap();
        Self { dir }
    }

    /// The directory in which the commands run.
    pub(crate) fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub(crate) fn image(&self) -> Image {
        Image::of(&self.work())
    }

    /// Writes a file that the scenario starts from.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.work().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs the tool to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.prepared(TOOL).args(self.words(args)).output().unwrap().into()
    }

    /// Runs the tool, which must succeed: what a scenario starts from.
    pub(crate) fn done(&self, args: &[&str]) {
        let ran = self.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
    }

    /// Runs the tool with every call traced.
    pub(crate) fn traced(&self, args: &[&str]) -> (Ran, Vec<Call>) {
        let mut strace = self.prepared("strace");
        strace.args(["-f", "-y", "-xx", "-qq", "-s", "1000000", "-e"]).arg(format!("trace={TRACED}"));
        strace.arg("-o").arg(self.log()).arg(TOOL).args(self.words(args));
        let ran = Ran::from(strace.output().unwrap());
        (ran, parse(&std::fs::read_to_string(self.log()).unwrap()))
    }

    /// Runs the tool with a fault at one of its first thread's calls; returns whether the fault came to be.
    pub(crate) fn faulted(&self, args: &[&str], call: &Call, fault: &str) -> (Ran, bool) {
        let mut strace = self.prepared("strace");
        let inject = format!("inject={}:{fault}:when={}", call.name, call.nth);
        strace.args(["-qq", "-e", &format!("trace={}", call.name), "-e", &inject, "-o"]).arg(self.log());
        let ran = Ran::from(strace.arg(TOOL).args(self.words(args)).output().unwrap());
        let log = std::fs::read_to_string(self.log()).unwrap();
        (ran, log.contains("(INJECTED)") || log.contains("killed by SIGKILL"))
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn prepared(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("NO_COLOR", "1");
        command.env("ETCDPKI_DIR", self.work().join(crate::whole::PKI));
        command.current_dir(self.work()).stdin(Stdio::null());
        command
    }

    /// `{work}` and `{me}` in arguments are this directory and the owner of what this process makes.
    fn words(&self, args: &[&str]) -> Vec<String> {
        let me = format!("{}:{}", rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let work = self.work().display().to_string();
        args.iter().map(|arg| arg.replace("{work}", &work).replace("{me}", &me)).collect()
    }
}
