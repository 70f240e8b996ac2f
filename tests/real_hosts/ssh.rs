//! Hosts reached by ssh: what is done there, as whom, over what, and what is refused.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use etcd_pki::files::{FileKind, FileMode, Meta, Owner};
use etcd_pki::host::ssh::{Ssh, SshOptions, SshTrouble};
use etcd_pki::host::{Host, HostError, Placement};

use crate::lab_support::{Lab, all, differences};

const SOON: Duration = Duration::from_secs(20);

fn one_host() -> Option<Lab> {
    Lab::with("3.4.23", "debian", &["--hosts", "1"])
}

fn options(lab: &Lab) -> SshOptions {
    SshOptions { config: Some(lab.dir.join("ssh/config")), become_root: true }
}

#[test]
fn files_are_written_there_as_they_are_here() {
    let Some(lab) = one_host() else { return };
    lab.inside(|| {
        // As root, and as a user who becomes root.
        for user in ["root", "ops"] {
            let host = Ssh::connect("server1", format!("{user}@172.16.0.101"), options(&lab)).unwrap();
            let dir = format!("/var/tmp/it's a \"dir\" of $USER \\ {user}/below");
            let path = |name: &str| Path::new(&dir).join(name);
            let etcd = host.owner("etcd").unwrap();
            assert!(host.make_dir(Path::new(&dir), Meta { mode: FileMode::DIR, owner: Some(etcd) }).unwrap());
            assert!(!host.make_dir(Path::new(&dir), Meta::mode(FileMode::SECRET_DIR)).unwrap());
            let stat = host.stat(Path::new(&dir)).unwrap().unwrap();
            assert_eq!((stat.kind, stat.mode, stat.owner), (FileKind::Directory, FileMode::DIR, etcd));

            // Every byte, and none; larger than pipes; with mode and owner.
            let all: Vec<u8> = (0..=255).cycle().take(300_000).collect();
            let secret = Meta { mode: FileMode::SECRET, owner: Some(etcd) };
            let public = Meta::mode(FileMode::new(0o4755));
            host.place(&path("all"), &all, secret).unwrap();
            host.place_all(&[
                Placement { path: &path("empty"), bytes: b"", meta: secret },
                Placement { path: &path("-n *"), bytes: b"no newline", meta: public },
            ])
            .unwrap();
            let image = host.read(&path("all")).unwrap().unwrap();
            assert!(image.bytes == all && image.mode == FileMode::SECRET && image.owner == etcd);
            assert_eq!(host.read(&path("empty")).unwrap().unwrap().bytes, b"");
            let image = host.read(&path("-n *")).unwrap().unwrap();
            assert_eq!((&image.bytes[..], image.mode), (&b"no newline"[..], FileMode::new(0o4755)));
            assert_eq!(image.owner, Owner { uid: 0, gid: 0 });
            assert_eq!(host.list(Path::new(&dir)).unwrap(), ["-n *", "all", "empty"]);

            // Replaced whole, and given other modes.
            host.place(&path("all"), b"new", Meta::mode(FileMode::PUBLIC)).unwrap();
            host.place(&path("all"), b"new", secret).unwrap();
            let image = host.read(&path("all")).unwrap().unwrap();
            assert_eq!((&image.bytes[..], image.mode, image.owner), (&b"new"[..], FileMode::SECRET, etcd));

            // Symlinks are not followed into, directories not written over.
            let link = path("link").display().to_string();
            host.run(&["ln", "-s", "/etc/passwd", &link], SOON).unwrap();
            for at in [path("link"), Path::new(&dir).to_owned()] {
                assert!(host.place(&at, b"x", secret).is_err());
                assert!(matches!(host.read(&at), Err(HostError::File { .. })));
            }
            // Directories alone are given another mode: a file is placed anew.
            for name in ["link", "all"] {
                assert!(host.set_meta(&path(name), secret).is_err(), "{name}");
            }
            host.set_meta(Path::new(&dir), Meta { mode: FileMode::SECRET_DIR, owner: Some(etcd) }).unwrap();
            assert_eq!(host.stat(Path::new(&dir)).unwrap().unwrap().mode, FileMode::SECRET_DIR);
            assert_eq!(host.stat(&path("link")).unwrap().unwrap().kind, FileKind::Symlink);
            assert_eq!(host.list(Path::new(&dir)).unwrap(), ["-n *", "all", "empty", "link"]);

            // What is not there is not there, and what cannot be says why.
            assert_eq!(host.read(&path("none")).unwrap(), None);
            assert_eq!(host.stat(&path("none")).unwrap(), None);
            assert!(host.list(&path("none")).unwrap().is_empty());
            let error = host.place(Path::new("/none/x"), b"x", secret).unwrap_err().to_string();
            assert!(error.starts_with("server1: cannot write /none/x: "), "{error}");
            for name in ["-n *", "all", "empty", "link", "none"] {
                host.remove(&path(name)).unwrap();
            }
            assert!(host.list(Path::new(&dir)).unwrap().is_empty());
        }
    });
}

