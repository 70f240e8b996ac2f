//! Every two members: would the one accept the other's peer listener, and be accepted there? Judged by the files that
//! both use, and tried from the one's machine.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use serde::Serialize;

use super::{Member, finding};
use crate::etcd::{HostPort, PeerUrl, Scheme};
use crate::host::{HostError, Stream};
use crate::verify::probe::{self, Asked, Pair, ProbeError, Served, probe_over};
use crate::verify::{
    Code, Finding, Lookups, Request, Role, Severity, Sides, Verdict, judge, leaf_of, served,
};

/// How long each step of a handshake may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// One member dialling a peer URL of another.
#[derive(Debug, Clone, Serialize)]
pub struct Dial {
    /// Who dials.
    pub from: String,
    /// Who is dialled.
    pub to: String,
    /// Where.
    pub url: String,
    /// The address that it is dialled from, where that is known.
    pub source: Option<IpAddr>,
    /// Whether they would talk.
    pub verdict: Verdict,
    /// Why not.
    pub findings: Vec<Finding>,
}

/// Every member dialling every other one, all at once.
pub fn dials(members: &[Member]) -> Vec<Dial> {
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            members.iter().map(|from| scope.spawn(move || dials_of(from, members))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a dial does not panic")).collect()
    })
}

fn dials_of(from: &Member, members: &[Member]) -> Vec<Dial> {
    let others = members.iter().filter(|to| to.name != from.name);
    let wanted: Vec<_> = others.flat_map(|to| to.peer_urls.iter().map(move |url| (to, url))).collect();
    let addresses: Vec<Option<SocketAddr>> = wanted.iter().map(|(_, url)| resolve(url.at())).collect();
    let sources = sources(from, &addresses);
    let pairs = wanted.into_iter().zip(addresses).zip(sources);
    pairs.map(|(((to, url), address), source)| dial(from, to, url, address, source)).collect()
}

fn resolve(at: &HostPort) -> Option<SocketAddr> {
    match at.ip() {
        Some(ip) => Some(SocketAddr::new(ip, at.port())),
        None => (at.host(), at.port()).to_socket_addrs().ok()?.next(),
    }
}

/// The addresses that the kernel would dial from; where it cannot be asked, the member's own peer URL.
fn sources(from: &Member, to: &[Option<SocketAddr>]) -> Vec<Option<IpAddr>> {
    const SCRIPT: &str = r#"for ip do ip -o route get "$ip" 2>/dev/null || echo; done"#;
    let texts: Vec<String> = to.iter().flatten().map(|address| address.ip().to_string()).collect();
    let argv: Vec<&str> =
        ["sh", "-c", SCRIPT, "sh"].into_iter().chain(texts.iter().map(String::as_str)).collect();
    let output = from.host.run(&argv, PATIENCE).map(|output| output.stdout).unwrap_or_default();
    let output = String::from_utf8_lossy(&output).into_owned();
    let own = from.peer_urls.iter().find_map(|url| url.at().ip());
    let mut lines = output.lines();
    let mut source = || {
        let mut words = lines.next()?.split_ascii_whitespace().skip_while(|word| *word != "src");
        words.nth(1)?.parse::<IpAddr>().ok()
    };
    to.iter().map(|address| address.and_then(|_| source().or(own))).collect()
}

fn dial(
    from: &Member,
    to: &Member,
    url: &PeerUrl,
    address: Option<SocketAddr>,
    source: Option<IpAddr>,
) -> Dial {
    let mut findings = Vec::new();
    if url.scheme() == Scheme::Https {
        accepts(from, to, url, &mut findings);
        if to.demands_peers() {
            is_accepted(from, to, source, &mut findings);
        }
    }
    if from.runs || to.runs {
        tried(from, to, url, address, &mut findings);
    }
    let refused = findings.iter().any(|finding| finding.severity == Severity::Error);
    let verdict = if refused { Verdict::Reject } else { Verdict::Accept };
    Dial { from: from.name.clone(), to: to.name.clone(), url: url.to_string(), source, verdict, findings }
}

fn refusal(
    code: Code,
    message: String,
    says: impl Into<String>,
    fix: impl Into<crate::advice::Advice>,
) -> Finding {
    Finding { etcd_says: Some(says.into()), ..finding(code, Severity::Error, message, fix) }
}

/// What keeps a judgement from being an acceptance, said of these two.
fn errors(who: &str, whom: &str, request: &Request<'_>) -> Vec<Finding> {
    let judgement = judge(request);
    if judgement.verdict == Verdict::Accept {
        return Vec::new();
    }
    let errors = judgement.findings.into_iter().filter(|finding| finding.severity == Severity::Error);
    errors.map(|one| Finding { message: format!("{who} refuses {whom}: {}", one.message), ..one }).collect()
}

