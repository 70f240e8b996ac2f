//! The PEM files of a request, read as etcd reads them.

use super::Request;
use super::certificate::Certificate;
use super::cure::Cures;
use super::findings::Findings;
use super::go::GoVersion;
use super::lints;
use super::parse_error::ParseError;
use super::pem::{self, Block};
use super::pitfalls::Code;
use super::pool::Pool;
use super::revoked::is_crl;
use crate::advice::{Advice, CommandLine};

/// The certificates that are sent: blocks of the chain file and of the extra chain.
pub(super) struct Sent {
    pub(super) blocks: Vec<Block>,
}

impl Sent {
    /// Finds the certificates; says what is there instead when there is none.
    pub(super) fn read(request: &Request<'_>, findings: &mut Findings) -> Option<Self> {
        let Request { chain, extra_chain, go, .. } = *request;
        let found = pem::blocks(chain, go);
        if !found.iter().any(Block::is_certificate) {
            no_certificate(request, &found, findings);
            return None;
        }
        let mut blocks: Vec<Block> = found.into_iter().filter(Block::is_certificate).collect();
        blocks.extend(pem::blocks(extra_chain, go).into_iter().filter(Block::is_certificate));
        Some(Self { blocks })
    }

    /// Parses them, and says whether all could be: Go refuses a handshake in which one of them cannot be read.
    pub(super) fn parse(
        &self,
        request: &Request<'_>,
        findings: &mut Findings,
    ) -> (Vec<Certificate<'_>>, bool) {
        let mut out = Vec::with_capacity(self.blocks.len());
        for (at, block) in self.blocks.iter().enumerate() {
            match Certificate::parse(&block.der, request.go) {
                Ok(certificate) => out.push(certificate),
                Err(error) => {
                    let which = if at == 0 {
                        "the certificate".to_owned()
                    } else {
                        format!("certificate {} of the chain", at + 1)
                    };
                    findings.reject(
                        code_of(&error, &block.der),
                        format!("{which} cannot be read by Go: {}", error.0),
                        error.to_string(),
                        if at == 0 {
                            Cures::of(request, None).reissue()
                        } else {
                            "take it out of the file, or have that CA make it again".into()
                        },
                    );
                    return (out, false);
                }
            }
        }
        (out, true)
    }
}

const A_LIST: &str = "the file holds a revocation list, not a certificate";

fn no_certificate(request: &Request<'_>, blocks: &[Block], findings: &mut Findings) {
    let bytes = request.chain;
    let command = |line: &str| Advice::from(CommandLine::parse(line));
    let list_as_such = || command("etcd-pki verify CERT --crl FILE");
    let labels: Vec<_> = blocks.iter().map(|block| block.label.as_str()).collect();
    if labels.is_empty() {
        let der = bytes.first() == Some(&0x30) && Certificate::parse(bytes, GoVersion::new(19, 0)).is_ok();
        let (code, message, fix) = match () {
            () if der => {
                let convert = command("openssl x509 -inform der -in CERT -out NEWCERT");
                (Code::NotPem, "the file is DER, etcd wants PEM", convert)
            }
            () if is_crl(bytes) => (Code::NotACertificate, A_LIST, list_as_such()),
            () if is_pkcs12(bytes) => {
                let convert = command("openssl pkcs12 -in CERT -nodes -out NEWCERT && chmod 0600 NEWCERT");
                (Code::NotPem, "the file is PKCS#12, etcd wants PEM", convert)
            }
            () => {
                let message =
                    if bytes.is_empty() { "the file is empty" } else { "there is no PEM block in the file" };
                (Code::NotPem, message, Cures::of(request, None).reissue())
            }
        };
        findings.reject(code, message, "tls: failed to find any PEM data in certificate input", fix);
    } else if labels.len() == 1 && labels[0].ends_with("PRIVATE KEY") {
        findings.reject(
            Code::NotACertificate,
            "the file holds a private key, not a certificate",
            "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched",
            "name the certificate in --cert-file and the key in --key-file",
        );
    } else {
        let holds = |what: &str| labels.iter().any(|label| label.ends_with(what));
        let (message, fix) = if labels.iter().all(|label| *label == "X509 CRL") {
            (A_LIST.to_owned(), list_as_such())
        } else {
            let fix = if holds("CERTIFICATE REQUEST") {
                let sign = CommandLine::parse("etcd-pki sign CERT --name NAME --trust-csr-names --force");
                Advice::from("have the request signed and use the certificate: ")
                    .and(sign.within(Cures::of(request, None).directory()))
            } else {
                "name the certificate in --cert-file".into()
            };
            (format!("the file holds no CERTIFICATE block, but {}", labels.join(", ")), fix)
        };
        findings.reject(
            Code::NotACertificate,
            message,
            format!(
                "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following types: [{}]",
                labels.join(" ")
            ),
            fix,
        );
    }
}

