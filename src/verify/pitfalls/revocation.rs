//! Revocation: where etcd does not check a list, and what a client sees where it does.

use super::{Code, Pitfall};

pub(super) const FAMILY: &[Pitfall] = &[
    Pitfall {
        code: Code::ClosedWithoutAlert,
        title: "the server closes the connection after the handshake, without an alert",
        says: &[],
        cause: "etcd makes some checks only after the TLS handshake, and closes the connection when one fails: the \
            certificate is on the list of --client-crl-file or --peer-crl-file (EP054), the list cannot be read (EP053), \
            or, on a peer port, the certificate lacks the address that the member dials from (EP034). A proxy between \
            the two closes connections as well. The reason is in the server's log only.",
        cure: "Read the server's log: journalctl -u etcd | etcd-pki explain -",
        proof: "etcd-pki verify --connect HOST:PORT --ca CA --cert CERT",
    },
    Pitfall {
        code: Code::CrlNotChecked,
        title: "the gRPC port does not check the revocation list",
        says: &[],
        cause: "Where --listen-client-http-urls is set, the ports of --listen-client-urls serve gRPC only, and such a port \
            does not check --client-crl-file: revoked clients are let in (GHSA-3wh4-j44w-pg92). etcd 3.4 from 3.4.25 on, \
            3.5.8 to 3.5.31 and 3.6.0 to 3.6.12 have this fault. One port for both, HTTP ports and peer ports check the list.",
        cure: "Upgrade to 3.5.32, 3.6.13, 3.7.0 or later. Else remove --listen-client-http-urls, or replace the CA.",
        proof: "etcd-pki verify --node [USER@]HOST",
    },
];
