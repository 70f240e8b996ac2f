//! The pairs that a member really uses, judged in their roles.

use crate::etcd::{Scheme, Url};
use crate::host::access::Walk;
use crate::verify::report::Judged;
use crate::verify::{Code, Judgement, Request, Role, Severity, Verdict, judge as judge_one};

use super::{Member, Terms, files, finding};

/// One result for each pair that the settings name.
pub(super) fn judge(member: &Member, terms: &Terms) -> Vec<Judged> {
    let mut judged = Vec::new();
    if let Some(certificate) = member.files.get("cert-file") {
        let ca =
            terms.ca.as_deref().or(member.file("trusted-ca-file")).or(member.file("peer-trusted-ca-file"));
        let hosts = hosts(member, "listen-client-urls", &member.client_urls);
        let request = Request {
            client_cert_auth: member.demands_clients(),
            ..request(member, terms, Role::Server, &hosts)
        };
        // etcd's gateway dials the gRPC port, which may check no list.
        let is_checked = member.ignores_lists() != Some(true);
        let list = member.list("client-crl-file").filter(|_| is_checked);
        let request = Request { crl: list.as_ref(), ..request };
        let ca = ca.or(terms.spare_ca.as_deref());
        judged.push(pair(member, certificate, "key-file", ca, request));
    }
    if let Some(certificate) = member.files.get("peer-cert-file") {
        let ca = member.file("peer-trusted-ca-file").or(terms.ca.as_deref()).or(terms.spare_ca.as_deref());
        let hosts = hosts(member, "listen-peer-urls", &member.peer_urls);
        let list = member.list("peer-crl-file");
        let request = Request { crl: list.as_ref(), ..request(member, terms, Role::Peer, &hosts) };
        judged.push(pair(member, certificate, "peer-key-file", ca, request));
    }
    judged
}

fn request<'a>(member: &Member, terms: &'a Terms, role: Role, hosts: &'a [String]) -> Request<'a> {
    let issuer = terms.issuer.as_deref();
    Request { at: member.at, go: member.go, hosts, issuer, ..Request::new(&[], &[], role) }
}

/// What others dial: the hosts that are advertised, and the loopback address where it is listened on by name.
fn hosts<Side>(member: &Member, listen: &str, advertised: &[Url<Side>]) -> Vec<String> {
    let any_https = advertised.iter().any(|url| url.scheme() == Scheme::Https);
    let listened = member.config.urls(listen).unwrap_or_default();
    let loopback = listened.iter().filter(|url| {
        let local = url.at().host() == "localhost" || url.at().ip().is_some_and(|ip| ip.is_loopback());
        url.scheme() == Scheme::Https && local
    });
    let dialled = advertised.iter().filter(|url| url.scheme() == Scheme::Https || !any_https).chain(loopback);
    let mut hosts: Vec<String> = Vec::new();
    for url in dialled {
        let host = url.at().host();
        let unspecified = url.at().ip().is_some_and(|ip| ip.is_unspecified());
        if !unspecified && !hosts.iter().any(|have| have == host) {
            hosts.push(host.to_owned());
        }
    }
    hosts
}

fn pair(
    member: &Member,
    certificate: &Walk,
    key_setting: &'static str,
    ca: Option<&[u8]>,
    request: Request<'_>,
) -> Judged {
    let role = request.role;
    let key = member.files.get(key_setting);
    let mut judgement = match (certificate.bytes(), ca) {
        (Some(chain), Some(ca)) => {
            judge_one(&Request { chain, ca, key: key.and_then(|key| key.bytes()), ..request })
        }
        (Some(_), None) => {
            let unknown = finding(
                Code::ClientAuthWithoutCa,
                Severity::Warning,
                "no CA is known that could judge it: the system's CAs are what Go would take",
                "give it with --ca FILE",
            );
            Judgement { verdict: Verdict::Accept, findings: vec![unknown], leaf: None }
        }
        (None, _) => Judgement { verdict: Verdict::Accept, findings: Vec::new(), leaf: None },
    };
    let setting = key_setting.replace("key-file", "cert-file");
    let files = [Some((setting.as_str(), certificate)), key.map(|key| (key_setting, key))];
    for (setting, walk) in files.into_iter().flatten() {
        let setting = format!("--{setting}");
        if let Some(finding) = files::unreadable(member.reader.as_ref(), &setting, walk) {
            if finding.severity == Severity::Error {
                judgement.verdict = Verdict::Reject;
            }
            judgement.findings.push(finding);
        }
    }
    judgement.findings.extend(key.and_then(|key| files::exposed(member.reader.as_ref(), key)));
    judgement.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Judged { member: Some(member.name.clone()), ..Judged::new(&certificate.path, role, judgement) }
}
