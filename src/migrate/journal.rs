//! Receipts: what a run meant to do and what it did, one JSON line each, durable before the next thing happens.
//!
//! Never the source of truth: the next run looks at the cluster, not here.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{self, FileError, FileMode, Meta};

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Entry {
    /// When, in RFC 3339, UTC.
    pub at: String,
    /// Which run: its process number and start.
    pub run: String,
    /// The member it is about, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// `begin`, `intent`, `done`, `gate`, `failed`, `end`.
    pub phase: String,
    /// In words.
    pub what: String,
}

/// The file, open for appending.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: std::sync::Mutex<File>,
    run: String,
}

impl Journal {
    /// Opens or makes `migrate/CLUSTER.jsonl` in the PKI directory; a torn last line is cut off.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn open(pki_dir: &Path, cluster: &str) -> Result<Self, FileError> {
        let dir = pki_dir.join("migrate");
        files::make_dir(&dir, Meta::mode(FileMode::SECRET_DIR))?;
        let path = dir.join(format!("{cluster}.jsonl"));
        let mut file = files::open_append(&path, FileMode::SECRET)?;
        let io = |source| FileError::Io { action: "read", path: path.clone(), source };
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(io)?;
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        if whole < text.len() {
            file.set_len(whole as u64).map_err(io)?;
        }
        file.seek(SeekFrom::End(0)).map_err(io)?;
        let run = format!("{}-{}", std::process::id(), time::OffsetDateTime::now_utc().unix_timestamp());
        Ok(Self { path, file: std::sync::Mutex::new(file), run })
    }

    /// Writes a line and makes it durable.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn write(&self, member: Option<&str>, phase: &str, what: &str) -> Result<(), FileError> {
        let entry = Entry {
            at: now(),
            run: self.run.clone(),
            member: member.map(str::to_owned),
            phase: phase.to_owned(),
            what: what.to_owned(),
        };
        let mut line = serde_json::to_vec(&entry).expect("strings are always JSON");
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.write_all(&line).and_then(|()| file.sync_data()).map_err(|source| FileError::Io {
            action: "write",
            path: self.path.clone(),
            source,
        })
    }

    /// Writes why a run stopped. What stopped it, a full disk for one, may keep this from being written too.
    pub fn stopped(&self, why: &dyn std::fmt::Display) {
        let _ = self.write(None, "end", &format!("stopped: {why}"));
    }

    /// All whole lines of a journal file, oldest first; a line that is no entry is left out.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn read(path: &Path) -> Result<Vec<Entry>, FileError> {
        let image = files::read(path)?;
        let text = image.map(|image| String::from_utf8_lossy(&image.bytes).into_owned()).unwrap_or_default();
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}

/// The time in RFC 3339, UTC, to the millisecond.
pub fn now() -> String {
    let now = time::OffsetDateTime::now_utc();
    now.replace_millisecond(now.millisecond())
        .unwrap_or(now)
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_cut_off_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), "cafe").unwrap();
        journal.write(Some("server1"), "intent", "restart").unwrap();
        drop(journal);
        let path = dir.path().join("migrate/cafe.jsonl");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{\"at\":\"2026");
        files::replace(&path, &bytes, Meta::mode(FileMode::SECRET)).unwrap();
        let journal = Journal::open(dir.path(), "cafe").unwrap();
        journal.write(None, "end", "done").unwrap();
        let whats: Vec<_> = Journal::read(&path).unwrap().into_iter().map(|entry| entry.what).collect();
        assert_eq!(whats, ["restart", "done"]);
    }
}
