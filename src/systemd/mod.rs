//! Environment files, units and drop-ins: parse and render.

pub mod endpoints;
pub mod envfile;
pub mod launch;
pub mod layers;
mod look;
pub mod service;
mod shell;
mod show;
pub mod unit;
pub mod words;

pub use launch::Definition;
pub use service::SystemdService;
pub use unit::{Fragment, UnitError};

/// How the comment at the top of every file that we write for a unit begins; a file without it is somebody else's.
pub const WRITTEN_BY: &str = "Written by etcd-pki";
/// The same with its comment sign: the first characters of such a file.
pub const MARK: &str = "# Written by etcd-pki";

#[cfg(test)]
mod layouts_tests;
