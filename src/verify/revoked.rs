//! Revocation lists as etcd reads them: at each handshake anew, and for their serial numbers only.
//!
//! Neither the list's signature nor its issuer nor its dates are looked at, and a list that cannot be read refuses
//! everyone. Up to 3.5 it may be PEM or DER (Go's `ParseCRL`), from 3.6 on only DER (`ParseRevocationList`). Of several
//! lists in a file the first counts.

pub mod grpc_only;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use ::time::OffsetDateTime;
use ring::digest::{SHA256, digest};

use super::certificate::Certificate;
use super::cure::Cures;
use super::der::{self, Der};
use super::findings::Findings;
use super::go::EtcdVersion;
use super::memo;
use super::parse_error::ParseError;
use super::pitfalls::Code;
use super::signature::{self, SignatureAlgorithm};
use super::target;
use super::when::{self, rfc3339};
use super::{GoVersion, Request, Role, Severity, pem};
use crate::advice::{Advice, CommandLine};
use crate::files::{self, FileError};
use crate::shell;

/// A file as in `--client-crl-file` and `--peer-crl-file`, and whose etcd reads it.
#[derive(Debug)]
pub struct CrlFile {
    path: PathBuf,
    /// None where etcd cannot read it: it starts all the same, and refuses everyone.
    list: Option<List>,
    /// What is said of it, whoever is looked up in it.
    findings: Findings,
    /// Whose etcd reads it, where that is known.
    etcd: Option<EtcdVersion>,
    /// The issuing CA of the directory that the list is from, in PEM: it signs for those before it, too.
    signer: Vec<u8>,
}

impl CrlFile {
    /// Reads it; one that is not there is judged like one that is broken.
    ///
    /// # Errors
    /// [`FileError`] when it is there and cannot be read.
    pub fn read(path: &Path, etcd: Option<EtcdVersion>) -> Result<Self, FileError> {
        match target::read(path) {
            Ok(bytes) => Ok(Self::new(path.to_owned(), Some(&bytes), etcd)),
            Err(error) if error.io_kind() == Some(std::io::ErrorKind::NotFound) => {
                Ok(Self::new(path.to_owned(), None, etcd))
            }
            Err(error) => Err(error),
        }
    }

    /// What was found at a path, on another machine perhaps; `None` where nothing was.
    pub fn found(path: &str, bytes: Option<&[u8]>, etcd: Option<EtcdVersion>) -> Self {
        Self::new(path.into(), bytes, etcd)
    }

    /// The list of a PKI directory, where it has one; the DER form, which every etcd reads.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn of_directory(dir: &Path, etcd: Option<EtcdVersion>) -> Result<Option<Self>, FileError> {
        let mut path = dir.join("crl.der");
        if !files::is_file(&path)? {
            path = dir.join("crl.pem");
            if !files::is_file(&path)? {
                return Ok(None);
            }
        }
        let issuing = dir.join("issuing-ca.pem");
        let signer = if files::is_file(&issuing)? { target::read(&issuing)?.to_vec() } else { Vec::new() };
        Ok(Some(Self { signer, ..Self::read(&path, etcd)? }))
    }

    fn new(path: PathBuf, bytes: Option<&[u8]>, etcd: Option<EtcdVersion>) -> Self {
        let mut findings = Findings::default();
        let list = parsed(&path, bytes, etcd, &mut findings);
        Self { path, list, findings, etcd, signer: Vec::new() }
    }
}

