//! A handshake and a request: in TLS 1.3 a server refuses a client's certificate only after the handshake, so that only
//! an answer shows that it was accepted.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig, ClientConnection};

use super::{CLOSED, Seen, TIMEOUT};

/// What is spoken after the handshake.
#[derive(Clone, Copy)]
pub(super) enum Protocol {
    /// HTTP/1, without ALPN: etcd's client and peer ports.
    Http1,
    /// HTTP/2, by ALPN: a client port beside `--listen-client-http-urls`, which serves gRPC only.
    Http2,
}

const GET: &[u8] = b"GET /version HTTP/1.0\r\nHost: localhost\r\n\r\n";

/// A client's first bytes (RFC 9113, 3.4): the preface and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

impl Protocol {
    const fn request(self) -> &'static [u8] {
        match self {
            Self::Http1 => GET,
            Self::Http2 => PREFACE,
        }
    }

    fn alpn(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http1 => Vec::new(),
            Self::Http2 => vec![b"h2".to_vec()],
        }
    }
}

/// How a conversation went.
pub(super) struct Done {
    /// Such as `TLSv1_3`.
    pub(super) version: String,
    /// Whether the request was answered; if not, why, in Go's words.
    pub(super) answered: Result<(), String>,
}

pub(super) fn converse(
    stream: &mut (impl Read + Write),
    host: &str,
    seen: &Arc<Seen>,
    protocol: Protocol,
) -> Done {
    let mut version = "unknown".to_owned();
    let answered = try_to(stream, host, seen, protocol, &mut version);
    Done { version, answered }
}

fn try_to(
    stream: &mut (impl Read + Write),
    host: &str,
    seen: &Arc<Seen>,
    protocol: Protocol,
    version: &mut String,
) -> Result<(), String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(seen) as Arc<dyn ServerCertVerifier>)
        .with_client_cert_resolver(Arc::clone(seen) as Arc<dyn ResolvesClientCert>);
    config.alpn_protocols = protocol.alpn();
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
    let asked = link.write_all(protocol.request()).and_then(|()| link.flush());
    let mut answer = [0; ANSWER];
    match asked.and_then(|()| link.read_exact(&mut answer)) {
        Ok(()) if is_http(&answer) => Ok(()),
        Ok(()) => Err("an answer that is not HTTP".to_owned()),
        Err(error) => Err(last_words(&mut session, stream, &error)),
    }
}

/// How many bytes of an answer are read.
const ANSWER: usize = 5;

/// Whether an answer begins as one of HTTP/1, or as HTTP/2: with a SETTINGS frame (RFC 9113, 3.4), of a length in its
/// first three bytes and type 4. A gRPC server sends it whatever it is asked.
fn is_http(answer: &[u8; ANSWER]) -> bool {
    answer == b"HTTP/" || matches!(answer, [0, 0, _, 4, 0])
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
            CLOSED.to_owned()
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
        AlertDescription::NoApplicationProtocol => "no application protocol",
        AlertDescription::ProtocolVersion => "protocol version not supported",
        AlertDescription::UnknownCA => "unknown certificate authority",
        AlertDescription::UnsupportedCertificate => "unsupported certificate",
        other => return format!("{other:?}"),
    };
    words.to_owned()
}

/// etcd's port without TLS only closes a TLS handshake; asked in plain text it answers.
pub(super) fn is_plain(stream: &mut (impl Read + Write)) -> bool {
    let asked = stream.write_all(GET);
    let mut answer = [0; ANSWER];
    asked.is_ok() && stream.read_exact(&mut answer).is_ok() && is_http(&answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_of_either_http() {
        for answer in [b"HTTP/", b"\0\0\0\x04\0", b"\0\0\x06\x04\0"] {
            assert!(is_http(answer), "{answer:?}");
        }
        for other in [b"\x15\x03\x03\0\x02", b"SSH-2", b"\0\0\x08\x07\0"] {
            assert!(!is_http(other), "{other:?}");
        }
    }
}
