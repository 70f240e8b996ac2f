//! What is accepted from outside, at most. Anything more is refused with an error that names the limit, before it
//! fills the memory or keeps the tool busy without end. The limits lie far above what is useful, and far below what a
//! machine lacks.

/// A limit on the size of an input, and what the input is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The most bytes that are accepted.
    pub bytes: u64,
    /// What the input is read as, in the plural, such as `certificate requests`.
    pub of: &'static str,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Certificates, keys, CA bundles and revocation lists: Debian's bundle of all public CAs has 0.2 MiB, a list of
/// 400,000 serials 16 MiB.
pub const PKI: Limit = Limit { bytes: 16 * MIB, of: "certificates, keys and revocation lists" };

/// A certificate request: one with the most names and the largest key that is signed has 40 KiB, and openssl's text form
/// before it as much again.
pub const REQUEST: Limit = Limit { bytes: 128 * KIB, of: "certificate requests" };

/// A `cluster.toml`: 100,000 entries have about 10 MiB.
pub const INVENTORY: Limit = Limit { bytes: 32 * MIB, of: "cluster.toml files" };

/// A profile template.
pub const TEMPLATE: Limit = Limit { bytes: 64 * KIB, of: "profile templates" };

/// A file with a user name and a password in its first line.
pub const USER: Limit = Limit { bytes: 4 * KIB, of: "user files" };

/// The first line of a passphrase file: more than anybody types.
pub const PASSPHRASE: Limit = Limit { bytes: 4 * KIB, of: "passphrases" };

/// A log for `explain`: some days of a busy member's journal. It is read line by line, so this bounds time, not memory.
pub const LOG: Limit = Limit { bytes: 64 * MIB, of: "logs" };

/// One line of a log, in bytes; what a longer line has beyond this is passed over.
pub const LOG_LINE: usize = 64 << 10;

/// A file of a PKI directory or of this program's own state, such as the ledger: two million lines.
pub const OWN: Limit = Limit { bytes: 1024 * MIB, of: "files of a PKI directory" };

/// Members, clients and proxies of a `cluster.toml`.
pub const INVENTORY_ENTRIES: usize = 100_000;

/// Names and addresses that a certificate request may ask for, as public CAs have it (Let's Encrypt: 100).
pub const REQUEST_NAMES: usize = 100;

/// Names and addresses of any certificate that is issued.
///
/// With [`CA_CONSTRAINTS`] it stays below the 250,000 comparisons after which Go gives up on a chain
/// (crypto/x509, `MaxConstraintComparisions`).
pub const CERTIFICATE_NAMES: usize = 1000;

/// Bytes of all names of a certificate together, as they stand in it.
///
/// The certificate and its intermediates travel in one TLS message, of which Go 1.19 takes 64 KiB (crypto/tls,
/// `maxHandshake`; newer ones 256 KiB) and OpenSSL 100 KiB. A certificate of our own has 1 KiB besides its names, an
/// intermediate with the most constraints some KiB.
pub const CERTIFICATE_NAMES_BYTES: usize = 32 << 10;

/// Address ranges and domains that a CA may be limited to.
pub const CA_CONSTRAINTS: usize = 200;

/// Bits of an RSA key: what ring and rustls verify. Go refuses larger ones in TLS from 1.20.8 and 1.21.1 on.
pub const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The least public exponent of an RSA key (2^16 + 1; CA/Browser Forum Baseline Requirements 6.1.6).
pub const RSA_EXPONENT_MIN: u64 = 65_537;

/// The greatest one: Go's `crypto/rsa` holds it in 31 bits.
pub const RSA_EXPONENT_MAX: u64 = (1 << 31) - 1;

/// Rounds of PBKDF2 when a key is opened. Openssl's default is 2048, OWASP's advice 600,000.
pub const PBKDF2_ROUNDS: u32 = 10_000_000;

/// Bytes of memory that scrypt may take when a key is opened (128·N·r): what age takes (N = 2^18, r = 8). Openssl
/// itself stops at 32 MiB.
pub const SCRYPT_MEMORY: u64 = 256 * MIB;

/// The work of scrypt (N·r·p): four times that of the most memory, some seconds.
pub const SCRYPT_WORK: u64 = 1 << 23;

/// Lanes of scrypt (p), each of which takes memory too.
pub const SCRYPT_LANES: u16 = 16;

/// A number of bytes as people read it: `16 MiB`, `1 byte`.
pub fn size(bytes: u64) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        _ if bytes >= GIB && bytes.is_multiple_of(GIB) => format!("{} GiB", bytes / GIB),
        _ if bytes >= MIB && bytes.is_multiple_of(MIB) => format!("{} MiB", bytes / MIB),
        _ if bytes >= KIB && bytes.is_multiple_of(KIB) => format!("{} KiB", bytes / KIB),
        _ => format!("{bytes} bytes"),
    }
}
