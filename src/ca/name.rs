//! Names that cannot be wrong: what a certificate's files are called, and what stands in its SANs.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::CaError;
use crate::inventory::names;
use crate::inventory::pair_files;

/// A name that is safe as a file name, as a CN and in a log: letters, digits, dots, dashes and underscores.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertName(String);

impl CertName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The certificate's file name.
    pub fn cert_file(&self) -> String {
        pair_files::cert_file(&self.0)
    }

    /// The key's file name.
    pub fn key_file(&self) -> String {
        pair_files::key_file(&self.0)
    }
}

impl fmt::Display for CertName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl CertName {
    /// The name of a certificate that is there, which may be one that is reserved today.
    ///
    /// # Errors
    /// [`CaError::BadValue`]
    pub fn existing(text: &str) -> Result<Self, CaError> {
        names::check_existing_name(text)
            .map_err(|fault| CaError::value("NAME", text, fault.what, fault.hint))?;
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for CertName {
    type Err = CaError;

    /// The name of a certificate that is to be made.
    fn from_str(text: &str) -> Result<Self, CaError> {
        names::check_name(text).map_err(|fault| CaError::value("NAME", text, fault.what, fault.hint))?;
        Ok(Self(text.to_owned()))
    }
}

/// What a certificate is valid for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum San {
    /// A DNS name, lower case.
    Dns(String),
    /// An address.
    Ip(IpAddr),
    /// A URI.
    Uri(String),
    /// An e-mail address.
    Email(String),
}

impl San {
    /// A DNS name.
    ///
    /// # Errors
    /// [`CaError::BadValue`] when it is none.
    pub fn dns(text: &str) -> Result<Self, CaError> {
        names::check_dns(text)
            .map(Self::Dns)
            .map_err(|fault| CaError::value("DNS name", text, fault.what, fault.hint))
    }

    /// An address. A v4 address written as v6 becomes v4, as Go compares them.
    ///
    /// # Errors
    /// [`CaError::BadValue`] when it is none, or none that anybody could dial.
    pub fn ip(text: &str) -> Result<Self, CaError> {
        let wrong = |what: &str, hint: &str| Err(CaError::value("IP address", text, what, hint));
        let Ok(address) = text.parse::<IpAddr>() else {
            if names::check_dns(text).is_ok() {
                return wrong("this is a name", &format!("use --dns {text}, or `dns` in cluster.toml"));
            }
            return wrong("not an IP address", "give an address without port or mask, such as 172.16.0.101");
        };
        Self::from_ip(address)
    }

    /// The same from an address.
    ///
    /// # Errors
    /// [`CaError::BadValue`] when nobody could dial it.
    pub fn from_ip(address: IpAddr) -> Result<Self, CaError> {
        names::check_ip(address)
            .map(Self::Ip)
            .map_err(|fault| CaError::value("IP address", address.to_string(), fault.what, fault.hint))
    }

