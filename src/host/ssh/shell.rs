//! A shell on the host that lasts, and runs one command line after the other: a session, a login shell and sudo cost
//! once what they would cost for each.
//!
//! What it is asked goes by its standard input, so no command of ours gets any: what has input of its own, such as a
//! key that is placed, is run by a session of its own.

use std::io;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

use super::connection::{Connection, after_line};
use crate::host::RunOutput;
use crate::host::command::{Dialogue, Lapse};
use crate::shell::line;

/// Reads a mark, then a command line up to that mark again; runs it with empty input in a process of its own; says the
/// mark and its exit code. What a command prints stands between two marks, that nobody can foresee.
const LOOP: &str = r#"
while IFS= read -r mark; do
    words=
    while IFS= read -r text && [ "$text" != "$mark" ]; do words="$words$text
"; done
    printf '%s\n' "$mark"
    (eval "$words") </dev/null
    printf '%s=%s\n' "$mark" "$?"
    printf '%s=\n' "$mark" >&2
done
"#;

/// A shell that stands.
pub(super) struct Shell(Dialogue);

impl Shell {
    /// Starts one.
    pub(super) fn open(connection: &Connection) -> io::Result<Self> {
        Dialogue::start(connection.command(&["sh", "-c", LOOP, "sh"])).map(Self)
    }

    /// Whether words come through any shell's `read` as they are: some have trouble with bytes beyond ASCII.
    pub(super) fn takes(words: &[&str]) -> bool {
        words.iter().all(|word| word.is_ascii() && !word.contains('\0'))
    }

    /// Whether it still stands.
    pub(super) fn stands(&mut self) -> bool {
        self.0.stands()
    }

    /// Runs words.
    pub(super) fn run(&mut self, words: &[&str], deadline: Duration) -> Result<RunOutput, Lapse> {
        let mark = mark().map_err(|error| Lapse::Ended(error.to_string().into_bytes()))?;
        let text = format!("{mark}\n{}\n{mark}\n", line(words));
        let (out, err) = self.0.ask(text.as_bytes(), &format!("{mark}="), deadline)?;
        // A login shell, or what an earlier command left behind, may have printed something before.
        let Some(stdout) = after_line(out.bytes, &mark) else { return Err(Lapse::Ended(err.bytes)) };
        let status = out.rest.trim().parse().ok();
        Ok(RunOutput { status, stdout, stderr: err.bytes })
    }
}

/// A line that nobody can foresee.
fn mark() -> io::Result<String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the system gave no random bytes"))?;
    Ok(format!("etcd-pki-{:032x}", u128::from_ne_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::command::command;

    const SOON: Duration = Duration::from_secs(20);

    /// The same loop in a shell of this machine's.
    fn here(shell: &str) -> Shell {
        let mut child = command(shell);
        child.args(["-c", &format!("echo Welcome; {LOOP}")]);
        Shell(Dialogue::start(child).unwrap())
    }

    fn said(shell: &mut Shell, words: &[&str]) -> (Option<i32>, String, String) {
        let output = shell.run(words, SOON).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status, text(output.stdout), text(output.stderr))
    }

    #[test]
    fn each_command_has_its_own_words_output_and_exit_code() {
        for name in ["sh", "bash"] {
            let mut shell = here(name);
            let words =
                ["printf", "%s|", "", " a  b ", "$HOME `id`", "it's", "\\n\\", "*", "-x", "a\n\nb\n", "\t"];
            let out = "| a  b |$HOME `id`|it's|\\n\\|*|-x|a\n\nb\n|\t|".to_owned();
            assert_eq!(said(&mut shell, &words), (Some(0), out, String::new()), "{name}");
            let both = ["sh", "-c", "printf out; printf err >&2; exit 3"];
            assert_eq!(said(&mut shell, &both), (Some(3), "out".to_owned(), "err".to_owned()), "{name}");
            // What a command does to itself or to its shell stays with it.
            assert_eq!(said(&mut shell, &["exit", "7"]).0, Some(7));
            assert_eq!(said(&mut shell, &["cd", "/"]).0, Some(0));
            assert_ne!(said(&mut shell, &["pwd"]).1, "/\n");
            assert_eq!(said(&mut shell, &["sh", "-c", "kill -9 $$"]).0, Some(128 + 9));
            assert_eq!(said(&mut shell, &["no-such-program"]).0, Some(127));
            // It has no input, and with it nothing of what comes next.
            assert_eq!(said(&mut shell, &["cat"]), (Some(0), String::new(), String::new()));
        }
    }

    #[test]
    fn what_is_left_running_does_not_keep_it_and_what_hangs_is_told() {
        let mut shell = here("sh");
        let started = std::time::Instant::now();
        assert_eq!(said(&mut shell, &["sh", "-c", "sleep 5 & echo here"]).1, "here\n");
        assert!(started.elapsed() < Duration::from_secs(4));
        let hangs = shell.run(&["sleep", "30"], Duration::from_millis(200));
        assert!(matches!(hangs, Err(Lapse::TooLong(_))));
    }

    #[test]
    fn words_that_a_shell_may_not_read_as_they_are() {
        assert!(Shell::takes(&["sh", "-c", "a\nb", ""]));
        assert!(!Shell::takes(&["é"]) && !Shell::takes(&["a\0b"]));
    }
}
