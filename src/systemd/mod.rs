//! Environment files, units and drop-ins: parse and render.

pub mod envfile;
pub mod launch;
pub mod layers;
pub mod service;
mod shell;
mod show;
pub mod unit;
pub mod words;

pub use launch::Definition;
pub use service::SystemdService;
pub use unit::{Fragment, UnitError};

/// How every file that we write for a unit begins.
pub const MARK: &str = crate::host::process::MARK;

#[cfg(test)]
mod layouts_tests;
