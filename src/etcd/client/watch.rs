//! Following keys: the v3 gateway's endless answer, or one v2 wait after the other.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::json;
use ureq::http::Method;

use super::http::{Http, fault_of_line};
use super::lines::Lines;
use super::reply::ErrorWire;
use super::v2::{self, KeysWire};
use super::v3::{self, Header, KeyValueWire};
use super::{KeyValue, Result};
use crate::etcd::error::Fault;
use crate::host::limits;

/// A change of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The key; its value is empty when it was deleted. Its revision is the change's.
    pub kv: KeyValue,
    /// Whether the key is gone.
    pub deleted: bool,
}

/// The changes under a prefix, from [`super::Client::watch`]. After an error it is at its end.
pub struct Watch<'a> {
    source: Source<'a>,
    ready: VecDeque<Event>,
    next: u64,
    ended: bool,
}

enum Source<'a> {
    V2 { http: &'a Http, path: String },
    V3 { http: &'a Http, call: String, lines: Lines<ureq::BodyReader<'static>> },
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("next", &self.next).field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl<'a> Watch<'a> {
    pub(super) fn v2(http: &'a Http, directory: &str, from: u64) -> Self {
        let source = Source::V2 { http, path: v2::path(directory) };
        Self { source, ready: VecDeque::new(), next: from, ended: false }
    }

    pub(super) fn v3(http: &'a Http, prefix: &str, key_prefix: &str, from: u64) -> Result<Self> {
        let (key, range_end) = v3::range(key_prefix);
        let body = json!({ "create_request": {
            "key": key, "range_end": range_end, "start_revision": from.to_string(),
        }});
        let path = format!("{prefix}/watch");
        let body = Some(("application/json", body.to_string()));
        let (call, response) = http.open(Method::POST, &path, body, true)?;
        let status = response.status().as_u16();
        let mut lines = Lines::new(response.into_body().into_reader(), limits::PART, limits::PART_TIME);
        if status != 200 {
            // What cannot be read is not known.
            let line = lines.next().ok().flatten().unwrap_or_default();
            let fault = match serde_json::from_slice::<ErrorWire>(&line) {
                Ok(wire) => wire.fault(status),
                Err(_) if status == 404 => Fault::NotFound,
                Err(_) => Fault::server(status, None, String::from_utf8_lossy(&line).trim()),
            };
            return Err(http.error(call, fault));
        }
        let source = Source::V3 { http, call, lines };
        Ok(Self { source, ready: VecDeque::new(), next: from, ended: false })
    }

    /// The first revision (v3) or index (v2) that was not delivered yet: where to watch on from.
    pub const fn next_revision(&self) -> u64 {
        self.next
    }

    /// Waits until there is an event or an error.
    fn fill(&mut self) -> Result<()> {
        while self.ready.is_empty() {
            match &mut self.source {
                Source::V2 { http, path } => {
                    let call = format!("{path}?wait=true&recursive=true&waitIndex={}", self.next);
                    let reply = http.get(&call)?.ok()?;
                    // A member that stops, or its own limit, ends a wait with an empty answer.
                    if reply.is_empty() {
                        return Err(reply.fault(Fault::Closed));
                    }
                    let wire: KeysWire = reply.json()?;
                    let deleted = matches!(wire.action.as_str(), "delete" | "expire" | "compareAndDelete");
                    self.ready.push_back(Event { kv: wire.node.into(), deleted });
                }
                Source::V3 { http, call, lines } => {
                    let fail = |fault| http.error(call.clone(), fault);
                    match lines.next() {
                        Ok(None) => return Err(fail(Fault::Closed)),
                        Ok(Some(line)) => self.ready.extend(events(&line).map_err(fail)?),
                        Err(why) => return Err(fail(fault_of_line(why))),
                    }
                }
            }
        }
        Ok(())
    }
}

impl Iterator for Watch<'_> {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        if let Err(error) = self.fill() {
            self.ended = true;
            return Some(Err(error));
        }
        let event = self.ready.pop_front()?;
        // The events of one revision (a transaction) come in one answer: only past the last may the next begin.
        let more = self.ready.front().is_some_and(|after| after.kv.revision == event.kv.revision);
        self.next = event.kv.revision.saturating_add(u64::from(!more));
        Some(Ok(event))
    }
}

/// The events of one line of the v3 gateway's answer.
fn events(line: &[u8]) -> std::result::Result<Vec<Event>, Fault> {
    if line.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let wire: LineWire = serde_json::from_slice(line).map_err(Fault::malformed)?;
    if let Some(error) = wire.error {
        return Err(error.fault(200));
    }
    let result =
        wire.result.ok_or_else(|| Fault::malformed("a watch answer with neither result nor error"))?;
    if result.canceled {
        let compacted = format!("the watch was cancelled: {}", result.cancel_reason);
        return Err(Fault::server(200, None, &compacted));
    }
    let decoded = result.events.into_iter().map(|event| {
        let kv = event.kv.decode().ok_or_else(|| Fault::malformed("a key or value is not base64"))?;
        Ok(Event { kv, deleted: event.kind == "DELETE" })
    });
    decoded.collect()
}

#[derive(Debug, Deserialize)]
struct LineWire {
    result: Option<ResultWire>,
    error: Option<ErrorWire>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ResultWire {
    #[serde(rename = "header")]
    _header: Header,
    canceled: bool,
    cancel_reason: String,
    events: Vec<EventWire>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct EventWire {
    #[serde(rename = "type")]
    kind: String,
    kv: KeyValueWire,
}
