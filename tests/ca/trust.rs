//! A PKI directory that somebody else could write to, or whose CA was exchanged, is not used.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use crate::common::skipped;
use crate::support::{Bench, text};

const NOBODY: u32 = 65_534;

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Commands that use the directory's CA, each in its own way.
const USES: [&[&str]; 9] = [
    &["issue", "server2"],
    &["renew", "--all"],
    &["crl"],
    &["revoke", "server1"],
    &["list"],
    &["export", "server1", "--format", "pem-bundle"],
    &["install", "server1", "--to", "ssl", "--owner", "0:0"],
    &["verify"],
    &["list", "--rebuild"],
];

fn bench() -> Bench {
    let bench = Bench::new();
    bench.run(&["issue", "server1"]).ok();
    bench
}

#[test]
fn a_directory_that_others_may_write_to_is_refused_by_every_command() {
    let bench = bench();
    set_mode(&bench.pki(), 0o777);
    let before = bench.snapshot();
    for args in USES {
        let ran = bench.run(args).refused(1, "may be written to by other users (mode 0777)");
        assert!(ran.err.contains(&format!("chmod go-w {}", text(&bench.pki()))), "{ran:?}");
    }
    assert_eq!(bench.snapshot(), before);
    // What the hint says ends it; and a shared directory can be asked for.
    bench.run(&["--allow-shared-dir", "issue", "server2"]).ok();
    set_mode(&bench.pki(), 0o755);
    bench.run(&["issue", "server3"]).ok();
}

#[test]
fn so_is_one_whose_files_or_parents_they_may_write_to() {
    let bench = bench();
    for file in ["ca.pem", "ca-key.pem", "ledger.jsonl", "."] {
        let path = bench.file(file);
        let mode = path.metadata().unwrap().permissions().mode() & 0o7777;
        set_mode(&path, mode | 0o020);
        bench.run(&["issue", "server2"]).refused(1, "may be written to by other users");
        set_mode(&path, mode);
    }
    let templates = bench.file("templates");
    std::fs::create_dir(&templates).unwrap();
    set_mode(&templates, 0o777);
    bench.run(&["issue", "server2"]).refused(1, "templates");
    set_mode(&templates, 0o755);
    bench.run(&["issue", "server2"]).ok();

    let above = bench.root().join("above");
    std::fs::create_dir(&above).unwrap();
    let inner = above.join("pki");
    bench.run(&["--pki-dir", text(&inner), "init-ca"]).ok();
    set_mode(&above, 0o777);
    bench.run(&["--pki-dir", text(&inner), "issue", "server1"]).refused(1, text(&above));
    bench.run(&["--pki-dir", text(&above.join("other")), "init-ca"]).refused(1, text(&above));
    // As /tmp is: nobody else can rename what is in it.
    set_mode(&above, 0o1777);
    bench.run(&["--pki-dir", text(&inner), "issue", "server1"]).ok();
}

#[test]
fn so_is_what_another_user_owns() {
    if !rustix::process::geteuid().is_root() {
        return skipped("only root can give files to another user");
    }
    let bench = bench();
    for file in ["ca.pem", "ca-key.pem", "ledger.jsonl", "."] {
        let path = bench.file(file);
        chown(&path, Some(NOBODY), None).unwrap();
        bench.run(&["issue", "server2"]).refused(1, "belongs to user 65534");
        bench.run(&["--allow-shared-dir", "list"]).ok();
        // Under sudo it is the directory of the user who called sudo.
        let ran = bench.command(&["list"]).env("SUDO_UID", "65534").output().unwrap();
        assert!(ran.status.success(), "{file}: {ran:?}");
        chown(&path, Some(0), None).unwrap();
    }
    bench.run(&["issue", "server2"]).ok();
}

#[test]
fn another_ca_in_the_place_of_the_directorys_own_is_an_error_that_names_both() {
    let (bench, other) = (bench(), Bench::new());
    let fingerprint = |bench: &Bench| bench.ledger()[0]["fingerprint"].as_str().unwrap().to_owned();
    let (own, strange) = (fingerprint(&bench), fingerprint(&other));
    let kept = ["ca.pem", "ca-key.pem"].map(|file| std::fs::read(bench.file(file)).unwrap());
    for file in ["ca.pem", "ca-key.pem"] {
        std::fs::copy(other.file(file), bench.file(file)).unwrap();
    }
    for args in USES {
        let ran = bench.run(args).refused(1, "is not the CA of this directory");
        assert!(ran.err.contains(&own) && ran.err.contains(&strange), "{ran:?}");
    }
    assert_eq!(bench.run(&["issue", "a", "--json"]).json()["error"]["code"], "other-ca");
    for (file, bytes) in ["ca.pem", "ca-key.pem"].iter().zip(kept) {
        std::fs::write(bench.file(file), bytes).unwrap();
    }
    bench.run(&["issue", "server2"]).ok();
}
