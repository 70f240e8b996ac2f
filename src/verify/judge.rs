//! The judgement: etcd's questions in its order, each answer a finding.

use ::time::OffsetDateTime;

use super::certificate::Certificate;
use super::chain::{ChainError, Pool, Verifier};
use super::extensions::Usage;
use super::input::{CaFile, Sent};
use super::key::{self, KeyError};
use super::pem;
use super::pitfalls::Code;
use super::public_key::{Curve, PublicKey};
use super::signature::SignatureError;
use super::when::rfc3339;
use super::{Finding, GoVersion, Judgement, Leaf, Request, Role, Severity, Verdict, lints, names, revoked};

/// What was found so far, and whether any of it makes etcd refuse.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    rejected: bool,
}

impl Findings {
    /// etcd refuses because of this.
    pub(super) fn reject(
        &mut self,
        code: Code,
        message: impl Into<String>,
        etcd_says: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.rejected = true;
        self.push(code, Severity::Error, message.into(), Some(etcd_says.into()), Some(fix.into()));
    }

    /// etcd accepts this, and it will bite.
    pub(super) fn lint(
        &mut self,
        code: Code,
        severity: Severity,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.push(code, severity, message.into(), None, Some(fix.into()));
    }

    fn push(
        &mut self,
        code: Code,
        severity: Severity,
        message: String,
        etcd_says: Option<String>,
        fix: Option<String>,
    ) {
        let same = |one: &Finding| one.code == code && one.etcd_says == etcd_says && one.message == message;
        if !self.list.iter().any(same) {
            self.list.push(Finding { code, severity, message, etcd_says, fix });
        }
    }

    /// etcd accepts this here, and refuses it elsewhere in these words.
    pub(super) fn warn(
        &mut self,
        code: Code,
        message: impl Into<String>,
        says: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.push(code, Severity::Warning, message.into(), Some(says.into()), Some(fix.into()));
    }
}

/// Says what etcd would do with a certificate, and why.
///
/// Pure: no file, clock, network or resolver is asked. Whatever the bytes hold is a finding, never an error.
pub fn judge(request: &Request<'_>) -> Judgement {
    let mut findings = Findings::default();
    let leaf = judge_into(request, &mut findings);
    let mut list = findings.list;
    list.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let verdict = if findings.rejected { Verdict::Reject } else { Verdict::Accept };
    Judgement { verdict, findings: list, leaf }
}

/// What the first certificate of a PEM file says of itself; `None` where there is none that can be read.
pub fn leaf_of(chain: &[u8], go: GoVersion) -> Option<Leaf> {
    let blocks = pem::blocks(chain);
    let block = blocks.iter().find(|block| block.is_certificate())?;
    Certificate::parse(&block.der, go).ok().map(|leaf| describe(&leaf))
}

fn judge_into(request: &Request<'_>, findings: &mut Findings) -> Option<Leaf> {
    let sent = Sent::read(request.chain, request.extra_chain, findings)?;
    let certificates = sent.parse(request.go, findings)?;
    let (leaf, rest) = certificates.split_first().expect("the chain file has a certificate");
    judge_pair(request, &certificates, findings);
    judge_handshake(request, leaf, &certificates, findings);

    let ca_file = CaFile::read(request.ca);
    let roots = ca_file.parse(request.go, findings);
    let verifier = Verifier {
        roots: Pool::new(&roots),
        intermediates: Pool::new(rest),
        now: request.at,
        go: request.go,
    };
    if request.role.serves() {
        judge_as_server(request, &verifier, leaf, findings);
    }
    if request.role.dials() {
        judge_as_client(request, &verifier, leaf, findings);
    }
    if request.role == Role::Proxy && !leaf.common_name().is_empty() {
        findings.reject(
            Code::ProxyCommonName,
            format!("a gRPC proxy does not start with a common name ({})", leaf.common_name()),
            format!("cert has non empty Common Name ({})", leaf.common_name()),
            "etcd-pki issue NAME --profile proxy --force",
        );
    }
    revoked::check(request, &certificates, &roots, findings);
    lints::run(request, leaf, &verifier, findings);
    Some(describe(leaf))
}

