//! GHSA-3wh4-j44w-pg92: beside `--listen-client-http-urls` the client port serves gRPC only, and such a port does not check
//! `--client-crl-file` before 3.5.32, 3.6.13 and 3.7.0. The option came with 3.4.25 and 3.5.8; 3.4 ended without the cure
//! (etcd's CHANGELOGs and the sources of its release branches; seen on 3.5.30).

use crate::verify::EtcdVersion;

/// The advisory's name.
pub const ADVISORY: &str = "GHSA-3wh4-j44w-pg92";

/// What to do about it.
pub const CURE: &str =
    "upgrade etcd to 3.5.32, 3.6.13, 3.7.0 or later, or remove --listen-client-http-urls, or replace the CA";

/// The releases that have it, in words.
pub const RELEASES: &str = "3.4 from 3.4.25 on, 3.5.8 to 3.5.31 and 3.6.0 to 3.6.12";

/// Whether a gRPC-only port of this release lets revoked clients in; `None` where that depends on its patch release,
/// which is not known.
pub(crate) fn ignores_lists(etcd: EtcdVersion) -> Option<bool> {
    let within = |first: u16, last: u16| etcd.numbers().1.map(|patch| (first..=last).contains(&patch));
    match etcd.numbers().0 {
        (3, 4) => within(25, u16::MAX),
        (3, 5) => within(8, 31),
        (3, 6) => within(0, 12),
        _ => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_releases_that_have_it() {
        let ignores = |version: &str| ignores_lists(version.parse().unwrap());
        for version in ["3.4.25", "3.4.45", "3.5.8", "3.5.30", "3.5.31", "3.6.0", "3.6.12"] {
            assert_eq!(ignores(version), Some(true), "{version}");
        }
        for version in ["3.3.25", "3.4.23", "3.5.7", "3.5.32", "3.6.13", "3.7.0", "3.8.1"] {
            assert_eq!(ignores(version), Some(false), "{version}");
        }
        for version in ["3.4", "3.5", "3.6"] {
            assert_eq!(ignores(version), None, "{version}");
        }
    }
}
