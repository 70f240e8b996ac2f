//! Pages of `docs/` that are made from the code's own tables and kept fresh: `ETCDPKI_BLESS=1 cargo test --test verify_docs`.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test keeps the file fresh")]

fn is_fresh(page: &str, fresh: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    if std::env::var_os("ETCDPKI_BLESS").is_some() {
        std::fs::write(&path, fresh).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == fresh, "docs/{page} is stale: run ETCDPKI_BLESS=1 cargo test --test verify_docs");
}

#[test]
fn the_pitfalls_page_is_the_catalogue() {
    is_fresh("pitfalls.md", &etcd_pki::verify::pitfalls::markdown());
}

#[test]
fn the_page_of_the_inventory_is_the_table_of_its_keys() {
    is_fresh("cluster-toml.md", &etcd_pki::inventory::reference::markdown());
}

#[test]
fn the_page_of_the_templates_is_the_table_of_their_keys() {
    is_fresh("templates.md", &etcd_pki::ca::template::markdown());
}