/// Reads the list, and says what is odd about the file.
fn parsed(
    path: &Path,
    bytes: Option<&[u8]>,
    etcd: Option<EtcdVersion>,
    findings: &mut Findings,
) -> Option<List> {
    let path = path.display();
    let Some(bytes) = bytes else {
        let says = format!("open {path}: no such file or directory");
        broken(findings, format!("{path} is not there: etcd refuses every connection"), says);
        return None;
    };
    let is_pem = is_pem_list(bytes);
    let der_only = etcd.is_some_and(EtcdVersion::reads_der_lists_only);
    if is_pem && der_only {
        let what = format!("{path} is PEM, and etcd reads only DER from 3.6 on: it refuses every connection");
        broken(findings, what, "x509: malformed crl".into());
        return None;
    }
    if is_pem && etcd.is_none() {
        findings.lint(
            Code::BrokenCrl,
            Severity::Warning,
            format!("{path} is PEM: etcd reads it up to 3.5, and refuses every connection from 3.6 on"),
            CommandLine::parse(&to_der(&path.to_string())),
        );
    }
    let go = etcd.map_or(GoVersion::NEWEST, EtcdVersion::go);
    let blocks = if is_pem { pem::blocks(bytes, go) } else { Vec::new() };
    let is_list = |block: &&pem::Block| block.label == "X509 CRL";
    let der = blocks.first().filter(is_list).map_or(bytes, |block| &block.der);
    let more = behind_first(der);
    if !more.is_empty() && !der_only && etcd.is_some() {
        let what = format!(
            "{path} goes on behind its list, which etcd reads from 3.6 on: it refuses every connection"
        );
        broken(findings, what, "x509: trailing data after CRL".into());
        return None;
    }
    if more.first() == Some(&der::SEQUENCE) || blocks.iter().skip(1).any(|block| is_list(&block)) {
        findings.lint(
            Code::BrokenCrl,
            Severity::Warning,
            format!("{path} has more than one list: etcd checks the first only"),
            "make one list of all serials; etcd does not check who issued it",
        );
    }
    match List::parse(der, der_only, go) {
        Ok(list) => Some(list),
        Err(error) => {
            let says = if der_only { error.to_string() } else { older_words(der).to_owned() };
            broken(
                findings,
                format!("{path} is no revocation list that etcd can read: it refuses every connection"),
                says,
            );
            None
        }
    }
}

/// What follows the first element.
fn behind_first(bytes: &[u8]) -> &[u8] {
    let mut all = Der(bytes);
    if all.element(der::SEQUENCE).is_some() { all.0 } else { &[] }
}

fn broken(findings: &mut Findings, message: String, says: String) {
    findings.reject(
        Code::BrokenCrl,
        message,
        says,
        "make it anew and give etcd the crl.der of the PKI directory: `etcd-pki crl`",
    );
}

/// What `encoding/asn1`, which reads the list up to etcd 3.5, says of bytes that are none.
fn older_words(der: &[u8]) -> &'static str {
    match der.first() {
        None => "asn1: syntax error: sequence truncated",
        Some(0x30) if Der(der).read(der::SEQUENCE).is_none() => "asn1: syntax error: data truncated",
        Some(_) => "asn1: structure error",
    }
}

/// Whether etcd up to 3.5 takes bytes for a list in PEM.
pub fn is_pem_list(bytes: &[u8]) -> bool {
    bytes.starts_with(b"-----BEGIN X509 CRL")
}

/// The command that writes a list in PEM as DER beside it.
pub fn to_der(path: &str) -> String {
    let path = Path::new(path);
    let der = path.with_extension("der");
    format!("openssl crl -in {} -outform der -out {}", shell::path(path), shell::path(&der))
}

/// Whether bytes are a revocation list, in PEM or DER.
pub fn is_crl(bytes: &[u8]) -> bool {
    let is_pem = is_pem_list(bytes);
    let blocks = if is_pem { pem::blocks(bytes, GoVersion::NEWEST) } else { Vec::new() };
    let der = blocks.first().map_or(bytes, |block| &block.der);
    List::parse(der, false, GoVersion::NEWEST).is_ok()
}

/// What is kept of a list.
#[derive(Debug)]
struct List {
    /// The digest of the whole list.
    digest: Vec<u8>,
    tbs: Vec<u8>,
    algorithm: SignatureAlgorithm,
    signature: Vec<u8>,
    issuer: Vec<u8>,
    next_update: Option<OffsetDateTime>,
    /// As numbers without a sign: so etcd compares them.
    serials: HashSet<Vec<u8>>,
}

