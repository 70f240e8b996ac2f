//! What is given as an input and is no file of a sensible size: refused at once, never waited for, never held whole.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::{FileType, Mode};
use rustix::process::{Pid, Signal, kill_process};

use crate::common::skipped;
use crate::support::{Bench, Ran, text};

/// A command that has not ended by then waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the binary with a time limit.
fn run(bench: &Bench, args: &[&str], stdin: Stdio) -> Ran {
    let mut command = bench.command(args);
    let child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let process = Pid::from_child(&child);
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(child.wait_with_output()));
    match ended.recv_timeout(PATIENCE) {
        Ok(output) => output.unwrap().into(),
        Err(_) => {
            kill_process(process, Signal::KILL).unwrap();
            panic!("{args:?} waits: {:?}", ended.recv().unwrap());
        }
    }
}

fn named_pipe(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

/// Each kind of thing that is no input, by what the error calls it.
fn strange(bench: &Bench) -> (Vec<(PathBuf, &'static str)>, UnixListener) {
    let root = bench.root();
    named_pipe(&root.join("pipe"));
    let socket = UnixListener::bind(root.join("socket")).unwrap();
    std::fs::File::create(root.join("large")).unwrap().set_len(1 << 42).unwrap();
    std::os::unix::fs::symlink("pipe", root.join("link")).unwrap();
    let named = |name: &str| root.join(name);
    let all = vec![
        (named("pipe"), "is a named pipe, not a regular file"),
        (named("link"), "is a named pipe, not a regular file"),
        (named("socket"), "is a socket, not a regular file"),
        (named("large"), "it has 4096 GiB, and"),
        ("/dev/zero".into(), "is a device, not a regular file"),
    ];
    (all, socket)
}

/// An input of a command line, by where `@` stands.
const INPUTS: [&str; 15] = [
    "verify @",
    "verify --ca @ pki/server1.pem",
    "verify --chain @ pki/server1.pem",
    "verify --key @ pki/server1.pem",
    "verify --crl @ pki/server1.pem",
    "verify --connect 127.0.0.1:1 --cert @",
    "inspect @",
    "sign @",
    "import-ca --cert @ --key pki/ca-key.pem --pki-dir other",
    "import-ca --cert pki/ca.pem --key @ --pki-dir other",
    "import-ca --cert pki/ca.pem --key pki/ca-key.pem --root @ --pki-dir other",
    "issue --from @",
    "issue server2 --template @",
    "migrate plan --inventory @",
    "migrate plan --inventory cluster.toml --user-file @",
];

#[test]
fn no_command_waits_for_a_special_file_or_reads_a_huge_one() {
    let bench = Bench::new();
    bench.run(&["issue", "server1"]).ok();
    std::fs::write(
        bench.root().join("cluster.toml"),
        "[[member]]\nname = \"m1\"\nips = [\"127.0.0.1\"]\nprocess = \"nowhere\"\n",
    )
    .unwrap();
    let before = bench.snapshot();
    let (strange, _socket) = strange(&bench);
    for line in INPUTS {
        for (path, what) in &strange {
            let args: Vec<&str> =
                line.split(' ').map(|word| if word == "@" { text(path) } else { word }).collect();
            run(&bench, &args, Stdio::null()).refused(2, what);
        }
        // A directory is an input of some; the others say that it is none.
        let args: Vec<&str> = line.split(' ').map(|word| if word == "@" { "pki" } else { word }).collect();
        run(&bench, &args, Stdio::null());
    }
    assert_eq!(bench.snapshot(), before);
}

#[test]
fn a_pipe_in_the_pki_directory_stops_no_command_for_ever() {
    let bench = Bench::new();
    bench.run(&["issue", "server1", "server2"]).ok();
    for file in ["server1.pem", "server1-key.pem"] {
        std::fs::remove_file(bench.file(file)).unwrap();
        named_pipe(&bench.file(file));
    }
    named_pipe(&bench.file("other.pem"));
    let pipe = "server1.pem is a named pipe, not a regular file";
    for args in [
        &["revoke", "server1"][..],
        &["renew", "server1"],
        &["export", "server1", "--format", "pem-bundle"],
        &["issue", "server1", "--force"],
        &["verify", "server1"],
    ] {
        let ran = run(&bench, args, Stdio::null());
        assert!(matches!(ran.code, Some(1 | 2)) && ran.err.contains("hint: "), "{args:?}: {ran:?}");
    }
    run(&bench, &["revoke", "server1"], Stdio::null()).refused(2, pipe);
    // What is no file of the directory is passed over; the rest is served.
    for args in [&["list"][..], &["verify"], &["inspect", "pki"], &["renew", "server2"], &["crl"]] {
        run(&bench, args, Stdio::null()).ok();
    }
}

#[test]
fn a_disk_that_fails_is_not_taken_for_absence() {
    let tried = Command::new("strace").args(["-qq", "-o", "/dev/null", "/bin/true"]).output();
    if !tried.is_ok_and(|ran| ran.status.success()) {
        return skipped("strace cannot trace here");
    }
    let bench = Bench::new();
    bench.run(&["issue", "server1"]).ok();
    std::fs::write(bench.root().join("cluster.toml"), "[[member]]\nname = \"m1\"\nprocess = \"x\"\n")
        .unwrap();
    let certificate = bench.file("server1.pem");
    for (path, args) in [
        ("pki/server1.pem", &["revoke", "server1"][..]),
        ("pki/server1-key.pem", &["verify", text(&certificate)]),
        ("pki/ca.pem", &["verify", text(&certificate)]),
        ("pki/crl.der", &["verify", text(&certificate)]),
        ("cluster.toml", &["migrate", "plan"]),
        ("10.0.0.1:2379", &["inspect", "10.0.0.1:2379"]),
    ] {
        let mut command = Command::new("strace");
        bench.prepare(&mut command).args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-P",
            text(&bench.root().join(path)),
        ]);
        command.args(["-P", path, "-e", "trace=stat,newfstatat,statx"]);
        command.args(["-e", "inject=stat,newfstatat,statx:error=EIO", env!("CARGO_BIN_EXE_etcd-pki")]);
        let ran: Ran = command.args(args).output().unwrap().into();
        ran.refused(2, "Input/output error");
    }
    bench.run(&["revoke", "server1"]).ok();
}

