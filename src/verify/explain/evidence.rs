//! What a log says besides its failures: whether the member serves, its own addresses, settings that are empty.

use std::collections::BTreeSet;

use crate::verify::Code;

/// The most addresses of its own that a member is believed to have.
const MOST_ADDRESSES: usize = 64;

/// A member serves its clients.
const SERVES: &[&str] = &[
    "ready to serve client requests",
    "serving client traffic",
    "serving client requests on",
    "serving insecure client requests on",
    "published local member to cluster",
    "set the initial cluster version",
    "finished scheduled compaction",
];
/// A connection to another member works.
const CONNECTED: &[&str] = &["became active"];

/// What a log says besides its failures.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    serves: bool,
    addresses: BTreeSet<String>,
    no_peer_ca: bool,
    no_client_ca: bool,
}

impl Evidence {
    /// Reads a line; whether it says that another member is connected now.
    pub(super) fn read(&mut self, text: &str) -> bool {
        let has = |words: &[&str]| words.iter().any(|words| text.contains(words));
        self.serves |= has(SERVES);
        if has(&["trusted-ca = ,"]) {
            self.no_peer_ca |= has(&["peerTLS:", "peer TLS"]);
            self.no_client_ca |= has(&["ClientTLS:", "client TLS"]);
        }
        if has(&["advertise-client-urls\":[", "advertise client URLs = "])
            && self.addresses.len() < MOST_ADDRESSES
        {
            self.addresses.extend(advertised(text).map(str::to_owned).take(MOST_ADDRESSES));
        }
        has(CONNECTED)
    }

    /// Whether the member serves its clients.
    pub(super) fn serves(&self) -> bool {
        self.serves
    }

    /// Whether the member advertises this address.
    pub(super) fn is_own(&self, address: &str) -> bool {
        self.addresses.contains(address)
    }

    /// The setting of this log that a pitfall comes from.
    pub(super) fn note(&self, code: Code, between_members: bool) -> Option<&'static str> {
        let about_trust = matches!(
            code,
            Code::UnknownAuthority
                | Code::EmptyCaFile
                | Code::ClientAuthWithoutCa
                | Code::MissingIntermediate
        );
        match () {
            () if !about_trust => None,
            () if between_members && self.no_peer_ca => Some(
                "the log has an empty trusted-ca for peers; set --peer-trusted-ca-file (in a configuration file: \
                 trusted-ca-file under peer-transport-security) on every member",
            ),
            () if !between_members && self.no_client_ca => {
                Some("the log has an empty trusted-ca for clients; set --trusted-ca-file")
            }
            () => None,
        }
    }
}

/// The hosts of the client URLs that a member advertises.
fn advertised(text: &str) -> impl Iterator<Item = &str> {
    let start = text.find("advertise-client-urls\":[").or_else(|| text.find("advertise client URLs = "));
    let list = &text[start.unwrap_or(text.len())..];
    let list = list.split_once(']').map_or(list, |(list, _)| list);
    list.split("://").skip(1).filter_map(|url| {
        let host = url.split(['"', ',', '/', ' ']).next()?;
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        Some(host.trim_matches(['[', ']']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_members_own_addresses_are_those_it_advertises() {
        for line in [
            r#""advertise-client-urls":["https://10.0.0.1:2379","https://m1:2379"],"listen-client-urls":["https://0.0.0.0:2379"]"#,
            "2026-11-28 12:00:00.0 I | etcdserver: advertise client URLs = https://10.0.0.1:2379,https://m1:2379",
        ] {
            let mut evidence = Evidence::default();
            evidence.read(line);
            assert!(evidence.is_own("10.0.0.1") && evidence.is_own("m1"), "{line}");
            assert!(!evidence.is_own("0.0.0.0"));
        }
    }
}
