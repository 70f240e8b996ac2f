//! What a port really serves: a TLS handshake that accepts anything, keeps the certificates that were shown, notices
//! whether a client certificate was asked for and whose, shows one where there is one, and asks whether it was
//! accepted. A port without TLS is recognised.

mod request;

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, SignatureScheme};

use self::request::{Protocol, converse, is_plain};
use super::certificate::name_text;
use crate::until::Until;

/// What [`Asked::answered`] says of a port that kept silent, in Go's words.
pub const TIMEOUT: &str = "i/o timeout";

/// What [`Asked::answered`] says of a port that closed the connection without an alert, in Go's words.
pub const CLOSED: &str = "EOF";

/// What was found at a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// TLS.
    Tls {
        /// The certificates that were shown, leaf first, as PEM.
        chain: Vec<u8>,
        /// The client certificate that was asked for; `None` where none was.
        asked: Option<Asked>,
        /// Such as `TLSv1_3`.
        version: String,
    },
    /// HTTP without TLS, of version 1 or 2.
    Plain,
}

/// A port that asks for a client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The subjects of the CAs that it names; none means any.
    pub authorities: Vec<String>,
    /// Whether one was shown.
    pub shown: bool,
    /// Whether a request was answered after that; the error is the other side's, in Go's words.
    pub answered: Result<(), String>,
}

/// A pair to be shown to a port that asks for it.
#[derive(Clone)]
pub struct Pair(Arc<CertifiedKey>);

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").finish_non_exhaustive()
    }
}

impl Pair {
    /// A pair as in `--cert` and `--key`, PEM.
    ///
    /// # Errors
    /// Why it cannot be shown; ring makes no handshake with some keys that Go can use, such as P-521.
    pub fn new(chain: &[u8], key: &[u8]) -> Result<Self, String> {
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| format!("the certificate: {error}"))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("the key: {error}"))?;
        let key = rustls::crypto::ring::sign::any_supported_type(&key)
            .map_err(|error| format!("the key: {error}"))?;
        Ok(Self(Arc::new(CertifiedKey::new(chain, key))))
    }
}

/// Why nothing was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// No `HOST:PORT`, or no such host.
    #[error("{address} is no HOST:PORT that can be found: {source}")]
    Address {
        /// As given.
        address: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The handshake failed before a certificate was shown.
    #[error("{address} does not finish a TLS handshake: {message}")]
    Handshake {
        /// As given.
        address: String,
        /// What rustls said.
        message: String,
    },
    /// Nobody answers.
    #[error("cannot connect to {address}: {source}")]
    Unreachable {
        /// As given.
        address: String,
        /// What the system said.
        source: io::Error,
    },
}

/// How long a handshake and the answer behind it may take in all, however often a byte comes.
const WHOLE: Duration = Duration::from_secs(15);

/// Shakes hands with `HOST:PORT` from this machine, each step taking at most `timeout`.
///
/// # Errors
/// [`ProbeError`] when there is nobody, or nobody who speaks TLS or HTTP.
pub fn probe(address: &str, pair: Option<&Pair>, timeout: Duration) -> Result<Served, ProbeError> {
    let sockets: Vec<_> = address
        .to_socket_addrs()
        .map_err(|source| ProbeError::Address { address: address.to_owned(), source })?
        .collect();
    let connect = || {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for socket in &sockets {
            match TcpStream::connect_timeout(socket, timeout) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(timeout))?;
                    stream.set_write_timeout(Some(timeout))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    probe_over(address, pair, connect)
}

/// As [`probe`], over connections that somebody else makes, from another machine perhaps.
///
/// # Errors
/// [`ProbeError`] when there is nobody, or nobody who speaks TLS or HTTP.
pub fn probe_over<S: Read + Write>(
    address: &str,
    pair: Option<&Pair>,
    connect: impl Fn() -> io::Result<S>,
) -> Result<Served, ProbeError> {
    let connect = || match connect() {
        Ok(stream) => Ok(Until::new(stream, Instant::now() + WHOLE)),
        Err(source) => Err(ProbeError::Unreachable { address: address.to_owned(), source }),
    };
    let seen = Arc::new(Seen { pair: pair.map(|pair| Arc::clone(&pair.0)), ..Seen::default() });
    let host = host_of(address);
    let done = converse(&mut connect()?, host, &seen, Protocol::Http1);
    let chain = seen.chain();
    if !chain.is_empty() {
        let authorities = locked(&seen.asked).clone();
        let asked = authorities.map(|authorities| {
            let over_http2 = || Ok(converse(&mut connect()?, host, &seen, Protocol::Http2).answered);
            let answered = with_http2(done.answered, over_http2);
            Asked { authorities, shown: pair.is_some(), answered }
        });
        return Ok(Served::Tls { chain: pem(&chain), asked, version: done.version });
    }
    if is_plain(&mut connect()?) {
        return Ok(Served::Plain);
    }
    let message = done.answered.err().unwrap_or_else(|| "no certificate was shown".to_owned());
    Err(ProbeError::Handshake { address: address.to_owned(), message })
}

/// The answer of a port that may serve gRPC only: such a port closes a connection that does not offer HTTP/2, as it does
/// one whose client it refuses. An alert is a refusal, whatever was asked for.
fn with_http2(
    over_http1: Result<(), String>,
    over_http2: impl FnOnce() -> Result<Result<(), String>, ProbeError>,
) -> Result<(), String> {
    match over_http1 {
        Err(words) if words == CLOSED => over_http2().unwrap_or(Err(words)),
        answered => answered,
    }
}

fn pem(chain: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for der in chain {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        out.extend(b"-----BEGIN CERTIFICATE-----\n");
        for line in text.as_bytes().chunks(64) {
            out.extend(line);
            out.push(b'\n');
        }
        out.extend(b"-----END CERTIFICATE-----\n");
    }
    out
}

/// The host of `HOST:PORT`, without brackets.
pub fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Takes any certificate and remembers it; shows a pair where it has one, and remembers that it was asked.
#[derive(Debug, Default)]
struct Seen {
    chain: Mutex<Vec<Vec<u8>>>,
    asked: Mutex<Option<Vec<String>>>,
    pair: Option<Arc<CertifiedKey>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seen {
    fn chain(&self) -> Vec<Vec<u8>> {
        locked(&self.chain).clone()
    }
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let all = std::iter::once(leaf).chain(intermediates);
        *locked(&self.chain) = all.map(|der| der.as_ref().to_vec()).collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        // All that a Go server could choose: nothing is trusted here, everything is to be seen.
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
        ]
    }
}

impl ResolvesClientCert for Seen {
    fn resolve(&self, hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *locked(&self.asked) = Some(hints.iter().map(|der| name_text(der)).collect());
        self.pair.clone()
    }

    fn has_certs(&self) -> bool {
        // Or the resolver is not asked.
        true
    }
}
