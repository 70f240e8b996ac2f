//! Real members for tests: started on loopback addresses of their own, stopped when dropped.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "a module of a test")]
#![allow(clippy::disallowed_methods, reason = "a test's own files")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use etcd_pki::etcd::{Client, Endpoint, Tls};
use etcd_pki::host::command::command;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

/// A loopback address that no other test uses: by process, then by count.
pub fn address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let pid = std::process::id();
    let octet = |n: u32| u8::try_from(n).expect("it is small");
    let last = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(last < 250, "too many members in one test process");
    Ipv4Addr::new(127, octet(64 + pid % 128), octet(1 + pid / 128 % 250), last)
}

/// A CA and pairs made by it, as files.
pub struct Pki {
    pub dir: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { dir, issuer }
    }

    /// Issues `NAME.pem` and `NAME-key.pem` for some addresses.
    pub fn issue(
        &self,
        name: &str,
        ips: &[Ipv4Addr],
        usages: &[ExtendedKeyUsagePurpose],
    ) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = ips.iter().map(|&ip| SanType::IpAddress(ip.into())).collect();
        params.extended_key_usages = usages.to_vec();
        params.is_ca = IsCa::ExplicitNoCa;
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let (cert_path, key_path) =
            (self.path(&format!("{name}.pem")), self.path(&format!("{name}-key.pem")));
        std::fs::write(&cert_path, cert.pem()).unwrap();
        std::fs::write(&key_path, key.serialize_pem()).unwrap();
        (cert_path, key_path)
    }

    /// A pair for both directions.
    pub fn both(&self, name: &str, ips: &[Ipv4Addr]) -> (PathBuf, PathBuf) {
        self.issue(name, ips, &[ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth])
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// What a client with this pair speaks.
    pub fn tls(&self, pair: Option<&str>) -> Arc<Tls> {
        let ca = self.read("ca.pem");
        Arc::new(match pair {
            None => Tls::new(&ca).unwrap(),
            Some(name) => {
                let (cert, key) = (self.read(&format!("{name}.pem")), self.read(&format!("{name}-key.pem")));
                Tls::with_pair(&ca, &cert, &key).unwrap()
            }
        })
    }
}

/// A running etcd.
pub struct Etcd {
    child: Child,
    _dir: tempfile::TempDir,
    pub log: PathBuf,
    pub address: Ipv4Addr,
    pub client_url: String,
}

impl Etcd {
    /// One member, alone in its cluster; `flags` come after the usual ones and so win over them.
    pub fn start(binary: &Path, address: Ipv4Addr, scheme: &str, flags: &[String]) -> Self {
        let peer = format!("http://{address}:2380");
        let flags = [&["--initial-cluster".into(), format!("m={peer}")], flags].concat();
        Self::member(binary, "m", address, scheme, &flags)
    }

    /// A member with its name, of a cluster that the flags describe.
    pub fn member(binary: &Path, name: &str, address: Ipv4Addr, scheme: &str, flags: &[String]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let client_url = format!("{scheme}://{address}:2379");
        let peer = format!("http://{address}:2380");
        let out = std::fs::File::create(&log).unwrap();
        let child = command(binary)
            .args(["--name", name, "--data-dir"])
            .arg(dir.path().join("data"))
            .args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(flags)
            .env_clear()
            .env("ETCD_UNSUPPORTED_ARCH", "arm64")
            .stderr(out.try_clone().unwrap())
            .stdout(out)
            .spawn()
            .unwrap();
        Self { child, _dir: dir, log, address, client_url }
    }

    pub fn endpoint(&self, tls: Option<Arc<Tls>>) -> Endpoint {
        Endpoint::direct(self.client_url.parse().unwrap(), tls)
    }

    pub fn client(&self, tls: Option<Arc<Tls>>) -> Client {
        Client::new(self.endpoint(tls))
    }

    /// A client, once the member is healthy.
    pub fn ready(&self, tls: Option<Arc<Tls>>) -> Client {
        let client = self.client(tls);
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            match client.health() {
                Ok(health) if health.healthy => return client,
                last if Instant::now() > end => panic!("{last:?}\n{}", self.log_text()),
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal by name, as kill(1).
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(command("kill").args(["-s", name, &pid]).status().unwrap().success());
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // Nothing it holds outlives the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every etcd at hand: the installed one, and those that `tests/etcd-versions.sh` fetched.
pub fn binaries() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let fetched = std::env::var_os("ETCD_VERSIONS_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/etcd"), PathBuf::from);
    let fetched = std::fs::read_dir(fetched).into_iter().flatten().flatten();
    let paths = fetched.map(|entry| entry.path().join("usr/bin/etcd")).filter(|path| path.exists());
    for path in std::iter::once(PathBuf::from("/usr/bin/etcd")).chain(paths) {
        let output = command(&path).arg("--version").output().expect("etcd is installed (make install-deps)");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.lines().find_map(|line| line.strip_prefix("etcd Version: "));
        found.push((version.expect("etcd says its version").trim().to_owned(), path));
    }
    found.sort();
    found.dedup_by(|a, b| a.0 == b.0);
    found
}

/// The flags that switch v2 on: 3.3 has it on and does not know the flag's absence.
pub fn v2_flags(version: &str) -> Vec<String> {
    if version.starts_with("3.3.") { Vec::new() } else { vec!["--enable-v2".into()] }
}

pub fn strings(flags: &[&str]) -> Vec<String> {
    flags.iter().map(|&flag| flag.to_owned()).collect()
}
