//! Reading `cluster.toml`: every fault with its file, line and field.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::names::{Fault, check_dns, check_ip, check_name};
use super::{Inventory, Member, unknown};
use crate::files::{self, FileError};
use crate::limits::{self, CERTIFICATE_NAMES, INVENTORY_ENTRIES};

/// Why a `cluster.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InventoryError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] FileError),
    /// The file is not text.
    #[error("cannot read {path}: it is not UTF-8 text")]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// Something in it is wrong.
    #[error("{path}:{line}: {field}: {what}")]
    Field {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The field, such as `member.ips`.
        field: String,
        /// What is wrong.
        what: String,
        /// What to do.
        hint: String,
    },
}

impl InventoryError {
    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Self::Read(_) | Self::NotText { .. } => {
                "give the path of the cluster's description with --from or --inventory".into()
            }
            Self::Field { hint, .. } => hint.clone(),
        }
    }
}

impl Inventory {
    /// Reads and checks a `cluster.toml`.
    ///
    /// # Errors
    /// [`InventoryError`] with file, line and field.
    pub fn load(path: &Path) -> Result<Self, InventoryError> {
        let image = files::read_input(path, limits::INVENTORY)?;
        let text =
            String::from_utf8(image.bytes).map_err(|_| InventoryError::NotText { path: path.to_owned() })?;
        Self::parse(&text, path)
    }

    /// The same from a text; `path` is for the messages.
    ///
    /// # Errors
    /// [`InventoryError::Field`]
    pub fn parse(text: &str, path: &Path) -> Result<Self, InventoryError> {
        let source = Source::new(text, path);
        let mut inventory: Self = toml::from_str(text).map_err(|error| source.syntax(&error))?;
        let table = DeTable::parse(text).map_err(|error| source.syntax(&error))?;
        source.check(table.get_ref())?;
        for member in &mut inventory.members {
            canonical(member);
        }
        Ok(inventory)
    }
}

fn canonical(member: &mut Member) {
    member.ips.iter_mut().for_each(|ip| *ip = ip.to_canonical());
    member.dns.iter_mut().for_each(|name| name.make_ascii_lowercase());
}

struct Source<'a> {
    text: &'a str,
    path: &'a Path,
    /// Where each line but the first begins.
    line_starts: Vec<usize>,
}

impl<'a> Source<'a> {
    fn new(text: &'a str, path: &'a Path) -> Self {
        let line_starts = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        Self { text, path, line_starts }
    }

