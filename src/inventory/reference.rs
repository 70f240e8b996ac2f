//! The reference of `cluster.toml`, from which docs/cluster-toml.md is made.

use std::path::Path;

use super::{Inventory, InventoryError};
use crate::reference::{self, Key, Table};

const NAME: &str = "string";
const ADDRESSES: &str = "array of addresses";
const DNS_NAMES: &str = "array of DNS names";
const NONE: Option<&str> = Some("none");
/// What no name of a certificate may be.
const BAD_NAMES: &[&str] = &["\"\"", "\"a/b\"", "\"ca\"", "\"server1-key\"", "\"crl\"", "7"];
const BAD_IPS: &[&str] =
    &["[\"10.0.0.256\"]", "[\"10.0.0.1:2379\"]", "[\"10.0.0.0/24\"]", "[\"0.0.0.0\"]", "\"10.0.0.1\""];
const BAD_DNS: &[&str] = &["[\"a b\"]", "[\"https://etcd1\"]", "[\"10.0.0.1\"]", "[\"etcd1.example.com.\"]"];
const BAD_WORDS: &[&str] = &["\"\"", "\"-oProxyCommand=x\"", "\"a b\""];

const IPS: Key = Key {
    name: "ips",
    kind: ADDRESSES,
    default: NONE,
    meaning: "IPv4 and IPv6 addresses in its certificate",
    example: "[\"172.16.0.101\", \"fd00::1\"]",
    refused: BAD_IPS,
};

const DNS: Key = Key {
    name: "dns",
    kind: DNS_NAMES,
    default: NONE,
    meaning: "DNS names in its certificate",
    example: "[\"etcd1.example.com\", \"*.etcd.example.com\"]",
    refused: BAD_DNS,
};

const UNIT: Key = Key {
    name: "unit",
    kind: "string",
    default: Some("found: `etcd.service`, `etcd2.service` or `etcd-member.service`"),
    meaning: "the systemd unit that runs etcd",
    example: "\"etcd.service\"",
    refused: BAD_WORDS,
};

const SSH: Key = Key {
    name: "ssh",
    kind: "string",
    default: NONE,
    meaning: "`[user@]host`, as your own ssh takes it",
    example: "\"root@172.16.0.101\"",
    refused: BAD_WORDS,
};

/// The tables of the file.
const TABLES: [Table; 4] = [
    Table {
        head: "[cluster]",
        meaning: "What holds for the whole cluster. The table may be left out.",
        keys: &[
            Key {
                name: "name",
                kind: "string",
                default: NONE,
                meaning: "a name of the cluster for the reader of the file; nothing is derived from it",
                example: "\"production\"",
                refused: &["7"],
            },
            UNIT,
            Key {
                name: "ssl-dir",
                kind: "path",
                default: Some("`/etc/ssl/etcd`"),
                meaning: "the directory of the certificates on each host",
                example: "\"/etc/etcd/ssl\"",
                refused: &["7"],
            },
            Key {
                name: "ssh-user",
                kind: "string",
                default: Some("the user of your ssh configuration"),
                meaning: "the user for each `ssh` that names none",
                example: "\"core\"",
                refused: BAD_WORDS,
            },
            Key {
                name: "become",
                kind: "boolean",
                default: Some("`false`"),
                meaning: "become root by `sudo -n` where ssh does not log in as root",
                example: "true",
                refused: &["\"yes\""],
            },
        ],
    },
    Table {
        head: "[[member]]",
        meaning: "A member of the cluster, once for each. `issue --from` makes its pair with the profile `server`.",
        keys: &[
            Key {
                name: "name",
                kind: NAME,
                default: None,
                meaning: "etcd's own `--name`; its files are `NAME.pem` and `NAME-key.pem`",
                example: "\"server1\"",
                refused: BAD_NAMES,
            },
            IPS,
            DNS,
            Key {
                meaning: "`[user@]host`, as your own ssh takes it; `migrate`, `install --from` and `verify --cluster` need it",
                ..SSH
            },
            Key { default: Some("`unit` of `[cluster]`"), ..UNIT },
            Key {
                name: "ssl-dir",
                kind: "path",
                default: Some("`ssl-dir` of `[cluster]`"),
                meaning: "the directory of the certificates on this host",
                example: "\"/etc/etcd/ssl\"",
                refused: &["7"],
            },
            Key {
                name: "process",
                kind: "path",
                default: NONE,
                meaning: "instead of `ssh`: the directory of a member that `rehearse --keep` left running here",
                example: "\"/tmp/rehearsal/infra0\"",
                refused: &["7"],
            },
        ],
    },
    Table {
        head: "[[client]]",
        meaning: "A client of the cluster, once for each. `issue --from` makes its pair with the profile `client`.",
        keys: &[
            Key {
                name: "name",
                kind: NAME,
                default: None,
                meaning: "the common name of its certificate, and its user where etcd's authentication is on",
                example: "\"client1\"",
                refused: BAD_NAMES,
            },
            IPS,
            DNS,
            Key {
                meaning: "`[user@]host` where `install --from` places its pair; without it none is placed",
                ..SSH
            },
        ],
    },
    Table {
        head: "[[proxy]]",
        meaning: "A proxy in front of the cluster, once for each. `issue --from` makes its pair with the profile `proxy`.",
        keys: &[
            Key {
                name: "name",
                kind: NAME,
                default: None,
                meaning: "the organization of its certificate; its files are `NAME.pem` and `NAME-key.pem`",
                example: "\"proxy1\"",
                refused: BAD_NAMES,
            },
            Key { meaning: "its addresses: the one from which it dials members must be among them", ..IPS },
            Key { meaning: "`[user@]host`; with it the proxy moves with the members in `migrate`", ..SSH },
            Key {
                name: "kind",
                kind: "`\"v2\"` or `\"grpc\"`",
                default: None,
                meaning: "`etcd --proxy on` (3.4 and older), or `etcd grpc-proxy start`",
                example: "\"grpc\"",
                refused: &["\"v3\"", "true"],
            },
            Key {
                default: Some("found on the host"),
                meaning: "the systemd unit that runs the proxy",
                ..UNIT
            },
        ],
    },
];

