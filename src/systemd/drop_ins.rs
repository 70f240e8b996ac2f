//! What the drop-ins are called that hold etcd's TLS settings, without their ending: later ones override earlier ones. The
//! names are those of the guides, so that a drop-in that somebody made by them is replaced and not shadowed.

/// Plain text on the loopback address.
pub const LOOPBACK: &str = "25-insecure_localhost";
/// The pair, the CA, and https for clients beside http.
pub const CERTIFICATES: &str = "30-certs";
/// https alone for peers and clients.
pub const TLS: &str = "40-tls";
