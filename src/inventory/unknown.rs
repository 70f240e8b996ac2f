//! A key or a table that `cluster.toml` does not have, and the one that was probably meant.

use crate::suggest::{similar, unknown_key};

/// What a key or a table is called elsewhere, and here.
const SYNONYMS: [(&str, &str); 31] = [
    ("members", "member"),
    ("node", "member"),
    ("nodes", "member"),
    ("server", "member"),
    ("servers", "member"),
    ("host", "member"),
    ("hosts", "member"),
    ("clients", "client"),
    ("users", "client"),
    ("proxies", "proxy"),
    ("gateway", "proxy"),
    ("global", "cluster"),
    ("settings", "cluster"),
    ("address", "ips"),
    ("addresses", "ips"),
    ("addr", "ips"),
    ("ip-address", "ips"),
    ("domain", "dns"),
    ("domains", "dns"),
    ("hostname", "dns"),
    ("hostnames", "dns"),
    ("names", "dns"),
    ("san", "dns"),
    ("sans", "dns"),
    ("host", "ssh"),
    ("ssh-host", "ssh"),
    ("user", "ssh-user"),
    ("service", "unit"),
    ("dir", "ssl-dir"),
    ("cert-dir", "ssl-dir"),
    ("sudo", "become"),
];

/// The tables that are written once for each entry.
const REPEATED: [&str; 3] = ["member", "client", "proxy"];

/// What to do about a fault of the TOML parser in `field`, where it is about a name of a table or a key.
pub(super) fn hint(message: &str, field: &str) -> Option<String> {
    let table = field.split('.').next().unwrap_or_default();
    if message.contains("expected a sequence") && REPEATED.contains(&field) {
        return Some(format!("write [[{table}]], in two pairs of brackets, once for each"));
    }
    if message.starts_with("invalid type: string") && message.contains("expected a sequence") {
        let key = field.rsplit('.').next().unwrap_or_default();
        return Some(format!("write it in brackets, as in {key} = [\"…\"]"));
    }
    if message.starts_with("invalid type") && field == "cluster" {
        return Some("write [cluster], in one pair of brackets, once".to_owned());
    }
    let (typed, known) = unknown_key(message)?;
    let is_table = known.contains(&"cluster");
    let written = |name: &str| match () {
        () if !is_table => name.to_owned(),
        () if REPEATED.contains(&name) => format!("[[{name}]]"),
        () => format!("[{name}]"),
    };
    Some(match similar(typed, known.iter().copied(), &SYNONYMS) {
        Some("dns") if typed.starts_with("san") && known.contains(&"ips") => {
            "use ips for addresses and dns for names".to_owned()
        }
        Some(meant) => format!("{} was probably meant", written(meant)),
        None => {
            let all: Vec<_> = known.iter().map(|name| written(name)).collect();
            format!("use one of {}", all.join(", "))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Inventory;

    #[test]
    fn the_table_or_key_that_was_meant_is_named() {
        for (text, meant) in [
            ("[[members]]\nname = \"a\"\n", "[[member]] was probably meant"),
            ("[[nodes]]\nname = \"a\"\n", "[[member]] was probably meant"),
            ("[clusters]\nname = \"a\"\n", "[cluster] was probably meant"),
            ("[member]\nname = \"a\"\n", "write [[member]], in two pairs"),
            ("[[cluster]]\nname = \"a\"\n", "write [cluster], in one pair"),
            ("[[member]]\nname = \"a\"\nip = []\n", "ips was probably meant"),
            ("[[member]]\nname = \"a\"\naddress = \"x\"\n", "ips was probably meant"),
            ("[[member]]\nname = \"a\"\nhost = \"x\"\n", "ssh was probably meant"),
            ("[[member]]\nname = \"a\"\nsans = []\n", "use ips for addresses and dns for names"),
            ("[cluster]\nssl_dir = \"x\"\n", "ssl-dir was probably meant"),
            ("[cluster]\nuser = \"x\"\n", "ssh-user was probably meant"),
            ("[cluster]\nfrobnicate = 1\n", "use one of name, unit, ssl-dir, ssh-user, become"),
            ("frobnicate = 1\n", "use one of [cluster], [[member]], [[client]], [[proxy]]"),
        ] {
            let hint = Inventory::parse(text, Path::new("cluster.toml")).unwrap_err().hint();
            assert!(hint.contains(meant), "{text}\n  got  {hint}\n  want {meant}");
        }
    }
}
