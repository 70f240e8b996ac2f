//! Takes a running cluster from HTTP to mutual TLS and back: observe, plan, one step, gate, observe again.
//!
//! [`plan`], [`stage`] and [`recipe`] are pure; [`Migration`] drives them over [`Node`]s. Every run plans from what it
//! sees, so every run is a resume.

pub mod around;
mod auth;
mod clients;
mod closing;
pub mod discover;
mod disk;
mod drive;
mod error;
mod event;
mod found;
mod gate;
mod journal;
pub mod members;
mod node;
mod observe;
mod place;
pub mod plan;
mod preflight;
pub mod recipe;
mod renewed;
pub mod report;
mod roster;
pub mod settings;
mod snapshot;
mod speak;
pub mod stage;
mod traces;
mod trouble;
mod v2_backup;

pub use clients::InTheWay;
pub use drive::{Ending, Migration, Options, Planned, Stopped};
pub use error::MigrateError;
pub use event::{Check, Event, MemberLine, Report, StepLine};
pub use journal::{Entry, Journal, now};
pub use node::{Node, Pair};
pub use observe::{Observed, Sight, observe};
pub use recipe::Wishes;
pub use renewed::account_for;
pub use trouble::Trouble;
