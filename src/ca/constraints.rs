//! A CA's name constraints (RFC 5280 4.2.1.10), read as Go reads them, so that nothing is signed that etcd would
//! refuse: excluded wins; permitted limits its own kind of name only; `example.com` covers itself and what is below,
//! `.example.com` only what is below; v4 never matches a v6 range.

use std::net::IpAddr;

use x509_parser::extensions::{GeneralName, GeneralSubtree};
use x509_parser::prelude::*;

use super::{CaError, San};

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// The first address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// The number of leading bits that count.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether `address` is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                masked(net.to_bits().into(), 32, self.prefix) == masked(ip.to_bits().into(), 32, self.prefix)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                masked(net.to_bits(), 128, self.prefix) == masked(ip.to_bits(), 128, self.prefix)
            }
            _ => false,
        }
    }
}

fn masked(bits: u128, width: u8, prefix: u8) -> u128 {
    bits.checked_shr(u32::from(width - prefix)).unwrap_or(0)
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl std::str::FromStr for Cidr {
    type Err = CaError;

    fn from_str(text: &str) -> Result<Self, CaError> {
        let wrong = |what: &str, hint: &str| Err(CaError::value("address range", text, what, hint));
        const FORM: &str = "give it as ADDRESS/BITS, such as 172.16.0.0/24";
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let Ok(address) = address.parse::<IpAddr>() else {
            return wrong("not an IP address", FORM);
        };
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix.map(str::parse::<u8>) {
            None => width,
            Some(Ok(prefix)) if prefix <= width => prefix,
            Some(_) => return wrong("the number of bits is not possible", FORM),
        };
        let range = Self { address, prefix };
        let first = range.first();
        if first != address {
            return wrong(
                "bits are set beyond the mask",
                &format!("the range that holds it is {first}/{prefix}"),
            );
        }
        Ok(range)
    }
}

impl Cidr {
    fn first(&self) -> IpAddr {
        let keep = |bits: u128, width: u8| {
            masked(bits, width, self.prefix).checked_shl(u32::from(width - self.prefix)).unwrap_or(0)
        };
        match self.address {
            IpAddr::V4(net) => {
                IpAddr::V4(std::net::Ipv4Addr::from_bits(keep(net.to_bits().into(), 32) as u32))
            }
            IpAddr::V6(net) => IpAddr::V6(std::net::Ipv6Addr::from_bits(keep(net.to_bits(), 128))),
        }
    }
}

/// One constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tree {
    Dns(String),
    Ip(Cidr),
    Email(String),
    Uri(String),
    /// A range that can hold nothing of ours, or is not understood.
    Other,
}

/// What a CA may certify.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Constraints {
    permitted: Vec<Tree>,
    excluded: Vec<Tree>,
}

impl Constraints {
    pub(super) fn from_certificate(certificate: &X509Certificate<'_>) -> Self {
        let Ok(Some(extension)) = certificate.name_constraints() else {
            return Self::default();
        };
        let trees = |subtrees: &Option<Vec<GeneralSubtree<'_>>>| {
            subtrees.iter().flatten().map(|subtree| tree(&subtree.base)).collect()
        };
        Self {
            permitted: trees(&extension.value.permitted_subtrees),
            excluded: trees(&extension.value.excluded_subtrees),
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.permitted.is_empty() && self.excluded.is_empty()
    }

    /// Refuses a name that the CA may not certify.
    ///
    /// # Errors
    /// [`CaError::OutsideConstraints`]
    pub fn check(&self, san: &San) -> Result<(), CaError> {
        let outside = |why: String| Err(CaError::OutsideConstraints { san: san.to_string(), why });
        if let Some(tree) = self.excluded.iter().find(|tree| tree.covers(san)) {
            return outside(format!("its name constraints exclude {tree}"));
        }
        let of_kind: Vec<&Tree> = self.permitted.iter().filter(|tree| tree.is_kind_of(san)).collect();
        if of_kind.is_empty() || of_kind.iter().any(|tree| tree.covers(san)) {
            return Ok(());
        }
        let permitted: Vec<String> = of_kind.iter().map(ToString::to_string).collect();
        outside(format!("its name constraints permit only {}", permitted.join(", ")))
    }
}

impl std::fmt::Display for Constraints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |trees: &[Tree]| trees.iter().map(Tree::to_string).collect::<Vec<_>>().join(", ");
        match (self.permitted.is_empty(), self.excluded.is_empty()) {
            (true, true) => f.write_str("none"),
            (false, true) => write!(f, "only {}", list(&self.permitted)),
            (true, false) => write!(f, "all but {}", list(&self.excluded)),
            (false, false) => write!(f, "only {}, but not {}", list(&self.permitted), list(&self.excluded)),
        }
    }
}

impl Tree {
    const fn is_kind_of(&self, san: &San) -> bool {
        matches!(
            (self, san),
            (Self::Dns(_), San::Dns(_))
                | (Self::Ip(_), San::Ip(_))
                | (Self::Email(_), San::Email(_))
                | (Self::Uri(_), San::Uri(_))
        )
    }

