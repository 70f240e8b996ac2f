//! From a message, or a whole log, to its likely causes.
//!
//! Every pitfall lists the words that etcd 2 to 3.6 (capnslog and zap), etcdctl, curl, OpenSSL and Go print for it.
//! A line is compared with all of them; the words that match the most text win.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::pitfalls::{Code, Pitfall, catalogue};

/// Of the best match of a line, how much another one must reach to be named beside it.
const NEAR: f64 = 0.7;

/// A likely cause of what was printed.
#[derive(Debug, Clone)]
pub struct Cause {
    /// The pitfall.
    pub pitfall: &'static Pitfall,
    /// How many lines point to it.
    pub lines: usize,
    /// The first line that does, without what a logger put before it.
    pub sample: String,
    /// Who refuses whom, each with how often: `this etcd refuses 10.0.0.2`.
    pub refusals: BTreeMap<String, usize>,
    addresses: BTreeMap<String, usize>,
    between_members: bool,
    score: usize,
}

impl Cause {
    /// The command that proves it, as far as the log says of whom.
    pub fn proof(&self) -> String {
        let most = self.addresses.iter().max_by_key(|(_, count)| **count);
        let own = match most {
            // The address of the other side is what a peer's certificate must hold.
            Some((address, _)) if self.pitfall.code == Code::PeerSourceAddress => {
                self.pitfall.proof.replace("ADDRESS", address)
            }
            _ => self.pitfall.proof.to_owned(),
        };
        let members = self.between_members || self.pitfall.code == Code::PeerSourceAddress;
        if members && own != MEMBERS { format!("{MEMBERS}, or {own}") } else { own }
    }
}

/// What proves who refuses whom among members.
const MEMBERS: &str = "etcd-pki verify --cluster";

impl Serialize for Cause {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::json!({
            "code": self.pitfall.code,
            "name": self.pitfall.code.name(),
            "title": self.pitfall.title,
            "cause": self.pitfall.cause,
            "fix": self.pitfall.cure,
            "proof": self.proof(),
            "lines": self.lines,
            "sample": self.sample,
            "refusals": self.refusals,
        })
        .serialize(serializer)
    }
}

/// The likely causes of a message or a log, the likeliest first; empty when nothing in it is known.
pub fn explain(text: &str) -> Vec<Cause> {
    let mut explainer = Explainer::new();
    text.lines().for_each(|line| explainer.line(line));
    explainer.causes()
}

/// The same for a log that is read line by line.
pub struct Explainer {
    patterns: Patterns,
    causes: BTreeMap<Code, Cause>,
}

impl std::fmt::Debug for Explainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Explainer({} causes)", self.causes.len())
    }
}

impl Default for Explainer {
    fn default() -> Self {
        Self::new()
    }
}

impl Explainer {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self { patterns: Patterns::new(), causes: BTreeMap::new() }
    }

    /// Reads the next line.
    pub fn line(&mut self, raw: &str) {
        let line = Line::read(raw);
        // The gateway dials a client port, whoever comes from 127.0.0.1 to a peer port.
        let peer = line.refusal.as_ref().is_some_and(|refusal| refusal.between_members);
        let found = self.patterns.matching(&line.text, |code| !peer || code != Code::GatewayClientAuth);
        for (pitfall, score) in found {
            let cause = self.causes.entry(pitfall.code).or_insert_with(|| Cause {
                pitfall,
                lines: 0,
                sample: line.text.clone(),
                refusals: BTreeMap::new(),
                addresses: BTreeMap::new(),
                between_members: false,
                score: 0,
            });
            cause.lines += 1;
            cause.score = cause.score.max(score);
            if let Some(refusal) = &line.refusal {
                *cause.refusals.entry(refusal.text.clone()).or_default() += 1;
                cause.between_members |= refusal.between_members;
                if let Some(address) = &refusal.address {
                    *cause.addresses.entry(address.clone()).or_default() += 1;
                }
            }
        }
    }

    /// The likely causes, the likeliest first.
    pub fn causes(self) -> Vec<Cause> {
        let mut causes: Vec<Cause> = self.causes.into_values().collect();
        // Restarts make plain-HTTP noise and refused connections; they are named last where there is anything else.
        causes.sort_by_key(|cause| {
            let noise = matches!(
                cause.pitfall.code,
                Code::HttpToTls | Code::HttpAdvertised | Code::HttpWithCertificates | Code::Unreachable
            );
            (noise, std::cmp::Reverse(cause.score), std::cmp::Reverse(cause.lines), cause.pitfall.code)
        });
        causes
    }
}

