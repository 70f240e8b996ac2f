//! Requests and answers over HTTP, and what both APIs share.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::http::{HeaderMap, Method, Request};
use ureq::{Agent, Body};

use super::Endpoint;
use super::auth::{Login, Session};
use crate::etcd::error::{EtcdError, Fault};
use crate::etcd::transport::{Carried, Unresolved, Via};
use crate::etcd::types::{ClientUrl, MemberId, Scheme};

/// The largest answer that is read, in bytes.
const LARGEST: u64 = 256 << 20;

/// The HTTP side of a client.
pub(super) struct Http {
    pub(super) url: ClientUrl,
    pub(super) base: String,
    agent: Agent,
    via: Via,
    user: Option<Arc<Session>>,
    keep: bool,
}

impl Http {
    pub(super) fn new(endpoint: Endpoint, keep: bool) -> Self {
        let Endpoint { url, tls, dial, timeout } = endpoint;
        let via = || Via {
            at: url.at().clone(),
            dial: dial.clone(),
            tls: if url.scheme() == Scheme::Https { tls.clone() } else { None },
            timeout,
        };
        let idle = if keep { 4 } else { 0 };
        let config = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(idle)
            .max_idle_connections_per_host(idle)
            .timeout_global(Some(timeout))
            .user_agent("etcd-pki")
            .build();
        let agent = Agent::with_parts(config, via(), Unresolved);
        Self { base: url.to_string(), via: via(), agent, url, user: None, keep }
    }

    pub(super) fn log_in_as(&mut self, login: &Login) {
        self.user = Some(Arc::clone(&login.0));
    }

    pub(super) fn get(&self, path: &str) -> Result<Reply, EtcdError> {
        self.send(Method::GET, path, None)
    }

    /// Posts JSON, as the v3 gateway wants it.
    pub(super) fn post(&self, path: &str, body: &serde_json::Value) -> Result<Reply, EtcdError> {
        self.send(Method::POST, path, Some(("application/json", body.to_string())))
    }

    /// Sends a request and reads the whole answer; once more where a token had run out.
    pub(super) fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, String)>,
    ) -> Result<Reply, EtcdError> {
        let reply = self.send_once(method.clone(), path, body.clone())?;
        match &self.user {
            Some(session) if session.forget_if_stale(&reply) => self.send_once(method, path, body),
            _ => Ok(reply),
        }
    }

    pub(super) fn send_once(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, String)>,
    ) -> Result<Reply, EtcdError> {
        let (call, response) = self.open(method, path, body, false)?;
        let (parts, body) = response.into_parts();
        let mut bytes = Vec::new();
        body.into_reader()
            .take(LARGEST)
            .read_to_end(&mut bytes)
            .map_err(|error| self.error(call.clone(), fault_in_body(error)))?;
        Ok(Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            bytes,
            base: self.base.clone(),
            call,
        })
    }

    /// Sends a request whose answer may take for ever, and returns once its head is there.
    pub(super) fn open(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, String)>,
        endless: bool,
    ) -> Result<(String, ureq::http::Response<Body>), EtcdError> {
        let call = format!("{method} {path}");
        if self.url.scheme() == Scheme::Https && self.via.tls.is_none() {
            let what = "https needs a CA to trust".to_owned();
            return Err(self.error(call, Fault::Tls { what, alert: None }));
        }
        let mut builder = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(session) = &self.user
            && let Some(header) = session.header(self, path)?
        {
            builder = builder.header("Authorization", header.as_str());
        }
        if let Some((content_type, _)) = &body {
            builder = builder.header("Content-Type", *content_type);
        }
        let outcome = match body {
            Some((_, text)) => {
                builder.body(text).map_err(ureq::Error::from).and_then(|r| self.run(r, endless))
            }
            None => builder.body(()).map_err(ureq::Error::from).and_then(|r| self.run(r, endless)),
        };
        match outcome {
            Ok(response) => Ok((call, response)),
            Err(error) => {
                let mut fault = fault_of(error);
                // A client that keeps its connection follows the cluster and has no time for a second look.
                if fault == Fault::Closed && !self.keep {
                    fault = self.via.late_alert().unwrap_or(fault);
                }
                Err(self.error(call, fault))
            }
        }
    }

    fn run(
        &self,
        request: Request<impl ureq::AsSendBody>,
        endless: bool,
    ) -> Result<ureq::http::Response<Body>, ureq::Error> {
        if !endless {
            return self.agent.run(request);
        }
        // The transport's own limit, for each read, remains.
        let request = self.agent.configure_request(request).timeout_global(None).build();
        self.agent.run(request)
    }

    pub(super) fn error(&self, call: String, fault: Fault) -> EtcdError {
        EtcdError { url: self.base.clone(), call, fault }
    }
}

/// A whole answer.
pub(super) struct Reply {
    pub(super) status: u16,
    headers: HeaderMap,
    bytes: Vec<u8>,
    base: String,
    call: String,
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
            let message = self.text().trim().to_owned();
            return Fault::Server { status: self.status, code: None, message };
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
            return Fault::Auth { message };
        }
        Fault::Server { status, code: self.code, message }
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

/// The peers with an open stream, from the text of `/metrics`:
/// `etcd_network_active_peers{Local="8ddab7…",Remote="c0ff…"} 1`.
pub(super) fn active_peers(metrics: &str) -> Option<BTreeSet<MemberId>> {
    let mut exported = false;
    let mut peers = BTreeSet::new();
    for line in metrics.lines().filter_map(|line| line.strip_prefix("etcd_network_active_peers{")) {
        exported = true;
        let Some((labels, value)) = line.split_once('}') else { continue };
        let remote = labels.split(',').find_map(|label| label.trim().strip_prefix("Remote=\""));
        let id = remote.and_then(|rest| rest.trim_end_matches('"').parse::<MemberId>().ok());
        if let (Some(id), Ok(count)) = (id, value.trim().parse::<f64>())
            && count > 0.0
        {
            peers.insert(id);
        }
    }
    exported.then_some(peers)
}

/// What the HTTP client's error means.
fn fault_of(error: ureq::Error) -> Fault {
    match error {
        ureq::Error::Other(inner) => match inner.downcast::<Carried>() {
            Ok(carried) => carried.0,
            Err(other) => Fault::malformed(other),
        },
        ureq::Error::Io(error) => Fault::from_io(&error),
        ureq::Error::Timeout(_) => Fault::Timeout,
        other => Fault::malformed(other),
    }
}

/// The same for an error that came while the body was read.
pub(super) fn fault_in_body(error: std::io::Error) -> Fault {
    if error.get_ref().is_some_and(|inner| inner.is::<ureq::Error>()) {
        let inner = error.into_inner().expect("it was just seen to be there");
        return match inner.downcast::<ureq::Error>() {
            Ok(error) => fault_of(*error),
            Err(other) => Fault::malformed(other),
        };
    }
    Fault::from_io(&error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_peers_are_those_with_an_open_stream() {
        let metrics = "# TYPE etcd_network_active_peers gauge\n\
            etcd_network_active_peers{Local=\"8ddab73534be950c\",Remote=\"a1\"} 1\n\
            etcd_network_active_peers{Local=\"8ddab73534be950c\",Remote=\"b2\"} 0\n";
        assert_eq!(active_peers(metrics), Some(BTreeSet::from([MemberId(0xa1)])));
        assert_eq!(active_peers("etcd_server_has_leader 1\n"), None);
    }
}