fn describe(leaf: &Certificate<'_>) -> Leaf {
    let usages = &leaf.extensions.usages;
    let allows = |usage| usages.is_empty() || usages.iter().any(|&one| one == Usage::Any || one == usage);
    let dns = leaf.extensions.dns().iter().map(|&name| name.to_owned());
    Leaf {
        subject: leaf.subject_text(),
        common_name: leaf.common_name(),
        not_after: leaf.not_after,
        hosts: dns.chain(leaf.extensions.ips().iter().map(ToString::to_string)).collect(),
        for_servers: allows(Usage::Server),
        for_clients: allows(Usage::Client),
        is_ca: leaf.extensions.basic_constraints.is_some_and(|basic| basic.ca),
        self_issued: leaf.is_self_issued(),
    }
}

/// A. The pair: the key can be read, and it is the leaf's.
fn judge_pair(request: &Request<'_>, certificates: &[Certificate<'_>], findings: &mut Findings) {
    let Some(key) = request.key else { return };
    let leaf = &certificates[0];
    let public = match key::public_of(&pem::blocks(key)) {
        Ok(public) => public,
        Err(error) => {
            let (code, message, fix) = match &error {
                KeyError::Encrypted => (
                    Code::KeyEncrypted,
                    "the key is encrypted; etcd never asks for a passphrase",
                    "openssl pkey -in KEY -out NEWKEY && chmod 0600 NEWKEY",
                ),
                KeyError::NoPem => (
                    Code::KeyUnusable,
                    "there is no PEM block in the key file",
                    "openssl pkey -inform der -in KEY -out KEY.pem",
                ),
                KeyError::Certificate | KeyError::NoKey(_) => {
                    (Code::KeyUnusable, "the key file holds no private key", "name the key in --key-file")
                }
                KeyError::Unreadable | KeyError::UnknownKind => (
                    Code::KeyUnusable,
                    "the key is damaged, or of a kind that Go does not know",
                    "etcd-pki issue NAME --key-type p256 --force",
                ),
            };
            findings.reject(code, message, error.to_string(), fix);
            return;
        }
    };
    match &leaf.key {
        PublicKey::Dsa | PublicKey::Unknown { .. } => findings.reject(
            Code::KeyUnusable,
            format!(
                "the certificate has a key of a kind that Go's TLS does not use: {}",
                leaf.key.describe()
            ),
            "tls: unknown public key algorithm",
            "etcd-pki issue NAME --key-type p256 --force",
        ),
        own if same_key(own, &public) => {}
        own => {
            let says = if std::mem::discriminant(own) == std::mem::discriminant(&public) {
                "tls: private key does not match public key"
            } else {
                "tls: private key type does not match public key type"
            };
            match certificates.iter().position(|one| same_key(&one.key, &public)) {
                Some(at) => findings.reject(
                    Code::LeafNotFirst,
                    format!(
                        "the key belongs to certificate {} of the file ({}), not to the first ({})",
                        at + 1,
                        certificates[at].subject_text(),
                        leaf.subject_text()
                    ),
                    says,
                    "put the leaf first: cat leaf.pem intermediate.pem > chain.pem",
                ),
                None => findings.reject(
                    Code::KeyMismatch,
                    format!(
                        "the key ({}) is not the certificate's ({})",
                        public.describe(),
                        leaf.key.describe()
                    ),
                    says,
                    "install the key that was made with this certificate, or issue a new pair: etcd-pki issue NAME --force",
                ),
            }
        }
    }
}

/// Go compares an RSA key's modulus only.
fn same_key(left: &PublicKey, right: &PublicKey) -> bool {
    match (left, right) {
        (PublicKey::Rsa { modulus: left, .. }, PublicKey::Rsa { modulus: right, .. }) => left == right,
        _ => left == right,
    }
}

