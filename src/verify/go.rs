//! Whose rules apply: the Go that an etcd was built with.

mod releases;

use std::fmt;
use std::str::FromStr;

use super::godebug::{Relaxed, Rule};

/// A Go release, such as 1.19.8. Judging differs between releases; see the constants' notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoVersion {
    minor: u16,
    patch: u16,
    relaxed: Relaxed,
}

impl GoVersion {
    /// The newest release whose rules are known here.
    pub const NEWEST: Self = Self::new(27, 0);

    // Where Go's judgement changed with a release. Read in the sources of 1.19.8, 1.21 to 1.27; what came with patch
    // releases too is a [`Since`].

    // 1.15 to 1.19: read in 1.15.15, 1.16.14, 1.17.13, 1.18 and 1.19.8.

    /// The common name is no host's name any more.
    pub(crate) const NO_COMMON_NAME: Self = Self::new(15, 0);
    /// SANs must be ASCII; of several lists of extended usages the last counts.
    pub(crate) const ASCII_SANS: Self = Self::new(16, 0);
    /// DSA signs no certificates any more.
    pub(crate) const NO_DSA: Self = Self::new(16, 0);
    /// Issuers are looked for by their names alone, and sorted by key identifiers; before, those with the right key
    /// identifier were the only ones, whatever their names.
    pub(crate) const ISSUERS_BY_NAME: Self = Self::new(16, 0);
    /// No setting brings the common name back.
    pub(crate) const SANS_ONLY: Self = Self::new(17, 0);
    /// Certificates are read with `cryptobyte`, no longer with `encoding/asn1`.
    pub(crate) const CRYPTOBYTE: Self = Self::new(17, 0);
    /// No leading zeros in an IPv4 address.
    pub(crate) const NO_LEADING_ZEROS: Self = Self::new(17, 0);
    /// Server Gated Cryptography is no serverAuth any more.
    pub(crate) const NO_GATED_CRYPTO: Self = Self::new(18, 0);
    /// SHA-1 signatures are refused from here on.
    pub(crate) const NO_SHA1: Self = Self::new(18, 0);
    /// Extensions must not be repeated.
    pub(crate) const NO_DUPLICATES: Self = Self::new(19, 0);
    /// Name constraints look at the constraining certificate too; a chain never has the same subject and key twice, and
    /// what is above a certificate is worked out anew in each chain.
    pub(crate) const OWN_NAMES: Self = Self::new(19, 0);
    /// RSA signatures are checked by code that takes odd moduli only, and signatures below the modulus.
    pub(crate) const ODD_MODULUS: Self = Self::new(20, 0);
    /// Arcs of object identifiers must be minimal; name constraints look at every certificate below, no longer at
    /// the leaf and the constraining certificate itself; errors say `tls: failed to verify certificate: `.
    pub(crate) const STRICT_OIDS: Self = Self::new(21, 0);
    /// Arcs of policies may be of any size.
    pub(crate) const LARGE_POLICIES: Self = Self::new(22, 0);
    /// A date's offset from UTC is at most 24 hours.
    pub(crate) const OFFSETS_OF_A_DAY: Self = Self::new(23, 0);
    /// `*` alone as a SAN covers nothing.
    pub(crate) const NO_BARE_WILDCARD: Self = Self::new(23, 0);
    /// Negative serial numbers and critical SKI, AKI and AIA are refused; duplicate extensions are named.
    pub(crate) const NO_NEGATIVE_SERIAL: Self = Self::new(23, 0);
    /// RSA below 1024 bits is refused, and even, small or large exponents; policies, their mappings and constraints
    /// are judged; a private key's numbers must fit each other.
    pub(crate) const POLICIES: Self = Self::new(24, 0);
    /// Policies are verified before usages (the fix of CVE-2025-22874).
    pub(crate) const POLICIES_FIRST: Self = Self::new(24, 4);
    /// A negative path length and reserved BMPString characters are refused.
    pub(crate) const NO_NEGATIVE_PATH: Self = Self::new(25, 0);
    /// Name constraints are checked once a chain stands, without a limit on comparisons; an RSA key's private half
    /// must have the same exponent as the certificate.
    pub(crate) const CHAIN_CONSTRAINTS: Self = Self::new(26, 0);
    /// IPv4-mapped addresses are refused; names may hold values that are no strings; ML-DSA is known.
    pub(crate) const NO_MAPPED: Self = Self::new(27, 0);
    /// Of a private key that cannot be read it is said what is wrong with it.
    pub(crate) const NAMED_KEY_ERRORS: Self = Self::new(27, 0);

