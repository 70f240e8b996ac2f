//! The one module that starts child processes.
#![allow(clippy::disallowed_methods, reason = "this is the module the ban points to")]

use std::ffi::OsStr;
use std::process::Command;

/// A child process to be, with an empty standard input.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(std::process::Stdio::null());
    command
}
