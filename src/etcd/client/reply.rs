//! Answers over HTTP, and what both APIs write alike in them.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::http::HeaderMap;

use crate::etcd::error::{EtcdError, Fault};
use crate::host::ssh::excerpt;

/// A whole answer.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Vec<u8>,
    /// The client URL that was asked.
    pub(super) base: String,
    /// Method and path.
    pub(super) call: String,
}

impl Reply {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// A header that holds a number, written in `radix`.
    pub(super) fn header(&self, name: &str, radix: u32) -> Option<u64> {
        u64::from_str_radix(self.headers.get(name)?.to_str().ok()?, radix).ok()
    }

    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, EtcdError> {
        serde_json::from_slice(&self.bytes).map_err(|error| self.fault(Fault::malformed(error)))
    }

    pub(super) fn fault(&self, fault: Fault) -> EtcdError {
        EtcdError { url: self.base.clone(), call: self.call.clone(), fault }
    }

    /// Whether the path does not exist there: Go's own 404, not a gRPC or v2 "not found" in JSON.
    pub(super) fn is_unserved(&self) -> bool {
        self.status == 404 && serde_json::from_slice::<ErrorWire>(&self.bytes).is_err()
    }

    /// The answer if its status says success.
    pub(super) fn ok(self) -> Result<Self, EtcdError> {
        if (200..300).contains(&self.status) { Ok(self) } else { Err(self.fault(self.refusal())) }
    }

    /// What an answer with another status means.
    pub(super) fn refusal(&self) -> Fault {
        let Ok(wire) = serde_json::from_slice::<ErrorWire>(&self.bytes) else {
            if self.status == 404 {
                return Fault::NotFound;
            }
            return Fault::server(self.status, None, self.text().trim());
        };
        wire.fault(self.status)
    }
}

/// An error as v3 (`error`, `code`) and v2 (`errorCode`, `message`, `cause`) write it.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorWire {
    error: Option<String>,
    message: Option<String>,
    cause: Option<String>,
    #[serde(alias = "errorCode", alias = "grpc_code")]
    code: Option<i64>,
}

impl ErrorWire {
    pub(super) fn fault(self, status: u16) -> Fault {
        let mut message = self.message.or(self.error).unwrap_or_default();
        if let Some(cause) = self.cause.filter(|cause| !cause.is_empty()) {
            message = format!("{message} ({cause})");
        }
        // gRPC: 7 permission denied, 16 unauthenticated; 3.3 and 3.4 answer 3 with these words; v2: 110.
        let unnamed =
            ["user name is empty", "invalid auth token", "authentication failed", "permission denied"];
        let v2 = message.starts_with("The request requires user authentication");
        if matches!(self.code, Some(7 | 16)) || v2 || unnamed.iter().any(|words| message.contains(words)) {
            return Fault::Auth { message: excerpt(&message) };
        }
        Fault::server(status, self.code, &message)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct VersionWire {
    pub(super) etcdserver: String,
    pub(super) etcdcluster: String,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct HealthWire {
    #[serde(default)]
    pub(super) health: Truth,
    #[serde(default)]
    pub(super) reason: String,
}

/// `"true"`, and `true` as some versions write it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Truth {
    Word(String),
    Bare(bool),
}

impl Default for Truth {
    fn default() -> Self {
        Self::Bare(false)
    }
}

impl Truth {
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Word(word) => word == "true",
            Self::Bare(truth) => *truth,
        }
    }
}
