//! What a port serves, compared with what lies on the disk.

use ::time::OffsetDateTime;

use super::certificate::Certificate;
use super::when::rfc3339;
use super::{Code, Finding, GoVersion, Severity, host_name, pem};

/// What is compared of a leaf.
struct Identity {
    der: Vec<u8>,
    subject: Vec<u8>,
    serial: String,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
}

fn identity(chain: &[u8], go: GoVersion) -> Option<Identity> {
    let blocks = pem::blocks(chain, go);
    let block = blocks.iter().find(|block| block.is_certificate())?;
    let leaf = Certificate::parse(&block.der, go).ok()?;
    Some(Identity {
        der: block.der.to_vec(),
        subject: leaf.subject.to_vec(),
        serial: leaf.serial.iter().map(|byte| format!("{byte:02x}")).collect(),
        not_before: leaf.not_before,
        not_after: leaf.not_after,
    })
}

/// Whether two chains have leaves of the same subject.
pub fn same_subject(one: &[u8], other: &[u8], go: GoVersion) -> bool {
    match (identity(one, go), identity(other, go)) {
        (Some(one), Some(other)) => one.subject == other.subject,
        _ => false,
    }
}

/// The finding that another certificate is served at `place` than the one on the disk; `None` when it is the same.
pub fn differs(served: &[u8], disk: &[u8], place: &str, go: GoVersion) -> Option<Finding> {
    let (served, disk) = (identity(served, go)?, identity(disk, go)?);
    if served.der == disk.der {
        return None;
    }
    let age = if served.not_before < disk.not_before { "an older" } else { "another" };
    Some(Finding {
        code: Code::ServedOlder,
        severity: Severity::Warning,
        message: format!(
            "{place} serves {age} certificate than the one on disk: serial {} until {}; on disk serial {} until {}",
            served.serial,
            rfc3339(served.not_after),
            disk.serial,
            rfc3339(disk.not_after)
        ),
        etcd_says: None,
        fix: Some(
            "install the pair on that node (etcd reads it at the next handshake): `etcd-pki install NAME --host HOST`".into(),
        ),
    })
}

/// Whether a chain's leaf covers a name or address.
pub fn covers(chain: &[u8], host: &str, go: GoVersion) -> bool {
    let blocks = pem::blocks(chain, go);
    let leaf = blocks.iter().find(|block| block.is_certificate());
    let leaf = leaf.and_then(|block| Certificate::parse(&block.der, go).ok());
    leaf.is_some_and(|leaf| host_name::verify_host(&leaf, host, go).is_ok())
}