/// B. The handshake: the key can sign one, and no certificate in it is beyond limits.
fn judge_handshake(
    request: &Request<'_>,
    leaf: &Certificate<'_>,
    sent: &[Certificate<'_>],
    findings: &mut Findings,
) {
    let new_key = "etcd-pki issue NAME --key-type p256 --force";
    match &leaf.key {
        PublicKey::Ec { curve: Curve::P224, .. } => findings.reject(
            Code::UnsupportedCurve,
            "Go's TLS does not use P-224",
            "tls: unsupported certificate curve (P-224)",
            new_key,
        ),
        // A PSS signature with SHA-256 needs 66 bytes.
        PublicKey::Rsa { .. } if leaf.key.bits().div_ceil(8) < 66 => findings.reject(
            Code::RsaTooSmall,
            format!("an RSA key of {} bits cannot sign a TLS handshake", leaf.key.bits()),
            "tls: peer doesn't support any of the certificate's signature algorithms",
            new_key,
        ),
        PublicKey::Rsa { .. } if leaf.key.bits() < 1024 && request.go >= GoVersion::POLICIES => findings
            .reject(
                Code::RsaTooSmall,
                format!("Go {} refuses RSA keys below 1024 bits", request.go),
                SignatureError::RsaTooSmall(leaf.key.bits()).to_string(),
                new_key,
            ),
        PublicKey::Dsa | PublicKey::Unknown { .. } if request.key.is_none() => findings.warn(
            Code::KeyUnusable,
            format!("{} is no kind of key that Go's TLS uses", leaf.key.describe()),
            "tls: unknown public key algorithm",
            new_key,
        ),
        _ => {}
    }
    for certificate in sent {
        if certificate.key.bits() > 8192
            && matches!(certificate.key, PublicKey::Rsa { .. })
            && request.go >= GoVersion::STRICT_OIDS
        {
            let who = if request.role.serves() { "server" } else { "client" };
            findings.reject(
                Code::RsaTooLarge,
                format!("{} has an RSA key of {} bits", certificate.subject_text(), certificate.key.bits()),
                format!("tls: {who} sent certificate containing RSA key larger than 8192 bits"),
                new_key,
            );
        }
    }
}

/// C. As a client judges a server.
fn judge_as_server<'a>(
    request: &Request<'_>,
    verifier: &Verifier<'a>,
    leaf: &'a Certificate<'a>,
    findings: &mut Findings,
) {
    let chain = verifier.verify(leaf, None, Usage::Server);
    let leaf_itself =
        matches!(chain, Err(ChainError::Expired { depth: 0, .. } | ChainError::UnhandledCritical { .. }));
    if let (Err(error), true) = (&chain, leaf_itself) {
        report(error, Role::Server, request, leaf, verifier, findings);
    }
    for host in request.hosts {
        if let Err(words) = names::verify_host(leaf, host, request.go) {
            report_host(host, &words, leaf, findings);
        }
    }
    if let (Err(error), false) = (&chain, leaf_itself) {
        report(error, Role::Server, request, leaf, verifier, findings);
    }
    if request.role == Role::Server
        && chain.is_ok()
        && let Err(error @ ChainError::IncompatibleUsage { .. }) = verifier.verify(leaf, None, Usage::Client)
    {
        let message = "etcd's own JSON gateway shows this certificate as a client and is refused with --client-cert-auth";
        let fix = reissue(leaf, "");
        if request.client_cert_auth {
            findings.reject(Code::GatewayClientAuth, message, error.to_string(), fix);
        } else {
            findings.warn(Code::GatewayClientAuth, message, error.to_string(), fix);
        }
    }
}

/// C. As a server judges a client, and D, what etcd's peer port adds.
fn judge_as_client<'a>(
    request: &Request<'_>,
    verifier: &Verifier<'a>,
    leaf: &'a Certificate<'a>,
    findings: &mut Findings,
) {
    if let Err(error) = verifier.verify(leaf, None, Usage::Client) {
        report(&error, Role::Client, request, leaf, verifier, findings);
    }
    if request.role != Role::Client {
        super::peer::check_source(request, leaf, findings);
    }
}

fn report_host(host: &str, words: &str, leaf: &Certificate<'_>, findings: &mut Findings) {
    let is_ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    let sans: Vec<String> = describe(leaf).hosts;
    let have = if sans.is_empty() { "none at all".to_owned() } else { sans.join(", ") };
    let (code, message) = match () {
        () if is_ip && leaf.extensions.dns().contains(&host) => {
            (Code::IpAsDnsSan, format!("{host} is written as a DNS SAN; addresses belong into IP SANs"))
        }
        () if words.contains("legacy Common Name") => {
            (Code::CommonNameOnly, format!("{host} stands in the common name only, which Go ignores"))
        }
        () if is_ip && leaf.extensions.ips().is_empty() => {
            (Code::NoIpSan, format!("{host} is not covered: there is no IP SAN (SANs: {have})"))
        }
        () => (Code::WrongSan, format!("{host} is not covered (SANs: {have})")),
    };
    let more = if is_ip { format!(" --ip {host}") } else { format!(" --dns {host}") };
    findings.reject(code, message, words, reissue(leaf, &more));
}

