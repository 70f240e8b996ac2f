//! Just enough shell to see the etcd in `bash -c "GOMAXPROCS=$(nproc) exec /usr/bin/etcd --name=\"$ETCD_NAME\""`, and to
//! add a flag to it. One simple command; whatever else a script does is refused, not guessed.

use std::collections::BTreeMap;

use super::unit::UnitError;
use crate::host::{Launch, envfile};

const TOO_MUCH: UnitError = UnitError::ExecStart { what: "its shell script is more than one plain command" };

/// Where in a shell's arguments the script stands.
pub(super) fn script_at(argv: &[String]) -> Option<usize> {
    let option = argv.iter().skip(1).position(|word| !word.starts_with("--") && word.starts_with('-'))? + 1;
    let letters = argv[option].strip_prefix('-')?;
    (letters.contains('c') && option + 1 < argv.len()).then_some(option + 1)
}

/// The command that a shell's `-c` script runs, and its environment.
pub(super) fn unwrap(launch: &Launch) -> Result<Launch, UnitError> {
    let at = script_at(&launch.argv).ok_or(UnitError::ExecStart { what: "a shell without a -c script" })?;
    let mut env = launch.env.clone();
    let mut argv = Vec::new();
    for word in words(&launch.argv[at], &env)? {
        match word.text.split_once('=') {
            Some((name, value)) if argv.is_empty() && word.assigns => {
                env.insert(name.to_owned(), value.to_owned());
            }
            _ if argv.is_empty() && word.text == "exec" => {}
            _ => argv.push(word.text),
        }
    }
    if argv.is_empty() { Err(TOO_MUCH) } else { Ok(Launch { argv, env }) }
}

