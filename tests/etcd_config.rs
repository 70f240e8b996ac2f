//! What we believe of etcd's flags, against etcd itself.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod etcd_support;

use std::collections::BTreeMap;
use std::time::Duration;

use etcd_pki::etcd::Config;
use etcd_pki::etcd::flags::{default_of, is_boolean};
use etcd_pki::host::Launch;
use etcd_pki::host::command::command;
use etcd_support::{Etcd, address, binaries, strings};

/// Every flag that an etcd names in its help: we know which take no argument, and the defaults that matter to us.
#[test]
fn boolean_flags_are_those_that_etcd_parses_as_boolean() {
    for (version, binary) in binaries() {
        let help = command(&binary).arg("--help").output().unwrap();
        let help = [help.stdout, help.stderr].concat();
        let help = String::from_utf8(help).unwrap();
        let lines = help.lines().filter_map(|line| line.trim_start().strip_prefix("--"));
        let mut checked = 0;
        for line in lines {
            let flag: String = line.chars().take_while(|&c| c.is_ascii_alphanumeric() || c == '-').collect();
            let output =
                command(&binary).args([&format!("--{flag}=no-bool"), "--version"]).env_clear().output();
            let said = String::from_utf8_lossy(&output.unwrap().stderr).into_owned();
            assert_eq!(
                said.contains("invalid boolean value"),
                is_boolean(&flag),
                "{version} --{flag}: {said}"
            );
            if let Some(default) = default_of(&flag).filter(|_| line.contains('\'')) {
                assert!(line.contains(&format!("'{default}'")), "{version} {line}: we think {default}");
            }
            checked += 1;
        }
        println!("etcd {version}: {checked} flags");
        assert!(checked > 40, "{version}: the help is not as we read it:\n{help}");
    }
}

/// A variable beside its flag: we call it fatal for the versions that die of it.
#[test]
fn a_flag_beside_its_variable_is_fatal_where_we_say_so() {
    for (version, binary) in binaries() {
        let launch = Launch {
            argv: strings(&["etcd", "--name", "a"]),
            env: BTreeMap::from([("ETCD_NAME".to_owned(), "a".to_owned())]),
        };
        let config = Config::of(&launch).unwrap();
        let at = address();
        let dir = tempfile::tempdir().unwrap();
        let mut child = command(&binary)
            .args(["--name", "a", "--data-dir"])
            .arg(dir.path())
            .args(["--listen-client-urls", &format!("http://{at}:2379")])
            .args(["--advertise-client-urls", &format!("http://{at}:2379")])
            .args(["--listen-peer-urls", &format!("http://{at}:2380")])
            .args(["--initial-advertise-peer-urls", &format!("http://{at}:2380")])
            .args(["--initial-cluster", &format!("a=http://{at}:2380")])
            .env_clear()
            .envs(&launch.env)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let end = std::time::Instant::now() + Duration::from_secs(30);
        let died = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break !status.success();
            }
            if std::net::TcpStream::connect((at, 2379)).is_ok() || std::time::Instant::now() > end {
                break false;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let _ = child.kill();
        child.wait().unwrap();
        assert_eq!(!config.fatal_conflicts(&version).is_empty(), died, "{version}");
    }
}

/// The last of duplicate flags is in force, as the member itself shows it.
#[test]
fn the_last_of_duplicate_flags_wins() {
    for (_, binary) in binaries() {
        let at = address();
        let second = format!("http://{at}:2379,http://{at}:4001");
        let flags = strings(&["--advertise-client-urls", &second]);
        let etcd = Etcd::start(&binary, at, "http", &flags);
        let members = etcd.ready(None).members().unwrap().members;
        assert_eq!(members[0].client_urls.join(","), second);
    }
}
