//! Any bytes as certificate, key and CA file, under an old and the newest Go.
#![no_main]

use etcd_pki::verify::{GoVersion, Request, Role, judge};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let hosts = ["127.0.0.1".to_owned(), "m1.etcd.test".to_owned()];
    for go in [GoVersion::new(19, 8), GoVersion::NEWEST] {
        // Trusted as it is, so that more than its signature is looked at.
        let request = Request {
            key: Some(data),
            hosts: &hosts,
            at: time::OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000),
            go,
            ..Request::new(data, data, Role::Peer)
        };
        judge(&request);
    }
});
