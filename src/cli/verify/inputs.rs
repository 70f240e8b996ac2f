//! What is judged, and against what: files, directories, names in the PKI directory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ::time::OffsetDateTime;
use zeroize::Zeroizing;

use super::super::Failure;
use super::super::pki::expiry;
use super::VerifyArgs;
use crate::host::access::{self, Reader};
use crate::host::local::Local;
use crate::survey::files;
use crate::verify::report::Judged;
use crate::verify::target::{self, Target, Unreadable};
use crate::verify::{
    Code, CrlFile, Finding, GoVersion, Leaf, Request, Role, Severity, Verdict, judge_each, leaf_of, on_disk,
};

impl From<Unreadable> for Failure {
    fn from(error: Unreadable) -> Self {
        Self::usage("unreadable", error.to_string()).hint("give a file or directory that you may read")
    }
}

/// What all certificates of a run are judged against.
pub(super) struct Settings<'a> {
    pub(super) args: &'a VerifyArgs,
    pub(super) pki_dir: &'a Path,
    pub(super) chain: Zeroizing<Vec<u8>>,
    pub(super) ca: Option<Zeroizing<Vec<u8>>>,
    pub(super) key: Option<Zeroizing<Vec<u8>>>,
    pub(super) crl: Option<CrlFile>,
    pub(super) reader: Option<Reader>,
    /// What was found of CAs' keys, by directory.
    pub(super) ca_keys: Mutex<HashMap<PathBuf, Option<Finding>>>,
    pub(super) at: OffsetDateTime,
    pub(super) go: GoVersion,
}

/// The list that was given; else, where the PKI directory's CA is what is judged against, the list that was made there.
pub(super) fn crl(pki_dir: &Path, args: &VerifyArgs) -> Result<Option<CrlFile>, Unreadable> {
    match &args.crl {
        Some(path) => CrlFile::read(path, args.etcd_version).map(Some),
        None if args.ca.is_none() && pki_dir.join("ca.pem").is_file() => {
            CrlFile::of_directory(pki_dir, args.etcd_version)
        }
        None => Ok(None),
    }
}

/// A certificate to judge, and whether it was named or found in a directory.
pub(super) struct Wanted {
    pub(super) target: Target,
    found: bool,
}

pub(super) fn targets(settings: &Settings<'_>) -> Result<Vec<Wanted>, Failure> {
    let own = [settings.pki_dir.to_owned()];
    let paths = match settings.args.paths.as_slice() {
        [] if settings.args.looks_elsewhere() => &[],
        [] => &own[..],
        given => given,
    };
    let mut all = Vec::new();
    for path in paths {
        let path = settings.resolve(path);
        let found = path.is_dir();
        all.extend(target::find(&path)?.into_iter().map(|target| Wanted { target, found }));
    }
    Ok(all)
}

