//! The words of language runtimes: Python, Java, Node.js, .NET, rustls, Erlang, Ruby, PHP.

use super::Entry;
use crate::verify::Code::*;

pub(super) const PYTHON: &[Entry] = &[
    Entry::reason(
        &[WrongSan, NoIpSan, CommonNameOnly],
        &[
            "certificate is not valid for '…'",
            "hostname '…' doesn't match",
            "doesn't match either of",
            "Hostname mismatch, certificate is not valid for",
            "IP address mismatch, certificate is not valid for",
            "ssl.CertificateError: hostname",
        ],
    ),
    Entry::reason(
        &[NoIpSan, CommonNameOnly],
        &["no appropriate commonName or subjectAltName fields were found"],
    ),
    Entry::reason(&[EmptyCaFile], &["[X509] no certificate", "NO_CERTIFICATE_OR_CRL_FOUND"]),
    Entry::reason(&[NotPem], &["[SSL] PEM lib", "[PEM: NO_START_LINE]", "not enough data: cadata"]),
    Entry::reason(&[KeyMismatch], &["[X509: KEY_VALUES_MISMATCH]", "KEY_TYPE_MISMATCH"]),
];

pub(super) const JAVA: &[Entry] = &[
    Entry::reason(
        &[UnknownAuthority, ServerNotTrusted, MissingIntermediate],
        &[
            "unable to find valid certification path to requested target",
            "PKIX path building failed",
            "Path does not chain with any of the trust anchors",
            "No trusted certificate found",
            "SunCertPathBuilderException",
            "Trust anchor for certification path not found",
            "CertPathBuilderException",
            "Unacceptable certificate: …",
            "null cert chain from server",
            "Could not validate certificate path",
        ],
    ),
    Entry::summary(
        &[UnknownAuthority, Expired, WrongSan],
        &[
            "PKIX path validation failed",
            "CertPathValidatorException",
            "General OpenSslEngine problem",
            "General SSLEngine problem",
            "CertificateException",
        ],
    ),
    Entry::reason(
        &[SameNameOtherKey],
        &[
            "signature check failed",
            "Signature does not match",
            "CertPathValidatorException: signature check failed",
        ],
    ),
    Entry::reason(
        &[Expired, CaExpired],
        &["CertificateExpiredException", "NotAfter:", "certificate expired on"],
    ),
    Entry::reason(
        &[NotYetValid, CaNotYetValid],
        &["CertificateNotYetValidException", "NotBefore:", "certificate not valid till"],
    ),
    Entry::reason(
        &[WrongSan, IpAsDnsSan],
        &[
            "No subject alternative DNS name matching",
            "No subject alternative names matching IP address",
            "No name matching … found",
            "Certificate for <…> doesn't match any of the subject alternative names",
            "Certificate for <…> doesn't match common name of the certificate subject",
            "SSLPeerUnverifiedException: Hostname … not verified",
            "Host name '…' does not match the certificate subject",
            "HTTPS hostname wrong",
            "SSLPeerUnverifiedException: Cannot verify hostname",
        ],
    ),
    Entry::reason(
        &[NoIpSan, CommonNameOnly],
        &["No subject alternative names present", "doesn't contain any subject alternative names"],
    ),
    Entry::reason(
        &[MissingServerAuth],
        &[
            "Extended key usage does not permit use for TLS server authentication",
            "KeyUsage does not allow digital signatures",
            "does not permit use for TLS server",
        ],
    ),
    Entry::reason(
        &[MissingClientAuth],
        &["Extended key usage does not permit use for TLS client authentication"],
    ),
    Entry::reason(
        &[NotACa],
        &[
            "basic constraints check failed",
            "This is not a CA certificate",
            "TrustAnchor with subject … is not a CA certificate",
            "CA key usage check failed",
            "KeyUsage does not allow certificate signing",
        ],
    ),
    Entry::reason(
        &[PathLength],
        &["basic constraints check failed: pathLenConstraint violated", "pathLenConstraint violated"],
    ),
    Entry::reason(&[NameConstraint], &["name constraints check failed"]),
    Entry::reason(
        &[CertificatePolicies],
        &["certificate policies check failed", "non-null policy tree required"],
    ),
    Entry::reason(&[UnknownCriticalExtension], &["unrecognized critical extension(s)"]),
    Entry::reason(&[Revoked], &["Certificate has been revoked, reason:", "CertificateRevokedException"]),
    Entry::reason(
        &[WeakSignature],
        &[
            "Algorithm constraints check failed on signature algorithm",
            "Certificates do not conform to algorithm constraints",
            "Algorithm constraints check failed on disabled algorithm",
        ],
    ),
    Entry::reason(
        &[RsaTooSmall],
        &["Algorithm constraints check failed on keysize", "RSA premaster secret error", "keysize limits"],
    ),
    Entry::reason(
        &[TlsTooOld],
        &[
            "No appropriate protocol (protocol is disabled or cipher suites are inappropriate)",
            "Server chose TLSv1",
            "The server selected protocol version … is not accepted by client preferences",
            "The client supported protocol versions … are not accepted by server preferences",
            "Client requested protocol … is not enabled or supported",
        ],
    ),
    Entry::reason(
        &[NoCommonCipher],
        &[
            "no cipher suites in common",
            "Unsupported ciphersuite",
            "None of the … cipher suites",
            "No available authentication scheme",
        ],
    ),
    Entry::reason(
        &[NoClientCertificate],
        &[
            "Empty client certificate chain",
            "Empty server certificate chain",
            "null cert chain",
            "bad_certificate … Empty",
        ],
    ),
    Entry::reason(
        &[KeyUnusable],
        &[
            "Keystore was tampered with, or password was incorrect",
            "Invalid keystore format",
            "toDerInputStream rejects tag type",
            "DerInputStream.getLength(): lengthTag",
        ],
    ),
];

