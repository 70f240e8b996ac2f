//! Real hosts: systemd, sshd and etcd in a lab of their own, reached as an operator reaches them. In one program, so that
//! labs stand side by side: most of their time is spent waiting.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a test")]

mod around;
mod discover;
mod faults;
mod first_screen;
mod foreign;
mod hosts;
mod install;
mod killed;
mod lab_support;
mod migrate;
#[path = "../support/moments.rs"]
mod moments;
mod named_proxy;
mod options;
#[path = "../support/rows.rs"]
mod rows;
#[path = "../support/seats.rs"]
mod seats;
mod second_user;
mod small;
mod ssh;
#[path = "../support/mod.rs"]
mod support;
mod systemd;
mod units;
mod verify;
mod years;
