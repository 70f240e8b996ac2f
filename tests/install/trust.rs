//! `install --trust-store` into file trees as four kinds of systems have them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::support::TOOL;

fn tool(dir: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(TOOL);
    command.current_dir(dir).args(words).output().unwrap()
}

/// A tree that has only what tells the kinds of systems apart.
fn system(dir: &Path, dirs: &[&str], files: &[(&str, &str)]) {
    dirs.iter().for_each(|path| std::fs::create_dir_all(dir.join(path)).unwrap());
    for (path, text) in files {
        std::fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
        std::fs::write(dir.join(path), text).unwrap();
    }
}

/// A kind of system: what it is known by, and what is expected of it.
struct Kind {
    name: &'static str,
    dirs: &'static [&'static str],
    files: &'static [(&'static str, &'static str)],
    place: &'static str,
    ending: &'static str,
    program: &'static str,
}

/// The one file in a directory.
fn only(dir: &Path) -> PathBuf {
    let found: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

#[test]
fn the_ca_goes_where_the_system_keeps_additions_and_the_rest_is_told() {
    let dir = tempfile::tempdir().unwrap();
    assert!(tool(dir.path(), &["init-ca", "--name", "Prod etcd/CA"]).status.success());
    assert!(tool(dir.path(), &["issue", "server1", "--ip", "172.16.0.101"]).status.success());
    let kinds = [
        Kind {
            name: "debian",
            dirs: &[],
            files: &[("etc/ca-certificates.conf", "")],
            place: "usr/local/share/ca-certificates",
            ending: "crt",
            program: "update-ca-certificates",
        },
        Kind {
            name: "fedora",
            dirs: &["etc/pki/ca-trust/source/anchors"],
            files: &[],
            place: "etc/pki/ca-trust/source/anchors",
            ending: "pem",
            program: "update-ca-trust",
        },
        Kind {
            name: "flatcar",
            dirs: &[],
            files: &[("usr/lib/os-release", "NAME=Flatcar\nID=flatcar\n")],
            place: "etc/ssl/certs",
            ending: "pem",
            program: "update-ca-certificates",
        },
        Kind {
            name: "suse",
            dirs: &["etc/pki/trust/anchors"],
            files: &[],
            place: "etc/pki/trust/anchors",
            ending: "pem",
            program: "update-ca-certificates",
        },
    ];
    let install = |name: &str| {
        tool(dir.path(), &["install", "server1", "--owner", "0:0", "--root", name, "--trust-store"])
    };
    for Kind { name, dirs, files, place, ending, program } in kinds {
        let root = dir.path().join(name);
        std::fs::create_dir(&root).unwrap();
        system(&root, dirs, files);
        let output = install(name);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
        assert!(said.contains(program) && said.contains("must be run"), "{name}: {said}");
        let file = only(&root.join(place));
        let file_name = file.file_name().unwrap().to_str().unwrap();
        assert!(file_name.starts_with("prod-etcd-ca-") && file_name.ends_with(ending), "{file_name}");
        let (ours, theirs) =
            (std::fs::read(dir.path().join("pki/ca.pem")).unwrap(), std::fs::read(&file).unwrap());
        let der = |pem: &[u8]| {
            use rustls_pki_types::pem::PemObject;
            rustls_pki_types::CertificateDer::from_pem_slice(pem).unwrap().to_vec()
        };
        assert_eq!(der(&ours), der(&theirs));
        let again = install(name);
        assert!(String::from_utf8_lossy(&again.stdout).contains("nothing to do"));
    }
    std::fs::create_dir(dir.path().join("bare")).unwrap();
    let output = install("bare");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no system trust store of a known kind"));
    assert_eq!(std::fs::read_dir(dir.path().join("bare")).unwrap().count(), 0, "nothing was placed");
}
