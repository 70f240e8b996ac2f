//! Why OpenSSL (1.0 to 3.x) and BoringSSL refuse a certificate.

use super::Entry;
use crate::verify::Code::*;

/// `X509_verify_cert_error_string`, and the numbers of `verify error:num=`.
pub(super) const VERIFICATION: &[Entry] = &[
    // 19 and 20 name no reason beyond the missing CA; 18 is a self-signed leaf, 21 a missing intermediate.
    Entry::reason(
        &[UnknownAuthority, MissingIntermediate, ServerNotTrusted, EmptyCaFile],
        &[
            "unable to get local issuer certificate",
            "unable to get issuer certificate",
            "self signed certificate in certificate chain",
            "self-signed certificate in certificate chain",
            "self-signed certificate",
            "self signed certificate",
            "certificate not trusted",
            "certificate rejected",
            "SELF_SIGNED_CERT_IN_CHAIN",
            "DEPTH_ZERO_SELF_SIGNED_CERT",
            "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
            "UNABLE_TO_GET_ISSUER_CERT",
            "verify error:num=2:",
            "verify error:num=18:",
            "verify error:num=19:",
            "verify error:num=20:",
            "(18:",
            "issuer certificate could not be found",
            "root CA not trusted",
            "authority and subject key identifier mismatch",
            "issuer and serial number mismatch",
            "subject issuer mismatch",
        ],
    ),
    Entry::reason(
        &[MissingIntermediate, UnknownAuthority, ServerNotTrusted],
        &[
            "unable to verify the first certificate",
            "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
            "verify error:num=21:",
            "verify return code: 21",
        ],
    ),
    Entry::reason(
        &[SameNameOtherKey],
        &[
            "certificate signature failure",
            "unable to decrypt certificate's signature",
            "verify error:num=7:",
            "CERT_SIGNATURE_FAILURE",
            "BAD_SIGNATURE",
            "bad signature",
            "block type is not 01",
            "padding check failed",
        ],
    ),
    Entry::reason(
        &[Expired, CaExpired],
        &[
            "certificate has expired",
            "verify error:num=10:",
            "CERT_HAS_EXPIRED",
            "certificate expired",
            "certificate is expired",
            "format error in certificate's notAfter field",
        ],
    ),
    Entry::reason(
        &[NotYetValid, CaNotYetValid],
        &[
            "certificate is not yet valid",
            "verify error:num=9:",
            "CERT_NOT_YET_VALID",
            "format error in certificate's notBefore field",
        ],
    ),
    Entry::reason(
        &[WrongSan, NoIpSan, CommonNameOnly, IpAsDnsSan],
        &[
            "Hostname mismatch",
            "IP address mismatch",
            "verify error:num=62:",
            "verify error:num=64:",
            "hostname_mismatch",
            "ip_address_mismatch",
            "SSL: no alternative certificate subject name matches target",
            "no alternative certificate subject name matches target",
            "does not match target host name",
            "certificate subject name '…' does not match",
            "subject alternative name does not match",
            "SSL: unable to obtain common name from peer certificate",
            "unable to obtain common name",
            "certificate verify failed (hostname mismatch)",
            "SSL: certificate subject name",
            "upstream SSL certificate does not match",
            "certificate host mismatch",
            "certificate name mismatch",
            "Hostname Verification Check failed",
        ],
    ),
    Entry::reason(
        &[MissingServerAuth, MissingClientAuth],
        &[
            "unsupported certificate purpose",
            "unsuitable certificate purpose",
            "verify error:num=26:",
            "INVALID_PURPOSE",
            "invalid purpose",
        ],
    ),
    Entry::reason(
        &[NotACa],
        &[
            "invalid CA certificate",
            "verify error:num=24:",
            "verify error:num=79:",
            "verify error:num=32:",
            "INVALID_CA",
            "invalid non-CA certificate",
            "key usage does not include certificate signing",
            "Basic Constraints of CA cert not marked critical",
            "CA cert does not include key usage extension",
            "Path length given without key usage keyCertSign",
            "Missing Authority Key Identifier",
            "Missing Subject Key Identifier",
        ],
    ),
    Entry::reason(
        &[NoKeyIdentifier, NotACa],
        &[
            "Missing Authority Key Identifier",
            "Missing Subject Key Identifier",
            "verify error:num=85:",
            "verify error:num=86:",
        ],
    ),
    Entry::reason(
        &[PathLength],
        &[
            "path length constraint exceeded",
            "verify error:num=25:",
            "PATH_LENGTH_EXCEEDED",
            "certificate chain too long",
            "Path length invalid for non-CA cert",
            "verify error:num=22:",
        ],
    ),
    Entry::reason(
        &[NameConstraint],
        &[
            "permitted subtree violation",
            "excluded subtree violation",
            "verify error:num=47:",
            "verify error:num=48:",
            "name constraints minimum and maximum not supported",
            "unsupported name constraint type",
        ],
    ),
    Entry::reason(
        &[CertificatePolicies],
        &[
            "no explicit policy",
            "invalid or inconsistent certificate policy extension",
            "verify error:num=43:",
        ],
    ),
    Entry::reason(&[UnknownCriticalExtension], &["unhandled critical extension", "verify error:num=34:"]),
    Entry::reason(
        &[Revoked],
        &["certificate revoked", "verify error:num=23:", "CERT_REVOKED", "certificate is revoked"],
    ),
    Entry::reason(
        &[BrokenCrl, StaleCrl],
        &[
            "unable to get certificate CRL",
            "verify error:num=3:",
            "CRL signature failure",
            "unable to decrypt CRL's signature",
            "UNABLE_TO_GET_CRL",
        ],
    ),
    Entry::reason(
        &[StaleCrl, BrokenCrl],
        &["CRL has expired", "verify error:num=12:", "CRL_HAS_EXPIRED", "CRL is not yet valid"],
    ),
    Entry::reason(
        &[WeakSignature],
        &[
            "CA md too weak",
            "verify error:num=68:",
            "ca md too weak",
            "CA signature digest algorithm too weak",
            "wrong signature type",
            "signature algorithm too weak",
        ],
    ),
    Entry::reason(
        &[RsaTooSmall, WeakRsa],
        &[
            "ee key too small",
            "EE certificate key too weak",
            "verify error:num=66:",
            "CA certificate key too weak",
            "verify error:num=67:",
            "ca key too small",
            "dh key too small",
        ],
    ),
    Entry::reason(
        &[UnsupportedCurve],
        &[
            "BAD_ECC_CERT",
            "unsupported elliptic curve",
            "wrong curve",
            "unknown group",
            "unsupported or invalid name syntax curve",
        ],
    ),
    Entry::reason(
        &[BadRecordMac],
        &["decryption failed or bad record mac", "DECRYPTION_FAILED_OR_BAD_RECORD_MAC"],
    ),
];
