//! The two who judge a certificate: a client that dials, and a server that is dialled.

use super::super::chain::{ChainError, Paths, Verifier};
use super::super::extensions::Usage;
use super::super::findings::Findings;
use super::super::pitfalls::Code;
use super::super::{Request, Role, host_name, peer};
use super::refusal::{incompatible_usage, report, report_host};

/// C. As a client judges a server.
pub(super) fn judge_as_server(
    request: &Request<'_>,
    verifier: &Verifier<'_>,
    paths: &Paths<'_>,
    findings: &mut Findings,
) {
    let leaf = &verifier.sent.all()[0];
    let chain = paths.allow(Usage::Server);
    let leaf_itself =
        matches!(chain, Err(ChainError::Expired { depth: 0, .. } | ChainError::UnhandledCritical { .. }));
    if let (Err(error), true) = (&chain, leaf_itself) {
        report(error, Role::Server, request, leaf, verifier, findings);
    }
    for host in request.hosts {
        if let Err(words) = host_name::verify_host(leaf, host, request.go) {
            report_host(host, &words, request, leaf, findings);
        }
    }
    if let (Err(error), false) = (&chain, leaf_itself) {
        report(error, Role::Server, request, leaf, verifier, findings);
    }
    if request.role == Role::Server
        && chain.is_ok()
        && let Err(error) = paths.allow(Usage::Client)
        && let Some((lacks, fix)) = incompatible_usage(&error, "clientAuth", request, leaf)
    {
        let message = format!(
            "etcd's own JSON gateway shows this certificate as a client and is refused with --client-cert-auth: {lacks}"
        );
        if request.client_cert_auth {
            findings.reject(Code::GatewayClientAuth, message, error.to_string(), fix);
        } else {
            findings.warn(Code::GatewayClientAuth, message, error.to_string(), fix);
        }
    }
}

/// C. As a server judges a client, and D, what etcd's peer port adds.
pub(super) fn judge_as_client(
    request: &Request<'_>,
    verifier: &Verifier<'_>,
    paths: &Paths<'_>,
    findings: &mut Findings,
) {
    let leaf = &verifier.sent.all()[0];
    if let Err(error) = paths.allow(Usage::Client) {
        report(&error, Role::Client, request, leaf, verifier, findings);
    }
    if request.role != Role::Client {
        peer::check_source(request, leaf, findings);
    }
}