/// A line without its logger's dress, and who refuses whom in it.
struct Line {
    text: String,
    refusal: Option<Refusal>,
}

/// Who refuses whom.
struct Refusal {
    text: String,
    /// The address of the other side, where it is one.
    address: Option<String>,
    /// Whether it is between members.
    between_members: bool,
}

impl Line {
    fn read(raw: &str) -> Self {
        let text = zap(raw).unwrap_or_else(|| raw.replace('\\', ""));
        let refusal = refusal(&text, journal_host(raw).unwrap_or("this etcd"));
        Self { text, refusal }
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

/// Who refuses whom: a `remote error` comes from the other side, and one who dials judges the other's certificate.
fn refusal(text: &str, here: &str) -> Option<Refusal> {
    let own = if here == "this etcd" {
        "this etcd's certificate".to_owned()
    } else {
        format!("{here}'s certificate")
    };
    if let Some((_, rest)) = text.split_once("rejected connection from \"") {
        let (address, rest) = rest.split_once('"')?;
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

/// The words of every pitfall, in lower case, cut at what varies.
struct Patterns {
    all: Vec<(&'static Pitfall, Vec<String>)>,
}

impl Patterns {
    fn new() -> Self {
        let cut = |words: &str| words.to_lowercase().split('…').map(str::to_owned).collect();
        let all = catalogue().flat_map(|pitfall| pitfall.says.iter().map(move |words| (pitfall, cut(words))));
        Self { all: all.collect() }
    }

    /// The pitfalls that a line may be, each with how much of the line its words explain.
    fn matching(&self, line: &str, may_be: impl Fn(Code) -> bool) -> Vec<(&'static Pitfall, usize)> {
        let line = line.to_lowercase();
        let mut found: BTreeMap<Code, (&'static Pitfall, usize)> = BTreeMap::new();
        for (pitfall, parts) in self.all.iter().filter(|(pitfall, _)| may_be(pitfall.code)) {
            let Some(score) = score(&line, parts) else { continue };
            let best = found.entry(pitfall.code).or_insert((pitfall, score));
            best.1 = best.1.max(score);
        }
        let best = found.values().map(|(_, score)| *score).max().unwrap_or(0);
        found.retain(|_, (_, score)| *score as f64 >= best as f64 * NEAR);
        found.into_values().collect()
    }
}

/// The length of all parts, when they stand in the line one after another.
fn score(line: &str, parts: &[String]) -> Option<usize> {
    let mut rest = line;
    for part in parts {
        let at = rest.find(part.as_str())?;
        rest = &rest[at + part.len()..];
    }
    Some(parts.iter().map(String::len).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> Option<Code> {
        explain(text).first().map(|cause| cause.pitfall.code)
    }

    #[test]
    fn messages_lead_to_their_pitfall() {
        for (text, code) in [
            ("remote error: tls: bad certificate", Code::MissingClientAuth),
            ("x509: certificate specifies an incompatible key usage", Code::MissingClientAuth),
            (
                "x509: cannot validate certificate for 10.0.0.1 because it doesn't contain any IP SANs",
                Code::NoIpSan,
            ),
            ("certificate is valid for 127.0.0.1, not 10.0.0.9", Code::WrongSan),
            (
                "rejected connection from \"10.0.0.9:443\" (error \"x509: certificate is valid for 10.1.1.1, not 10.0.0.9\"",
                Code::PeerSourceAddress,
            ),
            (
                "x509: certificate signed by unknown authority (possibly because of \"x509: ECDSA verification failure\" while trying to verify candidate authority certificate \"ca\")",
                Code::SameNameOtherKey,
            ),
            ("x509: certificate signed by unknown authority", Code::UnknownAuthority),
            ("tls: failed to parse private key", Code::KeyEncrypted),
            ("curl: (52) Empty reply from server", Code::HttpToTls),
            (
                "current time 2026 is after 2020: x509: certificate has expired or is not yet valid: current time 2026-11-21T00:00:00Z is after 2020-01-01T00:00:00Z",
                Code::Expired,
            ),
            (
                "x509: certificate has expired or is not yet valid: current time 2026-11-21T00:00:00Z is before 2027-01-01T00:00:00Z",
                Code::NotYetValid,
            ),
            ("local error: tls: bad record MAC", Code::BadRecordMac),
        ] {
            assert_eq!(first(text), Some(code), "{text}");
        }
        assert_eq!(first("all is well"), None);
        assert_eq!(first(""), None);
    }

    #[test]
    fn a_zap_line_says_who_refuses_whom() {
        let line = r#"Nov 21 12:00:00 m1 etcd[7]: {"level":"warn","ts":"2026-11-21T12:00:00Z","caller":"embed/config_logging.go:169","msg":"rejected connection","remote-addr":"172.16.0.102:41180","server-name":"","error":"tls: failed to verify certificate: x509: certificate specifies an incompatible key usage"}"#;
        let causes = explain(&format!("{line}\n{line}\n"));
        assert_eq!(causes[0].pitfall.code, Code::MissingClientAuth);
        assert_eq!(causes[0].lines, 2);
        assert_eq!(causes[0].refusals["m1 refuses 172.16.0.102"], 2);
    }

    #[test]
    fn members_that_refuse_each_other_are_named() {
        for (line, who, code) in [
            (
                r#"Nov 24 02:46:00 m2 etcd[9]: {"level":"warn","msg":"rejected connection on peer endpoint","remote-addr":"[fd00::3]:5","server-name":"","ip-addresses":["10.1.2.3"],"dns-names":[],"error":"x509: certificate is valid for 10.1.2.3, not fd00::3"}"#,
                "m2 refuses fd00::3",
                Code::PeerSourceAddress,
            ),
            (
                r#"{"level":"warn","msg":"prober detected unhealthy status","round-tripper-name":"ROUND_TRIPPER_SNAPSHOT","remote-peer-id":"9873ca1ddbdcf16","error":"tls: failed to verify certificate: x509: certificate is valid for 127.1.2.3, not 127.77.20.3"}"#,
                "this etcd refuses peer 9873ca1ddbdcf16's certificate",
                Code::WrongSan,
            ),
            (
                r#"etcdserver: failed to reach the peerURL(https://172.16.0.101:2380) of member 1a (Get "https://172.16.0.101:2380/version": remote error: tls: bad certificate)"#,
                "172.16.0.101:2380 refuses this etcd's certificate",
                Code::MissingClientAuth,
            ),
            (
                r#"rafthttp: health check for peer 1a could not connect: x509: certificate signed by unknown authority (prober "ROUND_TRIPPER_SNAPSHOT")"#,
                "this etcd refuses peer 1a's certificate",
                Code::UnknownAuthority,
            ),
        ] {
            let causes = explain(line);
            assert_eq!(causes[0].pitfall.code, code, "{line}");
            assert_eq!(causes[0].refusals.keys().collect::<Vec<_>>(), [who], "{line}");
            assert!(causes[0].proof().starts_with("etcd-pki verify --cluster, or "), "{line}");
        }
        let line = r#"rejected connection from "172.16.0.9:1" (error "x509: certificate is valid for 10.1.2.3, not 172.16.0.9", ServerName "", IPAddresses ["10.1.2.3"], DNSNames [])"#;
        assert!(explain(line)[0].proof().ends_with("--role peer --source-ip 172.16.0.9"));
    }

    #[test]
    fn every_word_of_the_catalogue_names_its_pitfall() {
        for pitfall in catalogue() {
            for words in pitfall.says {
                let text = words.replace('…', "X");
                let causes = explain(&text);
                let named = causes.iter().any(|cause| cause.pitfall.code == pitfall.code);
                assert!(
                    named,
                    "{}: {text:?} leads to {:?}",
                    pitfall.code,
                    causes.first().map(|c| c.pitfall.code)
                );
            }
        }
    }

    #[test]
    fn any_text_is_survived() {
        for text in
            ["\u{0}\u{1}", "{\"level\"", "{\"level\":1}", "rejected connection from \"", "…………", "ß\\\\\\"]
        {
            explain(text);
        }
    }
}
