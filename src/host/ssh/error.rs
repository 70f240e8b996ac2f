//! Why a host could not be had over ssh, and what to do about it.

use crate::text;

/// Why a host could not be had over ssh.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host}: {kind}{}", if said.is_empty() { String::new() } else { format!(": {said}") })]
pub struct SshError {
    /// The inventory's name.
    pub host: String,
    /// Where ssh was sent.
    pub destination: String,
    /// What kind of trouble.
    pub kind: SshTrouble,
    /// What ssh, or the host, said.
    pub said: String,
}

/// The kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SshTrouble {
    /// It stood, and broke off.
    #[error("its ssh connection broke off")]
    Broken,
    /// Its key is another than the one on record.
    #[error("its host key is not the one on record")]
    ChangedHostKey,
    /// We are not let in.
    #[error("ssh is not let in")]
    Denied,
    /// We are neither root there nor allowed to become it.
    #[error("not root there, and sudo does not help")]
    NoSudo,
    /// We are not root there, and nobody said to become it.
    #[error("not root there")]
    NotRoot,
    /// There is no `ssh` here.
    #[error("ssh cannot be run")]
    NoSsh,
    /// It sends without end.
    #[error("it sends more than is read from a host")]
    TooMuch,
    /// Its answer did not come, or not the whole of it.
    #[error("its answer is too slow")]
    TooSlow,
    /// Its key is not on record.
    #[error("its host key is not known here")]
    UnknownHostKey,
    /// It does not answer.
    #[error("ssh cannot reach it")]
    Unreachable,
    /// Something else.
    #[error("ssh")]
    Other,
}

impl SshError {
    /// What to do.
    pub fn hint(&self) -> String {
        let to = &self.destination;
        match self.kind {
            SshTrouble::Broken => format!("see whether the host is up and lets you in: `ssh {to}`"),
            SshTrouble::ChangedHostKey => {
                "find out why before anything else; if the host was installed anew: ssh-keygen -R, then ssh there once".into()
            }
            SshTrouble::Denied => format!(
                "`ssh {to}` must work without a question: load the key into the agent, or name it (and the user) in ~/.ssh/config"
            ),
            SshTrouble::NoSudo => "allow it in sudoers without a password (NOPASSWD), or log in as root".into(),
            SshTrouble::NotRoot => "pass --become to use sudo there, or log in as root".into(),
            SshTrouble::NoSsh => "install OpenSSH's client".into(),
            SshTrouble::UnknownHostKey => {
                format!("`ssh {to}` once and compare the fingerprint, or add what `ssh-keyscan` prints to known_hosts after comparing it")
            }
            SshTrouble::TooMuch => {
                format!("see what it sends: `ssh {to} true` must print next to nothing, and what is named above must be small")
            }
            SshTrouble::TooSlow => {
                format!("see whether it is overloaded, or a disk of its hangs: `time ssh {to} true` must end at once")
            }
            SshTrouble::Unreachable => format!("try `ssh -v {to}`; names and jump hosts come from ~/.ssh/config"),
            SshTrouble::Other => format!("try `ssh -v {to}`"),
        }
    }

    /// A stable word for scripts.
    pub const fn code(&self) -> &'static str {
        match self.kind {
            SshTrouble::Broken => "ssh-broken",
            SshTrouble::ChangedHostKey => "host-key-changed",
            SshTrouble::Denied => "ssh-denied",
            SshTrouble::NoSudo => "no-sudo",
            SshTrouble::NotRoot => "not-root",
            SshTrouble::NoSsh => "no-ssh",
            SshTrouble::TooMuch => "ssh-too-much",
            SshTrouble::TooSlow => "ssh-too-slow",
            SshTrouble::UnknownHostKey => "unknown-host-key",
            SshTrouble::Unreachable => "unreachable",
            SshTrouble::Other => "ssh",
        }
    }

    /// What ssh means by what it says on standard error (OpenSSH 7 to 10).
    pub(super) fn from_stderr(host: &str, destination: &str, stderr: &str) -> Self {
        let has = |text: &str| stderr.contains(text);
        let kind =
            if has("REMOTE HOST IDENTIFICATION HAS CHANGED") || has("Host key for") && has("has changed") {
                SshTrouble::ChangedHostKey
            } else if has("Host key verification failed") || has("host key is known for") {
                SshTrouble::UnknownHostKey
            } else if has("Permission denied") || has("Too many authentication failures") {
                SshTrouble::Denied
            } else if [
                "Could not resolve",
                "Connection refused",
                "timed out",
                "No route to host",
                "Network is unreachable",
            ]
            .iter()
            .any(|text| has(text))
            {
                SshTrouble::Unreachable
            } else {
                SshTrouble::Other
            };
        Self { host: host.to_owned(), destination: destination.to_owned(), kind, said: telling(stderr) }
    }
}