    /// What the parser or the types refuse.
    fn syntax(&self, error: &toml::de::Error) -> InventoryError {
        let at = error.span().unwrap_or_default();
        let message = error.message();
        let hint = if message.contains("IP address") {
            "give an address without port or mask, such as \"172.16.0.101\""
        } else if message.starts_with("missing field") {
            "add it"
        } else {
            "correct the line"
        };
        let mut field = self.field_at(at.start);
        if let Some(name) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
            let table = field.split('.').next().unwrap_or_default().to_owned();
            field = format!("{table}.{name}");
        }
        let hint = unknown::hint(message, &field).unwrap_or_else(|| hint.to_owned());
        let fault = Fault { what: message.trim_end().replace('\n', " "), hint };
        self.error(at, field, fault)
    }

    /// What only makes no sense.
    fn check(&self, table: &DeTable<'_>) -> Result<(), InventoryError> {
        let mut names: HashMap<String, usize> = HashMap::new();
        if let Some(DeValue::Table(cluster)) = table.get("cluster").map(Spanned::get_ref) {
            self.check_safe("cluster", cluster)?;
        }
        let mut entries = 0;
        for kind in ["member", "client", "proxy"] {
            let Some(DeValue::Array(items)) = table.get(kind).map(Spanned::get_ref) else { continue };
            for item in items.iter() {
                entries += 1;
                if entries > INVENTORY_ENTRIES {
                    let what =
                        format!("there are more than {INVENTORY_ENTRIES} members, clients and proxies");
                    let fault =
                        Fault { what, hint: "split the file: `issue --from` takes one at a time".into() };
                    return Err(self.error(item.span(), kind.to_owned(), fault));
                }
                let DeValue::Table(item) = item.get_ref() else { continue };
                self.check_item(kind, item)?;
                let Some((name, at)) = text_of(item, "name") else { continue };
                let line = self.line(at.start);
                if let Some(first) = names.insert(name.to_ascii_lowercase(), line) {
                    let fault = Fault {
                        what: format!("{name:?} is used twice, first on line {first}"),
                        hint: "members, clients and proxies need names of their own: each has a NAME.pem"
                            .into(),
                    };
                    return Err(self.error(at, format!("{kind}.name"), fault));
                }
            }
        }
        Ok(())
    }

    fn check_item(&self, kind: &str, item: &DeTable<'_>) -> Result<(), InventoryError> {
        let field = |name: &str| format!("{kind}.{name}");
        if let Some((name, at)) = text_of(item, "name") {
            check_name(name).map_err(|fault| self.error(at, field("name"), quoted(name, fault)))?;
        }
        let count = texts_of(item, "ips").len() + texts_of(item, "dns").len();
        if count > CERTIFICATE_NAMES {
            let key = if item.contains_key("dns") { "dns" } else { "ips" };
            let at = item.get(key).map(Spanned::span).unwrap_or_default();
            let what =
                format!("{count} addresses and names, and a certificate has at most {CERTIFICATE_NAMES}");
            let hint = "leave out those that nobody dials, or use one such as *.example.com for many";
            return Err(self.error(at, field(key), Fault { what, hint: hint.into() }));
        }
        for (text, at) in texts_of(item, "ips") {
            if let Ok(address) = text.parse() {
                check_ip(address).map_err(|fault| self.error(at, field("ips"), quoted(text, fault)))?;
            }
        }
        for (text, at) in texts_of(item, "dns") {
            check_dns(text).map_err(|fault| self.error(at, field("dns"), quoted(text, fault)))?;
        }
        self.check_safe(kind, item)
    }

    /// Values that end up on a command line must not look like an option.
    fn check_safe(&self, kind: &str, table: &DeTable<'_>) -> Result<(), InventoryError> {
        for key in ["ssh", "ssh-user", "unit"] {
            let Some((text, at)) = text_of(table, key) else { continue };
            let is_plain = !text.starts_with('-')
                && !text.is_empty()
                && !text.chars().any(|c| c.is_whitespace() || c.is_control());
            if !is_plain {
                let what = "it is empty, begins with a dash or has spaces in it";
                let hint =
                    "give it as you would to ssh or systemctl, such as core@172.16.0.101 or etcd.service";
                let fault = Fault { what: what.into(), hint: hint.into() };
                return Err(self.error(at, format!("{kind}.{key}"), quoted(text, fault)));
            }
        }
        Ok(())
    }

    fn error(&self, at: Range<usize>, field: String, fault: Fault) -> InventoryError {
        InventoryError::Field {
            path: self.path.to_owned(),
            line: self.line(at.start),
            field,
            what: fault.what,
            hint: fault.hint,
        }
    }

    /// The line of a byte, from 1: a search in the lines' beginnings, since each name's line is asked for.
    fn line(&self, at: usize) -> usize {
        1 + self.line_starts.partition_point(|&start| start <= at)
    }

    /// The table and key that the parser was at: the last ones that begin a line up to `at`.
    fn field_at(&self, at: usize) -> String {
        let (mut table, mut key) = ("cluster", None);
        let mut offset = 0;
        for line in self.text.split_inclusive('\n') {
            if offset > at {
                break;
            }
            offset += line.len();
            let line = line.trim();
            if let Some(name) = line.strip_prefix('[') {
                (table, key) = (name.trim_matches(['[', ']', ' ']), None);
            } else if let Some((name, _)) = line.split_once('=') {
                let name = name.trim();
                if name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
                    key = Some(name);
                }
            }
        }
        key.map_or_else(|| table.to_owned(), |key| format!("{table}.{key}"))
    }
}

fn quoted(text: &str, fault: Fault) -> Fault {
    Fault { what: format!("{text:?}: {}", fault.what), hint: fault.hint }
}

fn text_of<'a>(table: &'a DeTable<'_>, key: &str) -> Option<(&'a str, Range<usize>)> {
    let value = table.get(key)?;
    match value.get_ref() {
        DeValue::String(text) => Some((text, value.span())),
        _ => None,
    }
}

