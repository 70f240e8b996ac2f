//! etcd's configuration file: YAML, of which only what such files are made of is understood.
//!
//! That is a mapping of plain keys to scalars or flow lists, with one level of nesting for the two TLS sections.
//! Whatever else stands there (anchors, block scalars, tabs) is an error, never a guess: a member restarted with a file
//! that was misread is a member lost.

mod yaml;

use std::collections::BTreeMap;

use yaml::{scalar, split_key, value_of};

/// The two nested sections, and what their keys' flags begin with.
const SECTIONS: [(&str, &str); 2] = [("client-transport-security", ""), ("peer-transport-security", "peer-")];

/// The settings in a file, by flag name; a flow list is joined with commas.
///
/// # Errors
/// [`ConfigFileError`]
pub fn settings(text: &str) -> Result<BTreeMap<String, String>, ConfigFileError> {
    let entries = entries(text)?;
    Ok(entries.into_iter().filter_map(|entry| Some((entry.flag, entry.value?))).collect())
}

/// The same file with other values for some flags, everything else as it was, comments included. Keys that were not
/// there are added at the end, TLS settings in their section.
///
/// # Errors
/// [`ConfigFileError`] when the file is not understood, or when the result would not read back as intended.
pub fn with_settings(text: &str, changes: &BTreeMap<String, String>) -> Result<String, ConfigFileError> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (flag, value) in changes {
        let current = entries(&lines.join("\n"))?;
        let (section, key) = place_of(flag);
        if let Some(entry) = current.iter().find(|entry| entry.flag == *flag && entry.value.is_some()) {
            let line = format!("{}{key}: {}", " ".repeat(entry.indent), scalar(value));
            lines.splice(entry.line..entry.end, [line]);
            continue;
        }
        let Some(section) = section else {
            lines.push(format!("{key}: {}", scalar(value)));
            continue;
        };
        match current.iter().find(|entry| entry.key == section && entry.indent == 0) {
            Some(head) => {
                let inner = current
                    .iter()
                    .find(|entry| entry.line > head.line && entry.indent > 0 && entry.line < head.end);
                let indent = inner.map_or(2, |entry| entry.indent);
                // `section: {}` or `section: null` becomes a block.
                lines[head.line] = format!("{section}:");
                lines.insert(head.line + 1, format!("{}{key}: {}", " ".repeat(indent), scalar(value)));
            }
            None => {
                lines.push(format!("{section}:"));
                lines.push(format!("  {key}: {}", scalar(value)));
            }
        }
    }
    let mut result = lines.join("\n");
    result.push('\n');

    let mut meant = settings(text)?;
    meant.extend(changes.iter().map(|(flag, value)| (flag.clone(), value.clone())));
    let read = settings(&result)?;
    if read == meant {
        Ok(result)
    } else {
        Err(ConfigFileError { line: 0, what: "it cannot be edited safely" })
    }
}