/// The last line that says something: ssh's banners come first, decoration is left out. A line in parentheses says what
/// the one before it is about.
pub(super) fn telling(stderr: &str) -> String {
    let lines = stderr.lines().map(|line| of_any_channel(line.trim()));
    let mut telling = lines.filter(|line| !line.is_empty() && !line.starts_with('@'));
    match (telling.next_back(), telling.next_back()) {
        (Some(about), Some(what)) if about.starts_with('(') => excerpt(&format!("{what} {about}")),
        (last, _) => last.map(excerpt).unwrap_or_default(),
    }
}

/// What ssh says of one of its channels, without the number, which differs each time it says it.
fn of_any_channel(line: &str) -> &str {
    let rest = line.strip_prefix("channel ").and_then(|rest| rest.split_once(": "));
    rest.filter(|(number, _)| number.bytes().all(|c| c.is_ascii_digit())).map_or(line, |(_, what)| what)
}

/// The beginning of a message of a host or an etcd, on one line, without characters that a terminal acts on.
pub(crate) fn excerpt(message: &str) -> String {
    text::escaped(message.trim_end()).chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_is_understood() {
        for (said, kind) in [
            (
                "No ED25519 host key is known for 172.16.0.101 and you have requested strict checking.\r\nHost key verification failed.\r\n",
                SshTrouble::UnknownHostKey,
            ),
            ("Host key verification failed.", SshTrouble::UnknownHostKey),
            (
                "@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
                SshTrouble::ChangedHostKey,
            ),
            ("root@172.16.0.101: Permission denied (publickey).", SshTrouble::Denied),
            ("ssh: connect to host 172.16.0.9 port 22: No route to host", SshTrouble::Unreachable),
            ("ssh: Could not resolve hostname server9: Name or service not known", SshTrouble::Unreachable),
            ("kex_exchange_identification: read: Connection reset by peer", SshTrouble::Other),
        ] {
            assert_eq!(SshError::from_stderr("a", "root@a", said).kind, kind, "{said}");
        }
        let error =
            SshError::from_stderr("a", "root@a", "Banner\n\x1b[2Jroot@a: Permission denied (publickey).\r\n");
        assert_eq!(
            error.to_string(),
            "a: ssh is not let in: \\u{1b}[2Jroot@a: Permission denied (publickey)."
        );
    }

    #[test]
    fn what_a_line_in_parentheses_is_about_is_said() {
        let stderr = "head: error writing 'standard output': No space left on device\n(/etc/a.conf)\n";
        assert_eq!(
            telling(stderr),
            "head: error writing 'standard output': No space left on device (/etc/a.conf)"
        );
        assert_eq!(telling("(alone)\n"), "(alone)");
    }

    #[test]
    fn one_cut_is_told_in_the_same_words_on_every_channel() {
        let said = |number: u8| {
            telling(&format!("channel {number}: open failed: connect failed: Connection refused\r\n"))
        };
        assert_eq!(said(2), "open failed: connect failed: Connection refused");
        assert_eq!(said(2), said(13));
        assert_eq!(telling("channel surfing: a banner"), "channel surfing: a banner");
    }
}
