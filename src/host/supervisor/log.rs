//! etcd's log: each line after the time it was read, because not every etcd version and not every line has one.

use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;

use crate::files::{self, FileError, FileMode};

/// The longest line that is kept whole, in bytes.
const LONGEST: u64 = 64 * 1024;

/// A log file that is appended to, line by line.
#[derive(Debug, Clone)]
pub(super) struct Log(Arc<Mutex<File>>);

impl Log {
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        files::open_append(path, FileMode::SECRET).map(|file| Self(Arc::new(Mutex::new(file))))
    }

    /// Appends a line; a full disk must not stop the supervisor, so that it could not be written is let go.
    pub(super) fn line(&self, text: &str) {
        let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        let line = format!("{now} {text}\n");
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
    }

    /// Appends every line that comes out of `pipe` until its other ends are closed.
    pub(super) fn drain(&self, pipe: PipeReader) {
        let log = self.clone();
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            loop {
                line.clear();
                let mut limited = std::io::Read::take(&mut pipe, LONGEST);
                match limited.read_until(b'\n', &mut line) {
                    Ok(0) | Err(_) => return,
                    Ok(_) => log.line(String::from_utf8_lossy(&line).trim_end()),
                }
            }
        });
    }
}
