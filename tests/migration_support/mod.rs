//! A real cluster to migrate, and the commands as a user types them.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::disallowed_methods,
    reason = "not every test file needs all of it"
)]

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use etcd_pki::etcd::client::{Client, Endpoint};
use etcd_pki::etcd::ports;
use etcd_pki::etcd::{Scheme, Tls};
use etcd_pki::host::Service;
use etcd_pki::rehearse::cluster::{self, Cluster};

use crate::rehearsal_support::{EXE, own_base, until};

#[path = "../support/seats.rs"]
mod seats;
use seats::Seats;

/// A cluster on plain HTTP with a PKI directory that holds all it needs, and its addresses.
pub struct Ground {
    pub cluster: Cluster,
    pub dir: tempfile::TempDir,
    pub addresses: Vec<Ipv4Addr>,
    /// Given up last.
    _seats: Seats,
}

impl Ground {
    pub fn new(members: u8) -> Self {
        Self::with(members, &[])
    }

    /// A cluster whose members have more in their environment files.
    pub fn with(members: u8, more: &[(&str, &str)]) -> Self {
        Self::of(None, members, more)
    }

    /// The same of another etcd than the installed one.
    pub fn of(etcd: Option<&Path>, members: u8, more: &[(&str, &str)]) -> Self {
        Self::at(own_base(), etcd, members, more)
    }

    /// The same from this address on, such as in a network of its own.
    pub fn at(base: Ipv4Addr, etcd: Option<&Path>, members: u8, more: &[(&str, &str)]) -> Self {
        let seats = Seats::take(if members > 1 { 2 } else { 1 });
        let dir = tempfile::tempdir().unwrap();
        let etcd = cluster::find_etcd(etcd).unwrap();
        let addresses = cluster::addresses(base, members).unwrap();
        let stop = AtomicBool::new(false);
        let cluster = Cluster::start(Path::new(EXE), dir.path(), &etcd, &addresses, false, &stop).unwrap();
        for member in cluster.members.iter().filter(|_| !more.is_empty()) {
            let file = member.dir.path().join("etcd.env");
            let mut text = std::fs::read_to_string(&file).unwrap();
            more.iter().for_each(|(name, value)| text += &format!("{name}={value}\n"));
            std::fs::write(&file, text).unwrap();
            let service = member.host().unwrap().service();
            let before = service.running().unwrap().unwrap().identity;
            service.restart().unwrap();
            until("restarted", || service.running().unwrap().is_some_and(|now| now.identity != before));
            let url = member.url(Scheme::Http, ports::CLIENT);
            let client = Client::new(Endpoint::direct(url, None));
            until("healthy", || client.health().is_ok_and(|health| health.healthy));
        }
        cluster.write_inventory(&dir.path().join("cluster.toml"), "client").unwrap();
        let ground = Self { cluster, dir, addresses, _seats: seats };
        assert!(ground.tool(&["init-ca"]).status.success());
        assert!(ground.tool(&["issue", "--from", &ground.inventory()]).status.success());
        ground
    }

    pub fn inventory(&self) -> String {
        self.dir.path().join("cluster.toml").display().to_string()
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(EXE);
        command.args(words).arg("--pki-dir").arg(self.dir.path().join("pki")).stdin(Stdio::null());
        command
    }

    pub fn tool(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// `migrate WHAT …` of this cluster.
    pub fn migrate(&self, words: &[&str]) -> Output {
        self.tool(&self.migrate_words(words).iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub fn migrate_words(&self, words: &[&str]) -> Vec<String> {
        let mut all = vec!["migrate".to_owned()];
        all.extend(words.iter().map(|&word| word.to_owned()));
        all.extend(["--inventory".to_owned(), self.inventory()]);
        all
    }

    pub fn tls(&self) -> Arc<Tls> {
        let read = |name: &str| std::fs::read(self.dir.path().join("pki").join(name)).unwrap();
        Arc::new(Tls::with_pair(&read("ca.pem"), &read("client.pem"), &read("client-key.pem")).unwrap())
    }

    /// The one snapshot that was taken.
    pub fn snapshot(&self) -> PathBuf {
        let kept = std::fs::read_dir(self.dir.path().join("pki/migrate")).unwrap();
        let mut kept: Vec<PathBuf> = kept.map(|entry| entry.unwrap().path()).collect();
        kept.retain(|path| path.extension().is_some_and(|end| end == "db"));
        assert_eq!(kept.len(), 1, "{kept:?}");
        kept.remove(0)
    }

    pub fn file(&self, member: &str, name: &str) -> PathBuf {
        self.dir.path().join(member).join(name)
    }
}

/// A failure's exit code, and its JSON error's code, message and hint.
pub fn refusal(output: &Output) -> (i32, String, String, String) {
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    let error = serde_json::from_str::<serde_json::Value>(last).unwrap_or_default()["error"].clone();
    let field = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    (output.status.code().unwrap_or(-1), field("code"), field("message"), field("hint"))
}
