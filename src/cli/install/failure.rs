//! What `install` says when it cannot.

use std::io::ErrorKind;
use std::path::Path;

use super::super::Failure;
use crate::advice::{Advice, CommandLine};
use crate::files::FileError;
use crate::host::HostError;
use crate::host::bundle::BundleError;
use crate::host::install::InstallError;

pub(super) fn of_bundle(error: &BundleError, name: &str, dir: &str) -> Failure {
    let message = format!("{dir}: {error}");
    match error {
        BundleError::AuthorityItself { .. } => Failure::no("ca-key-refused", error.to_string())
            .hint("issue a pair for the node and install that: `etcd-pki issue NAME --ip ADDRESS`"),
        BundleError::BadName { fault, .. } => {
            Failure::usage("bad-name", error.to_string()).hint(fault.hint.clone())
        }
        BundleError::Expired { .. } => {
            Failure::no("expired", message).hint(CommandLine::new("renew").arg(name))
        }
        BundleError::File(source) => Failure::usage("unreadable-pki", source.to_string())
            .hint("run as the user that owns the PKI directory, or name another with --pki-dir"),
        BundleError::HoldsKey { .. } => {
            Failure::no("key-in-certificate", message).hint("keep only CERTIFICATE blocks in that file")
        }
        BundleError::KeyEncrypted { .. } => {
            Failure::no("key-encrypted", message).hint("decrypt it: `openssl pkey -in KEY -out NEWKEY`")
        }
        BundleError::KeyMismatch { .. } => Failure::no("key-mismatch", message)
            .hint(format!("issue the pair again: `etcd-pki issue {name} --ip ADDRESS --force`")),
        BundleError::Missing { path } => {
            let line = if path.ends_with("ca.pem") {
                CommandLine::new("init-ca")
            } else {
                CommandLine::new("issue").arg(name).option("--ip", "ADDRESS")
            };
            Failure::usage("no-such-pair", error.to_string()).hint(
                Advice::from("make it with ").and(line).and(", or name another directory with --pki-dir"),
            )
        }
        BundleError::NotPem { .. } => {
            Failure::no("not-pem", message).hint(CommandLine::new("inspect").arg(format!("{dir}/{name}.pem")))
        }
        BundleError::WrongCa { .. } => Failure::no("wrong-ca", message)
            .hint("put the CA that signed it, or the intermediates, into that directory"),
    }
}

pub(super) fn of_install(error: &InstallError, to: &Path) -> Failure {
    let to = to.display();
    match error {
        InstallError::Directory { .. } => Failure::no("bad-directory", error.to_string())
            .hint("--to takes the absolute path of a directory on the node"),
        InstallError::Foreign { .. } => Failure::no("foreign-file", error.to_string())
            .hint("choose another directory with --to, or replace it with --force"),
        InstallError::NoTrustStore { .. } => Failure::no("no-trust-store", error.to_string())
            .hint("Debian's, Fedora's, SUSE's and Container Linux's are known; elsewhere add ca.pem by hand"),
        InstallError::Unfinished { .. } => Failure::failed("half-done", error.to_string())
            .hint("run it again: any install into that directory completes what was begun"),
        InstallError::Untrusted { program, .. } => Failure::no("trust-store", error.to_string())
            .hint(format!("run {program} there and see what it says, then run this again")),
        InstallError::NotRegular { .. } => Failure::no("not-a-regular-file", error.to_string())
            .hint("it is not followed or replaced: move it away, or choose another directory with --to"),
        InstallError::Host(HostError::File { source, .. }) => {
            let message = error.to_string();
            match source.io_kind() {
                Some(ErrorKind::PermissionDenied) => Failure::no("permission-denied", message).hint(
                    "run as root (sudo), or name a directory and an owner of yours with --to and --owner",
                ),
                Some(ErrorKind::ReadOnlyFilesystem) => Failure::no("read-only", message)
                    .hint(format!("{to} is on a read-only file system: choose another with --to")),
                Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                    Failure::no("disk-full", message).hint("nothing was replaced: make room and run again")
                }
                Some(ErrorKind::FileTooLarge) => Failure::no("file-too-large", message)
                    .hint("no certificate or key is that large: look at it there, and move it away"),
                Some(ErrorKind::NotADirectory | ErrorKind::NotFound) => Failure::no("bad-directory", message)
                    .hint("--to takes the absolute path of a directory on the node"),
                _ if matches!(source, FileError::Diverted { .. }) => Failure::no("untrusted-path", message).hint(
                    format!("see who owns each directory on the way: namei -l {to}; name one with --to that root alone can rename"),
                ),
                _ if matches!(source, FileError::NotRegular { .. }) => {
                    Failure::no("not-a-regular-file", message).hint("move it away")
                }
                _ => Failure::no("cannot-install", message).hint("nothing was replaced: run again"),
            }
        }
        InstallError::Host(HostError::Ssh(error)) => {
            Failure::no(error.code(), error.to_string()).hint(error.hint())
        }
        InstallError::Host(HostError::Locked { .. }) => {
            Failure::no("locked", error.to_string()).hint("wait for it to end; it may be another operator")
        }
        InstallError::Host(other) => Failure::no("cannot-install", other.to_string()),
    }
}