    /// Go 1.`minor`.`patch`.
    pub const fn new(minor: u16, patch: u16) -> Self {
        Self { minor, patch, relaxed: Relaxed::NONE }
    }

    /// The same release with these settings, in the form of `GODEBUG`; those that it does not know, or that change no
    /// judgement, count for nothing.
    #[must_use]
    pub fn with_godebug(self, settings: &str) -> Self {
        Self { relaxed: self.relaxed.with(settings, self.minor), ..self }
    }

    /// Whether a setting relaxes a rule of it.
    pub(crate) const fn relaxes(self, rule: Rule) -> bool {
        self.relaxed.has(rule)
    }

    /// It as bytes, for a digest.
    pub(crate) const fn bytes(self) -> [u8; 5] {
        let (minor, patch) = (self.minor.to_be_bytes(), self.patch.to_be_bytes());
        [minor[0], minor[1], patch[0], patch[1], self.relaxed.byte()]
    }

    /// Whether it has a change that also came with patch releases.
    pub(crate) fn has(self, change: &Since) -> bool {
        let patched = |&(minor, patch): &(u16, u16)| self.minor == minor && self.patch >= patch;
        self.minor >= change.first || change.patched.iter().any(patched)
    }

    /// The Go that the upstream release of this etcd was built with; a release that is not known has that of the nearest
    /// one before it in its minor line. Distributions differ: `etcd --version` prints theirs, as does `go version` of the
    /// program (Debian 11's 3.3.25 says 1.15.9, Debian 12's 3.4.23 1.19.8, Debian 13's 3.5.16 1.24).
    pub fn of_etcd(version: &str) -> Result<Self, UnknownVersion> {
        releases::go_of(version)
    }
}

/// A change that a minor release brought, and patch releases of some before it. (1.24.8 and 1.25.2 had the first three of
/// October 2025 in a stricter form, which their successors took back within days; they are read as those.)
#[derive(Debug)]
pub(crate) struct Since {
    first: u16,
    patched: &'static [(u16, u16)],
}

impl Since {
    /// A handshake is refused that has an RSA key above 8192 bits.
    pub(crate) const NO_LARGE_RSA: Self = Self { first: 21, patched: &[(20, 7), (19, 12)] };
    /// A domain with an empty first label is none.
    pub(crate) const NO_LEADING_DOT: Self = Self { first: 23, patched: &[] };
    /// An IPv6 address with a zone is an address, as a URI's host.
    pub(crate) const ZONED_URIS: Self = Self { first: 24, patched: &[(23, 5), (22, 11)] };
    /// A PEM block begins with the last BEGIN line before an END line.
    pub(crate) const LAST_BEGIN: Self = Self { first: 26, patched: &[(25, 2), (24, 8)] };
    /// A URI's host in brackets must be an IPv6 address.
    pub(crate) const IP_LITERALS: Self = Self { first: 26, patched: &[(25, 2), (24, 8)] };
    /// The constraint `.` is none; certificates with the same key are told by its bytes, and DSA keys cause no panic.
    pub(crate) const KEY_BYTES: Self = Self { first: 26, patched: &[(25, 2), (24, 8)] };
    /// An excluded name excludes the wildcard over it (CVE-2025-61727); many names are counted in errors.
    pub(crate) const EXCLUDED_WILDCARDS: Self = Self { first: 26, patched: &[(25, 5), (24, 11)] };
    /// A URI's host has brackets at its beginning or not at all.
    pub(crate) const LEADING_BRACKETS: Self = Self { first: 27, patched: &[(26, 1), (25, 8)] };
    /// Candidates that are in the chain already count as signature checks.
    pub(crate) const COUNTED_LOOPS: Self = Self { first: 27, patched: &[(26, 2), (25, 9)] };
    /// Colons in a URI's host are refused with http and https only; with almost all schemes before, and with none
    /// before 1.26.
    pub(crate) const COLONS_OF_HTTP: Self = Self { first: 27, patched: &[(26, 2)] };
}

