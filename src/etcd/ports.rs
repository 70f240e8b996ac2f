//! The ports of etcd, as its documentation and the guides have them.

/// The client port (`--listen-client-urls`, registered with IANA).
pub const CLIENT: u16 = 2379;
/// The peer port (`--listen-peer-urls`, registered with IANA).
pub const PEER: u16 = 2380;
/// The client port of etcd 0.4 and older. flannel and fleet still expect plain text there, on the loopback address.
pub const LEGACY: u16 = 4001;
/// Where clients find https while a migration lasts, on versions that cannot serve it beside http on one port.
pub const TEMPORARY_HTTPS: u16 = 2378;
