//! What the files of a pair are called, in a PKI directory and on a host.

/// The CA's certificates.
pub const CA_FILE: &str = "ca.pem";

/// The certificate of a pair, leaf first.
pub fn cert_file(name: &str) -> String {
    format!("{name}.pem")
}

/// The key of a pair.
pub fn key_file(name: &str) -> String {
    format!("{name}-key.pem")
}
