//! `rehearse`: as a command, its parts, and from beginning to end on every etcd at hand. In one program, so that rehearsals
//! stand side by side: most of their time is spent waiting.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a test")]

mod cli;
#[path = "../etcd_support/mod.rs"]
mod etcd_support;
mod load;
mod migration;
mod process;
#[path = "../rehearsal_support/mod.rs"]
mod rehearsal_support;
#[path = "../support/seats.rs"]
mod seats;
#[path = "../support/mod.rs"]
mod support;
mod versions;

/// Three rehearsals fill two processors. One at a time where all is asked for: its figures are kept.
fn seat() -> seats::Seat {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    seats::Seat::take_of(if std::env::var_os("ETCDPKI_TEST_ALL").is_some() { 1 } else { processors * 3 / 2 })
}
