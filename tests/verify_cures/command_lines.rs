//! The commands of ours in a text, as a shell would run them.

/// Placeholders, and what a test puts in their place.
const PLACEHOLDERS: [(&str, &str); 4] = [
    ("ADDRESS", "172.16.0.101"),
    ("NAME", "server1"),
    ("TIME", "2027-01-01T00:00:00Z"),
    ("HOST:PORT", "172.16.0.101:2379"),
];

/// The command lines in prose: a text that is one as a whole, or what is between backquotes.
pub(super) fn in_prose(text: &str) -> Vec<&str> {
    if is_line(text) { vec![text] } else { in_backquotes(text) }
}

/// The command lines between backquotes.
pub(super) fn in_backquotes(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).filter(|line| !in_line(line).is_empty()).collect()
}

/// Whether a text is a command line as a whole: `etcd-pki CA` is none.
fn is_line(text: &str) -> bool {
    text.strip_prefix("etcd-pki ")
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()) || rest.starts_with("--"))
}

/// The prose without its command lines.
pub(super) fn outside(text: &str) -> String {
    if is_line(text) { String::new() } else { text.split('`').step_by(2).collect() }
}

/// The arguments of each run of the tool in lines of shell, with placeholders filled in.
pub(super) fn in_line(script: &str) -> Vec<Vec<String>> {
    let filled = |word: String| {
        let found = PLACEHOLDERS.iter().find(|(placeholder, _)| *placeholder == word);
        found.map_or(word.clone(), |(_, value)| (*value).to_owned())
    };
    let ours = simple_commands(script).into_iter().filter(|words| words[0] == "etcd-pki" && words.len() > 1);
    ours.map(|words| words.into_iter().map(filled).collect()).collect()
}

/// Fills placeholders into a line that is to be run.
pub(super) fn filled(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        PLACEHOLDERS.iter().find(|(placeholder, _)| *placeholder == word).map_or(word, |(_, value)| *value)
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Splits shell into its simple commands, each a list of words; comments are left out.
fn simple_commands(script: &str) -> Vec<Vec<String>> {
    let (mut commands, mut words) = (Vec::new(), Vec::new());
    let mut word: Option<String> = None;
    let mut rest = script.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\'' | '"' => {
                let text: String = rest.by_ref().take_while(|&end| end != c).collect();
                word.get_or_insert_default().push_str(&text);
            }
            '\\' => match rest.next() {
                Some('\n') | None => {}
                Some(c) => word.get_or_insert_default().push(c),
            },
            '#' if word.is_none() => {
                rest.by_ref().take_while(|&end| end != '\n').for_each(drop);
                commands.push(std::mem::take(&mut words));
            }
            ' ' | '\t' => words.extend(word.take()),
            '\n' | '|' | '&' | ';' | '(' | ')' | '<' | '>' => {
                words.extend(word.take());
                commands.push(std::mem::take(&mut words));
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word.take());
    commands.push(words);
    commands.retain(|words| !words.is_empty());
    commands
}

/// The string literals of a Rust source, as the program has them; `{…}` of a format string is kept.
pub(super) fn literals(source: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), source);
    while let Some(at) = rest.find(['"', '\'', '/']) {
        let before = &rest[..at];
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("//") {
            rest = comment.find('\n').map_or("", |end| &comment[end..]);
        } else if rest.starts_with('/') {
            rest = &rest[1..];
        } else if rest.starts_with('\'') {
            // A character, or else a lifetime.
            let mut chars = rest[1..].char_indices();
            let end = match chars.next() {
                Some((_, '\\')) => rest[3..].find('\'').map(|end| end + 4),
                Some((_, c)) => rest[1 + c.len_utf8()..].starts_with('\'').then_some(2 + c.len_utf8()),
                None => None,
            };
            rest = &rest[end.unwrap_or(1)..];
        } else {
            let hashes = before.len() - before.trim_end_matches('#').len();
            let is_raw = before.trim_end_matches('#').ends_with('r');
            let body = &rest[1..];
            let end = if is_raw {
                body.find(&format!("\"{}", "#".repeat(hashes))).expect("a raw string ends")
            } else {
                let mut escaped = false;
                body.char_indices()
                    .find(|&(_, c)| {
                        let ends = c == '"' && !escaped;
                        escaped = c == '\\' && !escaped;
                        ends
                    })
                    .map(|(end, _)| end)
                    .expect("a string ends")
            };
            let text = &body[..end];
            found.push(if is_raw { text.to_owned() } else { unescaped(text) });
            rest = &body[end + 1..];
        }
    }
    found
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else { break };
        rest = &rest[c.len_utf8()..];
        match c {
            '\n' => rest = rest.trim_start(),
            'n' => out.push('\n'),
            c => out.push(c),
        }
    }
    out + rest
}

#[test]
fn a_line_is_split_into_simple_commands() {
    let all = |text: &str| in_line(text).into_iter().map(|words| words.join(",")).collect::<Vec<_>>();
    assert_eq!(all("journalctl -u etcd | etcd-pki explain -"), ["etcd-pki,explain,-"]);
    assert_eq!(
        all("etcd-pki --pki-dir 'a b' init-ca && etcd-pki issue NAME  # a comment; etcd-pki no"),
        ["etcd-pki,--pki-dir,a b,init-ca", "etcd-pki,issue,server1"]
    );
    assert_eq!(all("source <(etcd-pki completions bash)"), ["etcd-pki,completions,bash"]);
    assert_eq!(all("cat a etcd-pki"), [""; 0]);
}

#[test]
fn literals_are_read_as_the_compiler_reads_them() {
    let source = r##"
        // "a comment's"
        let c = ['"', '\'', 'x']; fn f<'a>(x: &'a str) {}
        f("one \
           two", r"th\ree", r#"fo"ur"#, "fi\"ve");
    "##;
    assert_eq!(literals(source), ["one two", "th\\ree", "fo\"ur", "fi\"ve"]);
}
