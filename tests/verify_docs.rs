//! `docs/pitfalls.md` is made from the catalogue and kept fresh: `ETCDPKI_BLESS=1 cargo test --test verify_docs`.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test keeps the file fresh")]

#[test]
fn the_pitfalls_page_is_the_catalogue() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pitfalls.md");
    let fresh = etcd_pki::verify::pitfalls::markdown();
    if std::env::var_os("ETCDPKI_BLESS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == fresh, "docs/pitfalls.md is stale: run ETCDPKI_BLESS=1 cargo test --test verify_docs");
}