/// The dialling one looks at the other's certificate.
fn accepts(from: &Member, to: &Member, url: &PeerUrl, findings: &mut Vec<Finding>) {
    let Some(chain) = to.file("peer-cert-file") else {
        if !to.config.is_on("peer-auto-tls") {
            findings.push(refusal(
                Code::HttpsWithoutCertificate,
                format!("{} has no peer certificate to serve {url} with", to.name),
                format!("cannot listen on TLS for {}: KeyFile and CertFile are not presented", url.at()),
                "give --peer-cert-file and --peer-key-file",
            ));
        }
        return;
    };
    let Some(ca) = from.file("peer-trusted-ca-file") else {
        findings.push(refusal(
            Code::UnknownAuthority,
            format!("{} has no --peer-trusted-ca-file that could tell it whom to trust", from.name),
            "x509: certificate signed by unknown authority",
            "give --peer-trusted-ca-file and restart",
        ));
        return;
    };
    let hosts = [url.at().host().to_owned()];
    let request = Request {
        sides: Sides::Dialled,
        hosts: &hosts,
        at: from.at,
        go: from.go,
        ..Request::new(chain, ca, Role::Peer)
    };
    findings.extend(errors(&from.name, &to.name, &request));
}

/// The dialled one looks at the certificate that it is shown, and at where it comes from.
fn is_accepted(from: &Member, to: &Member, source: Option<IpAddr>, findings: &mut Vec<Finding>) {
    let Some(chain) = from.file("peer-cert-file") else {
        findings.push(refusal(
            Code::NoClientCertificate,
            format!("{} demands a certificate and {} has none to show", to.name, from.name),
            "tls: client didn't provide a certificate",
            "give --peer-cert-file and --peer-key-file",
        ));
        return;
    };
    let Some(ca) = to.file("peer-trusted-ca-file") else {
        findings.push(refusal(
            Code::ClientAuthWithoutCa,
            format!("{} demands certificates and trusts the system's CAs only", to.name),
            "x509: certificate signed by unknown authority",
            "give --peer-trusted-ca-file and restart",
        ));
        return;
    };
    let skipped = ["experimental-peer-skip-client-san-verification", "peer-skip-client-san-verification"];
    let list = to.list("peer-crl-file");
    let request = Request {
        sides: Sides::Dialling,
        crl: list.as_ref(),
        source_ip: source.filter(|_| !skipped.iter().any(|flag| to.config.is_on(flag))),
        at: to.at,
        go: to.go,
        ..Request::new(chain, ca, Role::Peer)
    };
    let mut found = errors(&to.name, &from.name, &request);
    // DNS is asked only where it could still help, and there where etcd would ask it.
    if let Some(source) = request.source_ip
        && found.iter().any(|finding| finding.code == Code::PeerSourceAddress)
    {
        let lookups = lookups(to, source, chain);
        found = errors(&to.name, &from.name, &Request { lookups: Some(&lookups), ..request });
    }
    for finding in found.iter_mut().filter(|finding| finding.code == Code::Revoked) {
        finding.message += &format!(
            ". {} stays in the cluster all the same, since {} dials it and checks no list then: etcdctl member remove",
            from.name, to.name
        );
    }
    findings.extend(found);
    allowed_name(from, to, chain, findings);
}

/// What the resolver of a member's machine says of an address and of the names in a certificate.
fn lookups(at: &Member, source: IpAddr, chain: &[u8]) -> Lookups {
    let ask = |database: &str, key: &str| {
        let output = at.host.run(&["getent", database, key], PATIENCE);
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    };
    let text = ask("hosts", &source.to_string());
    let reverse = text.lines().flat_map(|line| line.split_ascii_whitespace().skip(1)).map(str::to_owned);
    let names = leaf_of(chain, at.go).map(|leaf| leaf.hosts).unwrap_or_default();
    let names = names.into_iter().filter(|name| !name.starts_with('*') && name.parse::<IpAddr>().is_err());
    let forward = names.map(|name| {
        let text = ask("ahosts", &name);
        let ips = text.lines().filter_map(|line| line.split_ascii_whitespace().next()?.parse().ok());
        (name, ips.collect())
    });
    Lookups { reverse: reverse.collect(), forward: forward.collect() }
}

