//! Wiping keys that their libraries leave in memory: ring wipes nothing, and rcgen only its PKCS#8.

use rcgen::KeyPair;
use rustls_pki_types::PrivatePkcs8KeyDer;
use zeroize::Zeroize;

use super::ED25519_V1;

/// More than making a key or signing with one needs (RSA of 4096 bits in ring: some 10 KiB).
const DEPTH: usize = 64 << 10;

/// Does `work` and overwrites the part of the stack that it has used: moves and temporary values leave copies there.
pub(super) fn on_own_stack<T>(work: impl FnOnce() -> T) -> T {
    let done = below(work);
    wipe_below();
    done
}

#[inline(never)]
fn below<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn wipe_below() {
    let mut used = [0_u64; DEPTH / 8];
    used.zeroize();
}

/// Wipes a pair. ring's part of it cannot be wiped as such: the public key pair of an all-zero seed takes its place.
pub(super) fn wipe(pair: &mut KeyPair) {
    pair.zeroize();
    let worthless = [&ED25519_V1[..], &[0; 32]].concat();
    on_own_stack(|| {
        if let Ok(worthless) = KeyPair::try_from(&PrivatePkcs8KeyDer::from(worthless)) {
            *pair = worthless;
        }
    });
}
