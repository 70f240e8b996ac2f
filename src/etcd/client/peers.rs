//! What a member's metrics say of its streams with its peers.

use std::collections::BTreeMap;

use super::super::types::MemberId;

/// A member's streams with one of its peers, as its metrics have it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerStream {
    /// `etcd_network_active_peers`. It is 0 too when the last thing that failed was a message by another way than a stream,
    /// while all streams stand (etcd 3.3 to 3.6, `rafthttp`: peer status): by itself it proves nothing.
    pub active: bool,
    /// `etcd_network_peer_sent_bytes_total`, in bytes: it grows every 5/3 s while a stream stands.
    pub sent: u64,
}

/// The streams with each peer, from the text of `/metrics`; none where it is not told.
pub(super) fn streams(metrics: &str) -> Option<BTreeMap<MemberId, PeerStream>> {
    let values = |name: &'static str, label: &'static str| {
        metrics.lines().filter_map(move |line| {
            let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.split_once('}')?;
            let id = labels.split(',').find_map(|one| one.trim().strip_prefix(label)?.strip_prefix("=\""))?;
            Some((id.trim_end_matches('"').parse::<MemberId>().ok()?, value.trim().parse::<f64>().ok()?))
        })
    };
    let mut streams = BTreeMap::new();
    for (id, value) in values("etcd_network_active_peers", "Remote") {
        streams.insert(id, PeerStream { active: value > 0.0, sent: 0 });
    }
    for (id, value) in values("etcd_network_peer_sent_bytes_total", "To") {
        if let Some(stream) = streams.get_mut(&id) {
            // Prometheus' text has numbers with a fraction and an exponent; below 2^53 they are whole.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is not negative")]
            let sent = value as u64;
            stream.sent = sent;
        }
    }
    (!streams.is_empty()).then_some(streams)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_told_with_what_was_sent() {
        let metrics = "# TYPE etcd_network_active_peers gauge\n\
            etcd_network_active_peers{Local=\"8ddab73534be950c\",Remote=\"a1\"} 1\n\
            etcd_network_active_peers{Local=\"8ddab73534be950c\",Remote=\"b2\"} 0\n\
            etcd_network_peer_sent_bytes_total{To=\"a1\"} 1.2501337e+07\n\
            etcd_network_peer_sent_bytes_total{To=\"c3\"} 5\n";
        let expected = [
            (MemberId(0xa1), PeerStream { active: true, sent: 12_501_337 }),
            (MemberId(0xb2), PeerStream { active: false, sent: 0 }),
        ];
        assert_eq!(streams(metrics), Some(BTreeMap::from(expected)));
        assert_eq!(streams("etcd_server_has_leader 1\n"), None, "a lone member, or one that does not tell");
    }
}
