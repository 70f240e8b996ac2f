//! What Go's `crypto/x509` and `crypto/tls` print, 1.7 to 1.26.

use super::{Entry, When};
use crate::verify::Code::*;

pub(super) const CERTIFICATES: &[Entry] = &[
    Entry::reason(
        &[MissingClientAuth, MissingServerAuth, GatewayClientAuth],
        &[
            "x509: certificate specifies an incompatible key usage",
            "certificate specifies an incompatible key usage",
        ],
    )
    .when(When::NotInbound),
    Entry::reason(
        &[MissingClientAuth, GatewayClientAuth],
        &[
            "certificate specifies an incompatible key usage",
            "failed to verify client's certificate: x509: certificate specifies an incompatible key usage",
        ],
    )
    .when(When::Inbound),
    Entry::reason(
        &[GatewayClientAuth, MissingClientAuth],
        &["certificate specifies an incompatible key usage"],
    )
    .when(When::SelfDial),
    // Who dials verifies the server's certificate.
    Entry::reason(
        &[MissingServerAuth, MissingClientAuth],
        &["x509: certificate specifies an incompatible key usage"],
    )
    .when(When::Outbound),
    Entry::reason(
        &[NoIpSan, IpAsDnsSan, CommonNameOnly],
        &["cannot validate certificate for … because it doesn't contain any IP SANs"],
    ),
    Entry::reason(
        &[WrongSan, NoLoopbackSan, IpAsDnsSan, SrvDiscovery],
        &["certificate is valid for …, not …", "is not in the certificate's list of names"],
    ),
    Entry::reason(
        &[WrongSan, CommonNameOnly],
        &["certificate is not valid for any names, but wanted to match …"],
    ),
    Entry::reason(
        &[WrongSan, IpAsDnsSan],
        &["names, but none matched", "x509: certificate is valid for … names, but none matched …"],
    ),
    // Only etcd's peer port verifies where a connection comes from.
    Entry::reason(
        &[PeerSourceAddress, WrongSan, IpAsDnsSan],
        &["x509: certificate is valid for …, not …", "certificate is valid for …, not …"],
    )
    .when(When::Inbound),
    Entry::reason(
        &[CommonNameOnly],
        &[
            "x509: certificate relies on legacy Common Name field",
            "temporarily enable Common Name matching with GODEBUG=x509ignoreCN=0",
            "x509: Common Name is not a valid hostname: …",
            "certificate is not valid for any names, but wanted to match … (common name",
        ],
    ),
    Entry::reason(
        &[Expired, CaExpired],
        &[
            "x509: certificate has expired or is not yet valid: current time … is after …",
            "certificate has expired or is not yet valid: current time … is after",
        ],
    ),
    Entry::reason(
        &[NotYetValid, CaNotYetValid],
        &["x509: certificate has expired or is not yet valid: current time … is before …"],
    ),
    // Up to Go 1.14, without the times.
    Entry::reason(
        &[Expired, NotYetValid, CaExpired, CaNotYetValid],
        &["x509: certificate has expired or is not yet valid"],
    ),
    Entry::reason(
        &[UnknownAuthority, MissingIntermediate, EmptyCaFile, ClientAuthWithoutCa],
        &[
            "x509: certificate signed by unknown authority",
            "certificate signed by unknown authority",
            "x509: failed to load system roots and no roots provided",
            "x509: system root pool is not available",
        ],
    ),
    Entry::reason(
        &[SameNameOtherKey],
        &[
            "x509: certificate signed by unknown authority (possibly because of \"…\" while trying to verify candidate authority certificate",
            "x509: certificate signed by unknown authority (possibly because of \"… verification …\" while trying to verify candidate authority certificate",
            "x509: ECDSA verification failure",
            "crypto/rsa: verification error",
            "x509: Ed25519 verification failure",
        ],
    ),
    Entry::reason(
        &[NotACa],
        &[
            "x509: certificate is not authorized to sign other certificates",
            "x509: invalid signature: parent certificate cannot sign this kind of certificate",
            "x509: certificate signed by unknown authority (possibly because of \"x509: invalid signature: parent certificate cannot sign this kind of certificate\" while trying to verify candidate authority certificate",
            "parent certificate cannot sign this kind of certificate",
        ],
    ),
    Entry::reason(&[PathLength], &["x509: too many intermediates for path length constraint"]),
    Entry::reason(
        &[NameConstraint],
        &[
            "x509: a root or intermediate certificate is not authorized to sign for this name: …",
            "x509: a root or intermediate certificate is not authorized to sign …",
            "is not permitted by any constraint",
            "is excluded by constraint",
            "x509: issuer has name constraints but leaf doesn't have a SAN extension",
            "x509: issuer has name constraints but leaf contains unknown or unconstrained name: …",
        ],
    ),
    Entry::reason(
        &[SignatureLimit],
        &["x509: signature check attempts limit reached while verifying certificate chain"],
    ),
    Entry::reason(
        &[CertificatePolicies],
        &["x509: no valid chains built: …", "chains with invalid policies", "x509: invalid policies"],
    ),
    Entry::reason(
        &[NotACa, UnknownAuthority],
        &["x509: issuer name does not match subject from issuing certificate"],
    ),
    Entry::reason(
        &[WeakSignature],
        &[
            "x509: cannot verify signature: insecure algorithm …",
            "x509: cannot verify signature: algorithm unimplemented",
            "x509: certificate signed by unknown authority (possibly because of \"x509: cannot verify signature: …\" while trying to verify candidate authority certificate",
            "insecure algorithm SHA1-RSA",
            "insecure algorithm MD5-RSA",
            "insecure algorithm ECDSA-SHA1",
        ],
    ),
    Entry::reason(
        &[RsaTooSmall],
        &[
            "crypto/rsa: …-bit keys are insecure",
            "tls: certificate RSA key size too small for supported signature algorithms",
            "crypto/rsa: key size too small",
            "message too long for RSA public key size",
        ],
    ),
    Entry::reason(
        &[RsaTooSmall, UnsupportedCurve, WeakSignature],
        &["tls: peer doesn't support any of the certificate's signature algorithms"],
    ),
    Entry::reason(
        &[RsaTooLarge],
        &["sent certificate containing RSA key larger than 8192 bits", "containing RSA key larger than"],
    ),
    Entry::reason(
        &[UnsupportedCurve],
        &[
            "tls: unsupported certificate curve",
            "x509: unsupported elliptic curve",
            "tls: unsupported elliptic curve",
        ],
    ),
    Entry::reason(&[NegativeSerial], &["x509: negative serial number"]),
    Entry::reason(&[OddSerial], &["x509: serial number too long", "x509: serial number is zero"]),
    Entry::reason(
        &[DuplicateExtension],
        &[
            "x509: certificate contains duplicate extension with OID …",
            "x509: certificate contains duplicate extensions",
        ],
    ),
    Entry::reason(&[UnknownCriticalExtension], &["x509: unhandled critical extension"]),
    Entry::reason(
        &[MalformedCertificate],
        &[
            "x509: malformed",
            "x509: malformed certificate",
            "tls: failed to parse certificate from",
            "x509: invalid",
            "asn1: structure error",
            "asn1: syntax error",
            "x509: cannot parse",
            "x509: RSA modulus",
            "x509: RSA public exponent",
        ],
    ),
    Entry::reason(
        &[NotACertificate, CaFileJunk, MalformedCertificate],
        &["x509: malformed tbs certificate", "x509: malformed algorithm identifier"],
    ),
    Entry::reason(
        &[CaFileJunk, MalformedCertificate],
        &["x509: trailing data", "x509: malformed certificate"],
    ),
];

