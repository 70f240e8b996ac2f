//! Screens of the commands that people look at most, on terminals of 80 and 120 columns: `docs/screens`, kept fresh with
//! `ETCDPKI_BLESS=1 cargo test --test cli screens`.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::migration_support::Ground;
use crate::path_with_tool;
use crate::support::skipped;

const WIDTHS: [usize; 2] = [80, 120];

/// What the tool prints on a terminal of this width.
fn screen(dir: &Path, columns: usize, line: &str) -> String {
    let script = format!("stty cols {columns} rows 50; etcd-pki --color never {line}");
    let output = Command::new("script")
        .args(["-qec", &script, "/dev/null"])
        .current_dir(dir)
        .env("PATH", path_with_tool())
        .env_remove("COLUMNS")
        .env_remove("ETCDPKI_DIR")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().replace('\r', "")
}

/// What differs from run to run, replaced by as many characters: dates, serials and identifiers.
fn steady(text: &str) -> String {
    let mut out = String::new();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    for part in text.split_inclusive(|c| !is_word(c)) {
        let word = part.trim_end_matches(|c| !is_word(c));
        let is_date = word.len() == 10
            && word.bytes().enumerate().all(|(at, b)| match at {
                4 | 7 => b == b'-',
                _ => b.is_ascii_digit(),
            });
        let is_hex = word.len() >= 13 && word.bytes().all(|b| b.is_ascii_hexdigit());
        let steady = match (is_date, is_hex) {
            (true, _) => "2030-01-01".to_owned(),
            (_, true) => "0123456789abcdef".chars().cycle().take(word.len()).collect(),
            _ => word.to_owned(),
        };
        out += &steady;
        out += &part[word.len()..];
    }
    out
}

fn is_fresh(name: &str, columns: usize, dir: &Path, lines: &[&str]) {
    let mut fresh = String::new();
    for line in lines {
        let shown = steady(&screen(dir, columns, line));
        for row in shown.lines().filter(|row| row.starts_with(|c: char| c.is_ascii_uppercase())) {
            assert!(row.chars().count() <= columns, "{columns}: {row}");
        }
        fresh += &format!("$ etcd-pki {line}\n{shown}");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/screens/{name}-{columns}.txt"));
    if std::env::var_os("ETCDPKI_BLESS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == fresh,
        "{} is stale: run ETCDPKI_BLESS=1 cargo test --test cli screens\n{fresh}",
        path.display()
    );
}

fn done(dir: &Path, line: &str) {
    let output = Command::new(crate::TOOL)
        .args(line.split(' '))
        .current_dir(dir)
        .env_remove("ETCDPKI_DIR")
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn list_and_verify() {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), "init-ca --name production");
    done(dir.path(), "issue server1 --ip 172.16.0.101 --dns etcd1.example.com");
    done(dir.path(), "issue server2 --ip 172.16.0.102 --dns etcd2.example.com --days 20");
    done(dir.path(), "issue client1 --profile client");
    done(dir.path(), "revoke client1");
    for columns in WIDTHS {
        is_fresh("list", columns, dir.path(), &["list", "list --expires-within 30d"]);
        is_fresh("verify", columns, dir.path(), &["verify server1 --host 172.16.0.102", "verify server2"]);
    }
}

#[test]
fn migrate_plan() {
    // In a network of its own, so that the addresses are the same in every run.
    let network = format!("etcd-pki-screens-{}", std::process::id());
    let ip = |words: &[&str]| {
        Command::new("ip").args(words).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    if !ip(&["netns", "add", &network]) {
        return skipped("a network namespace cannot be made here");
    }
    let _network = Removed(network.clone());
    assert!(ip(&["-n", &network, "link", "set", "lo", "up"]));
    let namespace = std::fs::File::open(format!("/run/netns/{network}")).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let kind = rustix::thread::LinkNameSpaceType::Network;
            rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(kind)).unwrap();
            let ground = Ground::at(Ipv4Addr::new(127, 0, 0, 101), None, 3, &[]);
            lead(&ground);
            for columns in WIDTHS {
                is_fresh("plan", columns, ground.dir.path(), &["migrate plan"]);
            }
        });
    });
}

#[test]
fn the_table_of_list_has_the_dates_days_and_issuers_of_its_json() {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), "init-ca --name production --intermediate");
    done(dir.path(), "issue server1 --ip 172.16.0.101 --dns etcd1.example.com --days 90");
    done(dir.path(), "issue client1 --profile client");
    let list = |more: &[&str]| {
        let mut tool = Command::new(crate::TOOL);
        tool.arg("list").args(more).current_dir(dir.path()).env_remove("ETCDPKI_DIR").env("COLUMNS", "40");
        String::from_utf8(tool.output().unwrap().stdout).unwrap()
    };
    let (table, document) = (list(&[]), list(&["--json"]));
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    let certificates = document["certificates"].as_array().unwrap();
    assert_eq!(table.lines().count(), 1 + certificates.len(), "{table}");
    for (row, one) in table.lines().skip(1).zip(certificates) {
        // No terminal: every value is whole, whatever COLUMNS says.
        let cells: Vec<_> = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let text = |field: &str| one[field].as_str().unwrap();
        let issuer = text("issuer").split("CN=").nth(1).unwrap();
        let names: Vec<_> =
            one["sans"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let names = if names.is_empty() { "-".to_owned() } else { names.join(" ") };
        let days = one["expires_in_days"].to_string();
        let expected = [
            text("name"),
            text("state"),
            &text("not_after")[..10],
            &days,
            text("profile"),
            issuer,
            &names,
            text("serial"),
        ];
        assert_eq!(cells, expected, "{table}");
    }
    let issuers: Vec<_> = certificates.iter().map(|one| one["issuer"].as_str().unwrap()).collect();
    assert!(
        issuers.iter().any(|issuer| *issuer != issuers[0]),
        "the issuing CA's own name is shown: {issuers:?}"
    );
}

struct Removed(String);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Makes the first member the leader: which one it is differs from run to run, and the leader is the last to move.
fn lead(ground: &Ground) {
    for _ in 0..20 {
        let plan = ground.migrate(&["plan", "--json"]);
        let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).unwrap();
        let members = plan["observed"]["members"].as_array().unwrap();
        let at = members.iter().position(|member| member["leader"] == true);
        let Some(leader) = at.filter(|&at| at > 0) else {
            if at == Some(0) {
                return;
            }
            continue;
        };
        let endpoint = format!("http://{}:2379", ground.addresses[leader]);
        let id = members[0]["id"].as_str().unwrap();
        let mut etcdctl = Command::new("etcdctl");
        etcdctl.args(["--endpoints", &endpoint, "move-leader", id]).env("ETCDCTL_API", "3");
        let _ = etcdctl.output();
    }
    panic!("the first member does not become the leader");
}
