//! From a message, or a whole log, to its likely causes.
//!
//! `words` lists what programs print, each with its rank and the pitfalls behind it; `matcher` finds these words in a line;
//! this module adds up the lines. The reason itself ranks above a TLS alert, an alert above what every restart causes.

mod evidence;
mod line;
mod matcher;
mod words;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use self::evidence::Evidence;
use self::line::Line;
use self::matcher::{MATCHER, Match};
use self::words::Rank;
use super::pitfalls::{Code, Pitfall};

/// Of a member that serves its clients, fewer lines of refused and closed connections are what any restart of another
/// member and any port check causes.
const USUAL: usize = 10;

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
    /// What the rest of the log says about it: a setting that is empty.
    pub note: Option<&'static str>,
    addresses: BTreeMap<String, usize>,
    between_members: bool,
    rank: Rank,
    /// How many lines have it as the likeliest pitfall.
    likeliest: usize,
    score: usize,
    place: usize,
}

impl Cause {
    fn new(one: &Match, line: &Line) -> Self {
        Self {
            pitfall: one.code.pitfall(),
            lines: 0,
            sample: line.text.clone(),
            refusals: BTreeMap::new(),
            note: None,
            addresses: BTreeMap::new(),
            between_members: false,
            rank: one.rank,
            likeliest: 0,
            score: 0,
            place: usize::MAX,
        }
    }

    fn add(&mut self, one: &Match, likeliest: bool, line: &Line) {
        if one.rank > self.rank {
            // What pointed to it before was weaker than this.
            *self = Self {
                lines: self.lines,
                refusals: std::mem::take(&mut self.refusals),
                ..Self::new(one, line)
            };
        }
        self.lines += 1;
        if one.rank == self.rank {
            self.likeliest += usize::from(likeliest);
            self.score = self.score.max(one.score);
            self.place = self.place.min(one.place);
        }
        if let Some(refusal) = &line.refusal {
            *self.refusals.entry(refusal.text.clone()).or_default() += 1;
            self.between_members |= refusal.between_members;
            if let Some(address) = &refusal.address {
                *self.addresses.entry(address.clone()).or_default() += 1;
            }
        }
    }

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
            "note": self.note,
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
#[derive(Default)]
pub struct Explainer {
    evidence: Evidence,
    causes: BTreeMap<Code, Cause>,
}

impl std::fmt::Debug for Explainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Explainer({} causes)", self.causes.len())
    }
}

impl Explainer {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next line.
    pub fn line(&mut self, raw: &str) {
        let mut line = Line::read(raw);
        if self.evidence.read(&line.text) {
            // The peer is there now.
            self.causes.retain(|_, cause| cause.rank > Rank::Transient);
        }
        line.from_itself |= line.address().is_some_and(|address| self.evidence.is_own(address));
        // The gateway dials a client port, whoever comes from 127.0.0.1 to a peer port.
        line.from_itself &= !line.refusal.as_ref().is_some_and(|refusal| refusal.between_members);
        let matches = MATCHER.matches(&line);
        let likeliest = matches.iter().min_by_key(|one| (Reverse(one.score), one.place)).map(|one| one.code);
        for one in &matches {
            let cause = self.causes.entry(one.code).or_insert_with(|| Cause::new(one, &line));
            cause.add(one, likeliest == Some(one.code), &line);
        }
    }

    /// The likely causes, the likeliest first.
    pub fn causes(self) -> Vec<Cause> {
        let usual =
            |cause: &Cause| self.evidence.serves() && cause.rank == Rank::Transient && cause.lines < USUAL;
        let mut causes: Vec<Cause> = self.causes.into_values().filter(|cause| !usual(cause)).collect();
        for cause in &mut causes {
            cause.note = self.evidence.note(cause.pitfall.code, cause.between_members);
        }
        causes.sort_by_key(|cause| {
            let strength = (Reverse(cause.rank), Reverse(cause.likeliest), Reverse(cause.score), cause.place);
            (strength, Reverse(cause.lines), cause.pitfall.code)
        });
        causes
    }
}

#[cfg(test)]
mod tests {
    use super::super::pitfalls::catalogue;
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