/// PFX ::= SEQUENCE { version INTEGER (3), authSafe, … } (RFC 7292, 4).
fn is_pkcs12(bytes: &[u8]) -> bool {
    use super::der::{Der, SEQUENCE};
    Der(bytes).read(SEQUENCE).is_some_and(|mut inner| inner.int64() == Some(3) && inner.peek(SEQUENCE))
}

/// Which pitfall a parse error is.
pub(super) fn code_of(error: &ParseError, der: &[u8]) -> Code {
    match error.0.as_str() {
        text if text.starts_with("certificate contains duplicate") => Code::DuplicateExtension,
        "negative serial number" => Code::NegativeSerial,
        "unsupported elliptic curve" => Code::UnsupportedCurve,
        _ if is_request(der) || is_key(der) => Code::NotACertificate,
        _ => Code::MalformedCertificate,
    }
}

fn is_request(der: &[u8]) -> bool {
    use x509_parser::prelude::FromDer;
    x509_parser::certification_request::X509CertificationRequest::from_der(der).is_ok()
}

fn is_key(der: &[u8]) -> bool {
    // A key begins with its version number where a certificate has another SEQUENCE.
    super::der::Der(der).read(super::der::SEQUENCE).is_some_and(|inner| inner.peek(super::der::INTEGER))
}

/// A CA file: what stands in its PEM blocks.
pub struct CaFile {
    blocks: Vec<Block>,
}

/// Whom a CA file makes trusted, and what is said of it; read once, it serves for any number of judgements.
#[derive(Debug)]
pub struct Trust<'a> {
    pub(super) roots: Pool<'a>,
    /// What etcd itself minds of the file.
    pub(super) findings: Findings,
    /// What nobody minds, and what is unwise.
    pub(super) lints: Findings,
}

impl CaFile {
    /// Finds its blocks as Go `go` does.
    pub fn read(ca: &[u8], go: GoVersion) -> Self {
        Self { blocks: pem::blocks(ca, go) }
    }

    /// The roots. etcd reads every block as a certificate, whatever its label, and does not start when one cannot be
    /// read.
    pub fn trust(&self, go: GoVersion) -> Trust<'_> {
        let (mut findings, mut roots) = (Findings::default(), Vec::new());
        for block in &self.blocks {
            match Certificate::parse(&block.der, go) {
                Ok(certificate) => roots.push(certificate),
                Err(error) if block.is_certificate() => {
                    findings.reject(
                        code_of(&error, &block.der),
                        format!("a certificate in the CA file cannot be read by Go: {}", error.0),
                        error.to_string(),
                        "take it out of the CA file",
                    );
                }
                Err(error) => {
                    findings.reject(
                        Code::CaFileJunk,
                        format!("the CA file holds a block {:?}, which is no certificate", block.label),
                        error.to_string(),
                        "leave only CERTIFICATE blocks in the CA file",
                    );
                }
            }
        }
        if self.blocks.is_empty() {
            findings.reject(
                Code::EmptyCaFile,
                "the CA file holds no certificate",
                "x509: certificate signed by unknown authority",
                "put the CA's certificate into it, as PEM, and restart etcd",
            );
        }
        let lints = lints::of_roots(&roots);
        Trust { roots: Pool::roots(roots), findings, lints }
    }
}
