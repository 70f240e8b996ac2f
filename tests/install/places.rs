//! Where it is placed: symlinks, file trees, other users, file systems that are read-only or full.

use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use super::common::skipped;
use super::support::{Scene, TOOL, chmod, i_am_root, stderr, stdout};

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
