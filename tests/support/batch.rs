//! A `cluster.toml` of any size, for a PKI directory with that many pairs: `issue --from` makes 10,000 in seconds.

/// `pairs` names: one member, `m1`, and clients `c1`, `c2`, …
pub(crate) fn cluster_toml(pairs: usize) -> String {
    let clients = (1..pairs).map(|at| format!("[[client]]\nname = \"c{at}\"\n"));
    std::iter::once("[[member]]\nname = \"m1\"\nips = [\"10.0.0.1\"]\n".to_owned()).chain(clients).collect()
}
