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
#[path = "../support/rows.rs"]
mod rows;
#[path = "../support/seats.rs"]
mod seats;
#[path = "../support/mod.rs"]
mod support;
mod versions;

/// Of rehearsals more than two fill two processors. Where all is asked for, one at a time and one lab at most: its figures
/// are kept.
fn seats() -> seats::Seats {
    let all = std::env::var_os("ETCDPKI_TEST_ALL").is_some();
    seats::Seats::take(if all { seats::Seats::all() / 2 + 1 } else { 2 })
}
