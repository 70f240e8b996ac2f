//! The settings that the stages are about, and how two sets of them differ.

use std::collections::BTreeMap;

/// Settings by flag name, without dashes.
pub type Settings = BTreeMap<String, String>;

/// The flags that the stages set, and that are compared with what a process runs with.
pub const RELEVANT: [&str; 13] = [
    "advertise-client-urls",
    "cert-file",
    "client-cert-auth",
    "initial-advertise-peer-urls",
    "key-file",
    "listen-client-urls",
    "listen-peer-urls",
    "peer-cert-file",
    "peer-client-cert-auth",
    "peer-key-file",
    "peer-trusted-ca-file",
    "trusted-ca-file",
    "initial-cluster",
];

/// The listener with which a member speaks TLS by settings of its own, and its flag; none where it is plain HTTP.
pub fn own_tls(base: &Settings) -> Option<(&str, &str)> {
    ["listen-peer-urls", "listen-client-urls"].into_iter().find_map(|flag| {
        let urls = base.get(flag)?;
        urls.split(',').any(|url| url.trim().starts_with("https:")).then_some((flag, urls.as_str()))
    })
}

/// The relevant flags in which two sets of settings differ, with both values; lists of URLs compare as sets.
pub fn differences(wanted: &Settings, actual: &Settings) -> Vec<(String, String, String)> {
    let value = |settings: &Settings, flag: &str| settings.get(flag).cloned().unwrap_or_default();
    RELEVANT
        .iter()
        .map(|&flag| (flag.to_owned(), value(wanted, flag), value(actual, flag)))
        .filter(|(flag, wanted, actual)| normal(flag, wanted) != normal(flag, actual))
        .collect()
}

fn normal(flag: &str, value: &str) -> Vec<String> {
    if flag.ends_with("-auth") {
        // An unset boolean is false; etcd takes what Go's strconv.ParseBool takes.
        return vec![matches!(value, "true" | "1" | "t" | "T" | "TRUE" | "True").to_string()];
    }
    let mut items: Vec<String> = value.split(',').map(|item| item.trim().to_owned()).collect();
    items.sort();
    items
}
