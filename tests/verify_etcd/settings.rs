//! Settings of Go (`GODEBUG`): those that etcd was built with, and those that its environment has.

use etcd_pki::verify::{Code, GoVersion, Role};

use super::catalogue::is_named;
use super::matrix::{dialled, lines, predicted};
use super::scenes::Member;
use super::verify_support::{Etcd, How, etcd_go, fixture, with_etcd, with_settings};
use super::{go, pair, support};

/// Whether the etcd in use is built by a Go that relaxes rules which older ones do not have: Debian's 3.5.
fn is_relaxed(go: GoVersion) -> bool {
    go >= GoVersion::new(24, 0)
}

/// What the program was built with lets these in (`matrix`); told otherwise, it does not.
pub fn a_setting_in_the_environment_has_the_last_word() {
    if !go().is_some_and(is_relaxed) {
        return;
    }
    with_settings("rsa1024min=1", || dialled("rsa768", Some(Code::RsaTooSmall), etcd_go().unwrap()));
    // It does not even read its own pair.
    with_settings("x509negativeserial=0", || {
        let (name, code, go) = ("negative-serial", Code::NegativeSerial, etcd_go().unwrap());
        let words = predicted(name, Some(code), &How { go, ..How::new(Role::Server) }).unwrap();
        let log = Etcd::start(&pair(name, "")).err().unwrap();
        assert!(log.contains(&words), "not {words:?}, but {log}");
        is_named(&lines(&log, &words), code);
    });
}

/// `verify` reads them where etcd runs: out of the program, and out of the environment of the process.
pub fn members_are_judged_by_the_settings_that_they_run_with() {
    if !go().is_some_and(is_relaxed) {
        return;
    }
    let judged = |name: &str, more: &[(&str, &str)]| {
        let top = tempfile::tempdir().unwrap();
        let files = ["cert.pem", "key.pem", "ca.pem"].map(|file| fixture(name, file));
        let member = Member::start(top.path(), &files.each_ref().map(|file| file.as_path()), more);
        let document = member.judged();
        let roles = document["results"].as_array().unwrap();
        let server = roles.iter().find(|one| one["role"] == "server").unwrap_or_else(|| panic!("{document}"));
        let codes: Vec<String> =
            server["findings"].as_array().unwrap().iter().map(|one| one["code"].to_string()).collect();
        (server["verdict"].as_str().unwrap().to_owned(), codes.concat())
    };
    let (verdict, codes) = judged("negative-serial", &[]);
    assert!(verdict == "accept" && codes.contains(&Code::OddSerial.to_string()), "{verdict} {codes}");
    let (verdict, codes) = judged("rsa768", &[]);
    assert!(verdict == "accept" && codes.contains(&Code::WeakRsa.to_string()), "{verdict} {codes}");
    let (verdict, codes) = judged("rsa768", &[("GODEBUG", "rsa1024min=1")]);
    assert!(verdict == "reject" && codes.contains(&Code::RsaTooSmall.to_string()), "{verdict} {codes}");
}

/// Go 1.15, of which Debian's etcd 3.3 is built, goes by common names where it is told so.
#[test]
fn a_common_name_stands_in_for_sans_where_go_is_told_so() {
    let is_here = with_etcd("3.3.25", || {
        dialled("cn-only", Some(Code::CommonNameOnly), etcd_go().unwrap());
        with_settings("x509ignoreCN=0", || {
            dialled("cn-only", None, etcd_go().unwrap());
            dialled("cn-constrained", Some(Code::NameConstraint), etcd_go().unwrap());
        });
    });
    if !is_here {
        support::skipped("etcd 3.3.25 is not at hand: tests/etcd-versions.sh fetches it");
    }
}