/// A configuration file that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("etcd's configuration file, line {line}: {what}")]
pub struct ConfigFileError {
    /// The line, counted from 1; 0 is the file as a whole.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// A key with its place: lines `line..end` of the text.
struct Entry {
    flag: String,
    key: String,
    /// `None` is the head of a section.
    value: Option<String>,
    indent: usize,
    line: usize,
    end: usize,
}

fn place_of(flag: &str) -> (Option<&'static str>, &str) {
    const IN_SECTION: [&str; 8] = [
        "cert-file",
        "key-file",
        "client-cert-file",
        "client-key-file",
        "client-cert-auth",
        "trusted-ca-file",
        "auto-tls",
        "ca-file",
    ];
    if IN_SECTION.contains(&flag) {
        return (Some(SECTIONS[0].0), flag);
    }
    match flag.strip_prefix("peer-") {
        Some(key) if IN_SECTION.contains(&key) => (Some(SECTIONS[1].0), key),
        _ => (None, flag),
    }
}

fn entries(text: &str) -> Result<Vec<Entry>, ConfigFileError> {
    let mut found: Vec<Entry> = Vec::new();
    let mut section: Option<&'static str> = None;
    let mut nested_indent = 0;
    for (number, raw) in text.lines().enumerate() {
        let fail = |what| ConfigFileError { line: number + 1, what };
        let content = raw.trim_start_matches(' ');
        if content.starts_with('\t') {
            return Err(fail("a tab cannot indent YAML"));
        }
        let content = content.trim_end();
        if content.is_empty() || content.starts_with('#') || (number == 0 && content == "---") {
            continue;
        }
        let indent = raw.len() - raw.trim_start_matches(' ').len();
        if content.starts_with("- ") || content == "-" {
            extend_list(&mut found, content, number, indent).map_err(fail)?;
            continue;
        }
        let (key, rest) = split_key(content).ok_or(fail("it is not `key: value`"))?;
        let prefix = match (indent, section) {
            (0, _) => "",
            (_, Some(section)) => {
                let head = found.iter_mut().rev().find(|entry| entry.indent == 0);
                let head = head.expect("a section was opened by its head");
                head.end = number + 1;
                if nested_indent == 0 {
                    nested_indent = indent;
                }
                if indent != nested_indent {
                    return Err(fail("it is nested deeper than etcd's settings are"));
                }
                SECTIONS.iter().find(|(name, _)| *name == section).expect("it is one of them").1
            }
            (_, None) => return Err(fail("it is indented under nothing that etcd nests")),
        };
        if indent == 0 {
            section = SECTIONS.iter().find(|(name, _)| *name == key).map(|(name, _)| *name);
            nested_indent = 0;
        }
        let value = value_of(rest).map_err(fail)?;
        let is_head = indent == 0 && section.is_some();
        if is_head && !matches!(value.as_str(), "" | "{}" | "null" | "~") {
            return Err(fail("a section's keys stand on lines of their own"));
        }
        let flag = format!("{prefix}{key}");
        if found.iter().any(|entry| entry.flag == flag) {
            return Err(fail("the key is there twice"));
        }
        let value = if is_head { None } else { Some(value) };
        found.push(Entry { flag, key: key.to_owned(), value, indent, line: number, end: number + 1 });
    }
    Ok(found)
}

/// An item of a block list (`log-outputs`) joins the key above it.
fn extend_list(found: &mut [Entry], content: &str, number: usize, indent: usize) -> Result<(), &'static str> {
    let owner = found.last_mut().filter(|entry| entry.value.is_some() && entry.indent <= indent);
    let owner = owner.ok_or("a list item without a key")?;
    let item = value_of(content.trim_start_matches('-').trim_start())?;
    let value = owner.value.as_mut().expect("only keys with a value were taken");
    let continues = owner.end > owner.line + 1;
    if !value.is_empty() && !continues {
        return Err("a list item under a scalar");
    }
    if !value.is_empty() {
        value.push(',');
    }
    value.push_str(&item);
    owner.end = number + 1;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAMPLE: &str = r#"# This is the configuration file for the etcd server.

# Human-readable name for this member.
name: 'server1'   # as in DNS
data-dir: /var/lib/etcd
snapshot-count: 10000
listen-peer-urls: http://172.16.0.101:2380
listen-client-urls: "http://172.16.0.101:2379,http://127.0.0.1:2379"
cors:
enable-v2: true
client-transport-security:
  # Path to the client server TLS cert file.
  cert-file:
  client-cert-auth: false

peer-transport-security:
    cert-file: /etc/x.pem
log-outputs: [stderr, /var/log/etcd.log]
"#;

