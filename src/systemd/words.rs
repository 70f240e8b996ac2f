//! Command lines as units write them: words, quotes, escapes, specifiers and variables (systemd.syntax(7),
//! systemd.service(5) "Command lines"; `extract_first_word` and `replace_env_argv` in systemd 252).

use std::collections::BTreeMap;

/// Splits a line into words: blanks part them, quotes of either kind may begin anywhere in a word, C escapes count in and
/// out of quotes. An escape that C does not know stays as it is.
///
/// # Errors
/// [`WordError`] on a quote that is not closed or a number that is no character.
pub fn split(line: &str) -> Result<Vec<String>, WordError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('\\', _) => {
                let into = word.get_or_insert_with(String::new);
                match unescape(&mut rest)? {
                    Some(c) => into.push(c),
                    None => return Err(WordError { what: "a backslash at the end" }),
                }
                if into.ends_with(KEPT) {
                    into.pop();
                    into.push('\\');
                    into.extend(rest.next());
                }
            }
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_with(String::new).push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_with(String::new);
            }
            (' ' | '\t' | '\n' | '\r', None) => words.extend(word.take()),
            (c, None) => word.get_or_insert_with(String::new).push(c),
        }
    }
    if quote.is_some() {
        return Err(WordError { what: "a quote is not closed" });
    }
    words.extend(word);
    Ok(words)
}

/// Stands for "no escape of C's: keep the backslash". A private-use character that no unit holds.
const KEPT: char = '\u{f8ff}';

fn unescape(rest: &mut std::str::Chars<'_>) -> Result<Option<char>, WordError> {
    let mut ahead = rest.clone();
    let Some(c) = ahead.next() else { return Ok(None) };
    let number = |rest: &mut std::str::Chars<'_>, skip: usize, digits: usize, radix: u32| {
        let text: String = rest.clone().skip(skip).take(digits).collect();
        let value =
            if text.chars().count() == digits { u32::from_str_radix(&text, radix).ok() } else { None };
        let c = value.and_then(char::from_u32).filter(|&c| c != '\0' && (digits > 3 || c.is_ascii()));
        rest.nth(skip + digits - 1);
        c.map(Some).ok_or(WordError { what: "an escape that is no character" })
    };
    let plain = match c {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        's' => ' ',
        '\\' | '"' | '\'' => c,
        'x' => return number(rest, 1, 2, 16),
        'u' => return number(rest, 1, 4, 16),
        'U' => return number(rest, 1, 8, 16),
        '0'..='7' => return number(rest, 0, 3, 8),
        _ => return Ok(Some(KEPT)),
    };
    rest.next();
    Ok(Some(plain))
}

/// Writes a word so that [`split`] reads it back: bare where it can be, else in double quotes.
pub fn quote(word: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%${}[]*^~".contains(c);
    if !word.is_empty() && word.chars().all(bare) {
        return word.to_owned();
    }
    let mut out = String::from('"');
    for c in word.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Writes a literal so that neither specifiers nor variables are seen in it: for `ExecStart=`.
pub fn literal_argument(text: &str) -> String {
    quote(&text.replace('%', "%%").replace('$', "$$"))
}

/// Writes a literal so that no specifiers are seen in it: for `Environment=`, which expands no variables. Always quoted,
/// as the manuals do.
pub fn literal_assignment(name: &str, value: &str) -> String {
    let text = format!("{name}={}", value.replace('%', "%%"));
    let quoted = quote(&text);
    if quoted.starts_with('"') { quoted } else { format!("\"{quoted}\"") }
}

/// What `%` and a letter stand for in one unit on one machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Specifiers {
    known: BTreeMap<char, String>,
}

impl Specifiers {
    /// Those that come from the unit's name, the host's name and its machine ID.
    pub fn new(unit: &str, hostname: &str, machine_id: &str) -> Self {
        let stem = unit.rsplit_once('.').map_or(unit, |(stem, _)| stem);
        let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
        let last = prefix.rsplit('-').next().unwrap_or(prefix);
        let short = hostname.split('.').next().unwrap_or(hostname);
        let known = [
            ('n', unit),
            ('N', stem),
            ('p', prefix),
            ('P', prefix),
            ('i', instance),
            ('I', instance),
            ('j', last),
            ('J', last),
            ('H', hostname),
            ('l', short),
            ('m', machine_id),
            ('S', "/var/lib"),
            ('C', "/var/cache"),
            ('L', "/var/log"),
            ('t', "/run"),
            ('T', "/tmp"),
            ('V', "/var/tmp"),
            ('E', "/etc"),
        ];
        Self { known: known.map(|(letter, text)| (letter, text.to_owned())).into() }
    }

    /// A text with its specifiers replaced; a percent sign before anything else that systemd does not know stays.
    ///
    /// # Errors
    /// [`WordError`] on a specifier of systemd's whose value is not known here.
    pub fn expand(&self, text: &str) -> Result<String, WordError> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match (c, rest.peek()) {
                ('%', Some('%')) => {
                    rest.next();
                    out.push('%');
                }
                ('%', Some(letter)) => match self.known.get(letter) {
                    Some(value) => {
                        out.push_str(value);
                        rest.next();
                    }
                    None if "AaBbcdDFfghGjJkMoqrRsuUvWw".contains(*letter) => {
                        return Err(WordError { what: "a specifier that is not understood" });
                    }
                    None => out.push('%'),
                },
                _ => out.push(c),
            }
        }
        Ok(out)
    }
}

