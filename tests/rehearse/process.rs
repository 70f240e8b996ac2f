//! A supervised local etcd: started, restarted with another environment, watched, and never left behind.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use etcd_pki::files::{self, FileMode, Meta};
use etcd_pki::host::process::{ProcessDir, ProcessHost, Unit};
use etcd_pki::host::supervisor::{Request, Run, Supervised};
use etcd_pki::host::{Host, Layer, Service};

use crate::rehearsal_support::{EXE, is_gone, own_base, until};

struct One {
    _temporary: tempfile::TempDir,
    host: ProcessHost,
    client: SocketAddr,
}

fn one_member(exec: &str) -> One {
    let temporary = tempfile::tempdir().unwrap();
    let address = IpAddr::from(own_base());
    let free = || TcpListener::bind((address, 0)).unwrap().local_addr().unwrap();
    let (client, peer) = (free(), free());
    let dir = ProcessDir::new(temporary.path().join("server1"));
    let pairs = [
        ("ETCD_NAME", "server1".to_owned()),
        ("ETCD_DATA_DIR", dir.data().display().to_string()),
        ("ETCD_LISTEN_CLIENT_URLS", format!("http://{client}")),
        ("ETCD_ADVERTISE_CLIENT_URLS", format!("http://{client}")),
        ("ETCD_LISTEN_PEER_URLS", format!("http://{peer}")),
        ("ETCD_INITIAL_ADVERTISE_PEER_URLS", format!("http://{peer}")),
        ("ETCD_INITIAL_CLUSTER", format!("server1=http://{peer}")),
    ];
    let base: BTreeMap<_, _> = pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    dir.create(&Unit { exec: vec![exec.to_owned()], address }, &base).unwrap();
    let host = ProcessHost::open("server1", dir.path()).unwrap();
    One { _temporary: temporary, host, client }
}

fn is_healthy(client: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(client) else { return false };
    let mut answer = String::new();
    write!(stream, "GET /health HTTP/1.0\r\n\r\n").is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.contains("true")
}

#[test]
fn a_restart_takes_what_the_disk_holds_and_is_seen_as_a_new_process() {
    let one = one_member("/usr/bin/etcd");
    let service = one.host.service();
    let supervised = Supervised::spawn(Path::new(EXE), one.host.dir()).unwrap();
    assert!(service.running().unwrap().is_none(), "nothing runs until it is started");
    let before = SystemTime::now();
    supervised.control().ask(Request::Start).unwrap();
    until("healthy", || is_healthy(one.client));

    let first = service.running().unwrap().unwrap();
    assert_eq!(
        first.launch,
        service.next_start().unwrap(),
        "it runs with what the disk says, and nothing else"
    );
    assert_eq!(service.base().unwrap(), service.next_start().unwrap());
    let log = service.log_since(before).unwrap();
    assert!(log.iter().any(|line| line.contains("elected leader")), "{log:#?}");
    assert!(service.log_since(SystemTime::now() + Duration::from_secs(9)).unwrap().is_empty());

    let settings = BTreeMap::from([("max-request-bytes".to_owned(), "1234567".to_owned())]);
    let file = service.layer_files(&[Layer { name: "30-certs", settings }]).unwrap().remove(0);
    assert_eq!(file.path, one.host.dir().path().join("etcd.env.d/30-certs.env"));
    one.host.place(&file.path, file.content.as_bytes(), Meta::mode(FileMode::PUBLIC)).unwrap();
    assert_ne!(service.base().unwrap(), service.next_start().unwrap());
    let before = SystemTime::now();
    service.restart().unwrap();
    until("another process", || service.running().unwrap().is_some_and(|now| now.identity != first.identity));
    until("healthy", || is_healthy(one.client));
    let second = service.running().unwrap().unwrap();
    assert_eq!(second.launch.env["ETCD_MAX_REQUEST_BYTES"], "1234567");
    assert_eq!(second.launch, service.next_start().unwrap());
    let log = service.log_since(before).unwrap();
    let first_line = log.iter().position(|line| line.contains("MAX_REQUEST_BYTES"));
    assert!(first_line.is_some(), "the log since the restart begins with the restart: {log:#?}");

    let status = supervised.control().ask(Request::Status).unwrap();
    assert_eq!((status.run, status.starts), (Run::Running, 2));
    drop(supervised);
    assert!(is_gone(second.pid), "dropping the supervised etcd stops it");
    assert!(!one.host.dir().socket().exists());
}

