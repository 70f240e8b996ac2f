//! The system's own trust store: the CA placed where the machine's administrator adds CAs, and the bundle made anew.
//!
//! Which kind of store a machine has is told by what is there. A CA file of several certificates (as during a CA
//! rotation) becomes several files, since `update-ca-certificates` takes one certificate a file. Files are named after
//! the CA and the certificate's fingerprint, so that two clusters' CAs never stand in each other's way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Serialize;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::install::{InstallError, content, leftovers};
use super::{Host, HostError, Placement};
use crate::files::{FileKind, FileMode, Meta};

/// How long the bundle may take to be made: RHEL's extracts it in five forms.
const PATIENCE: Duration = Duration::from_secs(120);

/// What programs of an administrator's are found by, whatever the login's own path is.
const SBIN: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A kind of trust store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrustStore {
    /// Fedora, RHEL and their like: p11-kit's anchors.
    RedHat,
    /// SUSE.
    Suse,
    /// Container Linux and Flatcar: `/usr` is read-only, `/etc/ssl/certs` itself takes additions.
    ContainerLinux,
    /// Debian, Ubuntu, Alpine and their like.
    Debian,
}

impl TrustStore {
    /// The store of a machine; none where none is known.
    ///
    /// # Errors
    /// [`HostError`]
    pub fn of(host: &dyn Host) -> Result<Option<Self>, HostError> {
        let is = |path: &str, kind| -> Result<bool, HostError> {
            Ok(host.stat(Path::new(path))?.is_some_and(|stat| stat.kind == kind))
        };
        if is("/etc/pki/ca-trust/source/anchors", FileKind::Directory)? {
            return Ok(Some(Self::RedHat));
        }
        if is("/etc/pki/trust/anchors", FileKind::Directory)? {
            return Ok(Some(Self::Suse));
        }
        let release = host.read(Path::new("/usr/lib/os-release"))?.map(|image| image.bytes);
        let release = String::from_utf8_lossy(&release.unwrap_or_default()).into_owned();
        let id = release.lines().find_map(|line| line.strip_prefix("ID=")).unwrap_or_default();
        if matches!(id.trim_matches(['"', '\'']), "coreos" | "flatcar") {
            return Ok(Some(Self::ContainerLinux));
        }
        let debian = is("/etc/ca-certificates.conf", FileKind::File)?
            || is("/usr/local/share/ca-certificates", FileKind::Directory)?;
        Ok(debian.then_some(Self::Debian))
    }

    /// Where an administrator adds CAs, and how their files end.
    const fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::RedHat => ("/etc/pki/ca-trust/source/anchors", "pem"),
            Self::Suse => ("/etc/pki/trust/anchors", "pem"),
            Self::ContainerLinux => ("/etc/ssl/certs", "pem"),
            Self::Debian => ("/usr/local/share/ca-certificates", "crt"),
        }
    }

    /// The program that makes the bundle anew.
    pub const fn update(self) -> &'static str {
        match self {
            Self::RedHat => "update-ca-trust",
            Self::Suse | Self::ContainerLinux | Self::Debian => "update-ca-certificates",
        }
    }

    /// The bundle that programs read.
    const fn bundle(self) -> &'static str {
        match self {
            Self::RedHat => "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
            Self::Suse => "/var/lib/ca-certificates/ca-bundle.pem",
            Self::ContainerLinux | Self::Debian => "/etc/ssl/certs/ca-certificates.crt",
        }
    }
}

/// A certificate of the CA as a file of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Anchor {
    path: PathBuf,
    pem: String,
    is_placed: bool,
}

/// What is to be done with a machine's trust store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustPlan {
    /// The kind of store.
    pub store: TrustStore,
    anchors: Vec<Anchor>,
    update: bool,
}

impl TrustPlan {
    /// The files that are to be written.
    pub fn to_place(&self) -> impl Iterator<Item = &Path> {
        self.anchors.iter().filter(|anchor| !anchor.is_placed).map(|anchor| anchor.path.as_path())
    }

    /// All files of the CA in the store.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.anchors.iter().map(|anchor| anchor.path.as_path())
    }

    /// Whether the bundle is to be made anew.
    pub const fn updates(&self) -> bool {
        self.update
    }

    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        !self.update && self.to_place().next().is_none()
    }
}

