//! What the fuzz targets do with their bytes: whatever they hold, it returns, soon, and never panics. The targets in
//! `fuzz_targets/` and `tests/verify_fuzz.rs` share it.

use etcd_pki::verify::{CrlFile, GoVersion, Request, Role, judge};

/// A target: its name, which is also that of its corpus, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 5] = [
    ("judge", judge_pair),
    ("crl", revocation_list),
    ("explain", explain),
    ("inspect", inspect),
    ("settings", settings),
];

/// Any bytes as certificate, key and CA file, under an old and the newest Go.
pub fn judge_pair(data: &[u8]) {
    judged(data, None);
}

/// Any bytes as a revocation list, of an etcd that takes PEM and of one that takes DER only.
pub fn revocation_list(data: &[u8]) {
    const CERTIFICATE: &[u8] = include_bytes!("corpus/judge/good.pem");
    for etcd in ["3.5", "3.6"] {
        let list = CrlFile::found("crl", Some(data), etcd.parse().ok());
        judged(CERTIFICATE, Some(&list));
    }
}

fn judged(data: &[u8], crl: Option<&CrlFile>) {
    let hosts = ["127.0.0.1".to_owned(), "m1.etcd.test".to_owned()];
    for go in [GoVersion::new(19, 8), GoVersion::NEWEST] {
        // Trusted as it is, so that more than its signature is looked at.
        let request = Request {
            key: Some(data),
            hosts: &hosts,
            at: time::OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000),
            go,
            crl,
            ..Request::new(data, data, Role::Peer)
        };
        judge(&request);
    }
}

/// Any bytes as a file that is shown, and as its JSON document.
pub fn inspect(data: &[u8]) {
    let items = etcd_pki::ca::inspect::items(std::path::Path::new("file"), data);
    serde_json::to_value(&items).expect("what is shown has a JSON document");
}

/// Any text as a log.
pub fn explain(data: &[u8]) {
    etcd_pki::verify::explain::explain(&String::from_utf8_lossy(data));
}

/// Any text as a member's configuration file and as an inventory.
pub fn settings(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = etcd_pki::etcd::config_file::settings(&text);
    let _ = toml::from_str::<etcd_pki::inventory::Inventory>(&text);
}
