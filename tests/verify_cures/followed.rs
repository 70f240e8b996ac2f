//! Following a cure ends the finding: `verify`, its cure pasted into a shell, `verify` again.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use etcd_pki::host::command::command;
use etcd_pki::verify::Code;
use serde_json::Value;

use super::command_lines::{filled, in_prose};
use crate::needs_root;
use crate::verify_support::fixtures;
use crate::verify_support::triggers::TRIGGERS;

const TOOL: &str = env!("CARGO_BIN_EXE_etcd-pki");

/// A PKI directory whose path a shell would part, with a fixture's CA and its pair under a name of their own.
struct Pki {
    top: tempfile::TempDir,
    dir: &'static str,
    name: &'static str,
}

impl Pki {
    fn of(fixture: &'static str) -> Option<Self> {
        // No certificate has the name of a key.
        let name = if fixture == "ca-key" { "member" } else { fixture };
        let pki = Self { top: tempfile::tempdir().unwrap(), dir: "p k'i", name };
        let from = fixtures().join(fixture);
        let (cert, key) = authority_of(&from.join("ca.pem"))?;
        let import = pki
            .tool(pki.dir)
            .args(["import-ca", "--cert"])
            .arg(&cert)
            .arg("--key")
            .arg(&key)
            .output()
            .unwrap();
        let to = pki.top.path().join(pki.dir);
        if !import.status.success() {
            // A CA that is refused today, and was adopted when it was not.
            std::fs::create_dir_all(&to).unwrap();
            std::fs::set_permissions(&to, PermissionsExt::from_mode(0o700)).unwrap();
            std::fs::copy(&cert, to.join("ca.pem")).unwrap();
            std::fs::copy(&key, to.join("ca-key.pem")).unwrap();
        }
        std::fs::copy(from.join("cert.pem"), to.join(format!("{name}.pem"))).unwrap();
        if fixture != "rsa8208" {
            std::fs::copy(from.join("key.pem"), to.join(format!("{name}-key.pem"))).unwrap();
        }
        if from.join("crl.pem").exists() {
            std::fs::copy(from.join("crl.pem"), to.join("crl.pem")).unwrap();
        }
        Some(pki)
    }

    fn tool(&self, dir: &str) -> std::process::Command {
        let mut tool = command(TOOL);
        tool.current_dir(self.top.path()).args(["--pki-dir", dir]);
        tool
    }

    /// The findings on the pair, verified against the CA of a directory.
    fn findings(&self, dir: &str, options: &[&str]) -> Vec<Value> {
        let output = self.tool(dir).args(["verify", "--json", self.name]).args(options).output().unwrap();
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let results = document["results"].as_array().unwrap_or_else(|| panic!("{}: {document}", self.name));
        results.iter().flat_map(|result| result["findings"].as_array().unwrap().clone()).collect()
    }

    /// Pastes a line into a shell.
    fn paste(&self, line: &str) {
        let path = Path::new(TOOL).parent().unwrap().display().to_string();
        let output = command("bash")
            .env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap()))
            .current_dir(self.top.path())
            .args(["-e", "-c", line])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}: {line}\n{}",
            self.name,
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// A root of the fixtures and its key.
fn authority_of(ca: &Path) -> Option<(PathBuf, PathBuf)> {
    let wanted = std::fs::read(ca).unwrap();
    let entries =
        std::fs::read_dir(fixtures().join("authorities")).unwrap().map(|entry| entry.unwrap().path());
    let mut certificates = entries.filter(|path| path.extension().is_some_and(|ending| ending == "pem"));
    let cert = certificates.find(|path| std::fs::read(path).unwrap() == wanted)?;
    let key = cert.with_extension("key");
    Some((cert, key))
}

#[test]
fn following_a_cure_ends_the_finding() {
    let (mut followed, mut with_command, mut in_words) = (0, BTreeSet::new(), BTreeSet::new());
    for &(name, options, code, _) in TRIGGERS {
        if needs_root(name) {
            continue;
        }
        let Some(pki) = Pki::of(name) else {
            in_words.insert(code);
            continue;
        };
        let is_it = |finding: &&Value| finding["code"] == code.to_string();
        let found = pki.findings(pki.dir, options);
        let Some(finding) = found.iter().find(is_it) else {
            // A PKI directory is where a CA's key belongs, and a copy has one owner.
            let is_no_fault = matches!(code, Code::CaKeyOnNode | Code::KeyOwner);
            assert!(is_no_fault, "{name} {options:?}: {found:?}");
            continue;
        };
        let fix = finding["fix"].as_str().unwrap();
        let line = in_prose(fix).into_iter().next().or(Some(fix).filter(|fix| fix.starts_with("chmod ")));
        let Some(line) = line else {
            in_words.insert(code);
            continue;
        };
        pki.paste(&filled(line));
        let is_new = line.contains("i-new'");
        let dir = if is_new { "p k'i-new" } else { pki.dir };
        let left = pki.findings(dir, options);
        assert!(!left.iter().any(|finding| is_it(&finding)), "{name} {options:?}: {line}\n{left:?}");
        followed += 1;
        with_command.insert(code);
    }
    in_words.retain(|code| !with_command.contains(code));
    println!("cures followed: {followed}, of {} pitfalls; in words only: {in_words:?}", with_command.len());
    assert!(with_command.len() >= 35, "{with_command:?}");
}
