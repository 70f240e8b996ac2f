//! What `verify` and `explain` say, held against a real etcd, 3.4 and 3.5: pairs in `matrix`, settings, listeners and clients
//! in `scenes`. `catalogue` holds that no pitfall is left out.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stdout, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../verify_support/mod.rs"]
mod verify_support;

mod catalogue;
mod matrix;
mod revocation;
mod scenes;
mod settings;

use etcd_pki::host::command::command;
use etcd_pki::verify::GoVersion;
use verify_support::{Etcd, etcd_go, fixture, fixtures, output_of};

fn path(name: &str, file: &str) -> String {
    fixture(name, file).display().to_string()
}

/// etcd's options for a fixture's pair, on the client or the peer port.
fn pair(name: &str, prefix: &str) -> Vec<String> {
    ["cert", "key"].map(|what| format!("--{prefix}{what}-file={}", path(name, &format!("{what}.pem")))).into()
}

/// Options that demand certificates of a fixture's CA.
fn demanding(name: &str, prefix: &str) -> Vec<String> {
    vec![format!("--{prefix}trusted-ca-file={}", path(name, "ca.pem")), format!("--{prefix}client-cert-auth")]
}

fn start(options: &[String]) -> Etcd {
    Etcd::start(options).unwrap_or_else(|log| panic!("{options:?}:\n{log}"))
}

/// The Go of the etcd here, or a reason to skip.
fn go() -> Option<GoVersion> {
    let go = etcd_go();
    if go.is_none() {
        support::skipped("there is no etcd in PATH");
    }
    go
}

/// curl from an address, showing a fixture, without looking at the server's own certificate.
fn dial(name: &str, port: u16, from: &str) -> String {
    let mut client = command("curl");
    client
        .env("OPENSSL_CONF", fixtures().join("openssl.cnf"))
        .args(["-sS", "-k", "--http1.1", "--max-time", "5", "--interface", from])
        .args(["--cert", &path(name, "cert.pem"), "--key", &path(name, "key.pem")])
        .arg(format!("https://127.0.0.1:{port}/version"));
    output_of(client)
}
