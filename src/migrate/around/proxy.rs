//! Proxies: their settings, whether they answer, and who goes past them.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::host::HostError;
use crate::inventory::ProxyKind;
use crate::inventory::pair_files::{self, CA_FILE};
use crate::systemd::Definition;
use crate::until::Until;

use super::super::error::MigrateError;
use super::super::settings::Settings;
use super::place::Place;

/// How long one request to a proxy may take.
const REQUEST: Duration = Duration::from_secs(5);

/// What a v2 proxy is given: its pair towards the members, whichever scheme they speak, and on a machine of its own
/// listeners on the loopback address alone, as the old guides have it.
pub(super) fn settings(ssl_dir: &Path, pair: &str, alone: bool) -> Settings {
    let file = |name: String| ssl_dir.join(name).to_string_lossy().into_owned();
    let mut settings = Settings::new();
    for prefix in ["", "peer-"] {
        settings.insert(format!("{prefix}cert-file"), file(pair_files::cert_file(pair)));
        settings.insert(format!("{prefix}key-file"), file(pair_files::key_file(pair)));
        settings.insert(format!("{prefix}trusted-ca-file"), file(CA_FILE.to_owned()));
    }
    if alone {
        let listen = "http://127.0.0.1:2379,http://127.0.0.1:4001";
        settings.insert("listen-client-urls".to_owned(), listen.to_owned());
    }
    settings
}

/// Where a gRPC proxy listens, by its unit.
pub(super) fn grpc_listener(unit: &Definition) -> Result<SocketAddr, String> {
    let argv = unit.command().map_err(|error| error.to_string())?.argv;
    let given = argv.iter().position(|word| word == "--listen-addr").and_then(|at| argv.get(at + 1));
    let joined = argv.iter().find_map(|word| word.strip_prefix("--listen-addr="));
    let at = joined.or(given.map(String::as_str)).unwrap_or("127.0.0.1:23790");
    at.parse().map_err(|_| format!("{at:?} is no address to ask it at"))
}

/// The programs on a proxy's machine that go past it, to members' plain-text listeners: they should go to it.
pub(super) fn past(place: &Place, kind: ProxyKind, plain: &[String]) -> Result<Vec<String>, MigrateError> {
    // Several looks: short connections are easily missed.
    const LOOKS: &str = "command -v ss >/dev/null || { echo there is no ss, which comes with iproute2 >&2; exit 1; }; \
                         for look in 1 2 3 4; do ss -Htnp state established || exit 1; sleep 0.2; done";
    let output = place.host.run(&["sh", "-c", LOOKS], REQUEST)?;
    if output.status != Some(0) {
        // Who is not seen would be cut off without a word.
        let said = String::from_utf8_lossy(&output.stderr);
        let what = format!("who goes past the proxy cannot be seen: {}", said.trim());
        return Err(HostError::Command { host: place.name.clone(), command: "ss".to_owned(), what }.into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut found = std::collections::BTreeSet::new();
    for line in text.lines() {
        // Queues, here, there, and who: users:(("curl",pid=7,fd=5)).
        let mut words = line.split_ascii_whitespace().skip(3);
        let (Some(there), who) = (words.next(), words.next().unwrap_or_default()) else { continue };
        let there = there.replace("[::ffff:", "").replace("]:", ":");
        let name = who.split('"').nth(1).unwrap_or("a program");
        if plain.contains(&there) && name != "etcd" {
            let instead = if kind == ProxyKind::V2 { "http://127.0.0.1:2379, " } else { "" };
            found.insert(format!("{name} of {} (give it {instead}the proxy beside it)", place.name));
        }
    }
    Ok(found.into_iter().collect())
}

/// A request in plain text, dialled on the machine itself; the answer must be a 200.
pub(super) fn ask(place: &Place, at: SocketAddr, path: &str) -> Result<String, String> {
    let fail = |error: &dyn std::fmt::Display| format!("it does not answer on {at}: {error}");
    let mut stream = place.host.dial(at, REQUEST).map_err(|error| fail(&error))?;
    stream.set_timeout(Some(REQUEST)).map_err(|error| fail(&error))?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(|error| fail(&error))?;
    let mut answer = Vec::new();
    let stream = Until::new(stream, Instant::now() + REQUEST);
    stream.take(1 << 20).read_to_end(&mut answer).map_err(|error| fail(&error))?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).unwrap_or_default();
    if status == "200" {
        return Ok(text.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()));
    }
    let told = text.lines().next().unwrap_or_default().to_owned();
    Err(format!("it answers on {at} with {told:?}: {}", text.lines().last().unwrap_or_default()))
}
