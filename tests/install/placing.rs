//! What is placed, and what is left as it is.

use std::os::unix::fs::MetadataExt;

use super::support::{Scene, authority, chmod, issue, stderr, stdout};

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

/// Keys that Go takes and ring does not: they are compared with their certificates all the same.
#[test]
fn pairs_with_rare_kinds_of_key_are_placed_and_another_pairs_key_is_refused() {
    for kind in
        [["RSA", "rsa_keygen_bits:1024"], ["RSA", "rsa_keygen_bits:1536"], ["EC", "ec_paramgen_curve:P-521"]]
    {
        let scene = Scene::new();
        let made = |name: &str| {
            let file = |suffix: &str| scene.pki().join(format!("{name}{suffix}"));
            let (key, request, cert) = (file("-key.pem"), file(".csr"), file(".pem"));
            let [ca, ca_key] = ["ca.pem", "ca-key.pem"].map(|file| scene.pki().join(file));
            openssl(&[&["genpkey", "-algorithm", kind[0], "-pkeyopt", kind[1], "-out", text(&key)]]);
            openssl(&[
                &["req", "-new", "-subj", "/CN=server2", "-addext", "subjectAltName=IP:127.0.0.1"],
                &[
                    "-addext",
                    "extendedKeyUsage=serverAuth,clientAuth",
                    "-key",
                    text(&key),
                    "-out",
                    text(&request),
                ],
            ]);
            openssl(&[
                &["x509", "-req", "-copy_extensions", "copy", "-days", "30", "-in", text(&request)],
                &["-CA", text(&ca), "-CAkey", text(&ca_key), "-out", text(&cert)],
            ]);
        };
        made("server2");
        made("other");
        let output = scene.install("server2", &[]);
        assert_eq!(output.status.code(), Some(0), "{kind:?}: {}", stderr(&output));
        std::fs::copy(scene.pki().join("other-key.pem"), scene.pki().join("server2-key.pem")).unwrap();
        let output = scene.install("server2", &[]);
        assert_eq!(output.status.code(), Some(1), "{kind:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("is not the key of server2.pem"), "{kind:?}: {}", stderr(&output));
    }
}

fn openssl(args: &[&[&str]]) {
    let output = std::process::Command::new("openssl").args(args.concat()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}