/// What must be done for the programs of `host` to trust the CA. With `files_only` (a file tree that no program runs
/// in) the bundle is left as it is.
///
/// # Errors
/// [`InstallError::NoTrustStore`], [`InstallError::NotRegular`], [`InstallError::Host`].
pub fn plan(host: &dyn Host, ca_pem: &[u8], files_only: bool) -> Result<TrustPlan, InstallError> {
    let store =
        TrustStore::of(host)?.ok_or_else(|| InstallError::NoTrustStore { host: host.name().to_owned() })?;
    let (dir, ending) = store.place();
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(ca_pem).filter_map(Result::ok).collect();
    let trusted = if files_only { None } else { is_trusted(host, store, &certificates)? };
    let mut anchors = Vec::with_capacity(certificates.len());
    for der in &certificates {
        let path = Path::new(dir).join(format!("{}.{ending}", file_name(der)));
        let pem = encode(der);
        // Another file of the store may have brought it into the bundle already.
        let is_placed =
            trusted == Some(true) || content(host, &path)?.is_some_and(|there| *there == pem.as_bytes());
        anchors.push(Anchor { path, pem, is_placed });
    }
    let is_missing = anchors.iter().any(|anchor| !anchor.is_placed);
    let update = !files_only && trusted.map_or(is_missing, |trusted| !trusted);
    Ok(TrustPlan { store, anchors, update })
}

/// Carries a plan out, telling `done` of each file, and makes sure that the bundle holds the CA then.
///
/// # Errors
/// [`InstallError::Untrusted`] when the bundle was not made, [`InstallError::Host`].
pub fn apply(host: &dyn Host, plan: &TrustPlan, mut done: impl FnMut(&Path)) -> Result<(), InstallError> {
    let meta = Meta::mode(FileMode::PUBLIC);
    host.make_dir(Path::new(plan.store.place().0), Meta::mode(FileMode::DIR))?;
    let is_ours = |file: &str| plan.files().any(|path| path.ends_with(file));
    host.remove_all(&leftovers(host, Path::new(plan.store.place().0), is_ours)?)?;
    for anchor in plan.anchors.iter().filter(|anchor| !anchor.is_placed) {
        host.place_all(&[Placement { path: &anchor.path, bytes: anchor.pem.as_bytes(), meta }])?;
        done(&anchor.path);
    }
    if !plan.update {
        return Ok(());
    }
    let program = plan.store.update();
    let untrusted = |what: String| InstallError::Untrusted { host: host.name().to_owned(), program, what };
    let output = host.run(&["env", SBIN, program], PATIENCE)?;
    if output.status != Some(0) {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().lines().last().unwrap_or("it failed without a word").to_owned();
        return Err(untrusted(said));
    }
    let certificates: Vec<_> = plan
        .anchors
        .iter()
        .filter_map(|anchor| CertificateDer::from_pem_slice(anchor.pem.as_bytes()).ok())
        .collect();
    match is_trusted(host, plan.store, &certificates)? {
        Some(false) => Err(untrusted(format!("{} does not hold the CA afterwards", plan.store.bundle()))),
        _ => Ok(()),
    }
}

/// Whether the bundle holds every certificate; none where it is a link that leads elsewhere.
fn is_trusted(
    host: &dyn Host,
    store: TrustStore,
    certificates: &[CertificateDer<'_>],
) -> Result<Option<bool>, HostError> {
    let path = Path::new(store.bundle());
    if host.stat(path)?.is_some_and(|stat| stat.kind != FileKind::File) {
        return Ok(None);
    }
    let Some(bundle) = host.read(path)? else { return Ok(Some(false)) };
    let text: String = bundle
        .bytes
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|&byte| char::from(byte))
        .collect();
    Ok(Some(certificates.iter().all(|der| text.contains(&STANDARD.encode(der)))))
}

/// The CA's name and the beginning of its fingerprint, safe in a file name.
fn file_name(der: &CertificateDer<'_>) -> String {
    let name = X509Certificate::from_der(der)
        .ok()
        .and_then(|(_, parsed)| Some(parsed.subject().iter_common_name().next()?.as_str().ok()?.to_owned()));
    let mut slug = String::new();
    for c in name.unwrap_or_default().chars().take(48) {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => slug.push(c),
            _ if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
    }
    let print = ring::digest::digest(&ring::digest::SHA256, der);
    let print: String = print.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    match slug.trim_matches('-') {
        "" => format!("etcd-ca-{print}"),
        slug => format!("{slug}-{print}"),
    }
}

fn encode(der: &CertificateDer<'_>) -> String {
    let body = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in body.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}
