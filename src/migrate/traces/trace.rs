//! The record of one path: what stood there before, and what was placed.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::files::{FileImage, FileMode, Owner};

/// A file or directory that this tool placed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Trace {
    pub(super) path: PathBuf,
    pub(super) purpose: Purpose,
    pub(super) before: Before,
    /// The SHA-256 of what was placed, in hexadecimal, and of what of ours it was to replace: a run that is killed just
    /// before it does leaves that. Empty for a directory.
    pub(super) placed: Vec<String>,
}

/// What a path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) enum Purpose {
    /// How a unit around the members reaches them.
    Around,
    /// A certificate, a key, a CA.
    Certificate,
    /// etcd's settings.
    Setting,
}

/// What stood at a path before.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Before {
    /// Nothing.
    Absent,
    /// Nothing, and a directory was made.
    NoDirectory,
    /// A file, with its content in base64.
    File { mode: FileMode, owner: Owner, content: String },
}

impl Before {
    pub(super) fn of(image: Option<&FileImage>) -> Self {
        image.map_or(Self::Absent, |image| Self::File {
            mode: image.mode,
            owner: image.owner,
            content: STANDARD.encode(&image.bytes),
        })
    }
}

impl Trace {
    /// Notes that something is about to be placed where `now` stands; that stays ours if it was.
    pub(super) fn place(&mut self, now: Option<&FileImage>, placed: String) {
        let there = now.map(|image| digest(&image.bytes));
        self.placed.retain(|old| there.as_ref() == Some(old) && *old != placed);
        self.placed.insert(0, placed);
    }

    /// Whether a path holds what was placed, or (when the run was killed before it was placed) what was there.
    pub(super) fn matches(&self, now: Option<&FileImage>) -> bool {
        match (now, &self.before) {
            (Some(image), _) if self.placed.contains(&digest(&image.bytes)) => true,
            (None, Before::Absent | Before::NoDirectory) => true,
            (Some(image), Before::File { content, .. }) => STANDARD.encode(&image.bytes) == *content,
            _ => false,
        }
    }
}

/// SHA-256 in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