/// The command that makes the certificate again with its SANs and more.
fn reissue(leaf: &Certificate<'_>, more: &str) -> String {
    let name = name_for_commands(leaf);
    let mut command = format!("etcd-pki issue {name}");
    for ip in leaf.extensions.ips().iter().filter(|ip| !ip.is_loopback()) {
        command.push_str(&format!(" --ip {ip}"));
    }
    for dns in leaf.extensions.dns() {
        let plain = dns.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-*".contains(&byte));
        if plain && *dns != "localhost" && *dns != name && dns.parse::<std::net::IpAddr>().is_err() {
            command.push_str(&format!(" --dns '{dns}'"));
        }
    }
    format!("{command}{more} --force")
}

/// The common name where it can be typed as it is, else `NAME`.
pub(super) fn name_for_commands(leaf: &Certificate<'_>) -> String {
    let name = leaf.common_name();
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if plain && !name.is_empty() { name } else { "NAME".to_owned() }
}

/// Turns Go's refusal into the pitfall it is.
fn report(
    error: &ChainError,
    side: Role,
    request: &Request<'_>,
    leaf: &Certificate<'_>,
    verifier: &Verifier<'_>,
    findings: &mut Findings,
) {
    let says = error.to_string();
    let (code, message, fix) = match error {
        ChainError::UnhandledCritical { subject, oids } => (
            Code::UnknownCriticalExtension,
            format!("{subject} has critical extensions that Go does not handle: {}", oids.join(", ")),
            "issue it again without them, or with them not critical".to_owned(),
        ),
        ChainError::Expired { subject, depth, bound, early, .. } => {
            expired(subject, *depth, *bound, *early, request.at)
        }
        ChainError::Host { host, words } => return report_host(host, words, leaf, findings),
        ChainError::UnknownAuthority { subject, issuer, hint } => {
            if verifier.roots.iter().next().is_none() {
                // Said already of the CA file.
                (
                    Code::EmptyCaFile,
                    "the CA file holds no certificate".to_owned(),
                    "put the CA's certificate into it, as PEM, and restart etcd".to_owned(),
                )
            } else {
                unknown_authority(subject, issuer, hint.as_ref(), leaf, verifier)
            }
        }
        ChainError::NotAuthorizedToSign { subject } => (
            Code::NotACa,
            format!("{subject} signed, but is an intermediate without basicConstraints CA:TRUE"),
            "make that CA again with basicConstraints CA:TRUE".to_owned(),
        ),
        ChainError::PathLength { subject, limit } => (
            Code::PathLength,
            format!("{subject} allows {limit} intermediates below it, there are more"),
            "issue from a CA that is higher up, or make it again with a larger path length".to_owned(),
        ),
        ChainError::Constraint { detail } => (
            Code::NameConstraint,
            format!("a CA's name constraints forbid a SAN: {detail}"),
            "leave that SAN out, or issue from a CA whose constraints cover it".to_owned(),
        ),
        ChainError::TooManyConstraints => (
            Code::NameConstraint,
            "the CA's name constraints need more comparisons than Go makes".to_owned(),
            "make the CA again with fewer constraints".to_owned(),
        ),
        ChainError::IncompatibleUsage { subject } => incompatible_usage(subject, side, request, leaf),
        ChainError::SignatureLimit => (
            Code::SignatureLimit,
            "more than 100 signatures would have to be checked to find a chain".to_owned(),
            "remove old and duplicate CAs from the CA file and the chain".to_owned(),
        ),
        ChainError::Policies { details } => (
            Code::CertificatePolicies,
            format!("the chain demands a policy that it does not have: {details}"),
            "issue from a CA without policyConstraints".to_owned(),
        ),
    };
    findings.reject(code, message, says, fix);
}

