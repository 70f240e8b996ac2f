//! What a run of `verify` judges by, and one certificate that it judges.

use std::path::Path;

use ::time::OffsetDateTime;

use super::super::pki::expiry;
use super::VerifyArgs;
use crate::host::access::Reader;
use crate::verify::target::{Contents, Target};
use crate::verify::{Code, CrlFile, Finding, GoVersion, Leaf, Request, Role, Severity, renewal};

/// What all certificates of a run are judged against.
pub(super) struct Settings<'a> {
    pub(super) args: &'a VerifyArgs,
    pub(super) pki_dir: &'a Path,
    pub(super) chain: Option<Contents>,
    pub(super) ca: Option<Contents>,
    pub(super) crl: Option<CrlFile>,
    pub(super) reader: Option<Reader>,
    pub(super) at: OffsetDateTime,
    pub(super) go: GoVersion,
    /// The CA of the PKI directory, up to its root, from which a cure would issue.
    pub(super) issuer: Option<Vec<u8>>,
}

/// A certificate to judge, and whether it was named or found in a directory.
pub(super) struct Wanted {
    pub(super) target: Target,
    pub(super) found: bool,
}

impl Settings<'_> {
    pub(super) fn extra_chain(&self) -> &[u8] {
        self.chain.as_deref().unwrap_or_default()
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

    /// The finding on a certificate that ends soon; `request` has the CA that is trusted.
    pub(super) fn expiry(&self, leaf: Option<&Leaf>, request: &Request<'_>) -> Option<Finding> {
        let (within, leaf) = (self.args.expires_within?, leaf?);
        let soon = leaf.not_after >= self.at && leaf.not_after - self.at <= within;
        soon.then(|| Finding {
            code: Code::ExpiresSoon,
            severity: Severity::Error,
            message: format!("it ends on {}", expiry(leaf.not_after, self.at)),
            etcd_says: None,
            fix: Some(renewal(request, leaf, within)),
        })
    }
}
