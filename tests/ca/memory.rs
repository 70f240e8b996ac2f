//! Keys and passphrases in the memory of a running command: how many copies there are while it works, and that none is
//! left when it prints.
//!
//! A command is stopped by strace as it enters a system call, and all of its writable memory is searched.

use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::skipped;
use crate::support::{Bench, can_trace, text};

/// A command that strace has stopped; it is killed in the end.
struct Stopped {
    strace: Child,
    pid: u32,
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid).unwrap()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

/// Where a command is stopped.
#[derive(Debug, Clone, Copy)]
enum At {
    /// At the last fsync before it prints: the certificates are signed, and not all is in place.
    Work,
    /// At the first write to standard output.
    Print,
}

/// The call at which a run of `args` is to be stopped, and which of its kind it is: seen in another run, of a copy.
fn point(bench: &Bench, args: &[&str], at: At) -> (&'static str, usize) {
    let copy = bench.copy();
    let log = copy.root().join("calls");
    let mut command = Command::new("strace");
    copy.prepare(&mut command).args(["-qq", "-o", text(&log), "-e", "trace=write,fsync"]);
    command.arg(env!("CARGO_BIN_EXE_etcd-pki")).args(args);
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{args:?}: {ran:?}");
    let calls = std::fs::read_to_string(log).unwrap();
    let before: Vec<&str> = calls.lines().take_while(|line| !line.starts_with("write(1,")).collect();
    assert!(before.len() < calls.lines().count(), "{args:?} prints nothing");
    let count = |name: &str| before.iter().filter(|line| line.starts_with(name)).count();
    match at {
        At::Work => ("fsync", count("fsync(")),
        At::Print => ("write", count("write(") + 1),
    }
}

fn stopped(bench: &Bench, args: &[&str], at: At) -> Stopped {
    let (call, nth) = point(bench, args, at);
    let log = bench.root().join("strace");
    let _ = std::fs::remove_file(&log);
    let mut command = Command::new("strace");
    bench.prepare(&mut command).args(["-o", text(&log), "-e", &format!("trace={call}")]);
    command.args(["-e", &format!("inject={call}:signal=STOP:when={nth}")]);
    command.arg(env!("CARGO_BIN_EXE_etcd-pki")).args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    let strace = command.spawn().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", strace.id());
    let end = Instant::now() + Duration::from_secs(60);
    while !std::fs::read_to_string(&log).is_ok_and(|log| log.contains("--- stopped by SIGSTOP ---")) {
        assert!(Instant::now() < end, "{args:?} did not stop at {call} {nth}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
    Stopped { strace, pid }
}

/// Everything that a process can write to.
fn memory(pid: u32) -> Vec<Vec<u8>> {
    let mut mem = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let writable = maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.contains('w')));
    let mut found = Vec::new();
    for line in writable {
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        if mem.seek(SeekFrom::Start(from)).is_ok() && mem.read_exact(&mut bytes).is_ok() {
            found.push(bytes);
        }
    }
    found
}

/// How often a P-256 key is in memory, in each of its forms.
#[derive(Debug, Default, PartialEq, Eq)]
struct Copies {
    /// The scalar as in PKCS#8.
    scalar: usize,
    /// The scalar as ring computes with it: in Montgomery form, least significant byte first.
    ring: usize,
    /// A line of the PEM file.
    pem: usize,
}

impl Copies {
    fn of(key_pem: &str, memory: &[Vec<u8>]) -> Self {
        use p256::elliptic_curve::ff::PrimeField;
        let count = |needle: &[u8]| -> usize {
            let starts = |part: &&[u8]| *part == needle;
            memory.iter().map(|bytes| bytes.windows(needle.len()).filter(starts).count()).sum()
        };
        let line = key_pem.lines().nth(1).unwrap();
        let der = etcd_pki::ca::PrivateKey::from_pem(key_pem.as_bytes(), None).unwrap();
        let mark = [0x02, 0x01, 0x01, 0x04, 0x20];
        let at = der.pkcs8().windows(5).position(|part| part == mark).unwrap() + 5;
        let scalar: [u8; 32] = der.pkcs8()[at..at + 32].try_into().unwrap();
        // 2^256 mod n, by which the Montgomery form is multiplied.
        let radix = (0..256).fold(p256::Scalar::ONE, |power, _| power + power);
        let ring = p256::Scalar::from_repr(scalar.into()).unwrap() * radix;
        let mut ring: [u8; 32] = ring.to_repr().into();
        ring.reverse();
        Self { scalar: count(&scalar), ring: count(&ring), pem: count(line.as_bytes()) }
    }
}

fn read(bench: &Bench, name: &str) -> String {
    std::fs::read_to_string(bench.file(name)).unwrap()
}

#[test]
fn while_it_signs_the_ca_key_is_there_twice_and_its_file_not_at_all() {
    if !can_trace() {
        return skipped("strace cannot trace here");
    }
    let bench = Bench::new();
    let work = stopped(&bench, &["issue", "server1"], At::Work);
    let memory = memory(work.pid);
    let ca = Copies::of(&read(&bench, "ca-key.pem"), &memory);
    assert_eq!(ca, Copies { scalar: 1, ring: 1, pem: 0 });
    // The new key's file is being written: its text is the only copy.
    let leaf = Copies::of(&read(&bench, "server1-key.pem"), &memory);
    assert_eq!(leaf, Copies { scalar: 0, ring: 0, pem: 1 });
}

