//! Passphrases that are typed on a terminal.

use std::process::Command;

use crate::common::skipped;
use crate::support::{Bench, Ran};

/// Gives a program a terminal of its own, and types a line at each question that ends in a colon.
const TYPIST: &str = r#"
import os, pty, sys
lines, program = sys.argv[1].split(','), sys.argv[2:]
child, tty = pty.fork()
if child == 0:
    os.execv(program[0], program)
seen = b''
def more():
    global seen
    try:
        part = os.read(tty, 1024)
    except OSError:
        part = b''
    seen += part
    return part
for count, line in enumerate(lines, 1):
    # The question is asked before the terminal is silenced, which drops what was typed too early.
    while seen.count(b': ') < count and more():
        pass
    import termios, time
    for _ in range(500):
        if not termios.tcgetattr(tty)[3] & termios.ECHO:
            break
        time.sleep(0.01)
    os.write(tty, line.encode() + b'\r')
while more():
    pass
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

fn typed(bench: &Bench, lines: &str, args: &[&str]) -> Ran {
    let mut command = Command::new("python3");
    bench.prepare(&mut command).args(["-c", TYPIST, lines, env!("CARGO_BIN_EXE_etcd-pki")]).args(args);
    command.output().unwrap().into()
}

#[test]
fn a_passphrase_is_asked_for_on_a_terminal_and_never_shown() {
    if Command::new("python3").arg("--version").output().is_err() {
        return skipped("python3 is not installed");
    }
    let bench = Bench::empty();
    let ran = typed(&bench, "one,two", &["init-ca", "--encrypt-key"]);
    assert!(ran.code == Some(1) && ran.out.contains("the two passphrases differ"), "{ran:?}");
    assert!(!bench.file("ca.pem").exists());
    let ran = typed(&bench, "open sesame,open sesame", &["init-ca", "--encrypt-key"]).ok();
    assert!(!ran.out.contains("sesame"), "{ran:?}");
    let ran = typed(&bench, "wrong", &["issue", "server1"]);
    assert!(ran.code == Some(1) && ran.out.contains("the passphrase does not open"), "{ran:?}");
    // Backspace and Ctrl-U do what they do everywhere.
    typed(&bench, "opex\u{7f}n sesame", &["issue", "server1"]).ok();
    typed(&bench, "nonsense\u{15}open sesame", &["issue", "server2"]).ok();
    let ran = typed(&bench, "\u{3}", &["issue", "server3"]);
    assert!(ran.code == Some(1) && ran.out.contains("no passphrase was given"), "Ctrl-C: {ran:?}");
}