pub(super) const NODE: &[Entry] = &[
    Entry::reason(
        &[WrongSan, NoIpSan, CommonNameOnly],
        &[
            "ERR_TLS_CERT_ALTNAME_INVALID",
            "Hostname/IP does not match certificate's altnames",
            "is not in the cert's list",
            "is not in the cert's altnames",
            "is not cert's CN",
        ],
    ),
    Entry::reason(&[NoIpSan, WrongSan], &["Cert does not contain a DNS name", "Cert is empty"]),
];

pub(super) const OTHERS: &[Entry] = &[
    // rustls.
    Entry::reason(
        &[UnknownAuthority, ServerNotTrusted, MissingIntermediate],
        &["UnknownIssuer", "unknown issuer", "SelfSignedCertificate", "selfsigned_peer"],
    ),
    Entry::reason(
        &[WrongSan, IpAsDnsSan],
        &[
            "NotValidForName",
            "CertNotValidForName",
            "certificate not valid for name",
            "hostname_check_failed",
            "InvalidDNSNameError",
            "InvalidDnsName",
            "UnsupportedNameType",
        ],
    ),
    Entry::reason(
        &[Expired, CaExpired],
        &[
            "InvalidCertificate(Expired",
            "peer certificate: Expired",
            "CertExpired",
            "certificate expired: verification time",
            "cert_expired",
        ],
    ),
    Entry::reason(&[NotYetValid], &["NotValidYet", "CertNotValidYet", "certificate not valid yet"]),
    Entry::reason(
        &[MissingServerAuth, MissingClientAuth],
        &["InvalidPurpose", "RequiredEkuNotFound", "required eku not found", "invalid_ext_key_usage"],
    ),
    Entry::reason(&[Revoked], &["InvalidCertificate(Revoked", "peer certificate: Revoked", "CertRevoked"]),
    Entry::reason(
        &[MalformedCertificate],
        &[
            "InvalidCertificate(BadEncoding",
            "peer certificate: BadEncoding",
            "BadDer",
            "UnsupportedCertVersion",
        ],
    ),
    Entry::reason(
        &[UnknownCriticalExtension],
        &["UnhandledCriticalExtension", "UnsupportedCriticalExtension"],
    ),
    Entry::reason(
        &[SameNameOtherKey],
        &[
            "InvalidCertificate(BadSignature",
            "peer certificate: BadSignature",
            "InvalidSignatureForPublicKey",
        ],
    ),
    Entry::reason(&[LeafIsCa], &["CaUsedAsEndEntity"]),
    Entry::reason(&[NotACa], &["EndEntityUsedAsCa"]),
    Entry::reason(&[NameConstraint], &["NameConstraintViolation"]),
    Entry::reason(&[PathLength], &["PathLenConstraintViolated"]),
    Entry::reason(&[WeakSignature, UnsupportedCurve], &["UnsupportedSignatureAlgorithm"]),
    Entry::reason(&[NoClientCertificate], &["NoCertificatesPresented", "peer sent no certificates"]),
    Entry::reason(
        &[NoCommonCipher],
        &[
            "NoCipherSuitesInCommon",
            "NoKxGroupsInCommon",
            "NoSignatureSchemesInCommon",
            "HandshakeFailure)",
            "insufficient_security",
        ],
    ),
    Entry::reason(
        &[TlsTooOld],
        &[
            "PeerIncompatible(Tls12NotOffered",
            "Tls12NotOffered",
            "ServerDoesNotSupportTls12Or13",
            "SupportedVersionsExtensionRequired",
            "peer is incompatible",
        ],
    ),
    Entry::reason(&[KeyMismatch], &["InconsistentKeys", "keys may not be consistent"]),
    Entry::summary(&[UnknownAuthority], &["invalid peer certificate", "InvalidCertificate("]),
    // .NET.
    Entry::reason(&[WrongSan], &["RemoteCertificateNameMismatch"]),
    Entry::summary(
        &[UnknownAuthority, ServerNotTrusted],
        &[
            "RemoteCertificateChainErrors",
            "The remote certificate is invalid",
            "The SSL connection could not be established",
        ],
    ),
    Entry::reason(
        &[UnknownAuthority, ServerNotTrusted, MissingIntermediate],
        &["chain: PartialChain", "chain: UntrustedRoot", "UntrustedRoot", "PartialChain"],
    ),
    Entry::reason(&[Expired, NotYetValid], &["chain: NotTimeValid", "NotTimeValid"]),
    Entry::reason(&[StaleCrl], &["RevocationStatusUnknown", "OfflineRevocation"]),
    Entry::reason(&[MissingServerAuth], &["NotValidForUsage"]),
    Entry::reason(&[NoClientCertificate], &["RemoteCertificateNotAvailable"]),
];
