//! What is remembered comes back, and what others changed is left.

use super::*;
use crate::host::process::{ProcessDir, ProcessHost, Unit};

/// A host whose state directory is its own.
fn host(dir: &Path) -> ProcessHost {
    let unit = Unit { exec: vec!["/usr/bin/etcd".into()], address: "127.0.1.1".parse().unwrap() };
    ProcessDir::new(dir.join("server1")).create(&unit, &std::collections::BTreeMap::new()).unwrap();
    ProcessHost::open("server1", dir.join("server1")).unwrap()
}

fn place(
    traces: &mut Traces<'_>,
    path: &Path,
    bytes: &[u8],
    meta: Meta,
    purpose: Purpose,
) -> Result<(), MigrateError> {
    traces.place_all(&[Placement { path, bytes, meta }], purpose)
}

#[test]
fn what_was_there_comes_back_byte_for_byte_and_what_was_not_goes() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(dir.path());
    let (old, new) = (dir.path().join("etcd.conf"), dir.path().join("ssl/etcd/ca.pem"));
    files::create_new(&old, b"ETCD_NAME=a\n", Meta::mode(FileMode::new(0o640))).unwrap();

    let mut traces = Traces::load(&host).unwrap();
    place(&mut traces, &old, b"ETCD_NAME=b\n", Meta::mode(FileMode::PUBLIC), Purpose::Setting).unwrap();
    traces.make_dir(new.parent().unwrap(), Meta::mode(FileMode::DIR), Purpose::Setting).unwrap();
    place(&mut traces, &new, b"a certificate", Meta::mode(FileMode::PUBLIC), Purpose::Setting).unwrap();

    // Another run, perhaps on another laptop.
    let mut traces = Traces::load(&host).unwrap();
    assert!(!traces.is_empty());
    traces.put_all_back().unwrap();
    let image = files::read(&old).unwrap().unwrap();
    assert_eq!((image.bytes.as_slice(), image.mode), (&b"ETCD_NAME=a\n"[..], FileMode::new(0o640)));
    assert!(!dir.path().join("ssl").exists());
    assert!(Traces::load(&host).unwrap().is_empty());
}

#[test]
fn a_file_that_somebody_changed_since_is_shown_and_left() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(dir.path());
    let path = dir.path().join("30-certs.env");
    let mut traces = Traces::load(&host).unwrap();
    place(&mut traces, &path, b"ours", Meta::mode(FileMode::PUBLIC), Purpose::Setting).unwrap();
    files::replace(&path, b"theirs", Meta::mode(FileMode::PUBLIC)).unwrap();
    for refused in [
        place(&mut traces, &path, b"ours again", Meta::mode(FileMode::PUBLIC), Purpose::Setting),
        traces.put_back(std::slice::from_ref(&path)),
        traces.put_all_back(),
    ] {
        assert!(matches!(refused, Err(MigrateError::Changed { .. })), "{refused:?}");
    }
    assert_eq!(files::read(&path).unwrap().unwrap().bytes, b"theirs");
}

#[test]
fn what_a_killed_run_was_writing_goes() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(dir.path());
    let key = dir.path().join("server1-key.pem");
    let leave = |name: &str| {
        files::create_new(&dir.path().join(name), b"half a key", Meta::mode(FileMode::SECRET)).unwrap();
    };
    let mut traces = Traces::load(&host).unwrap();
    for undo in [false, true] {
        leave(".server1-key.pem.4711-0.tmp");
        match undo {
            false => place(&mut traces, &key, b"a key", Meta::mode(FileMode::SECRET), Purpose::Certificate)
                .unwrap(),
            true => traces.put_all_back().unwrap(),
        }
        assert!(!dir.path().join(".server1-key.pem.4711-0.tmp").exists());
    }
    assert_eq!(files::list(dir.path()).unwrap(), ["server1"], "nothing else is left");
}

#[test]
fn runs_killed_between_the_record_and_the_file_leave_what_is_there_ours() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(dir.path());
    let path = dir.path().join("server1.pem");
    let public = Meta::mode(FileMode::PUBLIC);
    place(&mut Traces::load(&host).unwrap(), &path, b"first", public, Purpose::Certificate).unwrap();
    for renewed in [b"second", b"third!", b"fourth"] {
        // Told, and killed before it is placed.
        Traces::load(&host).unwrap().account_for(&[(path.clone(), renewed)]).unwrap();
    }
    let mut traces = Traces::load(&host).unwrap();
    assert_eq!(traces.first_changed(Purpose::Certificate).unwrap(), None);
    place(&mut traces, &path, b"fifth", public, Purpose::Certificate).unwrap();
    traces.put_all_back().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_record_that_is_none_is_named_and_left() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(dir.path());
    files::make_dir(&host.state_dir(), Meta::mode(FileMode::SECRET_DIR)).unwrap();
    files::create_new(&Traces::file(&host), b"[{", Meta::mode(FileMode::SECRET)).unwrap();
    let error = Traces::load(&host).map(drop).unwrap_err();
    assert_eq!(error.code(), "bad-record");
    assert!(
        error.to_string().contains("pre-images.json") && error.hint().to_string().contains("backup"),
        "{error}"
    );
}

#[test]
fn a_run_killed_between_the_record_and_the_file_is_finished_or_undone() {
    for finish in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let host = host(dir.path());
        let path = dir.path().join("40-tls.env");
        let mut killed = Traces::load(&host).unwrap();
        killed.note(&path, Purpose::Setting, || Before::Absent, None, digest(b"ours"));
        killed.save().unwrap();
        let mut traces = Traces::load(&host).unwrap();
        if finish {
            place(&mut traces, &path, b"ours", Meta::mode(FileMode::PUBLIC), Purpose::Setting).unwrap();
        }
        traces.put_all_back().unwrap();
        assert!(!path.exists());
    }
}
