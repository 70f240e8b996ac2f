//! What is judged, and against what: files, directories, names in the PKI directory.

use std::path::Path;

use super::super::{Failure, named};
use super::VerifyArgs;
use super::places::{Place, no_ca};
use super::settings::{Settings, Wanted};
use crate::files::{self as local, FileError, FileKind};
use crate::host::access;
use crate::host::local::Local;
use crate::survey::files;
use crate::verify::report::Judged;
use crate::verify::target::{self, Target};
use crate::verify::{
    Code, CrlFile, Finding, Leaf, Request, Role, Severity, Verdict, is_crl, judge_each, name_owner, on_disk,
};

/// The list that was given; else, where the PKI directory's CA is what is judged against, the list that was made there.
pub(super) fn crl(pki_dir: &Path, args: &VerifyArgs) -> Result<Option<CrlFile>, FileError> {
    match &args.crl {
        Some(path) => CrlFile::read(path, args.etcd_version).map(Some),
        None if args.ca.is_none() && local::is_file(&pki_dir.join("ca.pem"))? => {
            CrlFile::of_directory(pki_dir, args.etcd_version)
        }
        None => Ok(None),
    }
}

pub(super) fn targets(settings: &Settings<'_>) -> Result<Vec<Wanted>, Failure> {
    let args = settings.args;
    let own = [settings.pki_dir.to_owned()];
    let paths = match args.paths.as_slice() {
        [] if args.looks_elsewhere() => &[],
        [] => &own[..],
        given => given,
    };
    let mut all = Vec::new();
    for path in paths {
        let path = named::certificate(settings.pki_dir, path)?;
        let found = local::kind_at(&path)? == Some(FileKind::Directory);
        all.extend(target::find(&path)?.into_iter().map(|target| Wanted { target, found }));
    }
    // With --cert, --key is that certificate's.
    if let (Some(key), None) = (&args.key, &args.cert) {
        let [only] = all.as_mut_slice() else {
            return Err(Failure::usage("ambiguous-key", "--key goes with one certificate file")
                .hint("give one file, or let keys be found beside their certificates"));
        };
        only.target.key = Some(key.clone());
    }
    Ok(all)
}

impl Settings<'_> {
    /// One result for each role; none for a CA's own certificate that a directory happens to hold.
    pub(super) fn judge(&self, wanted: &Wanted, place: &Place<'_>) -> Result<Vec<Judged>, Failure> {
        let Target { certificate: path, key } = &wanted.target;
        let chain = target::read(path)?;
        // Next to a key it is in a certificate's place, and a finding.
        if wanted.found && key.is_none() && (target::is_something_else(&chain) || is_crl(&chain)) {
            return Ok(Vec::new());
        }
        let key = match key {
            Some(path) => Some((path.as_path(), target::read(path)?)),
            None => None,
        };
        let request = Request {
            key: key.as_ref().map(|(_, key)| &**key),
            trust: place.trust,
            extra_chain: self.extra_chain(),
            hosts: &self.args.hosts,
            source_ip: self.args.source_ip,
            at: self.at,
            go: self.go,
            client_cert_auth: self.args.client_cert_auth,
            crl: self.crl.as_ref(),
            issuer: self.issuer.as_deref(),
            ..Request::new(&chain, &[], Role::Server)
        };
        let roles = |leaf: Option<&Leaf>| {
            let is_ca = wanted.found && leaf.is_some_and(|leaf| leaf.is_ca);
            if is_ca { Vec::new() } else { self.roles(leaf) }
        };
        let judgements = judge_each(&request, roles);
        if judgements.is_empty() {
            return Ok(Vec::new());
        }
        if place.trust.is_none() {
            return Err(no_ca(path));
        }
        let mut disk = on_disk::findings(&chain, key.as_ref().map(|(path, key)| (*path, key)));
        disk.extend(place.ca_key.cloned());
        let unreadable = self.is_unreadable(&wanted.target, &mut disk)?;
        let judged = judgements.into_iter().map(|(role, mut judgement)| {
            if unreadable {
                judgement.verdict = Verdict::Reject;
            }
            if let Some((_, key)) = &key {
                let each = judgement.findings.iter_mut();
                each.for_each(|finding| name_owner(finding, &wanted.target, &chain, key, self.go));
            }
            judgement.findings.extend(disk.iter().cloned());
            judgement.findings.extend(self.expiry(judgement.leaf.as_ref(), &request));
            judgement.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
            Judged::new(path.display().to_string(), role, judgement)
        });
        Ok(judged.collect())
    }

    /// Whether the given user cannot read the files; says why.
    fn is_unreadable(&self, target: &Target, found: &mut Vec<Finding>) -> Result<bool, Failure> {
        let Some(reader) = &self.reader else { return Ok(false) };
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
        Ok(unreadable)
    }
}