#[test]
fn what_a_shell_makes_of_a_command_is_read_like_a_file() {
    let bench = Bench::new();
    bench.run(&["issue", "server1"]).ok();
    let shell = |line: &str| -> Ran {
        let mut command = Command::new("bash");
        bench
            .prepare(&mut command)
            .args(["-c", line, env!("CARGO_BIN_EXE_etcd-pki")])
            .output()
            .unwrap()
            .into()
    };
    shell("\"$0\" verify --ca <(cat pki/ca.pem) pki/server1.pem").ok();
    shell("cat pki/server1.pem | \"$0\" inspect /dev/stdin").ok();
    shell("\"$0\" inspect /dev/stdin < pki/server1.pem").ok();
    shell("\"$0\" inspect <(cat /dev/zero)").refused(
        2,
        "it has more than 16 MiB, and certificates, keys and revocation lists are read up to 16 MiB",
    );
}

#[test]
fn a_passphrase_may_come_through_a_named_pipe_but_not_without_end() {
    let bench = Bench::empty();
    let pipe = bench.root().join("pipe");
    named_pipe(&pipe);
    let writer = std::thread::spawn(move || std::fs::write(pipe, "correct horse\n").unwrap());
    run(&bench, &["init-ca", "--passphrase-file", "pipe"], Stdio::null()).ok();
    writer.join().unwrap();
    let (long, fits) = (bench.root().join("long"), bench.root().join("fits"));
    std::fs::write(&long, "x".repeat(4097)).unwrap();
    std::fs::write(&fits, "correct horse\nand more of it\n").unwrap();
    run(&bench, &["issue", "a", "--passphrase-file", "fits"], Stdio::null()).ok();
    for (file, what) in [
        (text(&long), "it has more than 4 KiB, and passphrases are read up to 4 KiB"),
        ("/dev/zero", "it has more than 4 KiB, and passphrases are read up to 4 KiB"),
        ("/dev/null", "its first line is empty"),
        ("/etc", "is a directory"),
    ] {
        run(&bench, &["issue", "b", "--passphrase-file", file], Stdio::null()).refused(2, what);
    }
}

#[test]
fn explain_reads_a_log_of_any_shape_to_a_limit() {
    let bench = Bench::empty();
    let zeros = || Stdio::from(std::fs::File::open("/dev/zero").unwrap());
    run(&bench, &["explain", "-"], zeros()).refused(2, "standard input has more than 64 MiB");
    run(&bench, &["explain", "-"], Stdio::from(std::fs::File::open("/etc").unwrap()))
        .refused(2, "cannot read standard input");
    // A line without end hides neither its own beginning nor the line after it.
    let log = bench.root().join("log");
    let long = format!("remote error: tls: bad certificate {}\n", "x".repeat(3 << 20));
    std::fs::write(&log, format!("{long}x509: certificate signed by unknown authority\n")).unwrap();
    let ran = run(&bench, &["explain", "-", "--json"], Stdio::from(std::fs::File::open(&log).unwrap())).ok();
    let causes = ran.json()["causes"].clone();
    let codes: Vec<_> = causes.as_array().unwrap().iter().map(|cause| cause["name"].clone()).collect();
    assert!(codes.contains(&"missing-client-auth".into()), "{codes:?}");
    assert!(codes.contains(&"unknown-authority".into()), "{codes:?}");
}
