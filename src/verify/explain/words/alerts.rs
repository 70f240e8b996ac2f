//! TLS alerts (RFC 5246 section 7.2, RFC 8446 section 6, and SSL 3.0's) in the words of each TLS library.

use super::{Phrase, Rank, When, normalized};
use crate::verify::Code;
use crate::verify::Code::*;

/// An alert, and what it means in an etcd cluster.
struct Alert {
    number: u8,
    /// RFC name with spaces for underscores; Java prints it, OpenSSL mostly.
    name: &'static str,
    /// What else OpenSSL and Go print (`crypto/tls/alert.go`).
    others: &'static [&'static str],
    /// The likeliest pitfalls when a client gets the alert from a server.
    from_server: &'static [Code],
    /// The same when a server gets it from a client, which refuses the server's certificate.
    from_client: &'static [Code],
}

const fn alert(
    number: u8,
    name: &'static str,
    others: &'static [&'static str],
    from_server: &'static [Code],
    from_client: &'static [Code],
) -> Alert {
    Alert { number, name, others, from_server, from_client }
}

/// A client certificate that the server refuses, reason unknown. Up to Go 1.20 a missing one has the same alert.
const CLIENT_REFUSED: &[Code] = &[
    MissingClientAuth,
    NoClientCertificate,
    UnknownAuthority,
    Expired,
    GatewayClientAuth,
    MissingServerAuth,
    WrongSan,
];
/// A server certificate that the client refuses, reason unknown.
const SERVER_REFUSED: &[Code] =
    &[ServerNotTrusted, WrongSan, NoIpSan, Expired, MissingServerAuth, MissingClientAuth];
const UNTRUSTED: &[Code] = &[UnknownAuthority, MissingIntermediate, ClientAuthWithoutCa, CaNotReloaded];
const EXPIRED: &[Code] = &[Expired, CaExpired];
const CIPHERS: &[Code] = &[NoCommonCipher, NoClientCertificate, MissingClientAuth];
const VERSION: &[Code] = &[TlsTooOld];
const PROTOCOL: &[Code] = &[WrongService, TlsToHttp];
const MAC: &[Code] = &[BadRecordMac];
const FILES: &[Code] = &[KeyUnreadable, KeyMismatch, HttpsWithoutCertificate];
const CLOSED: &[Code] = &[ClosedInHandshake];

const ALERTS: &[Alert] = &[
    alert(10, "unexpected message", &[], PROTOCOL, PROTOCOL),
    alert(20, "bad record mac", &[], MAC, MAC),
    alert(21, "decryption failed", &[], MAC, MAC),
    alert(22, "record overflow", &[], &[TlsToHttp, WrongService], &[TlsToHttp, WrongService]),
    alert(30, "decompression failure", &[], CIPHERS, CIPHERS),
    alert(40, "handshake failure", &[], CIPHERS, CIPHERS),
    alert(41, "no certificate", &[], &[NoClientCertificate], &[NoClientCertificate]),
    alert(42, "bad certificate", &[], CLIENT_REFUSED, SERVER_REFUSED),
    alert(
        43,
        "unsupported certificate",
        &[],
        &[MissingClientAuth, UnsupportedCurve],
        &[MissingServerAuth, UnsupportedCurve],
    ),
    alert(44, "certificate revoked", &["revoked certificate"], &[Revoked], &[Revoked]),
    alert(45, "certificate expired", &["expired certificate"], EXPIRED, EXPIRED),
    alert(
        46,
        "certificate unknown",
        &["unknown certificate"],
        &[UnknownAuthority, MissingClientAuth, WrongSan],
        SERVER_REFUSED,
    ),
    alert(47, "illegal parameter", &[], CIPHERS, CIPHERS),
    alert(
        48,
        "unknown ca",
        &["unknown certificate authority"],
        UNTRUSTED,
        &[ServerNotTrusted, MissingIntermediate],
    ),
    alert(49, "access denied", &[], &[AllowedName], &[AllowedName]),
    alert(50, "decode error", &["error decoding message"], &[MalformedCertificate], &[MalformedCertificate]),
    alert(
        51,
        "decrypt error",
        &["error decrypting message"],
        &[KeyMismatch, SameNameOtherKey],
        &[SameNameOtherKey, KeyMismatch],
    ),
    alert(60, "export restriction", &[], CIPHERS, CIPHERS),
    alert(70, "protocol version", &["protocol version not supported"], VERSION, VERSION),
    alert(71, "insufficient security", &["insufficient security level"], CIPHERS, CIPHERS),
    alert(80, "internal error", &[], FILES, FILES),
    alert(86, "inappropriate fallback", &[], VERSION, VERSION),
    alert(90, "user canceled", &["user cancelled"], CLOSED, CLOSED),
    alert(100, "no renegotiation", &[], CIPHERS, CIPHERS),
    alert(109, "missing extension", &[], CIPHERS, CIPHERS),
    alert(110, "unsupported extension", &[], CIPHERS, CIPHERS),
    alert(111, "certificate unobtainable", &[], &[NoClientCertificate], &[NoClientCertificate]),
    alert(112, "unrecognized name", &["unrecognised name"], &[WrongSan], &[WrongSan]),
    alert(113, "bad certificate status response", &[], &[Revoked], &[Revoked]),
    alert(114, "bad certificate hash value", &[], CLIENT_REFUSED, SERVER_REFUSED),
    alert(115, "unknown psk identity", &["unknown PSK identity"], CIPHERS, CIPHERS),
    alert(116, "certificate required", &[], &[NoClientCertificate], &[NoClientCertificate]),
    alert(120, "no application protocol", &[], PROTOCOL, PROTOCOL),
];

/// Every alert as each library prints it.
pub(super) fn phrases() -> impl Iterator<Item = Phrase> {
    ALERTS.iter().flat_map(|alert| {
        let mut words = vec![
            // OpenSSL, and gnutls-cli.
            format!("alert number {}", alert.number),
            format!("alert [{}]", alert.number),
        ];
        for name in [alert.name].iter().chain(alert.others) {
            let joined = name.replace(' ', "");
            words.extend([
                // Go, from 1.5 on and before.
                format!("remote error: tls: {name}"),
                format!("remote error: {name}"),
                format!("tls: {name}"),
                // `sslv3 alert NAME`, `tlsv1 alert NAME`, `TLSV1_ALERT_NAME`; curl -v; s_client -state.
                format!("alert {name}"),
                format!("tls alert, {name}"),
                format!("alert read:fatal:{name}"),
                // Java; rustls; .NET; Erlang.
                format!("fatal alert: {name}"),
                format!("fatal alert: {joined}"),
                format!("tls alert: '{joined}"),
                format!("tls alert,{{{name}"),
            ]);
        }
        let received = words.iter().map(|words| (words.clone(), When::NotInbound, alert.from_server));
        let logged = words.iter().map(|words| (words.clone(), When::Inbound, alert.from_client));
        // curl -v names the alerts that it sends, too.
        let sent = (format!("(OUT), TLS alert, {}", alert.name), When::Any, alert.from_client);
        received
            .chain(logged)
            .chain([sent])
            .map(|(words, when, codes)| Phrase { words: normalized(&words), rank: Rank::Alert, when, codes })
            .collect::<Vec<_>>()
    })
}
