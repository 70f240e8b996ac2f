//! `GODEBUG`: settings by which a newer Go judges as an older one did.
//!
//! From Go 1.21 on a build has those of the Go that its module is written for, and the process' environment may say
//! otherwise. Upstream's etcd is built by the Go that its module names and so has none; Debian's etcd 3.5 is built with
//! those of an old Go (seen in 3.5.16 and 3.5.30: `x509negativeserial=1,rsa1024min=0,x509rsacrt=0,urlstrictcolons=0`).

/// Which rules are relaxed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Relaxed(u8);

/// A rule that a setting relaxes.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(crate) enum Rule {
    /// Names are looked for in SANs alone (`x509ignoreCN=0`, Go 1.15 and 1.16).
    IgnoredCommonName = 1,
    /// SHA-1 signatures are refused (`x509sha1=1`, Go 1.18 to 1.23).
    NoSha1 = 1 << 1,
    /// Negative serial numbers are refused (`x509negativeserial=1`).
    NoNegativeSerial = 1 << 2,
    /// RSA below 1024 bits is refused (`rsa1024min=0`).
    NoSmallRsa = 1 << 3,
    /// The numbers that an RSA key's file holds beside the primes must be right (`x509rsacrt=0`).
    RightRemainders = 1 << 4,
    /// One colon in a URI's host (`urlstrictcolons=0`).
    StrictColons = 1 << 5,
}

/// Settings: their names, the values that relax, and in which minor releases they are known.
const SETTINGS: [(&str, &str, Rule, std::ops::Range<u16>); 6] = [
    ("x509ignoreCN", "0", Rule::IgnoredCommonName, 15..17),
    ("x509sha1", "1", Rule::NoSha1, 18..24),
    ("x509negativeserial", "1", Rule::NoNegativeSerial, 23..u16::MAX),
    ("rsa1024min", "0", Rule::NoSmallRsa, 24..u16::MAX),
    ("x509rsacrt", "0", Rule::RightRemainders, 24..u16::MAX),
    ("urlstrictcolons", "0", Rule::StrictColons, 26..u16::MAX),
];

impl Relaxed {
    /// None of them.
    pub(super) const NONE: Self = Self(0);

    pub(super) const fn has(self, rule: Rule) -> bool {
        self.0 & rule as u8 != 0
    }

    pub(super) const fn byte(self) -> u8 {
        self.0
    }

    /// What `name=value,…` makes of it for a minor release; the last word on a setting holds.
    pub(super) fn with(self, settings: &str, minor: u16) -> Self {
        settings.split(',').filter_map(|one| one.split_once('=')).fold(self, |before, (name, value)| {
            let known = SETTINGS.iter().find(|(own, .., releases)| *own == name && releases.contains(&minor));
            match known {
                Some((_, relaxes, rule, _)) if *relaxes == value => Self(before.0 | *rule as u8),
                Some((_, _, rule, _)) => Self(before.0 & !(*rule as u8)),
                None => before,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_a_setting_holds_where_the_release_knows_it() {
        let debian = "panicnil=1,rsa1024min=0,x509negativeserial=1,x509rsacrt=0";
        let relaxed = Relaxed::NONE.with(debian, 24);
        assert!(relaxed.has(Rule::NoSmallRsa) && relaxed.has(Rule::NoNegativeSerial));
        assert!(!relaxed.has(Rule::StrictColons));
        let strict = relaxed.with("x509negativeserial=0", 24);
        assert!(!strict.has(Rule::NoNegativeSerial) && strict.has(Rule::NoSmallRsa));
        assert_eq!(Relaxed::NONE.with(debian, 22), Relaxed::NONE);
        assert_eq!(Relaxed::NONE.with("x509sha1=1,,x", 25), Relaxed::NONE);
        assert!(Relaxed::NONE.with("x509sha1=1", 23).has(Rule::NoSha1));
    }
}
