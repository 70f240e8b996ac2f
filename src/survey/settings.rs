//! What a member's settings give away: what keeps it from starting, and what bites although it starts.

use super::{Member, finding, judgement};
use crate::advice::Advice;
use crate::etcd::flags::env_name;
use crate::etcd::{Config, MemberUrl, Scheme, Url};
use crate::host::access::End;
use crate::verify::{Code, Finding, Judgement, Severity, grpc_only, is_pem_list, to_der};

/// What was found so far.
#[derive(Default)]
struct Found {
    list: Vec<Finding>,
    rejected: bool,
}

impl Found {
    fn reject(
        &mut self,
        code: Code,
        message: impl Into<String>,
        says: impl Into<String>,
        fix: impl Into<Advice>,
    ) {
        self.rejected = true;
        let etcd_says = Some(says.into());
        self.list.push(Finding { etcd_says, ..finding(code, Severity::Error, message, fix) });
    }

    fn warn(&mut self, code: Code, message: impl Into<String>, fix: impl Into<Advice>) {
        self.list.push(finding(code, Severity::Warning, message, fix));
    }
}

/// The two halves of a member's settings.
struct Half {
    what: &'static str,
    prefix: &'static str,
    listen: &'static str,
    demand: &'static str,
    crl: &'static str,
}

const HALVES: [Half; 2] = [
    Half {
        what: "client",
        prefix: "",
        listen: "listen-client-urls",
        demand: "client-cert-auth",
        crl: "client-crl-file",
    },
    Half {
        what: "peer",
        prefix: "peer-",
        listen: "listen-peer-urls",
        demand: "peer-client-cert-auth",
        crl: "peer-crl-file",
    },
];

pub(super) fn judge(member: &Member) -> Judgement {
    let mut found = Found::default();
    for half in &HALVES {
        transport(member, half, &mut found);
        crl(member, half, &mut found);
        advertised(member, half, &mut found);
    }
    let next = member.next.as_ref().unwrap_or(&member.config);
    starts(member, next, &mut found);
    if !member.drift.is_empty() {
        found.warn(
            Code::Drift,
            format!("the process runs with other settings than the disk holds: {}", member.drift.join("; ")),
            format!("systemctl daemon-reload && systemctl restart {}, or undo the edit", member.unit),
        );
    }
    let files = ["trusted-ca-file", "peer-trusted-ca-file"].map(|setting| member.files.get(setting)?.file());
    let mut files: Vec<_> = files.into_iter().flatten().collect();
    files.dedup_by_key(|file| &file.path);
    for file in files {
        if member.since.is_some_and(|since| file.modified > since) {
            found.warn(
                Code::CaNotReloaded,
                format!(
                    "{} is newer than the process: the CA that is trusted is the one before it",
                    file.path
                ),
                format!("systemctl restart {}", member.unit),
            );
        }
    }
    for key in &member.ca_keys {
        found.warn(
            Code::CaKeyOnNode,
            format!("{key} is a CA's key: it does not belong on a node"),
            format!("move {key} to where certificates are issued"),
        );
    }
    if member.authentication == Some(true) && member.demands_clients() {
        found.list.push(finding(
            Code::CommonNameUser,
            Severity::Info,
            "authentication is on: whoever shows a client certificate is the user that its common name names",
            "issue client certificates under users' names on purpose, or under none",
        ));
    }
    judgement(found.list, found.rejected)
}

fn listed(config: &Config, setting: &str) -> Vec<MemberUrl> {
    config.urls(setting).unwrap_or_default()
}

fn transport(member: &Member, half: &Half, found: &mut Found) {
    let config = &member.config;
    let Half { what, prefix, demand, .. } = half;
    let flag = |name: &str| format!("{prefix}{name}");
    let (cert, key) = (member.is_set(&flag("cert-file")), member.is_set(&flag("key-file")));
    let ca = member.is_set(&flag("trusted-ca-file"));
    let automatic = config.is_on(&flag("auto-tls"));
    let urls = listed(config, half.listen);
    if cert != key {
        found.reject(
            Code::HalfAPair,
            format!("only one of --{prefix}cert-file and --{prefix}key-file is given"),
            "KeyFile and CertFile must both be present",
            "give both, or neither",
        );
    }
    let https = urls.iter().find(|url| url.scheme() == Scheme::Https);
    if let (Some(url), false, false) = (https, cert || key, automatic) {
        found.reject(
            Code::HttpsWithoutCertificate,
            format!("it listens on {url} without a {what} certificate"),
            format!("cannot listen on TLS for {}: KeyFile and CertFile are not presented", url.at()),
            format!("give --{prefix}cert-file and --{prefix}key-file, or say http"),
        );
    }
    let remote = |url: &&MemberUrl| {
        let local =
            url.at().host() == "localhost" || url.at().ip().is_some_and(|ip| ip == member.host.loopback());
        url.scheme() == Scheme::Http && !local
    };
    if cert && let Some(url) = urls.iter().find(remote) {
        found.warn(
            Code::HttpWithCertificates,
            format!("{url} is plain HTTP although certificates are given: whoever reaches it is let in"),
            format!("say https in --{}", half.listen),
        );
    }
    if ca && !config.is_on(demand) && https.is_some() {
        let effect = match (member.demands_by_ca_alone(), &member.version) {
            (true, _) => "certificates are demanded all the same".to_owned(),
            (false, version) => {
                let version = version.as_deref().unwrap_or("3.3");
                format!("etcd {version} demands no certificate; from 3.4 on it would")
            }
        };
        found.warn(
            Code::CaWithoutClientAuth,
            format!("--{prefix}trusted-ca-file without --{demand}: {effect}"),
            format!("say --{demand} too, or leave --{prefix}trusted-ca-file out"),
        );
    }
    if config.is_on(demand) && !ca && https.is_some() && !automatic {
        found.warn(
            Code::ClientAuthWithoutCa,
            format!("--{demand} without --{prefix}trusted-ca-file: only the system's CAs are trusted"),
            format!("give --{prefix}trusted-ca-file"),
        );
    }
    let name = format!("{prefix}trusted-ca-file");
    if let Some(walk) = member.files.get(name.as_str()) {
        unreadable(member, &name, walk, found);
    }
}