    /// A URI with a scheme and a host.
    ///
    /// # Errors
    /// [`CaError::BadValue`] when it is none.
    pub fn uri(text: &str) -> Result<Self, CaError> {
        let wrong = |what: &str| {
            Err(CaError::value(
                "URI",
                text,
                what,
                "give a whole one, such as spiffe://example.com/etcd/server1",
            ))
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return wrong("it has no scheme");
        };
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        if !is_scheme {
            return wrong("its scheme is none");
        }
        if !text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`')) {
            return wrong("it has characters that a URI may not have");
        }
        if text.len() > 2048 {
            return wrong("it is longer than 2048 characters");
        }
        // Go refuses a whole certificate whose URI has an impossible host.
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        let host = host.split(':').next().unwrap_or_default();
        if Self::dns(host).is_err() && host.parse::<IpAddr>().is_err() {
            return wrong("its host is none");
        }
        Ok(Self::Uri(text.to_owned()))
    }

    /// An e-mail address.
    ///
    /// # Errors
    /// [`CaError::BadValue`] when it is none.
    pub fn email(text: &str) -> Result<Self, CaError> {
        let wrong = |what: &str| {
            Err(CaError::value("e-mail address", text, what, "give one such as ops@example.com"))
        };
        let Some((local, domain)) = text.rsplit_once('@') else {
            return wrong("it has no @");
        };
        let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
        if local.is_empty() || !local.chars().all(atom) || local.starts_with('.') || local.ends_with('.') {
            return wrong("what stands before the @ is not usable");
        }
        // RFC 5321 4.5.3.1.
        if local.len() > 64 {
            return wrong("what stands before the @ is longer than 64 characters");
        }
        match Self::dns(domain) {
            Ok(Self::Dns(domain)) if !domain.contains('*') => Ok(Self::Email(format!("{local}@{domain}"))),
            _ => wrong("what stands after the @ is not a domain"),
        }
    }

    /// The kind, as openssl prints it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Dns(_) => "DNS",
            Self::Ip(_) => "IP",
            Self::Uri(_) => "URI",
            Self::Email(_) => "email",
        }
    }

    /// The name or address without its kind.
    pub fn value(&self) -> String {
        match self {
            Self::Dns(text) | Self::Uri(text) | Self::Email(text) => text.clone(),
            Self::Ip(address) => address.to_string(),
        }
    }
}

impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.value())
    }
}

impl FromStr for San {
    type Err = CaError;

    /// Reads what [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, CaError> {
        let (kind, value) = text.split_once(':').unwrap_or_default();
        match kind {
            "DNS" => Self::dns(value),
            "IP" => Self::ip(value),
            "URI" => Self::uri(value),
            "email" => Self::email(value),
            _ => Err(CaError::value("SAN", text, "not of the form KIND:VALUE", "such as IP:172.16.0.101")),
        }
    }
}

impl serde::Serialize for San {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Leaves each name once, in the order in which it first came.
pub fn without_repeats(names: Vec<San>) -> Vec<San> {
    let mut seen = std::collections::HashSet::new();
    names.into_iter().filter(|name| seen.insert(name.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_directory_or_hide_are_refused() {
        for good in ["server1", "etcd-1.example.com", "a", "A_b", "1"] {
            assert_eq!(good.parse::<CertName>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "a/b",
            "/etc/passwd",
            "..",
            "a..b",
            ".hidden",
            "-n",
            "_x",
            "a.",
            "a-",
            "ca",
            "CA",
            "ca-key",
            "x-key",
            "x.pem",
            "root-ca",
            "issuing-ca",
            "crl",
            "CRL",
            "ledger",
            "lock",
            "templates",
            "a b",
            "a\n",
            "é",
            "a*b",
            "server1:2379",
            &"x".repeat(65),
        ] {
            assert!(bad.parse::<CertName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn dns_names_are_what_clients_compare() {
        for (good, kept) in [
            ("etcd1.example.com", "etcd1.example.com"),
            ("ETCD1.Example.COM", "etcd1.example.com"),
            ("*.example.com", "*.example.com"),
            ("my_host", "my_host"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(San::dns(good).unwrap(), San::Dns(kept.into()));
        }
        for bad in [
            "",
            "10.0.0.1",
            "fd00::1",
            "https://a",
            "a:2379",
            "a.",
            "*",
            "a.*.b",
            "f*.b",
            "-a.b",
            "a-.b",
            "a..b",
            "bücher.example",
            "a b",
            "1.2.3",
            "a.5",
            &"a".repeat(64),
            &"a.".repeat(127),
        ] {
            assert!(San::dns(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_are_ones_that_can_be_dialled() {
        assert_eq!(San::ip("::ffff:10.0.0.1").unwrap(), San::Ip("10.0.0.1".parse().unwrap()));
        assert_eq!(San::ip("FD00:0::1").unwrap().to_string(), "IP:fd00::1");
        for bad in
            ["", "10.0.0", "10.0.0.256", "10.0.0.1:2379", "10.0.0.0/8", "0.0.0.0", "::", "224.0.0.1", "a"]
        {
            assert!(San::ip(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn uris_and_mails_are_checked() {
        assert!(San::uri("spiffe://example.com/etcd").is_ok());
        assert!(San::email("ops@Example.com").is_ok_and(|san| san.to_string() == "email:ops@example.com"));
        for bad in ["", "example.com", "://x", "http:///x", "http://a b/", "http://-bad/"] {
            assert!(San::uri(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "a", "@b", "a@", "a b@c", "a@*.c", ".a@c"] {
            assert!(San::email(bad).is_err(), "{bad:?}");
        }
        for text in ["DNS:a.b", "IP:10.0.0.1", "URI:spiffe://a/b", "email:a@b"] {
            assert_eq!(text.parse::<San>().unwrap().to_string(), text);
        }
    }
}
