//! Years later: certificates that end while they are in force.

use crate::lab_support::faults::{EXPIRED, Hosts};
use crate::lab_support::{Lab, all};

#[test]
fn a_pair_that_has_expired_in_force_is_told_renewed_and_installed() {
    if !all() {
        return crate::support::not_run("a pair that has expired in force");
    }
    let Some(lab) = Lab::with("3.4.23", "debian", &["--hosts", "1"]) else { return };
    let (hosts, install) = (Hosts { own: 1, others: (1, 1) }, ["install", "--from", "cluster.toml"]);
    lab.done(&["migrate", "apply", "--yes"]);
    lab.done(&["migrate", "seal", "--yes"]);

    // Nobody renewed it in time. Nothing but https is left, and nobody gets in any more.
    (EXPIRED.strike)(&lab, hosts);
    let pair = std::fs::read_to_string(lab.home.path().join("pki/server1.pem")).unwrap();
    lab.on("server1", &format!("printf %s '{pair}' >/etc/ssl/etcd/server1.pem"));
    let (exit, code, message, hint) = lab.refused(&["migrate", "status"]);
    assert_eq!((exit, code.as_str()), (1, "no-answer"), "{message}");
    assert!(message.contains("TLS: ") && hint.contains("etcd-pki renew"), "{message} {hint}");
    let judged = lab.tool(&["verify", "--cluster", "--json"]);
    assert_eq!(judged.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&judged.stdout).contains("EP012"), "it says why");

    // One that has expired is not placed; a new one is, without a restart.
    let refused = lab.tool(&install);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("has expired") && said.contains("etcd-pki renew server1"), "{said}");
    let started = lab.on("server1", "systemctl show -P MainPID etcd");
    lab.done(&["renew", "server1"]);
    lab.done(&install);
    lab.done(&["migrate", "status"]);
    assert_eq!(lab.on("server1", "systemctl show -P MainPID etcd"), started);
    lab.done(&["migrate", "rollback", "--yes"]);
    lab.on("server1", "test ! -e /etc/ssl/etcd/server1-key.pem");
}
