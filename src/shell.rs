//! The one place where words become a line for a shell: a remote one, or that of a user who pastes a command.

use std::path::Path;

/// A word as every POSIX shell reads it back, and fish too: single quotes, but for quotes and backslashes, which stand
/// outside of them behind a backslash.
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut line = String::with_capacity(word.len() + 2);
    line.push('\'');
    for c in word.chars() {
        match c {
            '\'' => line.push_str(r"'\''"),
            '\\' => line.push_str(r"'\\'"),
            c => line.push(c),
        }
    }
    line.push('\'');
    line
}

/// A path as a word.
pub(crate) fn path(path: &Path) -> String {
    quote(&path.display().to_string())
}

/// Words as a line.
pub(crate) fn line<S: AsRef<str>>(words: &[S]) -> String {
    words.iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::command::{command, run};
    use std::time::Duration;

    /// What a shell makes of a line, each word on the way out followed by a zero byte.
    fn through(shell: &str, words: &[&str]) -> Vec<String> {
        let mut child = command(shell);
        child.args(["-c", &format!("printf '%s\\0' {}", line(words))]);
        let output = run(child, b"", Duration::from_secs(20)).unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn words_come_through_a_shell_as_they_are() {
        let words = [
            "plain",
            "",
            " ",
            "a b",
            "it's",
            "''",
            "\\",
            "\\'\"",
            "$HOME `id` $(id) ${x}",
            "*",
            "~",
            "!x",
            "a\nb",
            "#x",
            "-n",
            ";|&<>(){}[]",
            "é€\u{7f}\t",
            "%s",
        ];
        for shell in ["sh", "bash"] {
            assert_eq!(through(shell, &words), words, "{shell}");
        }
    }

    #[test]
    fn a_path_is_quoted_where_a_shell_would_part_it() {
        assert_eq!(path(Path::new("/tmp/etcd-pki_1.2")), "/tmp/etcd-pki_1.2");
        assert_eq!(path(Path::new("/tmp/it's here")), r"'/tmp/it'\''s here'");
    }

    #[test]
    fn any_word_comes_through() {
        proptest::proptest!(proptest::test_runner::Config::with_cases(64), |(words in proptest::collection::vec("[^\0]{0,40}", 1..8))| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            proptest::prop_assert_eq!(through("sh", &words), words);
        });
    }
}