    fn changes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(flag, value)| (flag.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn etcds_own_sample_is_understood() {
        let found = settings(SAMPLE).unwrap();
        assert_eq!(found["name"], "server1");
        assert_eq!(found["listen-client-urls"], "http://172.16.0.101:2379,http://127.0.0.1:2379");
        assert_eq!(found["cors"], "");
        assert_eq!(found["client-cert-auth"], "false");
        assert_eq!(found["peer-cert-file"], "/etc/x.pem");
        assert_eq!(found["log-outputs"], "stderr,/var/log/etcd.log");
        assert_eq!(found.len(), 11);
    }

    #[test]
    fn a_change_touches_nothing_else() {
        let wanted = changes(&[
            ("listen-peer-urls", "https://172.16.0.101:2380"),
            ("cert-file", "/etc/ssl/etcd/server1.pem"),
            ("client-cert-auth", "true"),
            ("key-file", "/etc/ssl/etcd/server1-key.pem"),
            ("peer-key-file", "/etc/ssl/etcd/server1-key.pem"),
            ("initial-cluster", "server1=https://172.16.0.101:2380"),
        ]);
        let edited = with_settings(SAMPLE, &wanted).unwrap();
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        let gone: Vec<_> = lines(SAMPLE).difference(&lines(&edited)).cloned().collect();
        assert_eq!(
            gone,
            ["  cert-file:", "  client-cert-auth: false", "listen-peer-urls: http://172.16.0.101:2380"]
        );
        assert!(
            edited.contains("\n    key-file: \"/etc/ssl/etcd/server1-key.pem\"\n    cert-file: /etc/x.pem\n")
        );
        assert!(edited.contains("\nclient-transport-security:\n  key-file:"));
        assert!(edited.ends_with("initial-cluster: \"server1=https://172.16.0.101:2380\"\n"));
        assert_eq!(with_settings(&edited, &wanted).unwrap(), edited);
    }

    #[test]
    fn sections_appear_when_they_are_needed() {
        let edited =
            with_settings("name: a\n", &changes(&[("peer-cert-file", "/p"), ("cert-file", "/c")])).unwrap();
        assert_eq!(
            edited,
            "name: a\nclient-transport-security:\n  cert-file: \"/c\"\npeer-transport-security:\n  cert-file: \"/p\"\n"
        );
        let edited =
            with_settings("client-transport-security: {}\n", &changes(&[("cert-file", "/c")])).unwrap();
        assert_eq!(edited, "client-transport-security:\n  cert-file: \"/c\"\n");
    }

    #[test]
    fn a_block_list_is_replaced_whole() {
        let text = "log-outputs:\n  - stderr\n  - /x\nname: a\n";
        assert_eq!(settings(text).unwrap()["log-outputs"], "stderr,/x");
        let edited = with_settings(text, &changes(&[("log-outputs", "default")])).unwrap();
        assert_eq!(edited, "log-outputs: \"default\"\nname: a\n");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in [
            "name: &a b",
            "name: |\n  b",
            "\tname: b",
            "name",
            "name: a\nname: b",
            "  name: a",
            "a: 'x' y",
            "a: \"x",
            "a: 'x",
            "a: [b",
            "a: {b: c}",
            "a: b: c",
            "- a",
            "name: a\n- b",
            "peer-transport-security:\n  a: b\n    c: d",
            "peer-transport-security: {cert-file: x}",
        ] {
            assert!(settings(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_set_is_read_back(
            sets in prop::collection::vec(
                prop::collection::btree_map(
                    prop::sample::select(vec!["name", "cert-file", "peer-cert-file", "key-file", "log-outputs", "x-y"])
                        .prop_map(str::to_owned),
                    "[ -~é]{0,16}",
                    0..4,
                ),
                0..4,
            ),
        ) {
            let (mut text, mut meant) = (SAMPLE.to_owned(), settings(SAMPLE).unwrap());
            for changes in sets {
                text = with_settings(&text, &changes).unwrap();
                meant.extend(changes);
            }
            prop_assert_eq!(settings(&text).unwrap(), meant);
        }

        #[test]
        fn no_text_makes_it_panic(text in "(name|a-b|peer-transport-security|- x|[:#\"'\\[\\]{}\\\\, ~-]|\n|  ){0,30}") {
            let changes = changes(&[("name", "a"), ("peer-cert-file", "/b")]);
            if let Ok(edited) = with_settings(&text, &changes) {
                prop_assert_eq!(&settings(&edited).unwrap()["peer-cert-file"], "/b");
            }
        }
    }
}