/// Writes a word so that a shell takes it literally.
pub(super) fn quote(word: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%".contains(c);
    if !word.is_empty() && word.chars().all(bare) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

struct Word {
    text: String,
    /// It begins as an assignment does: a bare name and an equals sign.
    assigns: bool,
}

fn words(script: &str, env: &BTreeMap<String, String>) -> Result<Vec<Word>, UnitError> {
    let mut found = Vec::new();
    let mut word: Option<Word> = None;
    let mut bare_name = true;
    let mut rest = script.trim_end_matches([';', ' ', '\n']).chars().peekable();
    let mut quoted = false;
    while let Some(c) = rest.next() {
        let blank = matches!(c, ' ' | '\t' | '\n');
        if !quoted && blank {
            if c == '\n' && word.is_some() {
                return Err(TOO_MUCH);
            }
            found.extend(word.take());
            bare_name = true;
            continue;
        }
        if !quoted && matches!(c, ';' | '&' | '|' | '<' | '>' | '(' | ')' | '`' | '#' | '*' | '?' | '~') {
            let harmless = matches!(c, '#' | '~' | '*' | '?') && word.is_some();
            if !harmless {
                return Err(TOO_MUCH);
            }
        }
        let into = word.get_or_insert_with(|| Word { text: String::new(), assigns: false });
        match c {
            '\'' if !quoted => loop {
                match rest.next() {
                    Some('\'') => break,
                    Some(c) => into.text.push(c),
                    None => return Err(TOO_MUCH),
                }
            },
            '"' => quoted = !quoted,
            '\\' => match rest.next() {
                // Within double quotes a backslash is only special before these.
                Some(c) if quoted && !matches!(c, '"' | '\\' | '$' | '`' | '\n') => {
                    into.text.extend(['\\', c])
                }
                Some('\n') => {}
                Some(c) => into.text.push(c),
                None => return Err(TOO_MUCH),
            },
            '`' => return Err(TOO_MUCH),
            '$' => {
                let value = variable(&mut rest, env)?;
                if !quoted && value.contains([' ', '\t', '\n']) {
                    let mut parts = value.split_ascii_whitespace().peekable();
                    while let Some(part) = parts.next() {
                        word.get_or_insert_with(|| Word { text: String::new(), assigns: false })
                            .text
                            .push_str(part);
                        if parts.peek().is_some() {
                            found.extend(word.take());
                        }
                    }
                } else if !quoted && value.is_empty() && into.text.is_empty() && is_word_end(rest.peek()) {
                    word = None;
                } else {
                    into.text.push_str(&value);
                }
            }
            '=' if !quoted && bare_name => {
                into.assigns = envfile::is_name(&into.text);
                into.text.push('=');
            }
            c => into.text.push(c),
        }
        if matches!(c, '=' | '"' | '\'' | '$' | '\\') {
            bare_name = false;
        }
    }
    if quoted {
        return Err(TOO_MUCH);
    }
    found.extend(word);
    Ok(found)
}

const fn is_word_end(next: Option<&char>) -> bool {
    matches!(next, None | Some(' ' | '\t'))
}

/// What follows a dollar sign: `NAME`, `{NAME}` or `{NAME:-default}` from the environment. What a command would print
/// (`$(nproc)`) is not known and stands as nothing: it never decides what etcd is told.
fn variable(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    env: &BTreeMap<String, String>,
) -> Result<String, UnitError> {
    let lookup = |name: &str| env.get(name).cloned().unwrap_or_default();
    match rest.peek() {
        Some('{') => {
            let inner: String = rest.by_ref().skip(1).take_while(|&c| c != '}').collect();
            if envfile::is_name(&inner) {
                return Ok(lookup(&inner));
            }
            let (name, default) = inner.split_once(":-").ok_or(TOO_MUCH)?;
            let value = lookup(name);
            Ok(if value.is_empty() { default.to_owned() } else { value })
        }
        Some('(') => {
            let mut depth = 0;
            for c in rest.by_ref() {
                depth += i32::from(c == '(') - i32::from(c == ')');
                if depth == 0 {
                    return Ok(String::new());
                }
            }
            Err(TOO_MUCH)
        }
        Some(c) if c.is_ascii_alphabetic() || *c == '_' => {
            let mut name = String::new();
            while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                name.push(c);
            }
            Ok(lookup(&name))
        }
        Some(c) if c.is_ascii_digit() || "@*#?!$-".contains(*c) => Err(TOO_MUCH),
        _ => Ok("$".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, env: &[(&str, &str)]) -> Result<Launch, UnitError> {
        let env = env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        unwrap(&Launch { argv: vec!["/bin/bash".into(), "-c".into(), script.into()], env })
    }

    #[test]
    fn the_command_and_its_assignments_are_found() {
        let script = r#"GOMAXPROCS=$(nproc) /usr/bin/etcd --name="${ETCD_NAME}" --data-dir "$DIR/x" '--a b' $ARGS $NONE"#;
        let found = run(script, &[("ETCD_NAME", "a b"), ("DIR", "/d"), ("ARGS", "--c --d=e")]).unwrap();
        assert_eq!(
            found.argv,
            ["/usr/bin/etcd", "--name=a b", "--data-dir", "/d/x", "--a b", "--c", "--d=e"]
        );
        assert_eq!(found.env["GOMAXPROCS"], "");
        let found = run("ETCD_X='1 2' exec etcd --y=z=1 ${Q:-d}", &[]).unwrap();
        assert_eq!((found.argv.join("|"), found.env["ETCD_X"].as_str()), ("etcd|--y=z=1|d".into(), "1 2"));
    }

    #[test]
    fn what_is_more_than_one_command_is_refused() {
        for script in [
            "",
            "a; b",
            "a && b",
            "a | b",
            "a > b",
            "a `b`",
            "(a)",
            "a \"b",
            "a 'b",
            "a\nb",
            "a \"`b`\"",
            "A=1",
            "a $1",
            "a ${X%y}",
            "a $(b",
            "# a",
        ] {
            assert!(run(script, &[]).is_err(), "{script:?}");
        }
        let no_script = Launch { argv: vec!["bash".into(), "/x.sh".into()], env: BTreeMap::new() };
        assert!(unwrap(&no_script).is_err());
    }

    #[test]
    fn what_is_quoted_is_read_back() {
        for word in [
            "",
            "a b",
            "it's",
            "$HOME `x` \"y\" \\",
            "--listen-client-urls=https://0.0.0.0:2379,http://[::1]:1",
        ] {
            assert_eq!(run(&format!("etcd {}", quote(word)), &[]).unwrap().argv[1], word);
        }
    }
}
