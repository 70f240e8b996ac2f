//! The reference of profile templates, from which docs/templates.md is made.

use super::CaError;
use super::profile::{BUILT_IN, Profile};
use crate::reference::{self, Key, Table};

const NONE: Option<&str> = Some("none");

const fn field(name: &'static str, meaning: &'static str, example: &'static str) -> Key {
    Key { name, kind: "string", default: NONE, meaning, example, refused: &["7"] }
}

/// The tables of a template.
const TABLES: [Table; 2] = [
    Table {
        head: "",
        meaning: "They come before `[subject]`.",
        keys: &[
            Key {
                name: "description",
                kind: "string",
                default: Some("`\"\"`"),
                meaning: "one line on what the profile is for",
                example: "\"a backup job\"",
                refused: &["7"],
            },
            Key {
                name: "usages",
                kind: "array of `\"server-auth\"`, `\"client-auth\"`",
                default: None,
                meaning: "the extended key usages: a member needs both, a client `client-auth`",
                example: "[\"server-auth\", \"client-auth\"]",
                refused: &["[]", "[\"serverAuth\"]", "\"client-auth\""],
            },
            Key {
                name: "key-usages",
                kind: "array of `\"digital-signature\"`, `\"key-encipherment\"`, `\"key-agreement\"`",
                default: Some("`[\"digital-signature\"]`"),
                meaning: "the key usages; `key-encipherment` is added for RSA keys",
                example: "[\"digital-signature\", \"key-agreement\"]",
                refused: &["[]", "[\"digitalSignature\"]"],
            },
            Key {
                name: "days",
                kind: "integer, 1 to 36500",
                default: Some("`365`"),
                meaning: "how long a certificate lasts; at most as long as its CA",
                example: "90",
                refused: &["0", "36501", "-1", "\"90\""],
            },
            Key {
                name: "key-type",
                kind: "`\"p256\"`, `\"p384\"`, `\"ed25519\"`, `\"rsa2048\"`, `\"rsa3072\"` or `\"rsa4096\"`",
                default: Some("`\"p256\"`"),
                meaning: "the kind of key that is made",
                example: "\"rsa3072\"",
                refused: &["\"p521\"", "\"rsa\"", "256"],
            },
            Key {
                name: "default-names",
                kind: "array of addresses and DNS names",
                default: Some("`[]`"),
                meaning: "names that each certificate has beside the given ones; `{name}` is the certificate's name",
                example: "[\"{name}\", \"localhost\", \"127.0.0.1\", \"::1\"]",
                refused: &["[\"a b\"]", "[\"{name}:2379\"]", "\"localhost\""],
            },
            Key {
                name: "subject",
                kind: "table",
                default: None,
                meaning: "the subject: the table below, with one field at least",
                example: "{ common-name = \"{name}\" }",
                refused: &["{}", "\"CN=server1\""],
            },
        ],
    },
    Table {
        head: "[subject]",
        meaning: "In every field `{name}` is the certificate's name. With etcd's authentication on, the common name of a client is its \
                  user. etcd's gRPC proxy refuses a certificate that has one.",
        keys: &[
            field("common-name", "CN", "\"{name}\""),
            field("organization", "O", "\"Example Ltd\""),
            field("organizational-unit", "OU", "\"Storage\""),
            field("locality", "L", "\"Hamburg\""),
            field("state", "ST", "\"Hamburg\""),
            Key {
                refused: &["\"Germany\"", "\"de\""],
                ..field("country", "C, two capital letters (ISO 3166)", "\"DE\"")
            },
        ],
    },
];

/// docs/templates.md.
pub fn markdown() -> String {
    let mut page = "\
# Profile templates

A profile says what a certificate is for: its usages, its life, its key and its subject. `issue`, `csr` and
`sign` take one with `--profile NAME`, or a file with `--template FILE`. The built-in profiles are `server`, `peer`,
`client` and `proxy`. A file `templates/NAME.toml` in the PKI directory adds the profile NAME, or takes the place of a
built-in one. It must be yours alone to write, as all of the PKI directory.

Keys that are not listed here are refused, with the line and the key that was probably meant. A template has at most
64 KiB. This page is generated from the table in `src/ca/template.rs`.

## The built-in profiles
"
    .to_owned();
    for (name, text) in BUILT_IN {
        page += &format!("\n`{name}`:\n\n```toml\n{}\n```\n", text.trim_end());
    }
    page += &reference::markdown(&TABLES, |table, key, value| match parse(table, key, value) {
        Ok(_) => String::new(),
        // The line is one of this page's own example.
        Err(CaError::Template { what, .. }) => {
            match what.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
                Some((_, what)) => what.to_owned(),
                None => what,
            }
        }
        Err(error) => error.to_string(),
    });
    page
}

/// A template with what it must have and this value of a key.
fn parse(table: &Table, key: &Key, value: &str) -> Result<Profile, CaError> {
    let mut lines: Vec<String> = TABLES[0]
        .keys
        .iter()
        .filter(|other| other.default.is_none() && (other.name != key.name || !table.head.is_empty()))
        .filter(|other| other.name != "subject" || table.head.is_empty())
        .map(|other| format!("{} = {}", other.name, other.example))
        .collect();
    lines.push(table.head.to_owned());
    lines.push(format!("{} = {value}", key.name));
    Profile::parse("example", "template", &lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::super::profile::SubjectTemplate;
    use super::*;
    use crate::reference::tests::describes;

    #[test]
    fn every_key_that_is_read_has_a_row() {
        describes::<Profile>(&TABLES[0], &[]);
        describes::<SubjectTemplate>(&TABLES[1], &[]);
    }

    #[test]
    fn examples_are_read_and_what_is_listed_as_refused_is() {
        for (table, key) in TABLES.iter().flat_map(|table| table.keys.iter().map(move |key| (table, key))) {
            let of = |value| parse(table, key, value);
            assert!(of(key.example).is_ok(), "{}: {:?}", key.name, of(key.example));
            assert!(!key.refused.is_empty(), "{}", key.name);
            for value in key.refused {
                assert!(
                    matches!(of(value), Err(CaError::Template { .. })),
                    "{} = {value}: {:?}",
                    key.name,
                    of(value)
                );
            }
        }
    }

    #[test]
    fn a_default_is_what_a_template_without_the_key_gets() {
        let usages = &TABLES[0].keys[1];
        let without = parse(&TABLES[0], usages, usages.example).unwrap();
        for key in TABLES[0].keys {
            let Some(default) = key.default else { continue };
            let text = format!(
                "{} = {}\nusages = {}\nsubject = {{ common-name = \"{{name}}\" }}",
                key.name,
                default.trim_matches('`'),
                usages.example
            );
            assert_eq!(Profile::parse("example", "template", &text).unwrap(), without, "{}", key.name);
        }
    }

    #[test]
    fn a_wrong_key_is_answered_with_the_one_that_was_meant() {
        for (text, meant) in [
            ("dayz = 30\n", "days was probably meant"),
            ("validity = 30\n", "days was probably meant"),
            ("usage = []\n", "usages was probably meant"),
            ("[subject]\ncn = \"x\"\n", "common-name was probably meant"),
        ] {
            let error = Profile::parse("example", "template", text).unwrap_err().to_string();
            assert!(error.contains(meant), "{text}: {error}");
        }
    }
}
