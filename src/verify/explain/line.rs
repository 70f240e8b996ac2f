//! A line of a log: what was printed, without what a logger put before it, and who refuses whom.

use serde_json::Value;

/// A line without its logger's dress, and who refuses whom in it.
pub(super) struct Line {
    pub(super) text: String,
    pub(super) refusal: Option<Refusal>,
    /// A server reports a connection that it did not accept.
    pub(super) inbound: bool,
    /// A client or a member reports its own attempt to connect.
    pub(super) outbound: bool,
    /// The connection came from the server's own host.
    pub(super) from_itself: bool,
}

/// Who refuses whom.
pub(super) struct Refusal {
    pub(super) text: String,
    /// The address of the other side, where it is one.
    pub(super) address: Option<String>,
    /// Whether it is between members.
    pub(super) between_members: bool,
}

/// A server reports a connection that it did not accept.
const INBOUND: &[&str] = &["rejected connection", "TLS handshake error from"];
/// Somebody reports an attempt to connect.
const OUTBOUND: &[&str] = &[
    "transport: authentication handshake failed",
    "dial tcp",
    "Get https",
    "Get \"https",
    "Post \"https",
    "failed to reach the peer",
    "could not connect:",
    "prober detected",
    "createTransport failed",
    "failed to establish",
    "lost TCP streaming connection",
];

impl Line {
    pub(super) fn read(raw: &str) -> Self {
        let text = zap(raw).unwrap_or_else(|| raw.replace('\\', ""));
        let refusal = refusal(&text, journal_host(raw).unwrap_or("this etcd"));
        let has = |words: &[&str]| words.iter().any(|words| text.contains(words));
        let inbound = has(INBOUND);
        let outbound = has(OUTBOUND);
        let mut line = Self { inbound, outbound, from_itself: false, refusal, text };
        line.from_itself = line.address().is_some_and(|address| matches!(address, "127.0.0.1" | "::1"));
        line
    }

    /// The address that a refused connection came from.
    pub(super) fn address(&self) -> Option<&str> {
        self.refusal.as_ref()?.address.as_deref()
    }
}

/// The host of a journal's line: `Nov 21 12:00:00 HOST etcd[7]: …`.
fn journal_host(raw: &str) -> Option<&str> {
    let (head, _) = raw.split_once("]: ")?;
    let (head, pid) = head.rsplit_once('[')?;
    let mut words = head.rsplit(' ');
    let (_unit, host) = (words.next()?, words.next()?);
    let sound = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()) && head.len() < 200;
    (sound && words.next().is_some()).then_some(host)
}

/// A zap JSON line in the words of capnslog: `rejected connection from "ADDRESS" (error "ERROR")`.
fn zap(raw: &str) -> Option<String> {
    let start = raw.find("{\"level\"")?;
    let entry: Value = serde_json::from_str(raw[start..].trim_end()).ok()?;
    let field = |name: &str| entry[name].as_str().unwrap_or_default();
    let mut text = field("msg").to_owned();
    if let Some(rest) = text.strip_prefix("rejected connection") {
        // 3.5 says on which endpoint from .13 on.
        text = format!("rejected connection from \"{}\"{rest}", field("remote-addr"));
    } else if text == "prober detected unhealthy status" {
        text = format!("health check for peer {} could not connect:", field("remote-peer-id"));
    } else if !field("remote-member-id").is_empty() && !field("address").is_empty() {
        text = format!("{text} of member {} at {}", field("remote-member-id"), field("address"));
    }
    if !field("error").is_empty() {
        text = match text.strip_suffix(" on peer endpoint").or(text.strip_suffix(" on client endpoint")) {
            Some(from) => format!("{from} (error \"{}\"{}", field("error"), &text[from.len()..]),
            None => format!("{text} (error \"{}\"", field("error")),
        };
    }
    // Whatever else stands in the entry may be what is looked for.
    Some(format!("{text} {}", raw[start..].replace('\\', "")))
}

/// The other side's address and what went wrong, in the words of etcd and of Go's HTTP server.
fn rejected(text: &str) -> Option<(&str, &str)> {
    if let Some((_, rest)) = text.split_once("rejected connection from \"") {
        return rest.split_once('"');
    }
    let (_, rest) = text.split_once("TLS handshake error from ")?;
    rest.split_once(": ")
}

/// Who refuses whom: a `remote error` comes from the other side, and one who dials judges the other's certificate.
fn refusal(text: &str, here: &str) -> Option<Refusal> {
    let own = if here == "this etcd" {
        "this etcd's certificate".to_owned()
    } else {
        format!("{here}'s certificate")
    };
    if let Some((address, rest)) = rejected(text) {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
        let text = if rest.contains("remote error") {
            format!("{host} refuses {own}")
        } else {
            format!("{here} refuses {host}")
        };
        let between_members = rest.contains("on peer endpoint");
        return Some(Refusal { text, address: Some(host.to_owned()), between_members });
    }
    let tls = ["x509:", "tls:", "certificate"].iter().any(|word| text.contains(word));
    let whom = if let Some((_, rest)) = text.split_once("health check for peer ") {
        format!("peer {}", rest.split(' ').next()?)
    } else if let Some((_, rest)) = text.split_once("https://").filter(|_| text.contains("of member ")) {
        rest.split(['/', ')', '"', ' ']).next()?.to_owned()
    } else {
        return None;
    };
    let text = match () {
        () if text.contains("remote error: tls") => format!("{whom} refuses {own}"),
        () if tls => format!("{here} refuses {whom}'s certificate"),
        () => return None,
    };
    Some(Refusal { text, address: None, between_members: true })
}