impl List {
    /// Reads what follows `TBSCertList ::= SEQUENCE { version, signature, issuer, thisUpdate, nextUpdate, … }`.
    fn parse(bytes: &[u8], needs_version: bool, go: GoVersion) -> Result<Self, ParseError> {
        let err = ParseError::new;
        let bad = || err("malformed crl");
        let mut outer = Der(bytes).read(der::SEQUENCE).ok_or_else(bad)?;
        let tbs_raw = outer.element(der::SEQUENCE).ok_or_else(|| err("malformed tbs crl"))?;
        let mut tbs = Der(tbs_raw).read(der::SEQUENCE).ok_or_else(|| err("malformed tbs crl"))?;
        if tbs.peek(der::INTEGER) {
            let version = tbs.int64().ok_or_else(bad)?;
            if version != 1 && needs_version {
                return Err(ParseError::new(format!("unsupported crl version: {version}")));
            }
        } else if needs_version {
            return Err(err("unsupported crl version"));
        }
        let algorithm = tbs.read(der::SEQUENCE).ok_or_else(bad)?;
        let issuer = tbs.element(der::SEQUENCE).ok_or_else(|| err("malformed issuer"))?;
        when::read(&mut tbs, go)?;
        let is_dated = tbs.peek(der::UTC_TIME) || tbs.peek(der::GENERALIZED_TIME);
        let next_update = if is_dated { Some(when::read(&mut tbs, go)?) } else { None };
        let mut serials = HashSet::new();
        if let Some(mut entries) = tbs.optional(der::SEQUENCE).ok_or_else(bad)? {
            while !entries.is_empty() {
                let mut entry = entries.read(der::SEQUENCE).ok_or_else(bad)?;
                let serial = entry.integer().ok_or_else(|| err("malformed serial number"))?;
                when::read(&mut entry, go)?;
                serials.insert(magnitude(serial));
            }
        }
        outer.read(der::SEQUENCE).ok_or_else(|| err("malformed algorithm identifier"))?;
        let signature = outer.bit_string().ok_or_else(|| err("malformed signature"))?.right_aligned();
        Ok(Self {
            digest: digest(&SHA256, bytes).as_ref().to_vec(),
            tbs: tbs_raw.to_vec(),
            algorithm: SignatureAlgorithm::parse(algorithm, GoVersion::NEWEST)?,
            signature,
            issuer: issuer.to_vec(),
            next_update,
            serials,
        })
    }

    fn is_signed_by(&self, ca: &Certificate<'_>) -> bool {
        let check =
            || signature::check(self.algorithm, &self.tbs, &self.signature, &ca.key, GoVersion::NEWEST);
        // The list and the CA are the same for many certificates.
        ca.subject == self.issuer && memo::once(&[&self.digest, ca.raw], check).is_ok()
    }
}

