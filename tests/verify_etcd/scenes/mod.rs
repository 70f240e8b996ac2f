//! Settings, listeners and clients that go wrong on a real etcd: `explain` finds the pitfall in what is printed.

mod clients;
mod listeners;
mod process;
mod services;
mod starting;

use etcd_pki::host::command::command;

pub use clients::*;
pub use listeners::*;
pub use process::*;
pub use services::*;
pub use starting::*;

use super::verify_support::{Etcd, output_of};
use super::{demanding, pair, path};

/// A server's options: the good pair, and more.
fn options(more: &[&str]) -> Vec<String> {
    let more = more.iter().map(|&one| one.to_owned());
    pair("good", "").into_iter().chain(more).collect()
}

/// The same of one that demands certificates.
fn strict(more: &[&str]) -> Vec<String> {
    [options(more), demanding("good", "")].concat()
}

fn curl(arguments: &[&str], port: u16) -> String {
    let mut client = command("curl");
    client.args(["-sS", "--max-time", "5"]).args(arguments).arg(format!("https://127.0.0.1:{port}/version"));
    output_of(client)
}

/// curl's options that show the good pair and trust its CA.
fn with_pair() -> Vec<String> {
    let of = |option: &str, file: &str| vec![option.to_owned(), path("good", file)];
    [of("--cacert", "ca.pem"), of("--cert", "cert.pem"), of("--key", "key.pem")].concat()
}

/// What is new in a log after something was done, once it says anything about a rejected connection.
fn rejected(etcd: &Etcd, act: impl FnOnce(u16)) -> String {
    let before = etcd.log().len();
    act(etcd.client_port);
    for _ in 0..100 {
        let log = etcd.log();
        let new: String = log[before..]
            .lines()
            .filter(|line| line.contains("rejected connection") && !line.contains("\"EOF\""))
            .map(|line| format!("{line}\n"))
            .collect();
        if !new.is_empty() {
            return new;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("nothing was rejected:\n{}", etcd.log());
}