/// docs/cluster-toml.md.
pub fn markdown() -> String {
    let head = "\
# `cluster.toml`

The members, clients and proxies of a cluster: who gets which certificate, and where `ssh` reaches each. Commands that
read it: `issue --from FILE`, `install --from FILE`, `verify --cluster FILE`, `env --inventory FILE` and
`migrate --inventory FILE`; the last three read `cluster.toml` of the current directory when no file is named.
`migrate plan HOST --print-inventory` writes one for a running cluster.

```toml
[cluster]
name = \"production\"
ssh-user = \"core\"
become = true

[[member]]
name = \"server1\"
ips = [\"172.16.0.101\"]
dns = [\"etcd1.example.com\"]
ssh = \"172.16.0.101\"

[[client]]
name = \"client1\"

[[proxy]]
name = \"proxy1\"
ips = [\"172.16.0.110\"]
kind = \"grpc\"
```

Keys that are not listed here are refused, with the file, the line and the key that was probably meant. The same name
twice is refused, whatever the case of its letters: every entry has files of its own. A file has at most 32 MiB and
100,000 entries. This page is generated from the table in `src/inventory/reference.rs`.
";
    let tables = reference::markdown(&TABLES, |table, key, value| match parse(table, key, value) {
        Ok(_) => String::new(),
        Err(InventoryError::Field { what, hint, .. }) => format!("{what}; {hint}"),
        Err(error) => error.to_string(),
    });
    format!("{head}{tables}")
}

/// A file with what a table must have and this value of a key.
fn parse(table: &Table, key: &Key, value: &str) -> Result<Inventory, InventoryError> {
    let required = table.keys.iter().filter(|other| other.default.is_none() && other.name != key.name);
    let required: String = required.map(|other| format!("{} = {}\n", other.name, other.example)).collect();
    let text = format!("{}\n{required}{} = {value}\n", table.head, key.name);
    Inventory::parse(&text, Path::new("cluster.toml"))
}

#[cfg(test)]
mod tests {
    use super::super::{Client, Cluster, Member, Proxy};
    use super::*;
    use crate::reference::tests::{describes, fields_of};

    #[test]
    fn every_key_that_is_read_has_a_row() {
        let heads: Vec<_> = TABLES.iter().map(|table| table.head.trim_matches(['[', ']'])).collect();
        assert_eq!(heads, fields_of::<Inventory>());
        describes::<Cluster>(&TABLES[0], &[]);
        describes::<Member>(&TABLES[1], &[]);
        describes::<Client>(&TABLES[2], &[]);
        describes::<Proxy>(&TABLES[3], &[]);
    }

    #[test]
    fn examples_are_read_and_what_is_listed_as_refused_is() {
        for (table, key) in TABLES.iter().flat_map(|table| table.keys.iter().map(move |key| (table, key))) {
            let of = |value| parse(table, key, value);
            assert!(of(key.example).is_ok(), "{} {}: {:?}", table.head, key.name, of(key.example));
            assert!(!key.refused.is_empty(), "{} {}", table.head, key.name);
            for value in key.refused {
                let error = of(value).map(|_| ()).unwrap_err().to_string();
                let field = format!("{}.{}: ", table.head.trim_matches(['[', ']']), key.name);
                assert!(error.contains(&field), "{} {} = {value}: {error}", table.head, key.name);
            }
        }
        for table in &TABLES[1..] {
            for missing in table.keys.iter().filter(|key| key.default.is_none()) {
                let others = table.keys.iter().filter(|key| key.name != missing.name);
                let others: String = others.map(|key| format!("{} = {}\n", key.name, key.example)).collect();
                let text = format!("{}\n{others}", table.head);
                let error = Inventory::parse(&text, Path::new("cluster.toml")).unwrap_err().to_string();
                assert!(error.contains("missing field"), "{} without {}: {error}", table.head, missing.name);
            }
        }
    }

    #[test]
    fn the_file_at_the_head_of_the_page_is_one() {
        let page = markdown();
        let file = page.split("```").nth(1).unwrap().strip_prefix("toml\n").unwrap();
        let inventory = Inventory::parse(file, Path::new("cluster.toml")).unwrap();
        assert_eq!((inventory.members.len(), inventory.clients.len(), inventory.proxies.len()), (1, 1, 1));
    }
}