/// Replaces variables in the words of a command: `$NAME` as a whole word becomes the words of its value, none when it is
/// unset; `${NAME}` anywhere becomes the value as it is; `$$` is a dollar sign.
pub fn substitute(words: &[String], env: &BTreeMap<String, String>) -> Result<Vec<String>, WordError> {
    let mut out = Vec::new();
    for word in words {
        match word.strip_prefix('$') {
            Some(name) if !name.is_empty() && !name.starts_with(['{', '$']) => {
                out.extend(split_plain(env.get(name).map_or("", String::as_str))?);
            }
            _ => out.push(braced(word, env)),
        }
    }
    Ok(out)
}

fn braced(word: &str, env: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            out.push_str(env.get(name).map_or("", String::as_str));
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out + rest
}

/// Splits a variable's value: quotes are taken off, escapes only of the next character (`EXTRACT_UNQUOTE` without
/// `EXTRACT_CUNESCAPE`).
fn split_plain(text: &str) -> Result<Vec<String>, WordError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('\\', _) => word.get_or_insert_with(String::new).extend(rest.next()),
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_with(String::new);
            }
            (' ' | '\t' | '\n' | '\r', None) => words.extend(word.take()),
            (c, _) => word.get_or_insert_with(String::new).push(c),
        }
    }
    // An open quote is closed by the end (EXTRACT_RELAX).
    words.extend(word);
    Ok(words)
}

/// A line that systemd would not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct WordError {
    /// What is wrong with it.
    pub what: &'static str,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split_of(line: &str) -> Vec<String> {
        split(line).unwrap()
    }

    #[test]
    fn words_are_parted_quoted_and_escaped() {
        assert_eq!(split_of("  /usr/bin/etcd  --a\t--b  "), ["/usr/bin/etcd", "--a", "--b"]);
        assert_eq!(split_of(r#""A=b c" 'd "e"' f"g h"i"#), ["A=b c", "d \"e\"", "fg hi"]);
        assert_eq!(
            split_of(r#"a\x20b "c\"d" 'e\'f' \101 \s\t g\ h \q"#),
            ["a b", "c\"d", "e'f", "A", " \t", "g\\ h", "\\q"]
        );
        assert_eq!(split_of("'' \"\""), ["", ""]);
        for bad in ["'a", "\"a", "a\\", "\\x0g", "\\x0", "\\400", "\\000"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn specifiers_are_those_of_the_unit_and_the_host() {
        let specifiers = Specifiers::new("etcd-member@a.service", "server1.example.com", "0123");
        assert_eq!(
            specifiers.expand("%H %l %m %p %i %n %j").unwrap(),
            "server1.example.com server1 0123 etcd-member a etcd-member@a.service member"
        );
        assert_eq!(specifiers.expand("100%% % %; %").unwrap(), "100% % %; %");
        assert!(specifiers.expand("%b").is_err());
        assert_eq!(
            Specifiers::new("etcd.service", "h", "m").expand("/etc/default/%p").unwrap(),
            "/etc/default/etcd"
        );
    }

    #[test]
    fn variables_become_words_or_parts_of_words() {
        let env = BTreeMap::from([
            ("ARGS".to_owned(), "--a 'b c' --d=\"e\"".to_owned()),
            ("IP".to_owned(), "10.0.0.1".to_owned()),
        ]);
        let words =
            ["$ARGS", "x$ARGS", "--url=http://${IP}:2379", "$$HOME", "$NONE", "${NONE}", "${IP", "a$"];
        let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
        assert_eq!(
            substitute(&words, &env).unwrap(),
            ["--a", "b c", "--d=e", "x$ARGS", "--url=http://10.0.0.1:2379", "$HOME", "", "${IP", "a$"]
        );
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_read_back(words in prop::collection::vec("[ -~é\\n\\t]{0,12}", 0..5)) {
            let line = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split_of(&line), words);
        }

        #[test]
        fn a_literal_survives_specifiers_and_variables(word in "[ -~é\\n\\t]{0,16}") {
            let read = split_of(&literal_argument(&word));
            let read: Vec<_> =
                read.iter().map(|word| Specifiers::new("a.service", "h", "m").expand(word).unwrap()).collect();
            prop_assert_eq!(substitute(&read, &BTreeMap::new()).unwrap(), vec![word.clone()]);
            let read = split_of(&literal_assignment("A", &word));
            prop_assert_eq!(Specifiers::default().expand(&read[0]).unwrap(), format!("A={word}"));
        }

        #[test]
        fn no_line_makes_it_panic(line in "[a-c \"'\\\\x0u$%{}é]{0,24}") {
            if let Ok(words) = split(&line) {
                let _ = substitute(&words, &BTreeMap::new());
            }
            let _ = Specifiers::new(&line, &line, &line).expand(&line);
        }
    }
}
