//! Every command that writes, interrupted: killed at each system call, given an error at each, and replayed on the disks
//! that a power cut may leave. Whatever ended it, no key is open to others, no serial is used twice, no pair is torn, and
//! the same command then leaves what it would have left at once.
#![allow(clippy::disallowed_methods, reason = "a test's own files and processes")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "figures for those who run it")]

#[path = "../support/mod.rs"]
mod common;
#[path = "../support/rows.rs"]
mod rows;

mod bench;
mod calls;
mod image;
mod likeness;
mod power;
mod report;
mod run;
mod scenarios;
mod table;
mod whole;
