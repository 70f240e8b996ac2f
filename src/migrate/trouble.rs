//! What keeps a gate shut: in words for the operator, and of what kind, for what is done about it.

use std::fmt;

use crate::etcd::{EtcdError, Fault};

/// Something that was seen and should not be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it is to those who wait for it.
    pub(super) kind: Kind,
    text: String,
}

/// What a trouble is to those who wait for it to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An alarm is raised: somebody has to see to it.
    Alarm,
    /// What was answered is nothing that an etcd answers: something else may listen there.
    Foreign,
    /// A handshake failed: the pairs may say why.
    Tls,
    /// Anything else; it may pass.
    Other,
}

impl Trouble {
    /// That an alarm is raised.
    pub(super) const fn alarm(text: String) -> Self {
        Self { kind: Kind::Alarm, text }
    }

    /// The same trouble, said of somebody.
    pub(super) fn of(self, who: &str) -> Self {
        Self { text: format!("{who}: {}", self.text), ..self }
    }
}

impl From<String> for Trouble {
    fn from(text: String) -> Self {
        Self { kind: Kind::Other, text }
    }
}

impl From<&str> for Trouble {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<EtcdError> for Trouble {
    fn from(error: EtcdError) -> Self {
        let kind = match &error.fault {
            Fault::Tls { .. } => Kind::Tls,
            fault if fault.is_foreign() => Kind::Foreign,
            _ => Kind::Other,
        };
        Self { kind, text: error.to_string() }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Them in words.
pub(super) fn words(troubles: &[Trouble]) -> Vec<String> {
    troubles.iter().map(ToString::to_string).collect()
}

/// Whether one of them is of a kind.
pub(super) fn any(troubles: &[Trouble], kind: Kind) -> bool {
    troubles.iter().any(|trouble| trouble.kind == kind)
}
