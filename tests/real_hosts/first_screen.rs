//! The first screen of README.md, typed as it is written, on the operator's machine of a lab.

use std::process::{Command, Stdio};

use etcd_pki::etcd::Scheme;

use crate::lab_support::{EXE, Lab, answers, differences};

/// Types a line into a shell on a terminal of its own, and says yes to each question.
const TYPIST: &str = r#"
import os, pty, sys
child, tty = pty.fork()
if child == 0:
    os.execvp('bash', ['bash', '-euc', sys.argv[1]])
seen, answered = b'', 0
while True:
    try:
        part = os.read(tty, 1024)
    except OSError:
        part = b''
    if not part:
        break
    seen += part
    if seen.count(b'[y/N]') > answered:
        answered += 1
        os.write(tty, b'y\r')
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

/// The commands of the screen, in order: the file that is made first, then each line.
fn commands() -> Vec<String> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let screen = readme.split("## The whole way").nth(1).unwrap().split("```").nth(1).unwrap();
    let (file, rest) = screen.strip_prefix("sh\n").unwrap().split_once("\nEND\n").unwrap();
    let lines = rest.lines().filter(|line| line.starts_with("etcd-pki ")).map(str::to_owned);
    std::iter::once(format!("{file}\nEND")).chain(lines).collect()
}

#[test]
fn every_command_of_the_first_screen_runs_as_it_is_written() {
    if Command::new("python3").arg("--version").output().is_err() {
        return crate::support::skipped("python3 is not installed");
    }
    let commands = commands();
    assert!(commands.len() >= 10, "{commands:#?}");
    let Some(lab) = Lab::bare("3.4.23", "debian", &["--hosts", "1"]) else { return };
    let before = lab.tree(1);
    let mut seen = Vec::new();
    for line in &commands {
        let dir = std::path::Path::new(EXE).parent().unwrap();
        let output = Command::new("ip")
            .args([
                "netns",
                "exec",
                &format!("lab-{}-op", lab.name),
                "timeout",
                "300",
                "python3",
                "-c",
                TYPIST,
                line,
            ])
            .current_dir(lab.home.path())
            .env("PATH", format!("{}:{}", dir.display(), std::env::var("PATH").unwrap()))
            .env("ETCDPKI_SSH_CONFIG", lab.dir.join("ssh/config"))
            .env("NO_COLOR", "1")
            .env_remove("ETCDPKI_DIR")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{line}\n{out}{}", String::from_utf8_lossy(&output.stderr));
        if line.starts_with("etcd-pki migrate seal") {
            let tls = client_tls(&lab);
            lab.inside(|| answers(lab.address(1), Scheme::Https, 2379, Some(&tls)).unwrap());
            lab.inside(|| answers(lab.address(1), Scheme::Http, 4001, None).unwrap_err());
        }
        seen.push(line.split_whitespace().take(3).collect::<Vec<_>>().join(" "));
    }
    assert_eq!(seen.last().map(String::as_str), Some("etcd-pki migrate rollback"), "{seen:#?}");
    lab.inside(|| answers(lab.address(1), Scheme::Http, 2379, None).unwrap());
    assert_eq!(differences(&before, &lab.tree(1)), Vec::<std::path::PathBuf>::new());
}

/// What a client with the pair of the screen speaks.
fn client_tls(lab: &Lab) -> std::sync::Arc<etcd_pki::etcd::Tls> {
    let read = |name: &str| std::fs::read(lab.home.path().join("pki").join(name)).unwrap();
    let tls = etcd_pki::etcd::Tls::with_pair(&read("ca.pem"), &read("client1.pem"), &read("client1-key.pem"));
    std::sync::Arc::new(tls.unwrap())
}