impl Settings<'_> {
    /// A path, or the certificate of that name in the PKI directory.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        let bare = path.components().count() == 1 && path.extension().is_none() && !path.exists();
        let named = self.pki_dir.join(path).with_extension("pem");
        if bare && named.is_file() { named } else { path.to_owned() }
    }

    /// The CA file: the given one, the PKI directory's, or one that lies beside the certificate.
    pub(super) fn ca_for(&self, certificate: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
        if let Some(ca) = &self.ca {
            return Ok(ca.clone());
        }
        let beside = |name: &str| certificate.with_file_name(name);
        let places = [self.pki_dir.join("ca.pem"), beside("ca.pem"), beside("ca.crt")];
        match places.iter().find(|path| path.is_file()) {
            Some(path) => Ok(target::read(path)?),
            None => Err(Failure::usage(
                "no-ca",
                format!("there is no CA file to judge {} against", certificate.display()),
            )
            .hint("give it with --ca FILE, or the PKI directory with --pki-dir DIR")),
        }
    }

    /// One result for each role; none for a CA's own certificate that a directory happens to hold.
    pub(super) fn judge(&self, wanted: &Wanted) -> Result<Vec<Judged>, Failure> {
        let path = &wanted.target.certificate;
        let chain = target::read(path)?;
        let leaf = leaf_of(&chain, self.go);
        if wanted.found && leaf.as_ref().is_some_and(|leaf| leaf.is_ca) {
            return Ok(Vec::new());
        }
        let ca = self.ca_for(path)?;
        let key = match (&self.key, &wanted.target.key) {
            (Some(key), _) => Some(key.clone()),
            (None, Some(beside)) => Some(target::read(beside)?),
            (None, None) => None,
        };
        let (disk, unreadable) = self.on_disk(&wanted.target)?;
        let roles = self.roles(leaf.as_ref());
        let request = Request {
            key: key.as_ref().map(|key| key.as_slice()),
            extra_chain: &self.chain,
            hosts: &self.args.hosts,
            source_ip: self.args.source_ip,
            at: self.at,
            go: self.go,
            client_cert_auth: self.args.client_cert_auth,
            crl: self.crl.as_ref(),
            ..Request::new(&chain, &ca, Role::Server)
        };
        let judged = judge_each(&request, &roles).into_iter().zip(&roles).map(|(mut judgement, &role)| {
            if unreadable {
                judgement.verdict = Verdict::Reject;
            }
            judgement.findings.extend(disk.iter().cloned());
            judgement.findings.extend(self.expiry(judgement.leaf.as_ref()));
            judgement.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
            Judged::new(path.display().to_string(), role, judgement)
        });
        Ok(judged.collect())
    }

    /// A CA's key that lies in a certificate's directory; each directory is looked at once.
    fn ca_key(&self, certificate: &Path) -> Option<Finding> {
        let directory = certificate.parent()?;
        let mut seen = self.ca_keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.get(directory) {
            return known.clone();
        }
        let found = on_disk::ca_key(directory, self.pki_dir);
        seen.insert(directory.to_owned(), found.clone());
        found
    }

    /// What the files themselves give away, and whether the given user cannot read them.
    fn on_disk(&self, target: &Target) -> Result<(Vec<Finding>, bool), Failure> {
        let mut found = on_disk::findings(target);
        found.extend(self.ca_key(&target.certificate));
        let Some(reader) = &self.reader else { return Ok((found, false)) };
        // Who may read what is known now: no need to guess from owners and modes.
        found.retain(|finding| !matches!(finding.code, Code::KeyOwner | Code::KeyExposed));
        let absolute = |path: &Path| std::path::absolute(path).map(|path| path.display().to_string());
        let paths = std::iter::once(&target.certificate).chain(&target.key);
        let paths = paths.map(|path| absolute(path)).collect::<Result<Vec<_>, _>>();
        let paths = paths.map_err(|error| Failure::usage("unreadable", error.to_string()))?;
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let sight = access::walk(&Local::new(), None, &paths)
            .map_err(|error| Failure::usage("unreadable", error.to_string()))?;
        for (what, walk) in ["--cert-file", "--key-file"].iter().zip(&sight.walks) {
            found.extend(files::unreadable(Some(reader), what, walk));
        }
        let unreadable = found.iter().any(|finding| finding.severity == Severity::Error);
        found.extend(sight.walks.get(1).and_then(|key| files::exposed(Some(reader), key)));
        Ok((found, unreadable))
    }

    /// The given role, or each that the extended key usage is made for.
    pub(super) fn roles(&self, leaf: Option<&Leaf>) -> Vec<Role> {
        if let Some(role) = self.args.role {
            return vec![role.into()];
        }
        let Some(leaf) = leaf else { return vec![Role::Server] };
        let dialled = !self.args.hosts.is_empty();
        let mut roles = Vec::new();
        if leaf.for_servers || dialled || !leaf.for_clients {
            roles.push(Role::Server);
        }
        if leaf.for_clients {
            roles.push(Role::Client);
        }
        roles
    }

    pub(super) fn expiry(&self, leaf: Option<&Leaf>) -> Option<Finding> {
        let (within, leaf) = (self.args.expires_within?, leaf?);
        let soon = leaf.not_after >= self.at && leaf.not_after - self.at <= within;
        soon.then(|| Finding {
            code: Code::ExpiresSoon,
            severity: Severity::Error,
            message: format!("it ends on {}", expiry(leaf.not_after, self.at)),
            etcd_says: None,
            fix: Some(format!(
                "etcd-pki renew {}",
                if leaf.common_name.is_empty() { "NAME" } else { &leaf.common_name }
            )),
        })
    }
}
