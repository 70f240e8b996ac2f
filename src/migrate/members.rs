//! The commands by which a person moves the peer URLs by hand, one member at a time: what replaces the awk lines of
//! the old documents.

use serde::Serialize;

use crate::etcd::types::join;
use crate::etcd::{ClientUrl, PeerUrl};

/// Which program is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `etcdctl` of the v2 API: 3.3 and older, or `ETCDCTL_API=2`.
    EtcdctlV2,
    /// `etcdctl` of the v3 API.
    EtcdctlV3,
    /// `curl` to the v2 API: the only way on 2.1 and older.
    Curl,
}

impl Style {
    /// What suits a version: `etcdctl` speaks v3 by default from 3.4 on, and has no `member update` before 2.2.
    pub fn for_version(version: &str) -> Self {
        let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        match (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) {
            (0..=1, _) | (2, 0..=1) => Self::Curl,
            (2, _) | (3, 0..=3) => Self::EtcdctlV2,
            _ => Self::EtcdctlV3,
        }
    }
}

/// A member whose peer URLs are to move.
#[derive(Debug, Clone)]
pub struct Mover {
    /// Its name.
    pub name: String,
    /// Its identifier, in hexadecimal.
    pub id: String,
    /// The peer URLs it is to have.
    pub peer_urls: Vec<PeerUrl>,
    /// What its peer listeners must be when it is restarted.
    pub listen: String,
    /// Where the plain-text loopback listener is.
    pub endpoint: ClientUrl,
    /// Its unit.
    pub unit: String,
    /// The directory of its certificates.
    pub ssl_dir: String,
}

/// What is typed for one member, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Commands {
    /// The member.
    pub member: String,
    /// What its peer listeners must be when it is restarted.
    pub listen: String,
    /// Tells the cluster its new peer URL.
    pub update: String,
    /// Starts it with the https listeners.
    pub restart: String,
    /// Must succeed before the next member.
    pub check: String,
}

/// The commands for one member.
pub fn commands(mover: &Mover, style: Style) -> Commands {
    let Mover { name, id, endpoint, unit, ssl_dir, .. } = mover;
    let urls = join(&mover.peer_urls);
    let (update, check) = match style {
        Style::EtcdctlV3 => (
            format!("ETCDCTL_API=3 etcdctl --endpoints {endpoint} member update {id} --peer-urls={urls}"),
            format!(
                "ETCDCTL_API=3 etcdctl --endpoints {endpoint} endpoint health --cluster \
                     --cacert {ssl_dir}/ca.pem --cert {ssl_dir}/{name}.pem --key {ssl_dir}/{name}-key.pem"
            ),
        ),
        Style::EtcdctlV2 => (
            format!("ETCDCTL_API=2 etcdctl --no-sync --endpoints {endpoint} member update {id} {urls}"),
            format!(
                "ETCDCTL_API=2 etcdctl --endpoints {endpoint} --ca-file {ssl_dir}/ca.pem --cert-file {ssl_dir}/{name}.pem \
                     --key-file {ssl_dir}/{name}-key.pem cluster-health"
            ),
        ),
        Style::Curl => {
            let list: Vec<String> = mover.peer_urls.iter().map(ToString::to_string).collect();
            let body = serde_json::json!({ "peerURLs": list });
            (
                format!(
                    "curl -fsS -XPUT -H 'Content-Type: application/json' {endpoint}/v2/members/{id} -d '{body}'"
                ),
                format!("curl -fsS {endpoint}/health"),
            )
        }
    };
    Commands {
        member: name.clone(),
        listen: mover.listen.clone(),
        update,
        restart: format!("systemctl daemon-reload && systemctl restart {unit}"),
        check,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mover() -> Mover {
        Mover {
            name: "server1".into(),
            id: "2428639343c1baab".into(),
            peer_urls: vec!["https://172.16.0.102:2380".parse().unwrap()],
            listen: "https://0.0.0.0:2380".into(),
            endpoint: "http://127.0.0.1:4001".parse().unwrap(),
            unit: "etcd2.service".into(),
            ssl_dir: "/etc/ssl/etcd".into(),
        }
    }

    #[test]
    fn the_three_forms_of_the_update() {
        assert_eq!(
            commands(&mover(), Style::EtcdctlV3).update,
            "ETCDCTL_API=3 etcdctl --endpoints http://127.0.0.1:4001 member update 2428639343c1baab \
             --peer-urls=https://172.16.0.102:2380"
        );
        assert_eq!(
            commands(&mover(), Style::EtcdctlV2).update,
            "ETCDCTL_API=2 etcdctl --no-sync --endpoints http://127.0.0.1:4001 member update 2428639343c1baab \
             https://172.16.0.102:2380"
        );
        assert_eq!(
            commands(&mover(), Style::Curl).update,
            "curl -fsS -XPUT -H 'Content-Type: application/json' http://127.0.0.1:4001/v2/members/2428639343c1baab \
             -d '{\"peerURLs\":[\"https://172.16.0.102:2380\"]}'"
        );
    }

    #[test]
    fn the_form_that_suits_a_version() {
        for (version, style) in [
            ("2.1.3", Style::Curl),
            ("2.2.0", Style::EtcdctlV2),
            ("3.3.25", Style::EtcdctlV2),
            ("3.4.23", Style::EtcdctlV3),
        ] {
            assert_eq!(Style::for_version(version), style, "{version}");
        }
    }
}
