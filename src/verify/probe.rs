//! What a port really serves: a TLS handshake that accepts anything, keeps the certificates that were shown, notices
//! whether a client certificate was asked for and whose, shows one where there is one, and asks whether it was
//! accepted. A port that speaks plain HTTP is recognised.

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
use rustls::{AlertDescription, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

use super::certificate::name_text;
use crate::until::Until;

/// What [`Asked::answered`] says of one that kept silent, in Go's words.
pub const TIMEOUT: &str = "i/o timeout";

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
    /// Plain HTTP.
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
    let mut stream = connect()?;
    let done = shake(&mut stream, host_of(address), &seen);
    drop(stream);
    let chain = seen.chain();
    if !chain.is_empty() {
        let authorities = locked(&seen.asked).clone();
        let answered = done.answered;
        let asked = authorities.map(|authorities| Asked { authorities, shown: pair.is_some(), answered });
        return Ok(Served::Tls { chain: pem(&chain), asked, version: done.version });
    }
    if is_plain(&mut connect()?) {
        return Ok(Served::Plain);
    }
    let message = done.answered.err().unwrap_or_else(|| "no certificate was shown".to_owned());
    Err(ProbeError::Handshake { address: address.to_owned(), message })
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

/// How a handshake went.
struct Done {
    version: String,
    answered: Result<(), String>,
}

fn shake(stream: &mut (impl Read + Write), host: &str, seen: &Arc<Seen>) -> Done {
    let mut version = "unknown".to_owned();
    let answered = converse(stream, host, seen, &mut version);
    Done { version, answered }
}

/// A handshake and a request: in TLS 1.3 a server refuses a client's certificate only after the handshake.
fn converse(
    stream: &mut (impl Read + Write),
    host: &str,
    seen: &Arc<Seen>,
    version: &mut String,
) -> Result<(), String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(seen) as Arc<dyn ServerCertVerifier>)
        .with_client_cert_resolver(Arc::clone(seen) as Arc<dyn ResolvesClientCert>);
    let name = ServerName::try_from(host.to_owned())
        .or_else(|_| ServerName::try_from("localhost"))
        .map_err(|error| error.to_string())?;
    let mut session = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
    while session.is_handshaking() {
        if let Err(error) = session.complete_io(stream) {
            return Err(last_words(&mut session, stream, &error));
        }
    }
    if let Some(spoken) = session.protocol_version() {
        *version = format!("{spoken:?}");
    }
    let mut link = rustls::Stream::new(&mut session, stream);
    let asked =
        link.write_all(b"GET /version HTTP/1.0\r\nHost: localhost\r\n\r\n").and_then(|()| link.flush());
    let mut answer = [0; 5];
    match asked.and_then(|()| link.read_exact(&mut answer)) {
        Ok(()) => Ok(()),
        Err(error) => Err(last_words(&mut session, stream, &error)),
    }
}

/// Why the other side went away: its alert may still lie in what was not read when a write failed.
fn last_words(session: &mut ClientConnection, stream: &mut impl Read, error: &io::Error) -> String {
    let alert = |error: &rustls::Error| match error {
        rustls::Error::AlertReceived(alert) => Some(format!("remote error: tls: {}", in_go(*alert))),
        _ => None,
    };
    if let Some(said) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return alert(said).unwrap_or_else(|| said.to_string());
    }
    // Bounded: what a server that goes away still has to say is one record.
    for _ in 0..8 {
        if !matches!(session.read_tls(stream), Ok(count) if count > 0) {
            break;
        }
        if let Err(said) = session.process_new_packets() {
            return alert(&said).unwrap_or_else(|| said.to_string());
        }
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "EOF".to_owned()
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => TIMEOUT.to_owned(),
        _ => error.to_string(),
    }
}

/// An alert as Go's crypto/tls names it.
fn in_go(alert: AlertDescription) -> String {
    let words = match alert {
        AlertDescription::AccessDenied => "access denied",
        AlertDescription::BadCertificate => "bad certificate",
        AlertDescription::CertificateExpired => "expired certificate",
        AlertDescription::CertificateRequired => "certificate required",
        AlertDescription::CertificateRevoked => "revoked certificate",
        AlertDescription::CertificateUnknown => "unknown certificate",
        AlertDescription::DecryptError => "error decrypting message",
        AlertDescription::HandshakeFailure => "handshake failure",
        AlertDescription::InternalError => "internal error",
        AlertDescription::ProtocolVersion => "protocol version not supported",
        AlertDescription::UnknownCA => "unknown certificate authority",
        AlertDescription::UnsupportedCertificate => "unsupported certificate",
        other => return format!("{other:?}"),
    };
    words.to_owned()
}

/// etcd's plain port only closes when TLS is spoken to it; asked in plain text it answers.
fn is_plain(stream: &mut (impl Read + Write)) -> bool {
    let asked = stream.write_all(b"GET /version HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let mut answer = [0u8; 5];
    asked.is_ok() && stream.read_exact(&mut answer).is_ok() && &answer == b"HTTP/"
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
