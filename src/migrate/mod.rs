//! Takes a running cluster from HTTP to mutual TLS and back: observe, plan, one step, gate, observe again.
//!
//! [`plan`] and [`stage`] are pure; [`Migration`] drives them over [`Node`]s. Every run plans from what it sees, so every
//! run is a resume.

pub mod around;
mod auth;
mod clients;
mod closing;
pub mod discover;
mod drive;
mod error;
mod event;
mod gate;
mod journal;
pub mod members;
mod node;
mod observe;
pub mod peers;
mod place;
pub mod plan;
mod preflight;
pub mod report;
mod snapshot;
mod speak;
pub mod stage;
mod traces;
mod v2_backup;

pub use clients::InTheWay;
pub use closing::Check;
pub use drive::{Ending, Migration, Options, Planned, Stopped};
pub use error::MigrateError;
pub use event::{Event, MemberLine, Report, StepLine};
pub use journal::{Entry, Journal, now};
pub use node::{Node, Pair};
pub use observe::{Observed, Sight, Wishes, observe};
