//! What a port really serves: a TLS handshake that accepts anything, keeps the certificates that were shown, and
//! notices whether a client certificate was asked for. A port that speaks plain HTTP is recognised.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

/// What was found at a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// TLS.
    Tls {
        /// The certificates that were shown, leaf first, as PEM.
        chain: Vec<u8>,
        /// Whether a client certificate was asked for.
        asks_for_certificate: bool,
        /// Such as `TLSv1_3`.
        version: String,
    },
    /// Plain HTTP.
    Plain,
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
        source: std::io::Error,
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
        source: std::io::Error,
    },
}

/// Shakes hands with `HOST:PORT`, each step taking at most `timeout`.
///
/// # Errors
/// [`ProbeError`] when there is nobody, or nobody who speaks TLS or HTTP.
pub fn probe(address: &str, timeout: Duration) -> Result<Served, ProbeError> {
    let shown = Arc::new(Shown::default());
    let mut stream = connect(address, timeout)?;
    match shake(&mut stream, host_of(address), &shown) {
        Ok(version) => Ok(served(&shown, version)),
        // Certificates that were shown are what was asked for, whatever came after them.
        Err(_) if !shown.chain().is_empty() => Ok(served(&shown, "unknown".to_owned())),
        Err(message) if is_plain(address, timeout)? => {
            let _ = message;
            Ok(Served::Plain)
        }
        Err(message) => Err(ProbeError::Handshake { address: address.to_owned(), message }),
    }
}

fn served(shown: &Shown, version: String) -> Served {
    let mut chain = Vec::new();
    for der in shown.chain().iter() {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        chain.extend(b"-----BEGIN CERTIFICATE-----\n");
        for line in text.as_bytes().chunks(64) {
            chain.extend(line);
            chain.push(b'\n');
        }
        chain.extend(b"-----END CERTIFICATE-----\n");
    }
    Served::Tls { chain, asks_for_certificate: shown.asked.load(Ordering::Relaxed), version }
}

/// The host of `HOST:PORT`, without brackets.
pub fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn connect(address: &str, timeout: Duration) -> Result<TcpStream, ProbeError> {
    let found = address
        .to_socket_addrs()
        .map_err(|source| ProbeError::Address { address: address.to_owned(), source })?;
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for socket in found {
        match TcpStream::connect_timeout(&socket, timeout) {
            Ok(stream) => {
                // Timeouts of a fresh socket cannot be refused.
                let _ = stream.set_read_timeout(Some(timeout));
                let _ = stream.set_write_timeout(Some(timeout));
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(ProbeError::Unreachable { address: address.to_owned(), source: last })
}

fn shake(stream: &mut TcpStream, host: &str, shown: &Arc<Shown>) -> Result<String, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(shown) as Arc<dyn ServerCertVerifier>)
        .with_client_cert_resolver(Arc::clone(shown) as Arc<dyn ResolvesClientCert>);
    let name = ServerName::try_from(host.to_owned())
        .or_else(|_| ServerName::try_from("localhost"))
        .map_err(|error| error.to_string())?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
    while connection.is_handshaking() {
        connection.complete_io(stream).map_err(|error| error.to_string())?;
    }
    Ok(connection.protocol_version().map_or_else(|| "unknown".to_owned(), |version| format!("{version:?}")))
}

/// etcd's plain port only closes when TLS is spoken to it; asked in plain text it answers.
fn is_plain(address: &str, timeout: Duration) -> Result<bool, ProbeError> {
    let mut stream = connect(address, timeout)?;
    let asked = stream.write_all(b"GET /version HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let mut answer = [0u8; 5];
    Ok(asked.is_ok() && stream.read_exact(&mut answer).is_ok() && &answer == b"HTTP/")
}

/// Takes any certificate and remembers it; has none of its own, and remembers that it was asked.
#[derive(Debug, Default)]
struct Shown {
    chain: std::sync::Mutex<Vec<Vec<u8>>>,
    asked: AtomicBool,
}

impl Shown {
    fn chain(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.chain.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let all = std::iter::once(leaf).chain(intermediates);
        *self.chain() = all.map(|der| der.as_ref().to_vec()).collect();
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

impl ResolvesClientCert for Shown {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        // Or the resolver is not asked.
        true
    }
}