fn expired(
    subject: &str,
    depth: usize,
    bound: OffsetDateTime,
    early: bool,
    now: OffsetDateTime,
) -> (Code, String, String) {
    let away = if early { bound - now } else { now - bound };
    let away = match (away.whole_days(), away.whole_hours()) {
        (0, 0) => format!("{} min", away.whole_minutes()),
        (0, hours) => format!("{hours} h"),
        (days, _) => format!("{days} d"),
    };
    let (ca, leaf) =
        if early { (Code::CaNotYetValid, Code::NotYetValid) } else { (Code::CaExpired, Code::Expired) };
    let code = if depth == 0 { leaf } else { ca };
    let what = if early { "is valid only from" } else { "expired on" };
    let when = if early { format!("in {away}") } else { format!("{away} ago") };
    let fix = match code {
        Code::Expired => "etcd-pki renew NAME",
        Code::CaExpired => "etcd-pki rotate-ca plan",
        _ => "set the clocks (timedatectl), or issue it again with backdating",
    };
    (code, format!("{subject} {what} {} ({when})", rfc3339(bound)), fix.to_owned())
}

fn incompatible_usage(
    subject: &str,
    side: Role,
    request: &Request<'_>,
    leaf: &Certificate<'_>,
) -> (Code, String, String) {
    let (code, wanted) = match side {
        Role::Server => (Code::MissingServerAuth, "serverAuth"),
        _ => (Code::MissingClientAuth, "clientAuth"),
    };
    let own = *subject == leaf.subject_text();
    let message = if own {
        format!("the extended key usage lacks {wanted}, which the role {} needs", request.role.name())
    } else {
        format!("{subject}, above it, limits the extended key usage to something without {wanted}")
    };
    let profile = match request.role {
        Role::Client => " --profile client",
        Role::Proxy => " --profile proxy",
        _ => "",
    };
    (code, message, reissue(leaf, profile))
}

fn unknown_authority(
    subject: &str,
    issuer: &str,
    hint: Option<&(SignatureError, String)>,
    leaf: &Certificate<'_>,
    verifier: &Verifier<'_>,
) -> (Code, String, String) {
    match hint {
        Some((SignatureError::NotAuthorized, name)) => (
            Code::NotACa,
            format!("{name:?} signed {subject}, but may not: no CA, or its keyUsage lacks keyCertSign"),
            "make the CA again: etcd-pki init-ca".to_owned(),
        ),
        Some((SignatureError::Insecure(algorithm, _), _)) => (
            Code::WeakSignature,
            format!("{subject} is signed with {algorithm}, which Go refuses"),
            "issue it again with SHA-256 or better".to_owned(),
        ),
        Some((SignatureError::Unimplemented | SignatureError::KeyKind { .. }, _)) => (
            Code::WeakSignature,
            format!("{subject} is signed in a way that Go cannot check"),
            "issue it again with SHA-256 and an RSA, ECDSA or Ed25519 CA key".to_owned(),
        ),
        Some((SignatureError::RsaTooSmall(bits), name)) => (
            Code::RsaTooSmall,
            format!("{name:?}, which signed {subject}, has an RSA key of {bits} bits"),
            "make a new CA with a larger key".to_owned(),
        ),
        Some((_, name)) => (
            Code::SameNameOtherKey,
            format!("{subject} names {name:?} as its issuer, but that CA's key did not sign it"),
            "find the CA that signed it by its key identifier, or issue it again from this one".to_owned(),
        ),
        None if leaf.is_self_issued() && subject == leaf.subject_text() => (
            Code::UnknownAuthority,
            format!("{subject} is self-signed and not in the CA file"),
            "issue it from the CA that is trusted: etcd-pki issue NAME".to_owned(),
        ),
        None if is_related(issuer, verifier) => (
            Code::MissingIntermediate,
            format!("{subject} was signed by {issuer}, an intermediate that is neither sent nor trusted"),
            "append the intermediate: cat leaf.pem intermediate.pem > chain.pem".to_owned(),
        ),
        None => (
            Code::UnknownAuthority,
            format!(
                "{subject} was signed by {issuer}, which is not in the CA file (it has {})",
                verifier.roots.iter().map(Certificate::subject_text).take(3).collect::<Vec<_>>().join("; ")
            ),
            "add that CA to the CA file and restart, or issue it from the CA that is trusted".to_owned(),
        ),
    }
}

/// Whether an issuer shares an organisation with a root: then it is likely an intermediate of it.
fn is_related(issuer: &str, verifier: &Verifier<'_>) -> bool {
    verifier.roots.iter().any(|root| {
        root.organization().is_some_and(|organization| issuer.contains(&format!("O={organization}")))
    })
}
