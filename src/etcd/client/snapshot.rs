//! A snapshot of a member's data through the v3 gateway, checked as it comes.
//!
//! The stream is the bbolt database and, after it, the SHA-256 of the database: what `etcdctl snapshot save` writes and
//! `etcdctl snapshot restore` checks (`snapshotSend` in etcd 3.3 to 3.5).

use std::io::Write;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use ureq::http::Method;

use super::Result;
use super::http::{Http, fault_of_line};
use super::lines::Lines;
use super::reply::ErrorWire;
use crate::etcd::error::Fault;
use crate::host::limits;

/// The length of the hash at the end, in bytes.
const TRAILER: usize = 32;

#[derive(Deserialize)]
struct Line {
    result: Option<Part>,
    error: Option<ErrorWire>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    blob: String,
}

/// At most `limit` bytes of database, at [`limits::SNAPSHOT_SPEED`] or faster.
pub(super) fn save(http: &Http, prefix: &str, sink: &mut dyn Write, limit: u64) -> Result<u64> {
    let body = Some(("application/json", json!({}).to_string()));
    let (call, response) = http.open(Method::POST, &format!("{prefix}/maintenance/snapshot"), body, true)?;
    let fail = |fault| http.error(call.clone(), fault);
    let status = response.status().as_u16();
    let mut lines = Lines::new(response.into_body().into_reader(), limits::PART, limits::PART_TIME);
    let mut checked = Checked::new(sink);
    let begun = Instant::now();
    loop {
        match lines.next() {
            Ok(None) => break,
            Ok(Some(line)) if line.trim_ascii().is_empty() => {}
            Ok(Some(_)) if status == 404 => return Err(fail(Fault::NotFound)),
            Ok(Some(line)) => {
                let part: Line =
                    serde_json::from_slice(&line).map_err(|error| fail(Fault::malformed(error)))?;
                if let Some(error) = part.error {
                    return Err(fail(error.fault(status)));
                }
                let blob = part.result.map(|part| part.blob).unwrap_or_default();
                let bytes = STANDARD.decode(blob).map_err(|error| fail(Fault::malformed(error)))?;
                // The hash at the end is no part of the database.
                if checked.length + bytes.len() as u64 > limit.saturating_add(TRAILER as u64) {
                    return Err(fail(Fault::TooLarge { limit }));
                }
                checked.take(&bytes).map_err(|error| fail(Fault::malformed(error)))?;
            }
            Err(why) => return Err(fail(fault_of_line(why))),
        }
        let patience = Duration::from_secs(60 + checked.length / limits::SNAPSHOT_SPEED);
        if begun.elapsed() > patience {
            return Err(fail(Fault::Timeout));
        }
    }
    checked.finish().map_err(|what| fail(Fault::malformed(what)))
}

/// Copies a snapshot that is there as a whole, its hash checked; returns its length in bytes.
pub(in crate::etcd) fn copy_checked(bytes: &[u8], sink: &mut dyn Write) -> std::result::Result<u64, String> {
    let mut checked = Checked::new(sink);
    checked.take(bytes).map_err(|error| error.to_string())?;
    checked.finish().map_err(str::to_owned)
}

/// Writes what comes and holds the hash at its end against what came before it.
struct Checked<'a> {
    sink: &'a mut dyn Write,
    hash: Sha256,
    tail: Vec<u8>,
    length: u64,
}

impl<'a> Checked<'a> {
    fn new(sink: &'a mut dyn Write) -> Self {
        Self { sink, hash: Sha256::new(), tail: Vec::new(), length: 0 }
    }

    fn take(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.sink.write_all(bytes)?;
        self.length += bytes.len() as u64;
        self.tail.extend_from_slice(bytes);
        let before = self.tail.len().saturating_sub(TRAILER);
        self.hash.update(&self.tail[..before]);
        self.tail.drain(..before);
        Ok(())
    }

    fn finish(self) -> std::result::Result<u64, &'static str> {
        // A database has pages of 512 bytes at least.
        if self.length < 512 + TRAILER as u64 {
            return Err("the snapshot is cut short");
        }
        if self.hash.finalize().as_slice() == self.tail {
            Ok(self.length)
        } else {
            Err("the snapshot does not match the hash at its end")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_at_the_end_is_held_against_the_rest_however_it_is_cut() {
        let database = vec![7u8; 5000];
        let whole = [database.clone(), Sha256::digest(&database).to_vec()].concat();
        for size in [1, 31, 32, 33, 4096, whole.len()] {
            let mut copy = Vec::new();
            let mut checked = Checked::new(&mut copy);
            whole.chunks(size).for_each(|part| checked.take(part).unwrap());
            assert_eq!(checked.finish(), Ok(whole.len() as u64));
            assert_eq!(copy, whole);
        }
        for broken in [&whole[..whole.len() - 1], &whole[1..], &whole[..100]] {
            let mut copy = Vec::new();
            let mut checked = Checked::new(&mut copy);
            checked.take(broken).unwrap();
            assert!(checked.finish().is_err());
        }
    }
}