/// A big-endian two's complement as a number without its sign and without leading zeros.
fn magnitude(serial: &[u8]) -> Vec<u8> {
    let mut bytes = serial.to_vec();
    if serial.first().is_some_and(|first| first & 0x80 != 0) {
        let mut carry = true;
        for byte in bytes.iter_mut().rev() {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    bytes.drain(..bytes.iter().take_while(|&&byte| byte == 0).count());
    bytes
}

/// Looks every certificate that is sent up in the request's list, and says what is odd about the list.
///
/// A client looks at no list, so a server's own certificate passes; etcd's gateway then is the client that is refused.
pub(super) fn check(
    request: &Request<'_>,
    sent: &[Certificate<'_>],
    roots: &[Certificate<'_>],
    findings: &mut Findings,
) {
    let Some(file) = request.crl else { return };
    let directory = || Cures::of(request, sent.first()).directory();
    let crl = |text: &str| Advice::from(text).within(directory());
    if !file.findings.is_empty() {
        findings.append(&file.findings.cured_within(directory()));
    }
    let Some(list) = &file.list else { return };
    let path = file.path.display();
    for (at, certificate) in sent.iter().enumerate() {
        let serial = magnitude(certificate.serial);
        if !list.serials.contains(&serial) {
            continue;
        }
        let hex: String = serial.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut message = format!("{} is on the revocation list {path}", certificate.subject_text());
        if certificate.issuer != list.issuer {
            message += ", which is another CA's: etcd compares serial numbers and nothing else";
        }
        let fix = if at == 0 {
            Cures::of(request, Some(certificate)).renew()
        } else {
            "make that CA again and issue below it: whatever it signed is refused with it".into()
        };
        let says = format!("transport: certificate serial {hex} revoked");
        if request.role == Role::Server && !request.client_cert_auth {
            message += "; clients do not look there, etcd's own gateway is refused";
            findings.warn(Code::Revoked, message, says, fix);
        } else {
            findings.reject(Code::Revoked, message, says, fix);
        }
        if matches!(request.role, Role::Client | Role::Proxy) {
            over_grpc(file.etcd, findings);
        }
    }
    if let Some(due) = list.next_update.filter(|&due| due < request.at) {
        findings.lint(
            Code::StaleCrl,
            Severity::Warning,
            format!("{path} was to be replaced by {}: what was revoked since is not on it", rfc3339(due)),
            crl("make it anew and give etcd the crl.der of the PKI directory: `etcd-pki crl`"),
        );
    }
    let by_signer = || {
        let signer = pem::blocks(&file.signer, request.go);
        let mut signer = signer.iter().filter_map(|block| Certificate::parse(&block.der, request.go).ok());
        signer.any(|ca| list.is_signed_by(&ca))
    };
    if !sent.iter().chain(roots).any(|ca| list.is_signed_by(ca)) && !by_signer() {
        findings.lint(
            Code::ForeignCrl,
            Severity::Warning,
            format!("{path} was not signed by a CA of this chain; etcd does not look, and takes its serials"),
            crl("give etcd the list of the CA that issued its clients' certificates, crl.der of its PKI directory: `etcd-pki crl`"),
        );
    }
}

/// A client port that serves gRPC only may let a revoked client in; whether there is one is for the member's settings.
fn over_grpc(etcd: Option<EtcdVersion>, findings: &mut Findings) {
    let which = match etcd.map(grpc_only::ignores_lists) {
        Some(Some(false)) => return,
        Some(Some(true)) => "this etcd".to_owned(),
        _ => format!("etcd {}", grpc_only::RELEASES),
    };
    let message = format!(
        "where --listen-client-http-urls is set, the gRPC ports of {which} do not check the list and let it in ({})",
        grpc_only::ADVISORY
    );
    findings.lint(Code::CrlNotChecked, Severity::Warning, message, grpc_only::CURE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_are_compared_without_sign_and_leading_zeros() {
        assert_eq!(magnitude(&[0x00, 0x80]), [0x80]);
        assert_eq!(magnitude(&[0xfb]), [5], "minus five is five");
        assert_eq!(magnitude(&[0xff, 0x00]), [1, 0], "minus 256");
        assert!(magnitude(&[0]).is_empty());
    }

    #[test]
    fn what_is_no_list_is_told_in_the_words_of_either_reader() {
        let words =
            |bytes: &[u8]| List::parse(bytes, true, GoVersion::NEWEST).err().map(|error| error.to_string());
        assert_eq!(words(b"garbage").as_deref(), Some("x509: malformed crl"));
        assert_eq!(words(&[0x30, 0]).as_deref(), Some("x509: malformed tbs crl"));
        assert_eq!(words(&[0x30, 2, 0x30, 0]).as_deref(), Some("x509: unsupported crl version"));
        assert_eq!(older_words(b""), "asn1: syntax error: sequence truncated");
        assert_eq!(older_words(&[0x30, 9, 1]), "asn1: syntax error: data truncated");
    }
}