#[test]
fn commands_clocks_owners_and_connections() {
    let Some(lab) = one_host() else { return };
    lab.inside(|| {
        let host = Ssh::connect("server1", "server1", options(&lab)).unwrap();
        let words = ["printf", "%s|", "", "a b", "$HOME", "it's", "\\n", "*", "-x", "é\n"];
        assert_eq!(host.run(&words, SOON).unwrap().stdout, "|a b|$HOME|it's|\\n|*|-x|é\n|".as_bytes());
        let output = host.run(&["sh", "-c", "echo no >&2; exit 3"], SOON).unwrap();
        assert_eq!((output.status, &output.stderr[..]), (Some(3), &b"no\n"[..]));
        assert!(matches!(host.run(&["no-such-program"], SOON), Err(HostError::Command { .. })));

        // One that hangs is ended there too.
        let started = std::time::Instant::now();
        assert!(host.run(&["sleep", "4321"], Duration::from_secs(1)).is_err());
        assert!(started.elapsed() < Duration::from_secs(6));
        assert_ne!(host.run(&["pgrep", "-f", "^sleep 4321"], SOON).unwrap().status, Some(0));

        let apart = match host.clock().unwrap().duration_since(SystemTime::now()) {
            Ok(ahead) => ahead,
            Err(behind) => behind.duration(),
        };
        assert!(apart < Duration::from_secs(10), "{apart:?}");

        let root = Owner { uid: 0, gid: 0 };
        for spec in ["root", "root:", "root:root", "0", "0:0", "root:0", "0:root"] {
            assert_eq!(host.owner(spec).unwrap(), root, "{spec}");
        }
        assert_eq!(host.owner("4294967:12").unwrap(), Owner { uid: 4_294_967, gid: 12 });
        for spec in ["no-such", "root:no-such", "", ":root", "-u"] {
            assert!(matches!(host.owner(spec), Err(HostError::NoSuchUser { .. })), "{spec}");
        }

        // Dialled from there, at its own loopback; refused at once where nobody listens.
        let mut stream = host.dial("127.0.0.1:2379".parse().unwrap(), SOON).unwrap();
        stream.set_timeout(Some(SOON)).unwrap();
        stream.write_all(b"GET /version HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("\"etcdserver\":\"3.4.23\""), "{answer}");
        let refused = |error: HostError| match error {
            HostError::Dial { source, .. } => source.kind(),
            other => panic!("{other}"),
        };
        let nobody = "127.0.0.1:4001".parse().unwrap();
        assert_eq!(refused(host.dial(nobody, SOON).unwrap_err()), std::io::ErrorKind::ConnectionRefused);

        // Somebody of the host's and somebody from outside are seen; what we dial ourselves is not.
        let ours = host.dial("127.0.0.1:2379".parse().unwrap(), SOON).unwrap();
        let outside = std::net::TcpStream::connect("172.16.0.101:2379").unwrap();
        lab.on("server1", "nohup nc 127.0.0.1 2379 >/dev/null 2>&1 </dev/zero & sleep 0.3; true");
        let mut seen: Vec<_> = host
            .connections(&[2379])
            .unwrap()
            .into_iter()
            .map(|c| c.process.map_or_else(|| c.remote.ip().to_string(), |process| process.name))
            .filter(|who| who != "etcd")
            .collect();
        seen.sort();
        assert_eq!(seen.first().map(String::as_str), Some("172.16.0.1"), "{seen:?}");
        assert!(!seen.iter().any(|who| who.contains("sshd")), "{seen:?}");
        drop((ours, outside));
    });
}

