//! `install` on this machine: real files, as root and as nobody, killed at any moment.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test arranges its own files and runs the tool"
)]

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

mod support;

use support::skipped;

const TOOL: &str = env!("CARGO_BIN_EXE_etcd-pki");

/// A PKI directory with one CA, and beside it an empty node.
struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { dir: tempfile::tempdir().unwrap() };
        // Others must be able to walk here: some tests run the tool as nobody.
        chmod(scene.dir.path(), 0o755);
        std::fs::create_dir(scene.pki()).unwrap();
        let ca = authority(&scene.pki(), "etcd CA");
        issue(&scene.pki(), &ca, "server1");
        scene
    }

    fn pki(&self) -> PathBuf {
        self.dir.path().join("pki")
    }

    /// Where etcd will read.
    fn node(&self) -> PathBuf {
        self.dir.path().join("node/ssl")
    }

    fn install(&self, name: &str, options: &[&str]) -> Output {
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
    fn placed(&self) -> Vec<(String, u32)> {
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

fn me() -> String {
    format!("{}:{}", rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

fn i_am_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn authority(dir: &Path, name: &str) -> Issuer<'static, KeyPair> {
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

fn issue(dir: &Path, ca: &Issuer<'_, KeyPair>, name: &str) {
    issue_until(dir, ca, name, rcgen::date_time_ymd(2199, 1, 1));
}

fn issue_until(dir: &Path, ca: &Issuer<'_, KeyPair>, name: &str, end: time::OffsetDateTime) {
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

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// One `error:` line, one `hint:` line, the exit code, and nothing on the node.
#[track_caller]
fn refused(scene: &Scene, output: &Output, code: i32, words: &str) {
    let talk = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{talk}");
    let lines: Vec<_> = talk.lines().collect();
    assert!(lines[0].starts_with("error: ") && lines[0].contains(words), "{talk}");
    assert!(lines[1].starts_with("hint: ") && lines.len() == 2, "{talk}");
    assert!(stdout(output).is_empty());
    assert!(!scene.node().exists(), "something was placed");
}

#[test]
fn pair_and_ca_are_placed_and_a_second_run_changes_nothing() {
    let scene = Scene::new();
    let output = scene.install("server1", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let expected = [("ca.pem", 0o644), ("server1-key.pem", 0o600), ("server1.pem", 0o644)];
    assert_eq!(scene.placed(), expected.map(|(name, mode)| (name.to_owned(), mode)), "and never ca-key.pem");
    for name in ["ca.pem", "server1-key.pem", "server1.pem"] {
        let (there, here) = (std::fs::read(scene.node().join(name)), std::fs::read(scene.pki().join(name)));
        assert_eq!(there.unwrap(), here.unwrap(), "{name}");
    }
    assert_eq!(scene.node().metadata().unwrap().mode() & 0o7777, 0o755);

    let before = scene.node().join("server1.pem").metadata().unwrap();
    let output = scene.install("server1", &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).starts_with("nothing to do: "), "{}", stdout(&output));
    let after = scene.node().join("server1.pem").metadata().unwrap();
    assert_eq!((before.ino(), before.ctime_nsec()), (after.ino(), after.ctime_nsec()));
}

#[test]
fn a_dry_run_only_says() {
    let scene = Scene::new();
    let output = scene.install("server1", &["--dry-run"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("dry run: nothing was changed"), "{}", stdout(&output));
    assert!(!scene.dir.path().join("node").exists());
}

#[test]
fn json_tells_what_changed() {
    let scene = Scene::new();
    let json = |options: &[&str]| -> serde_json::Value {
        let options: Vec<_> = [&["--json"], options].concat();
        serde_json::from_slice(&scene.install("server1", &options).stdout).unwrap()
    };
    let dry = json(&["--dry-run"]);
    assert_eq!((&dry["changed"], &dry["dry_run"]), (&false.into(), &true.into()));
    assert_eq!(dry["changes"].as_array().unwrap().len(), 5, "{dry}");
    let first = json(&[]);
    assert_eq!(first["changed"], true);
    let key = scene.node().join("server1-key.pem").display().to_string();
    let change = first["changes"].as_array().unwrap().iter().find(|change| change["path"] == key.as_str());
    assert_eq!(change.unwrap()["action"], "create");
    assert_eq!(change.unwrap()["mode"], "0600");
    let second = json(&[]);
    assert_eq!((&second["changed"], second["kept"].as_array().unwrap().len()), (&false.into(), 3));
    let error = json(&["--root", "/no/such/tree"]);
    assert_eq!(error["error"]["code"], "unreadable-root");
    assert!(!first.to_string().contains("PRIVATE KEY"));
}

#[test]
fn wrong_modes_are_mended_and_the_content_kept() {
    let scene = Scene::new();
    scene.install("server1", &[]);
    let key = scene.node().join("server1-key.pem");
    chmod(&key, 0o644);
    let inode = key.metadata().unwrap().ino();
    let output = scene.install("server1", &[]);
    assert!(stdout(&output).contains("set mode"), "{}", stdout(&output));
    assert_eq!((key.metadata().unwrap().mode() & 0o7777, key.metadata().unwrap().ino()), (0o600, inode));
    // A directory that is there keeps its mode until it is told otherwise.
    chmod(&scene.node(), 0o711);
    assert!(stdout(&scene.install("server1", &[])).starts_with("nothing to do"));
    scene.install("server1", &["--dir-mode", "0750"]);
    assert_eq!(scene.node().metadata().unwrap().mode() & 0o7777, 0o750);
}

#[test]
fn a_renewed_pair_replaces_the_old_one() {
    let scene = Scene::new();
    let ca = authority(&scene.pki(), "etcd CA");
    issue(&scene.pki(), &ca, "server1");
    scene.install("server1", &[]);
    issue(&scene.pki(), &ca, "server1");
    let output = scene.install("server1", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let here = std::fs::read(scene.pki().join("server1-key.pem")).unwrap();
    assert_eq!(std::fs::read(scene.node().join("server1-key.pem")).unwrap(), here);
}

#[test]
fn what_others_have_there_is_not_replaced_unless_forced() {
    let scene = Scene::new();
    scene.install("server1", &[]);
    let before = std::fs::read(scene.node().join("server1.pem")).unwrap();
    // Another CA, made in the same place.
    let ca = authority(&scene.pki(), "etcd CA");
    issue(&scene.pki(), &ca, "server1");
    let output = scene.install("server1", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("was signed by another CA"), "{}", stderr(&output));
    assert_eq!(std::fs::read(scene.node().join("server1.pem")).unwrap(), before);
    // A new name beside it meets the other CA's ca.pem.
    issue(&scene.pki(), &ca, "client1");
    let output = scene.install("client1", &[]);
    assert!(stderr(&output).contains("is another CA's certificate"), "{}", stderr(&output));
    assert_eq!(scene.install("server1", &["--force"]).status.code(), Some(0));
    assert_ne!(std::fs::read(scene.node().join("server1.pem")).unwrap(), before);
    // The same CA, but a certificate of another name under this file name.
    issue(&scene.pki(), &ca, "server2");
    std::fs::copy(scene.pki().join("server2.pem"), scene.node().join("server1.pem")).unwrap();
    let output = scene.install("server1", &[]);
    assert!(stderr(&output).contains("is the certificate of another name"), "{}", stderr(&output));
}

#[test]
fn a_ca_file_grows_and_never_shrinks() {
    let scene = Scene::new();
    scene.install("server1", &[]);
    let ours = std::fs::read_to_string(scene.pki().join("ca.pem")).unwrap();
    let other = tempfile::tempdir().unwrap();
    authority(other.path(), "next CA");
    let next = std::fs::read_to_string(other.path().join("ca.pem")).unwrap();
    let both = format!("{next}{ours}");
    // The node trusts more than we would place.
    std::fs::write(scene.node().join("ca.pem"), &both).unwrap();
    let output = scene.install("server1", &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("holds other CAs beside this one"), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(scene.node().join("ca.pem")).unwrap(), both);
    // We would place more than the node trusts.
    std::fs::write(scene.node().join("ca.pem"), &ours).unwrap();
    std::fs::write(scene.pki().join("ca.pem"), &both).unwrap();
    assert_eq!(scene.install("server1", &[]).status.code(), Some(0));
    assert_eq!(std::fs::read_to_string(scene.node().join("ca.pem")).unwrap(), both);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let scene = Scene::new();
    let ca = authority(&scene.pki(), "etcd CA");
    issue(&scene.pki(), &ca, "server1");
    issue(&scene.pki(), &ca, "server2");
    let path = |name: &str| scene.pki().join(name);
    let copy = |from: &str, to: &str| std::fs::copy(path(from), path(to)).map(drop).unwrap();

    copy("server2-key.pem", "server1-key.pem");
    refused(&scene, &scene.install("server1", &[]), 1, "server1-key.pem is not the key of server1.pem");

    std::fs::write(path("server1-key.pem"), "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n").unwrap();
    refused(&scene, &scene.install("server1", &[]), 1, "server1-key.pem is encrypted");

    for junk in ["", "no PEM at all", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        std::fs::write(path("server1-key.pem"), junk).unwrap();
        refused(&scene, &scene.install("server1", &[]), 1, "server1-key.pem holds");
    }
    copy("server2.pem", "server1.pem");
    let mut combined = std::fs::read(path("server2.pem")).unwrap();
    combined.extend(std::fs::read(path("server2-key.pem")).unwrap());
    std::fs::write(path("server1.pem"), combined).unwrap();
    refused(&scene, &scene.install("server1", &[]), 1, "server1.pem holds a private key");

    issue_until(&scene.pki(), &ca, "old", rcgen::date_time_ymd(2001, 1, 1));
    refused(&scene, &scene.install("old", &[]), 1, "old.pem has expired");

    // A CA of the same name and another key.
    let elsewhere = tempfile::tempdir().unwrap();
    issue(elsewhere.path(), &authority(elsewhere.path(), "etcd CA"), "server1");
    for file in ["server1.pem", "server1-key.pem"] {
        std::fs::copy(elsewhere.path().join(file), path(file)).unwrap();
    }
    refused(&scene, &scene.install("server1", &[]), 1, "server1.pem was not signed by the CA in ca.pem");
}

#[test]
fn what_etcd_would_refuse_is_refused_before_it_is_placed() {
    let scene = Scene::new();
    let ca = authority(&scene.pki(), "etcd CA");
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection];
    let cert = params.signed_by(&key, &ca).unwrap();
    std::fs::write(scene.pki().join("server1.pem"), cert.pem()).unwrap();
    std::fs::write(scene.pki().join("server1-key.pem"), key.serialize_pem()).unwrap();
    refused(&scene, &scene.install("server1", &[]), 1, "etcd would refuse server1.pem as server: EP");
}

#[test]
fn the_ca_s_own_pair_is_never_placed() {
    let scene = Scene::new();
    refused(&scene, &scene.install("ca", &[]), 1, "is never placed on a node");
    for (from, to) in [("ca.pem", "root.pem"), ("ca-key.pem", "root-key.pem")] {
        std::fs::copy(scene.pki().join(from), scene.pki().join(to)).unwrap();
    }
    refused(&scene, &scene.install("root", &[]), 1, "is never placed on a node");
}

#[test]
fn bad_words_are_wrong_usage() {
    let scene = Scene::new();
    for name in ["../server1", "a/b", "..", ".hidden", ""] {
        refused(&scene, &scene.install(name, &[]), 2, "is not a usable name");
    }
    refused(&scene, &scene.install("server9", &[]), 2, "there is no ");
    refused(&scene, &scene.install("server1", &["--owner", "no-such-user"]), 2, "no-such-user");
    refused(&scene, &scene.install("server1", &["--to", "relative"]), 1, "is not an absolute path");
    let file = scene.dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    for to in [file.clone(), file.join("below")] {
        let output = scene.install("server1", &["--to", to.to_str().unwrap()]);
        refused(&scene, &output, 1, "ot a directory");
    }
    for mode in ["0644", "9", "rwx", "+755", "10000"] {
        assert_eq!(scene.install("server1", &["--dir-mode", mode]).status.code(), Some(2), "{mode}");
    }
}

#[test]
fn symlinks_are_not_followed() {
    let scene = Scene::new();
    let elsewhere = scene.dir.path().join("elsewhere");
    std::fs::create_dir_all(&elsewhere).unwrap();
    std::fs::create_dir_all(scene.node().parent().unwrap()).unwrap();
    symlink(&elsewhere, scene.node()).unwrap();
    let output = scene.install("server1", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("is a symlink"), "{}", stderr(&output));
    std::fs::remove_file(scene.node()).unwrap();

    std::fs::create_dir(scene.node()).unwrap();
    let victim = scene.dir.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    for name in ["ca.pem", "server1.pem", "server1-key.pem"] {
        let link = scene.node().join(name);
        symlink(&victim, &link).unwrap();
        let output = scene.install("server1", &["--force"]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(stderr(&output).contains("a symlink, not a regular file"), "{}", stderr(&output));
        std::fs::remove_file(&link).unwrap();
    }
    assert_eq!(std::fs::read_to_string(victim).unwrap(), "precious");
    assert_eq!(std::fs::read_dir(elsewhere).unwrap().count(), 0);
}

#[test]
fn a_tree_has_its_own_users_and_its_links_stay_inside() {
    if !i_am_root() {
        return skipped("only root gives files away");
    }
    let scene = Scene::new();
    let tree = scene.dir.path().join("tree");
    std::fs::create_dir_all(tree.join("etc")).unwrap();
    std::fs::create_dir_all(tree.join("data")).unwrap();
    std::fs::write(tree.join("etc/passwd"), "root:x:0:0::/:/bin/sh\netcd:x:2379:2380::/:/bin/false\n")
        .unwrap();
    std::fs::write(tree.join("etc/group"), "etcd:x:2380:\n").unwrap();
    symlink("/data", tree.join("etc/ssl")).unwrap();
    let root = tree.display().to_string();
    let output =
        scene.install("server1", &["--root", &root, "--to", "/etc/ssl/etcd", "--owner", "etcd:etcd"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let key = tree.join("data/etcd/server1-key.pem").metadata().unwrap();
    assert_eq!((key.uid(), key.gid(), key.mode() & 0o7777), (2379, 2380, 0o600));
    // A link out of the tree leads nowhere.
    std::fs::remove_file(tree.join("etc/ssl")).unwrap();
    let outside = scene.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    symlink(&outside, tree.join("etc/ssl")).unwrap();
    let output = scene.install("server1", &["--root", &root, "--to", "/etc/ssl/etcd", "--owner", "etcd"]);
    assert_ne!(output.status.code(), Some(0));
    assert_eq!(std::fs::read_dir(outside).unwrap().count(), 0);
}

#[test]
fn nobody_is_told_what_is_missing() {
    if !i_am_root() {
        return skipped("only root becomes nobody");
    }
    let scene = Scene::new();
    for file in std::fs::read_dir(scene.pki()).unwrap() {
        chmod(&file.unwrap().path(), 0o644);
    }
    let closed = scene.dir.path().join("closed");
    let open = scene.dir.path().join("open");
    std::fs::create_dir(&closed).unwrap();
    std::fs::create_dir(&open).unwrap();
    chmod(&open, 0o777);
    // The build directory may be closed to nobody: the tool is copied to where it can be run.
    let tool = scene.dir.path().join("etcd-pki");
    std::fs::copy(TOOL, &tool).unwrap();
    let as_nobody = |to: &Path, owner: &str| {
        Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(&tool)
            .arg("--pki-dir")
            .arg(scene.pki())
            .args(["install", "server1", "--owner", owner, "--to"])
            .arg(to)
            .output()
            .unwrap()
    };
    let output = as_nobody(&closed.join("ssl"), "65534:65534");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("ermission denied"), "{}", stderr(&output));
    assert!(stderr(&output).contains("hint: run as root"), "{}", stderr(&output));
    assert_eq!(std::fs::read_dir(&closed).unwrap().count(), 0);

    // Giving files to another user needs root; what was staged is gone again.
    let there = open.join("there");
    std::fs::create_dir(&there).unwrap();
    chmod(&there, 0o777);
    let output = as_nobody(&there, "root");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("hint: run as root"), "{}", stderr(&output));
    assert_eq!(std::fs::read_dir(&there).unwrap().count(), 0);

    let output = as_nobody(&open.join("ssl"), "65534:65534");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let key = open.join("ssl/server1-key.pem").metadata().unwrap();
    assert_eq!((key.uid(), key.mode() & 0o7777), (65534, 0o600));
}

#[test]
fn a_read_only_or_full_file_system_is_named() {
    if !i_am_root() {
        return skipped("only root mounts file systems");
    }
    let scene = Scene::new();
    let mount = scene.dir.path().join("mount");
    std::fs::create_dir(&mount).unwrap();
    let run = |script: &str| {
        // A mount namespace of its own: nothing is left mounted, whatever happens.
        Command::new("unshare")
            .args(["--mount", "sh", "-ec", script, "sh"])
            .arg(&mount)
            .arg(TOOL)
            .arg(scene.pki())
            .output()
            .unwrap()
    };
    let install = "\"$2\" --pki-dir \"$3\" install server1 --owner 0:0 --to \"$1\"";
    let output = run(&format!("mount -t tmpfs -o ro none \"$1\"; {install}/ssl"));
    if stderr(&output).contains("unshare") || stderr(&output).contains("mount:") {
        return skipped("this machine lets nobody mount");
    }
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("read-only file system: choose another"), "{}", stderr(&output));

    // Room for the CA, not for all: the old pair stays whole, and no temporary file is left.
    let script = format!(
        "mount -t tmpfs -o size=32k none \"$1\"; head -c 24576 /dev/zero > \"$1/filler\"; \
         code=0; {install} || code=$?; ls -A \"$1\"; exit $code"
    );
    let output = run(&script);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("hint: nothing was replaced: make room"), "{}", stderr(&output));
    assert_eq!(stdout(&output), "filler\n");
}

#[test]
fn killed_at_any_moment_the_node_is_whole_and_the_next_run_finishes() {
    let traced = Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success());
    if !traced {
        return skipped("strace is not installed");
    }
    let scene = Scene::new();
    let ca = authority(&scene.pki(), "etcd CA");
    issue(&scene.pki(), &ca, "server1");
    scene.install("server1", &[]);
    let mut kills = 0;
    for call in ["openat", "fchmod", "fchown", "write", "fsync", "renameat2"] {
        for nth in 1..=40 {
            issue(&scene.pki(), &ca, "server1");
            let node = scene.node();
            let before = std::fs::read(node.join("server1.pem")).unwrap();
            let status = Command::new("strace")
                .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")])
                .args(["-e", &format!("inject={call}:signal=KILL:when={nth}"), "--", TOOL, "--pki-dir"])
                .arg(scene.pki())
                .args(["install", "server1", "--owner", &me(), "--to"])
                .arg(&node)
                .output()
                .unwrap()
                .status;
            if status.success() {
                break;
            }
            kills += 1;
            // Whole files, old or new, and no key that others can read, under whatever name.
            let here = std::fs::read(scene.pki().join("server1.pem")).unwrap();
            let there = std::fs::read(node.join("server1.pem")).unwrap();
            assert!(there == before || there == here, "{call} {nth}");
            for entry in std::fs::read_dir(&node).unwrap() {
                let path = entry.unwrap().path();
                let holds_key =
                    String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains("PRIVATE KEY");
                let mode = path.metadata().unwrap().mode() & 0o7777;
                assert!(!holds_key || mode == 0o600, "{call} {nth}: {} {mode:o}", path.display());
            }
            let again = scene.install("server1", &[]);
            assert_eq!(again.status.code(), Some(0), "{call} {nth}: {}", stderr(&again));
            assert_eq!(scene.placed().len(), 3, "{call} {nth}: {:?}", scene.placed());
            assert!(stdout(&scene.install("server1", &[])).starts_with("nothing to do"), "{call} {nth}");
        }
    }
    assert!(kills >= 20, "only {kills} kills: strace did not do its work");
}

#[test]
fn many_at_once_leave_one_whole_pair() {
    let scene = Scene::new();
    let ca = authority(&scene.pki(), "etcd CA");
    issue(&scene.pki(), &ca, "server1");
    scene.install("server1", &[]);
    issue(&scene.pki(), &ca, "server1");
    let ends: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..16).map(|_| scope.spawn(|| scene.install("server1", &[]))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for end in ends {
        assert_eq!(end.status.code(), Some(0), "{}", stderr(&end));
    }
    assert_eq!(scene.placed().len(), 3, "{:?}", scene.placed());
    for name in ["server1-key.pem", "server1.pem"] {
        let (there, here) = (std::fs::read(scene.node().join(name)), std::fs::read(scene.pki().join(name)));
        assert_eq!(there.unwrap(), here.unwrap(), "{name}");
    }
}