    fn covers(&self, san: &San) -> bool {
        match (self, san) {
            (Self::Ip(range), San::Ip(address)) => range.contains(*address),
            (Self::Dns(domain), San::Dns(name)) => below(domain, name),
            (Self::Email(constraint), San::Email(address)) => {
                let host = address.rsplit_once('@').map_or("", |(_, host)| host);
                if constraint.contains('@') { constraint == address } else { host_or_below(constraint, host) }
            }
            (Self::Uri(constraint), San::Uri(uri)) => {
                let rest = uri.split_once("://").map_or("", |(_, rest)| rest);
                let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
                let host = authority.rsplit('@').next().unwrap_or_default();
                host_or_below(constraint, host.split(':').next().unwrap_or_default())
            }
            _ => false,
        }
    }
}

impl std::fmt::Display for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "DNS:{name}"),
            Self::Ip(range) => write!(f, "IP:{range}"),
            Self::Email(name) => write!(f, "email:{name}"),
            Self::Uri(name) => write!(f, "URI:{name}"),
            Self::Other => f.write_str("other names"),
        }
    }
}

/// A DNS constraint: itself and below, or with a leading dot only below.
fn below(domain: &str, name: &str) -> bool {
    if domain.is_empty() {
        return true;
    }
    if domain.starts_with('.') {
        return name.len() > domain.len() && name.ends_with(domain);
    }
    name == domain || name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// An e-mail or URI constraint: a host itself, or with a leading dot what is below (RFC 5280 4.2.1.10).
fn host_or_below(constraint: &str, host: &str) -> bool {
    if constraint.starts_with('.') { host.ends_with(constraint) } else { constraint == host }
}

fn tree(name: &GeneralName<'_>) -> Tree {
    match name {
        GeneralName::DNSName(name) => Tree::Dns(name.to_ascii_lowercase()),
        GeneralName::RFC822Name(name) => Tree::Email(name.to_ascii_lowercase()),
        GeneralName::URI(name) => Tree::Uri(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => range(bytes).map_or(Tree::Other, Tree::Ip),
        _ => Tree::Other,
    }
}

fn range(bytes: &[u8]) -> Option<Cidr> {
    let (address, mask) = bytes.split_at(bytes.len() / 2);
    let prefix: u32 = mask.iter().map(|byte| byte.leading_ones()).sum();
    let prefix = u8::try_from(prefix).ok()?;
    let address: IpAddr = match bytes.len() {
        8 => <[u8; 4]>::try_from(address).ok()?.into(),
        32 => <[u8; 16]>::try_from(address).ok()?.into(),
        _ => return None,
    };
    Some(Cidr { address, prefix })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constraints(permitted: &[Tree], excluded: &[Tree]) -> Constraints {
        Constraints { permitted: permitted.to_vec(), excluded: excluded.to_vec() }
    }

    #[test]
    fn ranges_hold_what_their_mask_says() {
        let range: Cidr = "172.16.0.0/24".parse().unwrap();
        assert!(range.contains("172.16.0.101".parse().unwrap()));
        assert!(!range.contains("172.16.1.1".parse().unwrap()));
        assert!(!range.contains("::ffff:172.16.0.1".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<Cidr>().unwrap().contains("1.2.3.4".parse().unwrap()));
        assert!("fd00::/8".parse::<Cidr>().unwrap().contains("fdff::1".parse().unwrap()));
        assert_eq!("10.0.0.1".parse::<Cidr>().unwrap().to_string(), "10.0.0.1/32");
        for bad in ["", "10.0.0.0/33", "10.0.0.1/24", "a/8", "10.0.0.0/", "fd00::/129"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn permitted_limits_its_own_kind_and_excluded_wins() {
        let net = Tree::Ip("172.16.0.0/24".parse().unwrap());
        let only_ips = constraints(std::slice::from_ref(&net), &[]);
        assert!(only_ips.check(&San::ip("172.16.0.9").unwrap()).is_ok());
        assert!(only_ips.check(&San::ip("172.16.1.9").unwrap()).is_err());
        assert!(only_ips.check(&San::ip("fd00::1").unwrap()).is_err());
        assert!(only_ips.check(&San::dns("anything").unwrap()).is_ok());
        let both = constraints(&[net], &[Tree::Ip("172.16.0.9".parse().unwrap())]);
        assert!(both.check(&San::ip("172.16.0.9").unwrap()).is_err());
    }

    #[test]
    fn domains_cover_what_go_says_they_cover() {
        for (domain, name, covered) in [
            ("example.com", "example.com", true),
            ("example.com", "a.b.example.com", true),
            ("example.com", "notexample.com", false),
            (".example.com", "a.example.com", true),
            (".example.com", "example.com", false),
            ("", "anything", true),
            ("example.com", "*.example.com", true),
        ] {
            assert_eq!(below(domain, name), covered, "{domain} {name}");
        }
    }
}
