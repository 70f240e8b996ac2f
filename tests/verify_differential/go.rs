//! The other judge: Go itself, by `tests/verify_go`.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use etcd_pki::host::command::command;
use etcd_pki::verify::GoVersion;
use serde_json::Value;

pub(crate) struct Go {
    program: String,
    /// What `ETCDPKI_GODEBUG` has it judge by.
    settings: String,
    pub(crate) version: GoVersion,
}

impl Go {
    /// Each go that `ETCDPKI_GO` names, or that of PATH.
    ///
    /// # Panics
    /// Where `ETCDPKI_GO` names one that cannot be run.
    pub(crate) fn find() -> Vec<Self> {
        match std::env::var("ETCDPKI_GO") {
            Ok(all) => {
                all.split(':').map(|one| Self::of(one).unwrap_or_else(|| panic!("{one} is no go"))).collect()
            }
            Err(_) => Self::of("go").into_iter().collect(),
        }
    }

    fn of(program: &str) -> Option<Self> {
        let program = program.to_owned();
        let output = command(&program).arg("version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version: GoVersion = text.split_whitespace().nth(2)?.parse().ok()?;
        let settings = std::env::var("ETCDPKI_GODEBUG").unwrap_or_default();
        Some(Self { program, version: version.with_godebug(&settings), settings })
    }

    /// Builds `tests/verify_go`: its module says the same Go version, or newer rules would be switched off.
    fn build(&self) -> PathBuf {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("judge-{}", self.version));
        std::fs::create_dir_all(&dir).unwrap();
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/verify_go/main.go");
        std::fs::copy(source, dir.join("main.go")).unwrap();
        let minor = self.version.to_string().split('.').nth(1).unwrap().to_owned();
        std::fs::write(dir.join("go.mod"), format!("module judge\n\ngo 1.{minor}\n")).unwrap();
        let built = command(&self.program)
            .args(["build", "-o", "judge", "."])
            .current_dir(&dir)
            .env("GOCACHE", dir.join("cache"))
            .env("GOFLAGS", "-mod=mod")
            .env("GOTOOLCHAIN", "local")
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        dir.join("judge")
    }

    /// Its answer to each case.
    pub(crate) fn judge(&self, cases: &[Value]) -> Vec<Value> {
        let mut judge = command(self.build());
        judge.env("GODEBUG", &self.settings);
        let mut child = judge.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input: String = cases.iter().map(|case| format!("{case}\n")).collect();
        let mut stdin = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let answers: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(answers.len(), cases.len(), "Go answers every case");
        answers
    }
}
