//! Why Go does not accept a chain, and how it says so.

use ::time::OffsetDateTime;

use super::super::constrained::Violation;
use super::super::signature::SignatureError;
use super::super::when::rfc3339;

/// Why Go does not accept a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum ChainError {
    /// A critical extension that Go does not handle; whose, and which.
    UnhandledCritical { subject: String, oids: Vec<String> },
    /// Outside its dates; `depth` is 0 for the leaf.
    Expired { subject: String, depth: usize, now: OffsetDateTime, bound: OffsetDateTime, early: bool },
    /// Nobody that is trusted signed it.
    UnknownAuthority { subject: String, issuer: String, hint: Option<(SignatureError, String)> },
    /// An intermediate of version 1 or 2: no CA.
    NotAuthorizedToSign { subject: String },
    /// Too many certificates below one that limits them.
    PathLength { subject: String, limit: u64 },
    /// Names are constrained, and there is one that Go cannot read.
    UnreadableName { detail: String },
    /// A name constraint is violated; Go's detail.
    Constraint { detail: String },
    /// Names are constrained and the leaf has only a common name, which stands in for SANs and is never compared.
    ConstraintsWithoutSans,
    /// The candidate has the right key identifier and another name than the issuer's.
    NameMismatch { subject: String, issuer: String },
    /// More constraint comparisons than Go makes.
    TooManyConstraints,
    /// The usage that is wanted was struck out on the way down, by the certificate at `depth`; the leaf's is 0.
    IncompatibleUsage { subject: String, depth: usize, is_root: bool },
    /// More than 100 signatures were checked.
    SignatureLimit,
    /// The chain demands a policy and has none.
    Policies { details: String },
}

impl std::fmt::Display for ChainError {
    /// Go's words.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnhandledCritical { .. } => f.write_str("x509: unhandled critical extension"),
            Self::Expired { now, bound, early, .. } => write!(
                f,
                "x509: certificate has expired or is not yet valid: current time {} is {} {}",
                rfc3339(*now),
                if *early { "before" } else { "after" },
                rfc3339(*bound)
            ),
            Self::UnknownAuthority { hint, .. } => {
                f.write_str("x509: certificate signed by unknown authority")?;
                match hint {
                    Some((error, name)) => write!(
                        f,
                        " (possibly because of {:?} while trying to verify candidate authority certificate {name:?})",
                        error.to_string()
                    ),
                    None => Ok(()),
                }
            }
            Self::NotAuthorizedToSign { .. } => {
                f.write_str("x509: certificate is not authorized to sign other certificates")
            }
            Self::PathLength { .. } => f.write_str("x509: too many intermediates for path length constraint"),
            Self::ConstraintsWithoutSans => {
                f.write_str("x509: issuer has name constraints but leaf doesn't have a SAN extension")
            }
            Self::UnreadableName { detail } => write!(f, "x509: {detail}"),
            Self::Constraint { detail } => write!(
                f,
                "x509: a root or intermediate certificate is not authorized to sign for this name: {detail}"
            ),
            Self::NameMismatch { .. } => {
                f.write_str("x509: issuer name does not match subject from issuing certificate")
            }
            Self::TooManyConstraints => f.write_str("x509: unknown error"),
            Self::IncompatibleUsage { .. } => {
                f.write_str("x509: certificate specifies an incompatible key usage")
            }
            Self::SignatureLimit => {
                f.write_str("x509: signature check attempts limit reached while verifying certificate chain")
            }
            Self::Policies { details } => write!(f, "x509: no valid chains built: {details}"),
        }
    }
}

impl From<Violation> for ChainError {
    fn from(violation: Violation) -> Self {
        match violation {
            Violation::Unreadable(detail) => Self::UnreadableName { detail },
            Violation::Name(detail) => Self::Constraint { detail },
            Violation::TooMany => Self::TooManyConstraints,
        }
    }
}