#[test]
fn host_keys_users_and_hosts_that_are_refused() {
    let Some(lab) = one_host() else { return };
    let inventory = lab.home.path().join("cluster.toml");
    let known = lab.dir.join("ssh/known_hosts");
    let before = std::fs::read_to_string(&known).unwrap();
    let plan = || lab.refused(&["migrate", "plan"]);

    // A key that is not on record is never taken silently.
    std::fs::write(&known, "").unwrap();
    let (exit, code, message, hint) = plan();
    assert_eq!((exit, code.as_str()), (1, "unknown-host-key"), "{message}");
    assert!(hint.contains("ssh-keyscan") && hint.contains("fingerprint"), "{hint}");
    assert_eq!(std::fs::read_to_string(&known).unwrap(), "", "nothing was recorded");

    // One that changed even less.
    std::fs::write(&known, flip_last_letter(&before)).unwrap();
    let (exit, code, message, _) = plan();
    assert_eq!((exit, code.as_str()), (1, "host-key-changed"), "{message}");
    std::fs::write(&known, &before).unwrap();

    // A user who is not root, and does not become it.
    let text = std::fs::read_to_string(&inventory).unwrap();
    std::fs::write(&inventory, text.replace("root@", "ops@")).unwrap();
    let (exit, code, message, hint) = plan();
    assert_eq!((exit, code.as_str()), (1, "not-root"), "{message}");
    assert!(hint.contains("--become"), "{hint}");
    lab.done(&["migrate", "plan", "--become"]);
    lab.on("server1", "echo 'ops ALL=(ALL) ALL' >/etc/sudoers.d/ops");
    let (exit, code, _, hint) = lab.refused(&["migrate", "plan", "--become"]);
    assert_eq!((exit, code.as_str()), (1, "no-sudo"));
    assert!(hint.contains("NOPASSWD"), "{hint}");

    // A user whom nobody knows, and a host that is not there.
    std::fs::write(&inventory, text.replace("root@", "nobody-there@")).unwrap();
    assert_eq!(plan().1, "ssh-denied");
    std::fs::write(&inventory, text.replace("root@172.16.0.101", "root@no-such-host.invalid")).unwrap();
    assert_eq!(plan().1, "unreachable");
    let error = lab.inside(|| Ssh::connect("x", "root@172.16.0.101:22", options(&lab)).unwrap_err());
    assert_eq!(error.kind, SshTrouble::Unreachable, "{error}");
}

/// Another key of the same kind. The 32 bytes of Ed25519's end on a whole letter of base64: any other letter makes a key too.
fn flip_last_letter(line: &str) -> String {
    let line = line.trim_end();
    let (start, last) = line.split_at(line.len() - 1);
    format!("{start}{}\n", if last == "A" { "B" } else { "A" })
}

