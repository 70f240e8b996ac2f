//! The CA through the real binary, judged by OpenSSL, curl, etcdctl and a real etcd.
#![allow(clippy::disallowed_methods, reason = "a test's own files and processes")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "figures for whoever runs it")]

#[path = "../support/batch.rs"]
mod batch;
#[path = "../support/mod.rs"]
mod common;
mod support;

mod acceptance;
mod authorities;
mod bad_input;
mod costly_keys;
mod fleet;
mod growth;
mod issuing;
mod keystores;
mod large_inventory;
mod life;
mod looking;
mod matrix;
mod members;
mod memory;
mod prompts;
mod requests;
mod reserved_names;
mod revocation;
mod special_files;
mod syncs;
mod together;
mod trust;
