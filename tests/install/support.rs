//! A PKI directory with a CA of its own, a node to place into, and the tool.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

pub(crate) const TOOL: &str = env!("CARGO_BIN_EXE_etcd-pki");

/// A PKI directory with one CA, and beside it an empty node.
pub(crate) struct Scene {
    pub(crate) dir: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let scene = Self { dir: tempfile::tempdir().unwrap() };
        // Others must be able to walk here: some tests run the tool as nobody.
        chmod(scene.dir.path(), 0o755);
        std::fs::create_dir(scene.pki()).unwrap();
        let ca = authority(&scene.pki(), "etcd CA");
        issue(&scene.pki(), &ca, "server1");
        scene
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.dir.path().join("pki")
    }

    /// Where etcd will read.
    pub(crate) fn node(&self) -> PathBuf {
        self.dir.path().join("node/ssl")
    }

    pub(crate) fn install(&self, name: &str, options: &[&str]) -> Output {
        let mut command = Command::new(TOOL);
        command.arg("--pki-dir").arg(self.pki()).args(["install", name]).args(options);
        if !options.contains(&"--to") {
            command.arg("--to").arg(self.node());
        }
        if !options.contains(&"--owner") {
            command.args(["--owner", &me()]);
        }
        command.output().unwrap()
    }

    /// The files on the node, each with its mode.
    pub(crate) fn placed(&self) -> Vec<(String, u32)> {
        let mut files: Vec<_> = std::fs::read_dir(self.node())
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().mode() & 0o7777)
            })
            .collect();
        files.sort();
        files
    }
}

pub(crate) fn me() -> String {
    format!("{}:{}", rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

pub(crate) fn i_am_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn authority(dir: &Path, name: &str) -> Issuer<'static, KeyPair> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let cert = params.self_signed(&key).unwrap();
    std::fs::write(dir.join("ca.pem"), cert.pem()).unwrap();
    std::fs::write(dir.join("ca-key.pem"), key.serialize_pem()).unwrap();
    Issuer::new(params, key)
}

pub(crate) fn issue(dir: &Path, ca: &Issuer<'_, KeyPair>, name: &str) {
    issue_until(dir, ca, name, rcgen::date_time_ymd(2199, 1, 1));
}

pub(crate) fn issue_until(dir: &Path, ca: &Issuer<'_, KeyPair>, name: &str, end: time::OffsetDateTime) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.not_after = end;
    let cert = params.signed_by(&key, ca).unwrap();
    std::fs::write(dir.join(format!("{name}.pem")), cert.pem()).unwrap();
    std::fs::write(dir.join(format!("{name}-key.pem")), key.serialize_pem()).unwrap();
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// One `error:` line, one `hint:` line, the exit code, and nothing on the node.
#[track_caller]
pub(crate) fn refused(scene: &Scene, output: &Output, code: i32, words: &str) {
    let talk = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{talk}");
    let lines: Vec<_> = talk.lines().collect();
    assert!(lines[0].starts_with("error: ") && lines[0].contains(words), "{talk}");
    assert!(lines[1].starts_with("hint: ") && lines.len() == 2, "{talk}");
    assert!(stdout(output).is_empty());
    assert!(!scene.node().exists(), "something was placed");
}
