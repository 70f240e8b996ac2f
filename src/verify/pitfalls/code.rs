//! The stable codes of the pitfalls: `EP` and three digits, with a name. Codes are never reused.

use std::fmt;
use std::str::FromStr;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal $name:literal,)*) => {
        /// A pitfall's stable code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $variant = $number,)*
        }

        impl Code {
            /// Every code, ascending.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name that goes with the code, such as `missing-client-auth`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

codes! {
    /// A client or peer certificate that may not be used by clients.
    MissingClientAuth = 1 "missing-client-auth",
    /// A server certificate that etcd's own gateway cannot use.
    GatewayClientAuth = 2 "gateway-client-auth",
    /// A server certificate that may not be used by servers.
    MissingServerAuth = 3 "missing-server-auth",
    /// No IP SANs at all.
    NoIpSan = 4 "no-ip-san",
    /// SANs, but not the one that is dialled.
    WrongSan = 5 "wrong-san",
    /// An address written as a DNS SAN.
    IpAsDnsSan = 6 "ip-as-dns-san",
    /// A name that stands in the common name only.
    CommonNameOnly = 7 "common-name-only",
    /// Key and certificate that do not belong together.
    KeyMismatch = 8 "key-mismatch",
    /// An encrypted key.
    KeyEncrypted = 9 "key-encrypted",
    /// A key that Go cannot read or use.
    KeyUnusable = 10 "key-unusable",
    /// Another certificate before the leaf.
    LeafNotFirst = 11 "leaf-not-first",
    /// The leaf has expired.
    Expired = 12 "expired",
    /// The leaf is not yet valid.
    NotYetValid = 13 "not-yet-valid",
    /// An intermediate or root has expired.
    CaExpired = 14 "ca-expired",
    /// An intermediate or root is not yet valid.
    CaNotYetValid = 15 "ca-not-yet-valid",
    /// Signed by nobody who is trusted.
    UnknownAuthority = 16 "unknown-authority",
    /// A CA of the same name with another key.
    SameNameOtherKey = 17 "same-name-other-key",
    /// The intermediate is not sent along.
    MissingIntermediate = 18 "missing-intermediate",
    /// The signer is no CA.
    NotACa = 19 "not-a-ca",
    /// Too many intermediates.
    PathLength = 20 "path-length",
    /// A name constraint forbids a SAN.
    NameConstraint = 21 "name-constraint",
    /// Signed with MD5, SHA-1, SHA-224 and the like.
    WeakSignature = 22 "weak-signature",
    /// An RSA key that is too small to work.
    RsaTooSmall = 23 "rsa-too-small",
    /// An RSA key above 8192 bits.
    RsaTooLarge = 24 "rsa-too-large",
    /// A curve that Go cannot use.
    UnsupportedCurve = 25 "unsupported-curve",
    /// A negative serial number.
    NegativeSerial = 26 "negative-serial",
    /// An extension that is there twice.
    DuplicateExtension = 27 "duplicate-extension",
    /// A critical extension that Go does not handle.
    UnknownCriticalExtension = 28 "unknown-critical-extension",
    /// A certificate that Go does not read.
    MalformedCertificate = 29 "malformed-certificate",
    /// DER, or no PEM at all.
    NotPem = 30 "not-pem",
    /// A request or a key where a certificate belongs.
    NotACertificate = 31 "not-a-certificate",
    /// A CA file without a certificate.
    EmptyCaFile = 32 "empty-ca-file",
    /// A CA file with something else in it.
    CaFileJunk = 33 "ca-file-junk",
    /// A peer that dials from an address that its certificate does not have.
    PeerSourceAddress = 34 "peer-source-address",
    /// The client sends no certificate.
    NoClientCertificate = 35 "no-client-certificate",
    /// `--trusted-ca-file` without `--client-cert-auth`.
    CaWithoutClientAuth = 36 "ca-without-client-cert-auth",
    /// `--client-cert-auth` without `--trusted-ca-file`.
    ClientAuthWithoutCa = 37 "client-cert-auth-without-ca",
    /// `--*-allowed-cn`, `--*-allowed-hostname`.
    AllowedName = 38 "allowed-name",
    /// A gRPC proxy's certificate with a common name.
    ProxyCommonName = 39 "proxy-common-name",
    /// Plain HTTP to a TLS port.
    HttpToTls = 40 "http-to-tls",
    /// TLS to a plain port.
    TlsToHttp = 41 "tls-to-http",
    /// An https URL and no certificate.
    HttpsWithoutCertificate = 42 "https-without-certificate",
    /// An http URL and certificates.
    HttpWithCertificates = 43 "http-with-certificates",
    /// 0.0.0.0 advertised.
    WildcardAdvertised = 44 "wildcard-advertised",
    /// http advertised although TLS is on.
    HttpAdvertised = 45 "http-advertised",
    /// A client that speaks TLS 1.1 at most.
    TlsTooOld = 46 "tls-too-old",
    /// An OpenSSL client that does not trust the server.
    BadRecordMac = 47 "bad-record-mac",
    /// Flags of etcdctl v2 given to v3, or the other way round.
    WrongApiFlags = 48 "wrong-api-flags",
    /// A key that etcd may not read.
    KeyUnreadable = 49 "key-unreadable",
    /// Variables of etcd 3.3 and older.
    OldVariables = 50 "old-variables",
    /// A certificate without its key.
    HalfAPair = 51 "half-a-pair",
    /// A common name that is an etcd user.
    CommonNameUser = 52 "common-name-user",
    /// A certificate revocation list that rejects everyone.
    BrokenCrl = 53 "broken-crl",
    /// A revoked certificate.
    Revoked = 54 "revoked",
    /// SRV discovery checks the discovery domain.
    SrvDiscovery = 55 "srv-discovery",
    /// More than 100 signatures to check.
    SignatureLimit = 56 "signature-limit",
    /// Policies that the chain demands and lacks.
    CertificatePolicies = 57 "certificate-policies",
    /// A server certificate that the client's CA file does not cover.
    ServerNotTrusted = 58 "server-not-trusted",
    /// A variable beside its flag, or both kinds of credentials.
    ConflictingFlags = 59 "conflicting-flags",
    /// A member that cannot be reached.
    Unreachable = 61 "unreachable",
    /// Cipher suites, curves or signature algorithms without one in common.
    NoCommonCipher = 70 "no-common-cipher",
    /// An address that etcd cannot listen on.
    ListenAddress = 71 "listen-address",
    /// An option that this etcd does not have.
    UnknownOption = 72 "unknown-option",
    /// A member of another cluster, or of one that no longer has it.
    OtherCluster = 73 "other-cluster",
    /// A port that serves something else.
    WrongService = 74 "wrong-service",
    /// A unit whose process systemd cannot start.
    UnitCannotStart = 75 "unit-cannot-start",
    /// A connection that is closed before the handshake is over.
    ClosedInHandshake = 76 "closed-in-handshake",
    /// A connection that the server closes after the handshake, without a reason that a client sees.
    ClosedWithoutAlert = 77 "closed-without-alert",
    /// A gRPC port that does not check the revocation list.
    CrlNotChecked = 78 "crl-not-checked",

    /// The certificate ends soon.
    ExpiresSoon = 101 "expires-soon",
    /// A leaf that is valid for very long.
    LongValidity = 102 "long-validity",
    /// A leaf that outlives its CA.
    OutlivesCa = 103 "outlives-ca",
    /// A root that is signed with SHA-1 or MD5.
    WeakRootSignature = 104 "weak-root-signature",
    /// A serial number that is zero or too long.
    OddSerial = 105 "odd-serial",
    /// No subject or authority key identifier.
    NoKeyIdentifier = 106 "no-key-identifier",
    /// A member's certificate without 127.0.0.1.
    NoLoopbackSan = 107 "no-loopback-san",
    /// A wildcard SAN in a peer's certificate.
    WildcardSan = 108 "wildcard-san",
    /// RSA below 2048 bits.
    WeakRsa = 109 "weak-rsa",
    /// A key that others can read.
    KeyExposed = 110 "key-exposed",
    /// A key that etcd's user does not own.
    KeyOwner = 111 "key-owner",
    /// The CA's key lies beside a member's files.
    CaKeyOnNode = 112 "ca-key-on-node",
    /// A leaf that is a CA.
    LeafIsCa = 113 "leaf-is-ca",
    /// A leaf without any extended key usage.
    NoUsageLimit = 114 "no-usage-limit",
    /// A revocation list past its next update.
    StaleCrl = 115 "stale-crl",
    /// A revocation list that another CA has signed.
    ForeignCrl = 116 "foreign-crl",
    /// A process that runs with other settings than the disk holds.
    Drift = 120 "drift",
    /// A port that serves another certificate than the one on disk.
    ServedOlder = 121 "served-older",
    /// A CA file that changed after the process had read it.
    CaNotReloaded = 122 "ca-not-reloaded",
}

impl Code {
    /// The number behind `EP`.
    pub const fn number(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EP{:03}", self.number())
    }
}

impl FromStr for Code {
    type Err = ();

    /// Reads `EP012`, `ep12` or the name.
    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim().to_ascii_lowercase();
        let number = text.strip_prefix("ep").and_then(|digits| digits.parse::<u16>().ok());
        let found = Self::ALL.iter().find(|code| Some(code.number()) == number || code.name() == text);
        found.copied().ok_or(())
    }
}

impl serde::Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
