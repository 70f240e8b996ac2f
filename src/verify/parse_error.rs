//! What Go says of a certificate that it does not read.

/// Why Go does not read a certificate, in its words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{1}{0}")]
pub struct ParseError(pub(super) String, &'static str);

impl ParseError {
    /// An error of `crypto/x509`.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into(), "x509: ")
    }

    /// An error of `encoding/asn1`: bytes that are no DER.
    pub(super) fn syntax(text: impl Into<String>) -> Self {
        Self(text.into(), "asn1: syntax error: ")
    }

    /// An error of `encoding/asn1`: DER that is not what is wanted.
    pub(super) fn structure(text: impl Into<String>) -> Self {
        Self(text.into(), "asn1: structure error: ")
    }

    /// An error that names no package, or names it itself.
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self(text.into(), "")
    }
}