pub(super) const HANDSHAKES: &[Entry] = &[
    Entry::reason(
        &[NoClientCertificate, CaWithoutClientAuth],
        &["tls: client didn't provide a certificate", "client didn't provide a certificate"],
    ),
    Entry::reason(
        &[NoCommonCipher],
        &[
            "tls: no cipher suite supported by both client and server",
            "no cipher suite supported by both client and server",
            "http2: TLSConfig.CipherSuites is missing an HTTP/2-required",
            "http2: TLSConfig.CipherSuites index … contains an HTTP/2-approved cipher suite",
            "unexpected TLS cipher suite",
            "tls: server chose an unconfigured cipher suite",
            "tls: client does not support uncompressed connections",
            "tls: no supported elliptic curves offered",
            "tls: no ECDHE curve supported by both client and server",
            "tls: no key exchanges supported by both client and server",
            "transport: cannot send secure credentials on an insecure connection: cipher",
            "tls: peer doesn't support the certificate custom signature algorithms",
            "tls: client used the legacy version field",
            "invalid TLS cipher suite",
            "http2: TLS cipher suite is prohibited",
            "INADEQUATE_SECURITY",
        ],
    ),
    Entry::reason(
        &[TlsTooOld],
        &[
            "tls: client offered only unsupported versions",
            "client offered only unsupported versions",
            "tls: client offered an unsupported, maximum protocol version of",
            "tls: server selected unsupported protocol version",
            "tls: server selected an unsupported version",
            "tls: no supported versions satisfy MinVersion and MaxVersion",
            "tls: received record with version … when expecting version",
            "http2: unsupported TLS version",
            "tls: client using inappropriate protocol fallback",
            "tls: downgrade attempt detected",
            "unsupported TLS version",
            "tls min version … must be lower than",
            "TLS 1.3 is … max version … but cipher suites are configured",
        ],
    ),
    Entry::reason(
        &[BadRecordMac],
        &["local error: tls: bad record MAC", "tls: bad record MAC", "local error: bad record MAC"],
    ),
    Entry::reason(
        &[KeyMismatch, SameNameOtherKey],
        &[
            "tls: invalid signature by the client certificate",
            "tls: invalid signature by the server certificate",
            "tls: invalid certificate signature",
            "tls: failed to verify … signature",
        ],
    ),
    Entry::summary(
        &[UnknownAuthority, WrongSan, Expired],
        &[
            "tls: failed to verify certificate",
            "tls: failed to verify client certificate",
            "tls: failed to verify client's certificate",
        ],
    ),
    Entry::reason(
        &[NoCommonCipher, TlsTooOld],
        &["tls: server selected unsupported curve", "tls: unsupported SSLv2 handshake received"],
    ),
    Entry::reason(
        &[WrongService, TlsToHttp],
        &[
            "tls: unexpected message",
            "local error: tls: unexpected message",
            "tls: received unexpected handshake message",
            "tls: server selected unadvertised ALPN protocol",
            "tls: client requested unsupported application protocols",
            "credentials: cannot check peer: missing selected ALPN property",
        ],
    ),
    Entry::reason(
        &[TlsToHttp],
        &[
            "http: server gave HTTP response to HTTPS client",
            "server gave HTTP response to HTTPS client",
            "tls: oversized record received",
            "local error: tls: record overflow",
        ],
    ),
    Entry::reason(&[HttpAdvertised, TlsToHttp, HttpToTls], &["http: server gave HTTP response"]),
    // A dialling client that gets no TLS record talks to a plain port.
    Entry::reason(&[TlsToHttp], &["tls: first record does not look like a TLS handshake"])
        .when(When::Outbound),
    Entry::notice(
        &[HttpToTls, HttpAdvertised],
        &[
            "tls: first record does not look like a TLS handshake",
            "first record does not look like a TLS handshake",
            "client sent an HTTP request to an HTTPS server",
            "http: TLS handshake error from …: client sent an HTTP request to an HTTPS server",
            "malformed HTTP response",
            "malformed HTTP status code",
            "net/http: HTTP/1.x transport connection broken: malformed HTTP",
        ],
    ),
    Entry::alert(
        &[ServerNotTrusted],
        &[
            "rejected connection from \"…\" (error \"remote error: tls: unknown certificate authority\"",
            "rejected connection from \"…\" (error \"remote error: tls: unknown certificate\"",
        ],
    ),
];