#[test]
fn nothing_of_a_key_is_left_when_a_command_prints() {
    if !can_trace() {
        return skipped("strace cannot trace here");
    }
    let prepared = Bench::new();
    prepared.run(&["issue", "old"]).ok();
    prepared.run(&["csr", "node"]).ok();
    for file in ["node.csr", "node-key.pem"] {
        std::fs::rename(prepared.file(file), prepared.root().join(file)).unwrap();
    }
    std::fs::create_dir_all(prepared.root().join("image/etc")).unwrap();
    std::fs::write(prepared.root().join("image/etc/passwd"), "etcd:x:0:0::/:/bin/sh\n").unwrap();
    std::fs::write(prepared.root().join("image/etc/group"), "etcd:x:0:\n").unwrap();
    let mut left = Vec::new();
    for (args, in_rustls) in [
        (&["issue", "server1", "server2", "server3"][..], 0),
        (&["renew", "old"], 0),
        (&["csr", "node1"], 0),
        (&["sign", "node.csr", "--trust-csr-names"], 0),
        (&["crl"], 0),
        (&["export", "old", "--format", "pem-bundle"], 0),
        (&["export", "old", "--format", "k8s-secret"], 0),
        (&["inspect", "pki"], 0),
        (&["verify", "pki/old.pem"], 0),
        // It compares key and certificate by rustls, which leaves ring's form of the pair's key.
        (&["install", "old", "--to", "/ssl", "--root", "image"], 1),
        (&["init-ca", "--pki-dir", "new"], 0),
        (&["import-ca", "--pki-dir", "new", "--cert", "pki/ca.pem", "--key", "pki/ca-key.pem"], 0),
    ] {
        let bench = prepared.copy();
        let print = stopped(&bench, args, At::Print);
        let memory = memory(print.pid);
        for dir in [bench.pki(), bench.root().join("new")] {
            for entry in std::fs::read_dir(dir).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.to_str().unwrap().contains("-key.pem") {
                    let copies = Copies::of(&std::fs::read_to_string(&path).unwrap(), &memory);
                    if (copies.scalar, copies.pem) != (0, 0) || copies.ring > in_rustls {
                        left.push(format!("{args:?}: {}: {copies:?}", path.display()));
                    }
                }
            }
        }
    }
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn a_passphrase_is_gone_once_it_has_opened_the_key() {
    if !can_trace() {
        return skipped("strace cannot trace here");
    }
    const WORDS: &str = "seven correct horses, and no battery";
    let bench = Bench::empty();
    std::fs::write(bench.root().join("words"), format!("{WORDS}\n")).unwrap();
    bench.run(&["init-ca", "--passphrase-file", "words"]).ok();
    for at in [At::Work, At::Print] {
        let args = ["issue", "server1", "--passphrase-file", "words"];
        let process = stopped(&bench, &args, at);
        let memory = memory(process.pid);
        let found = memory
            .iter()
            .flat_map(|bytes| bytes.windows(WORDS.len()))
            .filter(|part| *part == WORDS.as_bytes());
        assert_eq!(found.count(), 0, "{at:?}");
    }
}

/// As another user than root, who may not look into every process.
#[test]
fn no_core_file_is_written_and_no_other_process_of_the_user_can_read_the_memory() {
    if !rustix::process::geteuid().is_root() {
        return skipped("needs root, to become another user");
    }
    const NOBODY: u32 = 65534;
    let bench = Bench::new();
    let owned = Command::new("chown").args(["-R", "65534:65534"]).arg(bench.root()).status().unwrap();
    assert!(owned.success());
    let lock =
        std::fs::File::options().write(true).create(true).truncate(false).open(bench.file("lock")).unwrap();
    lock.lock().unwrap();
    let mut waits = bench.command(&["issue", "server1"]).uid(NOBODY).gid(NOBODY).spawn().unwrap();
    let proc = std::path::PathBuf::from(format!("/proc/{}", waits.id()));
    let end = Instant::now() + Duration::from_secs(20);
    // Until it waits for the lock, it may not have come that far.
    while std::fs::read_to_string(proc.join("wchan")).is_ok() && Instant::now() < end {
        let limits = std::fs::read_to_string(proc.join("limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        if core.split_whitespace().nth(4) == Some("0") && proc.join("mem").metadata().unwrap().uid() == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(Instant::now() < end, "core files stay possible, or the memory is its user's");
    drop(lock);
    assert!(waits.wait().unwrap().success());

    // What goes through /proc/self/fd works without root as well.
    let words = bench.root().join("words");
    std::fs::write(&words, "a passphrase\n").unwrap();
    std::os::unix::fs::chown(&words, Some(NOBODY), Some(NOBODY)).unwrap();
    let mut encrypted = bench.command(&["init-ca", "--pki-dir", "encrypted", "--passphrase-fd", "0"]);
    let encrypted =
        encrypted.stdin(std::fs::File::open(&words).unwrap()).uid(NOBODY).gid(NOBODY).output().unwrap();
    assert!(encrypted.status.success(), "{encrypted:?}");
    let mut image =
        bench.command(&["install", "server1", "--to", "/ssl", "--root", ".", "--owner", "65534:65534"]);
    let image = image.uid(NOBODY).gid(NOBODY).output().unwrap();
    assert!(image.status.success(), "{image:?}");
}