/// A file that the member's user cannot read, or that is not there.
fn unreadable(member: &Member, setting: &str, walk: &crate::host::access::Walk, found: &mut Found) {
    let named = format!("--{setting}");
    if let Some(finding) = super::files::unreadable(member.reader.as_ref(), &named, walk) {
        found.rejected |= finding.severity == Severity::Error;
        found.list.push(finding);
    }
}

/// Whether its user can read the list, and whether every port checks it; what is in it is judged with the pairs.
fn crl(member: &Member, half: &Half, found: &mut Found) {
    if half.what == "client" && member.ignores_lists() != Some(false) {
        let release = match (&member.version, member.ignores_lists()) {
            (Some(version), Some(true)) => format!("etcd {version} has this fault"),
            _ => format!("{} have this fault, and the release here is not known", grpc_only::RELEASES),
        };
        found.warn(
            Code::CrlNotChecked,
            format!(
                "--listen-client-http-urls is set: the ports of --listen-client-urls serve gRPC only, do not check \
                 --client-crl-file and let revoked clients in ({}; {release})",
                grpc_only::ADVISORY
            ),
            grpc_only::CURE,
        );
    }
    if let Some(walk) = member.files.get(half.crl).filter(|walk| !matches!(walk.end, End::Absent(_))) {
        unreadable(member, half.crl, walk, found);
        // Where its release is not known, or reads no PEM, that is said with the pairs.
        if walk.bytes().is_some_and(is_pem_list) && member.reads_pem_lists() {
            found.warn(
                Code::BrokenCrl,
                format!("--{} is PEM: etcd refuses every connection with it from 3.6 on", half.crl),
                to_der(&walk.path),
            );
        }
    }
}

fn advertised(member: &Member, half: &Half, found: &mut Found) {
    let urls: Vec<MemberUrl> = match half.what {
        "peer" => member.peer_urls.iter().map(Url::to_member_url).collect(),
        _ => member.client_urls.iter().map(Url::to_member_url).collect(),
    };
    let https = listed(&member.config, half.listen).iter().any(|url| url.scheme() == Scheme::Https);
    let http = listed(&member.config, half.listen).iter().any(|url| url.scheme() == Scheme::Http);
    for url in urls {
        if url.at().ip().is_some_and(|ip| ip.is_unspecified()) {
            found.warn(
                Code::WildcardAdvertised,
                format!("it advertises {url}: others would dial themselves"),
                "advertise the member's own address",
            );
        }
        if url.scheme() == Scheme::Http && https && !http {
            found.warn(
                Code::HttpAdvertised,
                format!("it advertises {url}, but listens on https alone"),
                "advertise https; a peer URL moves by `etcdctl member update`",
            );
        }
    }
}

/// What would keep the next start from succeeding, or be ignored.
fn starts(member: &Member, next: &Config, found: &mut Found) {
    if let Err(what) = &member.next {
        found.warn(
            Code::Drift,
            format!("the next start would fail, or cannot be read from its unit: {what}"),
            format!("systemctl cat {}", member.unit),
        );
    }
    let version = member.version.as_deref().unwrap_or("3.4");
    for conflict in next.fatal_conflicts(version) {
        found.reject(
            Code::ConflictingFlags,
            format!(
                "--{} is on the command line and {} in the environment",
                conflict.flag, conflict.variable
            ),
            format!(
                "conflicting environment variable {:?} is shadowed by corresponding command-line flag",
                conflict.variable
            ),
            format!("UnsetEnvironment={} in a drop-in, or drop the flag", conflict.variable),
        );
    }
    for old in ["ca-file", "peer-ca-file"] {
        if next.get(old).is_some() && !version.starts_with("3.3") && !version.starts_with("2.") {
            found.warn(
                Code::OldVariables,
                format!("{} is ignored from etcd 3.4 on: nobody's certificate is looked at", env_name(old)),
                format!(
                    "--{} with --{}",
                    old.replace("ca-file", "trusted-ca-file"),
                    old.replace("ca-file", "client-cert-auth")
                ),
            );
        }
    }
}
