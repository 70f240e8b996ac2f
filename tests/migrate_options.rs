//! The migration as operators ask for it: with etcd's authentication on, without client certificates, a member at a time,
//! with v2 data, and told afterwards.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a test")]

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use etcd_pki::etcd::client::{Api, Client, Endpoint};
use etcd_pki::etcd::{Scheme, Tls};
use etcd_pki::rehearse::load::{Load, Speak};
use etcd_pki::rehearse::proof;

mod etcd_support;
mod migration_support;
mod rehearsal_support;
mod support;
use etcd_support::binaries;
use migration_support::{Ground, refusal};
use rehearsal_support::EXE;

/// The etcd of a version, where it is at hand.
fn etcd(version: &str) -> Option<PathBuf> {
    let found = binaries().into_iter().find(|(own, _)| own == version).map(|(_, path)| path);
    if found.is_none() {
        support::skipped(&format!("etcd {version} is not at hand: tests/etcd-versions.sh fetches it"));
    }
    found
}

/// `etcdctl` of the v3 API on the first member in plain text.
fn etcdctl(ground: &Ground, etcd: &Path, words: &[&str]) {
    let mut command = Command::new(etcd.with_file_name("etcdctl"));
    let endpoint = format!("http://{}:2379", ground.addresses[0]);
    command.env("ETCDCTL_API", "3").args(["--endpoints", &endpoint]).args(words);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Forward and back with authentication on.
fn with_authentication(version: &str) {
    let Some(binary) = etcd(version) else { return };
    let ground = Ground::of(Some(&binary), 3, &[]);
    let ctl = |words: &[&str]| etcdctl(&ground, &binary, words);
    ctl(&["put", "kept", "1"]);
    ctl(&["user", "add", "root:s3cret:pass"]);
    ctl(&["user", "grant-role", "root", "root"]);
    ctl(&["user", "add", "server2:x"]);
    ctl(&["auth", "enable"]);
    let before = std::fs::read(ground.file("server1", "etcd.env")).unwrap();

    // Nobody is named: said before anything changes.
    let (exit, code, message, hint) = refusal(&ground.migrate(&["apply", "--yes", "--json"]));
    assert_eq!((exit, code.as_str()), (1, "auth"), "{version}: {message}");
    assert!(hint.contains("--user-file"), "{hint}");

    // A file that others may read is not read; a user who may not change members is told so.
    let file = ground.dir.path().join("user");
    let shown = file.display().to_string();
    let as_user = |words: &[&str]| ground.migrate(&[words, &["--user-file", &shown, "--json"]].concat());
    write(&file, "root:s3cret:pass\n", 0o644);
    let (exit, code, ..) = refusal(&as_user(&["apply", "--yes"]));
    assert_eq!((exit, code.as_str()), (2, "user-file-readable"));
    write(&file, "server2:x\n", 0o600);
    let (exit, code, message, _) = refusal(&as_user(&["apply", "--yes"]));
    assert_eq!((exit, code.as_str()), (1, "auth"), "{version}: {message}");
    write(&file, "root:wrong\n", 0o600);
    let (exit, code, message, _) = refusal(&as_user(&["apply", "--yes"]));
    assert_eq!((exit, code.as_str()), (1, "auth"), "{version}: {message}");
    assert!(!message.contains("wrong\""), "{message}");
    assert!(!ground.file("server1", "ssl/server1-key.pem").exists(), "nothing was placed all the while");

    write(&file, "root:s3cret:pass\n", 0o600);
    let there = as_user(&["apply", "--yes"]);
    let said = String::from_utf8_lossy(&there.stdout).into_owned();
    assert!(there.status.success(), "{version}: {said}{}", String::from_utf8_lossy(&there.stderr));
    assert!(said.contains("the pair of server2 has the CN server2, which is a user"), "{version}: {said}");
    assert!(!said.contains("s3cret"), "the password is nowhere");
    assert!(as_user(&["status"]).status.success());
    // With https alone, etcd's gateway takes no certificate with a CN while authentication is on.
    let sealed = as_user(&["seal", "--yes"]);
    assert!(sealed.status.success(), "{version}: {}", String::from_utf8_lossy(&sealed.stdout));
    assert!(as_user(&["status"]).status.success());
    assert!(!ground.file("server1", "state/etcdctl-user").exists());
    let (exit, code, ..) = refusal(&ground.migrate(&["rollback", "--yes", "--json"]));
    assert_eq!((exit, code.as_str()), (1, "auth"), "{version}");
    let journal = ground.tool(&["migrate", "report"]);
    assert!(!String::from_utf8_lossy(&journal.stdout).contains("s3cret"));
    let back = as_user(&["rollback", "--yes"]);
    assert!(back.status.success(), "{version}: {}", String::from_utf8_lossy(&back.stdout));
    assert_eq!(std::fs::read(ground.file("server1", "etcd.env")).unwrap(), before);
    assert!(!ground.file("server1", "ssl/server1-key.pem").exists());
    ctl(&["--user", "root:s3cret:pass", "get", "kept"]);
}

#[test]
fn authentication_on_3_3_25() {
    if std::env::var_os("ETCDPKI_TEST_ALL").is_none() {
        return support::not_run("etcd 3.3.25 with authentication on");
    }
    with_authentication("3.3.25");
}

#[test]
fn authentication_on_3_4_23() {
    with_authentication("3.4.23");
}

#[test]
fn authentication_on_3_5_30() {
    with_authentication("3.5.30");
}

#[test]
fn without_client_certificates_anybody_with_the_ca_gets_in_and_peers_still_need_theirs() {
    let ground = Ground::new(3);
    let off = |words: &[&str]| {
        let output = ground.migrate(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    off(&["apply", "--yes", "--client-auth", "off"]);
    let ca = std::fs::read(ground.dir.path().join("pki/ca.pem")).unwrap();
    let anonymous = Arc::new(Tls::new(&ca).unwrap());
    for address in &ground.addresses {
        let client = |port: u16| {
            let url = format!("https://{address}:{port}").parse().unwrap();
            Client::new(Endpoint::direct(url, Some(Arc::clone(&anonymous))))
        };
        client(2379).with_api(Api::V3 { prefix: "/v3" }).put("a", "1").unwrap();
        assert!(client(2380).version().is_err(), "the peer port takes members only");
    }
    // What is in force is what later runs mean, without being told again.
    off(&["status"]);
    assert!(off(&["apply", "--yes"]).contains("Nothing had to be done"));
    off(&["seal", "--yes"]);
    off(&["rollback", "--yes"]);
    assert!(!ground.file("server1", "ssl/server1-key.pem").exists());
    let url = format!("http://{}:2379", ground.addresses[0]).parse().unwrap();
    assert!(Client::new(Endpoint::direct(url, None)).health().unwrap().healthy);
}

/// The tool on a terminal of its own, with what is typed there.
fn on_a_terminal(ground: &Ground, words: &[&str], typed: &str) -> (Option<i32>, String) {
    let words = ground.migrate_words(words);
    let pki = ground.dir.path().join("pki").display().to_string();
    let line = format!("exec '{EXE}' {} --pki-dir '{pki}'", words.join(" "));
    let mut script = Command::new("script");
    script
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .env("NO_COLOR", "1");
    let mut child = script.spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_member_at_a_time_and_what_was_done_is_told_afterwards() {
    let ground = Ground::new(3);
    let (exit, code, _, hint) = refusal(&ground.migrate(&["apply", "--step", "--yes", "--json"]));
    assert_eq!((exit, code.as_str()), (2, "no-terminal"));
    assert!(hint.contains("migrate members"), "{hint}");
    let (exit, code, ..) = refusal(&ground.tool(&["migrate", "report", "--json"]));
    assert_eq!((exit, code.as_str()), (1, "no-journal"));

    // Two members, then no.
    let (exit, said) = on_a_terminal(&ground, &["apply", "--step", "--yes"], "y\nn\n");
    assert_eq!(exit, Some(1), "{said}");
    assert_eq!(said.matches("Go on with").count(), 2, "{said}");
    assert!(said.contains("2 steps are done") && said.contains("rollback"), "{said}");
    let status = String::from_utf8(ground.migrate(&["status"]).stdout).unwrap();
    assert_eq!(status.matches("certificates in force").count(), 2, "{status}");

    // All the rest; it ends with the last look.
    let (exit, said) = on_a_terminal(&ground, &["apply", "--step", "--yes"], &"y\n".repeat(8));
    assert_eq!(exit, Some(0), "{said}");
    for what in
        ["health on http://", "metrics on http://", "status on http://", "complaints in its log: nothing"]
    {
        assert_eq!(said.matches(what).count(), 3, "{what}: {said}");
    }
    assert!(
        said.matches("from here: healthy").count() == 3 && said.contains(":2379, from server1: healthy"),
        "{said}"
    );
    assert!(!said.contains("  no server"), "{said}");

    let report = ground.tool(&["migrate", "report"]);
    let text = String::from_utf8(report.stdout).unwrap();
    assert!(text.contains("paused before server") && text.contains(": done ("), "{text}");
    assert_eq!(text.matches("restart etcd").count(), 6, "{text}");
    assert_eq!(text.matches("gate: ").count(), 6, "{text}");
    assert_eq!(text.matches("snapshot of ").count(), 1, "{text}");
    let json: serde_json::Value =
        serde_json::from_slice(&ground.tool(&["migrate", "report", "--json"]).stdout).unwrap();
    let runs = json["clusters"][0]["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2, "{json}");
    let all: u64 = runs[1]["done"].as_array().unwrap().iter().filter_map(|item| item["ms"].as_u64()).sum();
    assert!(all > 0 && all <= runs[1]["ms"].as_u64().unwrap(), "{json}");
}

#[test]
fn v2_data_is_backed_up_on_the_host_beside_the_snapshot() {
    let versions: Vec<_> =
        binaries().into_iter().filter(|(version, _)| !version.starts_with("3.5")).collect();
    for (version, binary) in versions {
        let more: &[(&str, &str)] =
            if version.starts_with("3.3") { &[] } else { &[("ETCD_ENABLE_V2", "true")] };
        let ground = Ground::of(Some(&binary), 1, more);
        let url = format!("http://{}:2379", ground.addresses[0]).parse().unwrap();
        let client = Client::new(Endpoint::direct(url, None)).with_api(Api::V2);
        let backups = || -> Vec<PathBuf> {
            let state = std::fs::read_dir(ground.file("server1", "state")).unwrap();
            let mut all: Vec<_> = state.map(|entry| entry.unwrap().path()).collect();
            all.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("v2-backup-"));
            all
        };
        // Nothing there, nothing made.
        let output = ground.migrate(&["apply", "--yes", "--json"]);
        assert!(!String::from_utf8_lossy(&output.stdout).contains("v2-backup"));
        assert_eq!(backups().len(), 0);
        assert!(ground.migrate(&["rollback", "--yes"]).status.success());

        client.put("/old/key", "kept").unwrap();
        let output = ground.migrate(&["apply", "--yes", "--json"]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{version}: {said}");
        assert!(said.contains(r#""event":"v2-backup""#), "{version}: {said}");
        let made = backups();
        assert_eq!(made.len(), 1, "{version}");
        assert_eq!(std::fs::metadata(&made[0]).unwrap().mode() & 0o777, 0o700);

        // It is one that etcd starts from.
        let data = ground.dir.path().join("restored");
        assert!(Command::new("cp").arg("-r").arg(&made[0]).arg(&data).status().unwrap().success());
        let at = format!("http://{}:4379", ground.addresses[0]);
        let peer = format!("http://{}:4380", ground.addresses[0]);
        let mut restored = Command::new(&binary);
        restored.args(["--force-new-cluster", "--data-dir"]).arg(&data);
        restored.args(["--listen-client-urls", &at, "--advertise-client-urls", &at]);
        restored.args(["--listen-peer-urls", &peer]);
        if !more.is_empty() {
            restored.arg("--enable-v2");
        }
        let mut child = restored.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let client = Client::new(Endpoint::direct(at.parse().unwrap(), None)).with_api(Api::V2);
        let found = (0..200).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            client.get_prefix("/old").ok().filter(|keys| !keys.is_empty())
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.expect("it holds the key")[0].value, "kept", "{version}");
    }
}

#[test]
fn a_gate_that_fails_names_three_ways_on() {
    let ground = Ground::new(3);
    // A member whose peers cannot reach it is not spared: its process is stopped, and stays there.
    let last = &ground.cluster.members[2];
    let pid = etcd_pki::host::Service::running(&last.host().unwrap().service()).unwrap().unwrap().pid;
    let signal = |name: &str| Command::new("kill").args([name, &pid.to_string()]).status().unwrap();
    assert!(signal("-STOP").success());
    let (exit, code, message, hint) =
        refusal(&ground.migrate(&["apply", "--yes", "--json", "--step-timeout", "3", "--no-snapshot"]));
    assert!(signal("-CONT").success());
    assert_eq!(code, "gate", "{message}");
    assert!(matches!(exit, 1 | 3));
    assert!(message.contains("server3"), "what was seen: {message}");
    for way in ["run this again", "migrate rollback", "migrate members"] {
        assert!(hint.contains(way), "{way}: {hint}");
    }
}

/// https beside http on one port, where etcd can: the first roll ends with a plain-text client in the way, and the next run
/// goes on there although nobody says so again; so does the way back.
#[test]
fn what_was_begun_on_a_shared_port_goes_on_there() {
    let Some(binary) = etcd("3.5.30") else { return };
    let ground = Ground::of(Some(&binary), 1, &[]);
    let load = Load::start(&ground.addresses, Api::V3 { prefix: "/v3" }).unwrap();
    let (exit, code, message, _) = refusal(&ground.migrate(&["apply", "--yes", "--shared-port", "--json"]));
    assert_eq!((exit, code.as_str()), (1, "plaintext-clients"), "{message}");
    let settings = std::fs::read_to_string(ground.file("server1", "etcd.env.d/30-certs.env")).unwrap();
    assert!(
        settings.contains("https://") && settings.contains(":2379,") && !settings.contains(":2378"),
        "{settings}"
    );
    load.move_to(Speak::Https, Some(ground.tls())).unwrap();

    // All that is connected to a shared port counts as plain text: that none is, is the operator's word.
    let output = ground.migrate(&["apply", "--yes", "--cut-plaintext", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    load.move_to(Speak::Both, Some(ground.tls())).unwrap();
    let output = ground.migrate(&["rollback", "--yes", "--cut-plaintext", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let keys = || proof::keys(&ground.cluster, Scheme::Http, None, Api::V3 { prefix: "/v3" }).unwrap();
    let figures = load.finish(keys);
    println!("{figures:?}");
    assert_eq!((figures.failed, figures.lost, figures.missed), (0, 0, 0), "{figures:?}");
}