fn allowed_name(from: &Member, to: &Member, chain: &[u8], findings: &mut Vec<Finding>) {
    let Some(leaf) = leaf_of(chain, to.go) else { return };
    let wanted = to.config.get("peer-cert-allowed-cn").filter(|names| !names.is_empty());
    if let Some(names) = wanted
        && !names.split(',').any(|name| name.trim() == leaf.common_name)
    {
        findings.push(refusal(
            Code::AllowedName,
            format!("{} lets only {names} in, {} is {:?}", to.name, from.name, leaf.common_name),
            "client certificate authentication failed",
            "issue it with the allowed common name, or change --peer-cert-allowed-cn",
        ));
    }
    let wanted = to.config.get("peer-cert-allowed-hostname").filter(|names| !names.is_empty());
    if let Some(names) = wanted
        && !names.split(',').any(|name| crate::verify::covers(chain, name.trim(), to.go))
    {
        findings.push(refusal(
            Code::AllowedName,
            format!("{} lets only {names} in, which {}'s SANs do not cover", to.name, from.name),
            "client certificate authentication failed",
            "issue it with the allowed name, or change --peer-cert-allowed-hostname",
        ));
    }
}

/// The handshake itself, from the dialling one's machine with the dialling one's pair.
fn tried(
    from: &Member,
    to: &Member,
    url: &PeerUrl,
    address: Option<SocketAddr>,
    findings: &mut Vec<Finding>,
) {
    let Some(address) = address else {
        findings.push(refusal(
            Code::Unreachable,
            format!("{} has no address", url.at().host()),
            format!("dial tcp: lookup {}: no such host", url.at().host()),
            "enter the name into DNS or /etc/hosts, or advertise an address",
        ));
        return;
    };
    let pair = match (from.file("peer-cert-file"), from.file("peer-key-file")) {
        (Some(chain), Some(key)) => Pair::new(chain, key).ok(),
        _ => None,
    };
    let connect = || {
        let mut stream = from.host.dial(address, PATIENCE).map_err(|error| match error {
            HostError::Dial { source, .. } => source,
            other => std::io::Error::other(other.to_string()),
        })?;
        Stream::set_timeout(&mut *stream, Some(PATIENCE))?;
        Ok(stream)
    };
    let said = probe_over(&url.at().to_string(), pair.as_ref(), connect);
    let clean = findings.is_empty();
    match said {
        Err(ProbeError::Unreachable { source, .. }) => findings.push(refusal(
            Code::Unreachable,
            format!("{} cannot connect to {address}: {source}", from.name),
            format!("dial tcp {address}: {source}"),
            format!("does {} run, and does a firewall stand between them?", to.name),
        )),
        Err(error) if clean => {
            findings.push(refusal(Code::Unreachable, error.to_string(), "EOF", "what listens on that port?"))
        }
        Ok(Served::Plain) if url.scheme() == Scheme::Https => findings.push(refusal(
            Code::TlsToHttp,
            format!("{url} speaks plain HTTP"),
            "http: server gave HTTP response to HTTPS client",
            "let it listen on https, or advertise http",
        )),
        Ok(Served::Tls { .. }) if url.scheme() == Scheme::Http => findings.push(refusal(
            Code::HttpToTls,
            format!("{url} speaks TLS"),
            "tls: first record does not look like a TLS handshake",
            "update the peer URL to https: etcdctl member update",
        )),
        Ok(Served::Tls { chain, asked, .. }) => {
            let disk = to.file("peer-cert-file");
            findings
                .extend(disk.and_then(|disk| served::differs(&chain, disk, &format!("{address}"), to.go)));
            if let Some(Asked { answered: Err(words), shown, .. }) = asked
                && clean
                && (shown || pair.is_none())
            {
                findings.push(unanswered(from, to, words));
            }
        }
        _ => {}
    }
}

/// A dialled one that is not served although the files of both say that it would be.
fn unanswered(from: &Member, to: &Member, words: String) -> Finding {
    if words == probe::TIMEOUT {
        // etcd looks up what a peer's certificate names before it answers, and has no patience of its own for that.
        let seconds = PATIENCE.as_secs();
        return refusal(
            Code::Unreachable,
            format!("{} does not answer {} within {seconds} s of the handshake", to.name, from.name),
            words,
            format!("does the resolver of {} answer for the names in {}'s certificate?", to.name, from.name),
        );
    }
    let code = if words == "EOF" { Code::PeerSourceAddress } else { Code::CaNotReloaded };
    refusal(
        code,
        format!("{} refuses {} although its files as they are now would not", to.name, from.name),
        words,
        format!("{} logs why: `journalctl -u {} | etcd-pki explain -`", to.name, to.unit),
    )
}
