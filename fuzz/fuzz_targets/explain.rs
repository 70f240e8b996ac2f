//! Any text as a log.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    etcd_pki::verify::explain::explain(&String::from_utf8_lossy(data));
});
