//! `install` on this machine: real files, as root and as nobody, killed at any moment.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test arranges its own files and runs the tool"
)]

#[path = "../support/mod.rs"]
mod common;
mod support;

mod interrupted;
mod places;
mod placing;
mod refusals;
mod trust;