/// An etcd release: the Go that it was built with, and what etcd itself does differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EtcdVersion {
    release: (u16, u16),
    patch: Option<u16>,
    go: GoVersion,
}

impl EtcdVersion {
    /// Whose rules it follows.
    pub const fn go(self) -> GoVersion {
        self.go
    }

    /// Major and minor release, and the patch release where it is known.
    pub(crate) const fn numbers(self) -> ((u16, u16), Option<u16>) {
        (self.release, self.patch)
    }

    /// From 3.4 on a trusted CA alone has certificates demanded, with `client-cert-auth` off too (etcd's `ServerConfig`; 3.3.25
    /// lets clients without a certificate in).
    pub(crate) fn demands_by_ca_alone(self) -> bool {
        self.release >= (3, 4)
    }

    /// From 3.6 on a revocation list in PEM is not read.
    pub(crate) fn reads_der_lists_only(self) -> bool {
        self.release >= (3, 6)
    }
}

impl FromStr for EtcdVersion {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let go = GoVersion::of_etcd(text)?;
        let (major, minor, patch) = numbers(text).ok_or_else(|| UnknownVersion(text.to_owned()))?;
        Ok(Self { release: (major, minor), patch, go })
    }
}

/// A version that is none, or that is older than anything known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no version that is known here")]
pub struct UnknownVersion(String);

impl FromStr for GoVersion {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match numbers(text.strip_prefix("go").unwrap_or(text)) {
            Some((1, minor, patch)) => Ok(Self::new(minor, patch.unwrap_or(0))),
            _ => Err(UnknownVersion(text.to_owned())),
        }
    }
}

impl fmt::Display for GoVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}.{}", self.minor, self.patch)
    }
}

/// `X.Y` or `X.Y.Z`, with a `v` before and `-rc.0`, `+git` behind.
fn numbers(text: &str) -> Option<(u16, u16, Option<u16>)> {
    let text = text.trim().trim_start_matches('v');
    let text = text.split(['-', '+', ' ']).next()?;
    let mut parts = text.split('.').map(|part| part.parse::<u16>().ok());
    let major = parts.next()??;
    let minor = parts.next()??;
    let patch = match parts.next() {
        None => None,
        Some(part) => Some(part?),
    };
    parts.next().is_none().then_some((major, minor, patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etcd_release_has_its_go() {
        let go = |text: &str| GoVersion::of_etcd(text).unwrap().to_string();
        assert_eq!(go("3.5.16"), "1.22.7");
        assert_eq!(go("v3.5.17"), "1.22.9");
        assert_eq!(go("3.4"), "1.25.10");
        assert_eq!(go("3.4.23"), "1.17.13");
        assert_eq!("3.6.5".parse::<EtcdVersion>().unwrap().go(), GoVersion::new(24, 7));
        assert_eq!("3.7.1".parse::<EtcdVersion>().unwrap().go(), GoVersion::new(26, 5));
    }

    #[test]
    fn go_versions_are_ordered() {
        let go = |text: &str| text.parse::<GoVersion>().unwrap();
        assert!(go("1.19.8") < go("go1.23") && go("1.23") < GoVersion::NEWEST);
        let relaxed = go("1.23").with_godebug("x509negativeserial=1");
        assert!(
            relaxed > go("1.23")
                && relaxed < go("1.23.1")
                && go("1.22").with_godebug("rsa1024min=0") == go("1.22")
        );
        assert!("2.0".parse::<GoVersion>().is_err() && "1".parse::<GoVersion>().is_err());
    }
}
