//! Cures as they are printed: with what is known of the call, and of the file that each is about.

use std::path::{Path, PathBuf};

use super::super::Context;
use super::VerifyArgs;
use crate::advice::Invocation;
use crate::ca::CertName;
use crate::files;
use crate::survey::Dial;
use crate::verify::report::{Judged, Part};
use crate::verify::target;

/// Fills in what the cures left open.
pub(super) fn fill_in(context: &Context, args: &VerifyArgs, results: &mut [Judged], dials: &mut [Dial]) {
    let with_cures = results.iter_mut().filter(|one| !one.judgement.findings.is_empty());
    for one in with_cures {
        let invocation = invocation(context, args, one);
        for finding in &mut one.judgement.findings {
            finding.fix = finding.fix.take().map(|fix| fix.at(&invocation));
        }
    }
    for finding in dials.iter_mut().flat_map(|dial| &mut dial.findings) {
        finding.fix = finding.fix.take().map(|fix| fix.at(&context.invocation));
    }
}

fn invocation(context: &Context, args: &VerifyArgs, one: &Judged) -> Invocation {
    let general = context.invocation.clone();
    if !matches!(one.part, Part::Role(_)) {
        return general;
    }
    let path = Path::new(&one.source);
    let certificate =
        Some(path.to_owned()).filter(|_| one.member.is_some() || files::is_file(path).unwrap_or(false));
    let adjacent = |path: &Path| target::key_beside(path).ok().flatten();
    let given = args.key.clone().filter(|_| args.cert.is_none());
    let key = given.or_else(|| certificate.as_deref().and_then(adjacent));
    let is_own =
        one.member.is_none() && path.parent().is_some_and(|dir| is_same(dir, &context.global.pki_dir));
    let stem = path.file_stem().and_then(|stem| stem.to_str()).filter(|_| is_own);
    let name = stem.filter(|stem| stem.parse::<CertName>().is_ok()).map(str::to_owned);
    Invocation { name, certificate, key, ca: args.ca.clone(), ..general }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| -> Option<PathBuf> {
        std::fs::canonicalize(if path.as_os_str().is_empty() { Path::new(".") } else { path }).ok()
    };
    whole(one).is_some_and(|one| Some(one) == whole(other))
}
