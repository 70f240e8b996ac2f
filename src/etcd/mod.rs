//! What an etcd member is: its URLs, its effective configuration, its APIs, its health.

pub mod types;

pub use types::{HostPort, MemberId, PeerUrl, Scheme, UrlError};
