//! What is refused before anything is placed.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair};

use super::support::{Scene, authority, issue, issue_until, refused};

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
