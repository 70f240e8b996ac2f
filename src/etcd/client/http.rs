//! Requests over HTTP, as both APIs make them.

use std::io::Read;
use std::sync::Arc;

use ureq::http::{Method, Request};
use ureq::{Agent, Body};

use super::Endpoint;
use super::auth::{Login, Session};
use super::lines::NoLine;
use super::reply::Reply;
use crate::etcd::error::{EtcdError, Fault};
use crate::etcd::transport::{Carried, Unresolved, Via};
use crate::etcd::types::{MemberUrl, Scheme};
use crate::host::limits;

/// The HTTP side of a client.
pub(super) struct Http {
    pub(super) url: MemberUrl,
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
            .max_response_header_size(limits::HEADERS)
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
        self.send_for(method, path, body, limits::ANSWER)
    }

    /// As [`Self::send`], for an answer of at most `limit` bytes.
    pub(super) fn send_for(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, String)>,
        limit: u64,
    ) -> Result<Reply, EtcdError> {
        let reply = self.send_once(method.clone(), path, body.clone(), limit)?;
        match &self.user {
            Some(session) if session.forget_if_stale(&reply) => self.send_once(method, path, body, limit),
            _ => Ok(reply),
        }
    }

    fn send_once(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, String)>,
        limit: u64,
    ) -> Result<Reply, EtcdError> {
        let (call, response) = self.open(method, path, body, false)?;
        let (parts, body) = response.into_parts();
        let mut bytes = Vec::new();
        body.into_reader()
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| self.error(call.clone(), fault_in_body(error)))?;
        if bytes.len() as u64 > limit {
            return Err(self.error(call, Fault::TooLarge { limit }));
        }
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
            && let Some(header) = session.header(path, |path, body| self.log_in(path, body))?
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

    /// Asks for a token. Once: the token's lock is held.
    fn log_in(&self, path: &str, body: String) -> Result<Reply, EtcdError> {
        self.send_once(Method::POST, path, Some(("application/json", body)), limits::ANSWER)
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

/// What it means that a line of an answer did not come.
pub(super) fn fault_of_line(why: NoLine) -> Fault {
    match why {
        NoLine::Io(error) => fault_in_body(error),
        NoLine::TooLong => Fault::TooLarge { limit: limits::PART as u64 },
        NoLine::TooSlow => Fault::Timeout,
    }
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
        ureq::Error::LargeResponseHeader(..) => Fault::TooLarge { limit: limits::HEADERS as u64 },
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
