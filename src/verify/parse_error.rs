//! What Go says of a certificate that it does not read.

/// Why Go does not read a certificate, in its words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("x509: {0}")]
pub struct ParseError(pub(super) String);

impl ParseError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}
