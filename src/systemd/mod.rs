//! Units, drop-ins and command lines: parse and render.

pub mod drop_ins;
pub mod endpoints;
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

#[cfg(test)]
mod layouts_tests;