#[test]
fn who_is_connected_is_seen_but_for_ourselves() {
    let one = one_member("/usr/bin/etcd");
    let supervised = Supervised::spawn(Path::new(EXE), one.host.dir()).unwrap();
    supervised.control().ask(Request::Start).unwrap();
    until("healthy", || is_healthy(one.client));
    let _ours = TcpStream::connect(one.client).unwrap();
    let strangers = |host: &ProcessHost| -> Vec<_> {
        let all = host.connections(&[one.client.port()]).unwrap();
        assert!(all.iter().all(|c| c.local == one.client), "{all:?}");
        all.into_iter().filter(|connection| connection.process.is_none()).collect()
    };
    assert_eq!(strangers(&one.host), []);
    // Another program that holds a plain-text connection: etcd's own client, watching.
    let endpoint = format!("http://{}", one.client);
    let mut watcher = std::process::Command::new("etcdctl")
        .args(["--endpoints", &endpoint, "watch", "key"])
        .env("ETCDCTL_API", "3")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("the watcher is seen", || !strangers(&one.host).is_empty());
    watcher.kill().unwrap();
    watcher.wait().unwrap();
    until("the watcher is gone", || strangers(&one.host).is_empty());
}

#[test]
fn a_killed_supervisor_takes_etcd_with_it_and_another_may_follow() {
    let one = one_member("/usr/bin/etcd");
    let supervised = Supervised::spawn(Path::new(EXE), one.host.dir()).unwrap();
    supervised.control().ask(Request::Start).unwrap();
    until("healthy", || is_healthy(one.client));
    let pid = one.host.service().running().unwrap().unwrap().pid;
    let second = Supervised::spawn(Path::new(EXE), one.host.dir());
    assert!(second.unwrap_err().to_string().contains("supervisor.lock is held by supervisor"));
    let supervisor = i32::try_from(supervised.pid()).unwrap();
    let supervisor = rustix::process::Pid::from_raw(supervisor).unwrap();
    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).unwrap();
    until("etcd is gone", || is_gone(pid));
    assert!(one.host.service().running().is_err(), "no supervisor is an error, not a member that is down");
    drop(supervised);
    let supervised = Supervised::spawn(Path::new(EXE), one.host.dir()).unwrap();
    supervised.control().ask(Request::Start).unwrap();
    until("healthy again", || is_healthy(one.client));
}

#[test]
fn etcd_that_dies_is_started_again_and_one_that_cannot_start_stays_down() {
    let one = one_member("/usr/bin/etcd");
    let supervised = Supervised::spawn(Path::new(EXE), one.host.dir()).unwrap();
    let control = supervised.control();
    control.ask(Request::Start).unwrap();
    until("healthy", || is_healthy(one.client));
    let pid = one.host.service().running().unwrap().unwrap().pid;
    let etcd = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(etcd, rustix::process::Signal::KILL).unwrap();
    until("started again", || control.ask(Request::Status).unwrap().starts == 2);
    until("healthy", || is_healthy(one.client));
    assert_eq!(control.ask(Request::Status).unwrap().last_exit.unwrap(), "signal 9");

    control.ask(Request::Stop).unwrap();
    until("stopped", || control.ask(Request::Status).unwrap().run == Run::Stopped);
    let broken = one.host.dir().layer_file("99-broken");
    files::create_new(&broken, b"ETCD_LISTEN_PEER_URLS=junk\n", Meta::mode(FileMode::PUBLIC)).unwrap();
    control.ask(Request::Start).unwrap();
    until("failed", || control.ask(Request::Status).unwrap().run == Run::Failed);
    files::remove(&broken).unwrap();
    control.ask(Request::Start).unwrap();
    until("healthy", || is_healthy(one.client));
}

#[test]
fn a_kept_etcd_outlives_its_starter_until_it_is_told_to_quit() {
    let one = one_member("/usr/bin/etcd");
    let supervised = Supervised::spawn(Path::new(EXE), one.host.dir()).unwrap();
    let control = supervised.control().clone();
    control.ask(Request::Start).unwrap();
    until("healthy", || is_healthy(one.client));
    let supervisor = supervised.pid();
    supervised.keep().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(is_healthy(one.client));
    control.ask(Request::Quit).unwrap();
    until("gone", || is_gone(supervisor));
    assert!(!is_healthy(one.client));
}

#[test]
fn a_missing_program_is_said() {
    let missing = PathBuf::from("/nonexistent/etcd");
    let one = one_member(missing.to_str().unwrap());
    let supervised = Supervised::spawn(Path::new(EXE), one.host.dir()).unwrap();
    supervised.control().ask(Request::Start).unwrap();
    until("failed", || supervised.control().ask(Request::Status).unwrap().run == Run::Failed);
    let status = supervised.control().ask(Request::Status).unwrap();
    assert_eq!(status.last_exit.unwrap(), "exit status 127");
}