fn texts_of<'a>(table: &'a DeTable<'_>, key: &str) -> Vec<(&'a str, Range<usize>)> {
    let Some(DeValue::Array(items)) = table.get(key).map(Spanned::get_ref) else { return Vec::new() };
    let text = |item: &'a Spanned<DeValue<'_>>| match item.get_ref() {
        DeValue::String(text) => Some((&**text, item.span())),
        _ => None,
    };
    items.iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[cluster]
name = "prod"
unit = "etcd.service"

[[member]]
name = "server1"
ips = ["172.16.0.101", "::ffff:10.0.0.1"]
dns = ["ETCD1.example.com"]
ssh = "core@172.16.0.101"

[[client]]
name = "backup"

[[proxy]]
name = "proxy1"
ips = ["172.16.0.9"]
kind = "grpc"
"#;

    fn fault(text: &str) -> String {
        Inventory::parse(text, Path::new("cluster.toml")).unwrap_err().to_string()
    }

    #[test]
    fn a_whole_file_is_read_and_its_addresses_and_names_are_made_comparable() {
        let inventory = Inventory::parse(GOOD, Path::new("cluster.toml")).unwrap();
        assert_eq!(inventory.members[0].dns, ["etcd1.example.com"]);
        assert_eq!(inventory.members[0].ips[1].to_string(), "10.0.0.1");
        assert_eq!((inventory.clients.len(), inventory.proxies.len()), (1, 1));
    }

    #[test]
    fn every_fault_is_told_with_file_line_and_field() {
        for (text, told) in [
            ("[[member]]\nname = \"a\"\nips = [\"10.0.0.256\"]\n", "cluster.toml:3: member.ips: "),
            (
                "[[member]]\nname = \"a\"\nips = [\n  \"10.0.0.1\",\n  \"x\",\n]\n",
                "cluster.toml:5: member.ips: ",
            ),
            ("[[member]]\nname = \"a\"\nips = [\"0.0.0.0\"]\n", "cluster.toml:3: member.ips: \"0.0.0.0\""),
            ("[[member]]\nname = \"a/b\"\n", "cluster.toml:2: member.name: \"a/b\": a name has no slash"),
            ("[[member]]\nname = \"..\"\n", "cluster.toml:2: member.name"),
            ("[[member]]\nnam = \"a\"\n", "cluster.toml:2: member.nam: unknown field `nam`"),
            ("[cluster]\nssl_dir = \"/x\"\n", "cluster.toml:2: cluster.ssl_dir: unknown field"),
            ("[[member]]\nips = []\n", "cluster.toml:1: member.name: missing field `name`"),
            (
                "[[member]]\nname = \"a\"\n[[client]]\nname = \"A\"\n",
                "cluster.toml:4: client.name: \"A\" is used twice, first on line 2",
            ),
            ("[[member]]\nname = \"a\"\ndns = [\"a b\"]\n", "cluster.toml:3: member.dns: "),
            ("[[member]]\nname = \"a\"\nssh = \"-oProxyCommand=x\"\n", "cluster.toml:3: member.ssh: "),
            ("[[proxy]]\nname = \"a\"\nkind = \"v4\"\n", "cluster.toml:3: proxy.kind: "),
            ("[[member]]\nname = \n", "cluster.toml:2: member.name: "),
            ("[[client]]\nname = \"CRL\"\n", "cluster.toml:2: client.name: \"CRL\": this name is reserved"),
        ] {
            let got = fault(text);
            assert!(got.starts_with(told), "{text}\n  got  {got}\n  want {told}");
        }
    }

    #[test]
    fn lines_are_found_without_reading_the_text_again() {
        let source = Source::new("a\nbc\n\nd", Path::new("x"));
        let lines: Vec<_> = (0..10).map(|at| source.line(at)).collect();
        assert_eq!(lines, [1, 1, 2, 2, 2, 3, 4, 4, 4, 4]);
        assert_eq!(Source::new("", Path::new("x")).line(0), 1);
    }

    #[test]
    fn a_missing_file_says_which() {
        let error = Inventory::load(Path::new("/nonexistent/cluster.toml")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/cluster.toml"));
    }
}
