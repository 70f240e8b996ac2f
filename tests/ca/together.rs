//! Several processes at once.

use std::collections::HashSet;
use std::process::{Child, Stdio};

use crate::support::Bench;

/// Eight processes of two hundred issues with `make test-all`, 1,600 runs of the binary, which takes minutes; of ten
/// otherwise.
#[test]
fn eight_processes_issue_at_once_and_every_certificate_is_there() {
    let each = if std::env::var_os("ETCDPKI_TEST_ALL").is_some() { 200 } else { 10 };
    let bench = Bench::new();
    std::thread::scope(|scope| {
        for process in 0..8 {
            let bench = &bench;
            scope.spawn(move || {
                for count in 0..each {
                    bench.run(&["issue", &format!("p{process}-{count}"), "--profile", "client"]).ok();
                }
            });
        }
    });
    let ledger = bench.ledger();
    let issued: Vec<_> = ledger.iter().filter(|line| line["event"] == "issue").collect();
    let serials: HashSet<String> = issued.iter().map(|line| line["serial"].to_string()).collect();
    let is_cert = |name: &str| name.ends_with(".pem") && !name.ends_with("-key.pem") && name != "ca.pem";
    let files = std::fs::read_dir(bench.pki()).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let certificates = names.filter(|name| is_cert(name)).count();
    let all = 8 * each;
    assert_eq!((issued.len(), serials.len(), certificates), (all, all, all));
}

/// Four processes of twenty-five issues each, as a script would run them.
#[test]
fn issuers_that_run_at_once_share_no_serial_and_lose_no_line() {
    let bench = Bench::new();
    let mut children: Vec<Child> = (0..4)
        .map(|process| {
            let names: Vec<String> = (0..25).map(|count| format!("p{process}-{count}")).collect();
            let mut args = vec!["issue", "--profile", "client"];
            args.extend(names.iter().map(String::as_str));
            bench.command(&args).stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let ledger = bench.ledger();
    let issued: Vec<_> = ledger.iter().filter(|line| line["event"] == "issue").collect();
    let serials: HashSet<String> = issued.iter().map(|line| line["serial"].to_string()).collect();
    assert_eq!((issued.len(), serials.len()), (100, 100));
    let files = std::fs::read_dir(bench.pki()).unwrap().count();
    assert_eq!(files, 200 + 4, "the pairs, the CA's pair, the ledger and the lock");
}

#[test]
fn of_two_that_want_the_same_name_one_gets_it() {
    let bench = Bench::new();
    let mut children: Vec<Child> = (0..4)
        .map(|_| {
            bench.command(&["issue", "server1"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    let codes: Vec<Option<i32>> = children.iter_mut().map(|child| child.wait().unwrap().code()).collect();
    assert_eq!(codes.iter().filter(|&&code| code == Some(0)).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|&&code| code == Some(1)).count(), 3, "{codes:?}");
    assert_eq!(bench.ledger().len(), 2);
}