#[test]
fn through_a_jump_host_as_a_user_with_sudo() {
    let Some(lab) = Lab::with("3.4.23", "debian", &["--hosts", "1", "--spare", "1"]) else { return };
    let inventory = lab.home.path().join("cluster.toml");
    let text = std::fs::read_to_string(&inventory).unwrap();
    std::fs::write(&inventory, text.replace("root@172.16.0.101", "ops@server1")).unwrap();
    let config = lab.dir.join("ssh/config");
    let mut jump = String::from("Host server1\n    ProxyCommand ssh -F ");
    jump += &format!("{} -W %h:%p ops@spare1\n", config.display());
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(lab.dir.join("ssh/jump"), jump + &text).unwrap();
    // The operator cannot reach the host but through the other one.
    let namespace = format!("lab-{}-server1", lab.name);
    let cut = ["-n", &namespace, "route", "add", "blackhole", "172.16.0.1/32"];
    assert!(std::process::Command::new("ip").args(cut).status().unwrap().success());
    let tool = |words: &[&str]| {
        let output = lab.command(words).env("ETCDPKI_SSH_CONFIG", lab.dir.join("ssh/jump")).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let before = lab.tree(1);
    tool(&["migrate", "apply", "--yes", "--become"]);
    tool(&["migrate", "status", "--become"]);
    tool(&["migrate", "rollback", "--yes", "--become"]);
    assert!(differences(&before, &lab.tree(1)).is_empty());
}

#[test]
fn where_the_server_forwards_nothing_a_shell_dials() {
    let Some(lab) = one_host() else { return };
    lab.on(
        "server1",
        "echo 'AllowTcpForwarding no' >>/etc/ssh/sshd_config.d/lab.conf; systemctl reload ssh; sleep 1",
    );
    let before = lab.tree(1);
    let output = lab.tool(&["migrate", "apply", "--yes"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("server1: its sshd forwards no connections"), "{said}");
    lab.done(&["migrate", "status"]);
    lab.done(&["migrate", "rollback", "--yes"]);
    assert!(differences(&before, &lab.tree(1)).is_empty());
    lab.inside(|| {
        let host = Ssh::connect("server1", "root@172.16.0.101", options(&lab)).unwrap();
        let nobody = host.dial("127.0.0.1:4001".parse().unwrap(), SOON).unwrap_err();
        assert!(nobody.to_string().contains("refused"), "{nobody}");
        assert!(host.dials_by_shell());
        let _open = host.dial("127.0.0.1:2379".parse().unwrap(), SOON).unwrap();
        let seen = host.connections(&[2379]).unwrap();
        let strangers = seen.iter().filter(|c| c.process.as_ref().is_none_or(|p| p.name != "etcd")).count();
        assert_eq!(strangers, 0, "{seen:?}");
    });
}

#[test]
fn two_operators_and_one_whose_laptop_is_lost() {
    let hosts = if all() { "3" } else { "2" };
    let Some(lab) = Lab::with("3.4.23", "debian", &["--hosts", hosts]) else { return };
    let before: Vec<_> = (1..=lab.hosts).map(|host| lab.tree(host)).collect();

    // The second is stopped, and told who is first.
    let mut first = lab.command(&["migrate", "apply", "--yes"]).stderr(Stdio::null()).spawn().unwrap();
    let lock = lab.root(1).join("var/lib/etcd-pki/lock");
    let end = std::time::Instant::now() + SOON;
    while std::fs::read_to_string(&lock).unwrap_or_default().is_empty() {
        assert!(std::time::Instant::now() < end, "the first operator takes no lock");
        std::thread::sleep(Duration::from_millis(20));
    }
    let other = tempfile::tempdir().unwrap();
    let members = (1..=lab.hosts).map(|host| format!("server{host}.pem"));
    for name in members.chain(["ca.pem".to_owned(), "client.pem".to_owned()]) {
        let key = name.replace(".pem", "-key.pem");
        for name in [&name, &key] {
            let from = lab.home.path().join("pki").join(name);
            std::fs::copy(from, other.path().join(name)).unwrap();
        }
    }
    let pki = other.path().display().to_string();
    let (exit, code, message, _) = lab.refused(&["migrate", "apply", "--yes", "--pki-dir", &pki]);
    assert_eq!((exit, code.as_str()), (1, "locked"), "{message}");
    assert!(
        message.contains("server1: another run is at work there: ") && message.contains("process "),
        "{message}"
    );

    // The first one's laptop is lost in the middle of it; the second finishes what the first began.
    std::thread::sleep(Duration::from_secs(if all() { 8 } else { 5 }));
    first.kill().unwrap();
    first.wait().unwrap();
    lab.done(&["migrate", "apply", "--yes", "--pki-dir", &pki]);
    lab.done(&["migrate", "status", "--pki-dir", &pki]);

    // And killed again and again on the way back, it still ends where it began.
    let mut kills = 0;
    let leashes: &[u64] = &[900, 2300, 4000, 6500, 9500, 1500, 3100, 5200, 8000, 11000];
    for &leash in if all() { leashes } else { &leashes[..4] } {
        let mut back = lab.command(&["migrate", "rollback", "--yes"]).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(leash));
        if back.try_wait().unwrap().is_none() {
            kills += 1;
        }
        let _ = back.kill();
        back.wait().unwrap();
    }
    lab.done(&["migrate", "rollback", "--yes"]);
    println!("killed {kills} times on the way back");
    for (host, before) in (1..=lab.hosts).zip(&before) {
        let left = differences(before, &lab.tree(host));
        assert!(left.is_empty(), "server{host} is not as it was: {left:?}");
    }
}
