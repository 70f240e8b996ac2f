//! What a new CA is to be like, and the parameters that this comes to.

use ::time::{Duration, OffsetDateTime};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, GeneralSubtree, IsCa, KeyIdMethod,
    KeyUsagePurpose, NameConstraints, SerialNumber,
};

use super::constraints::Cidr;
use super::encode::{Serial, key_id};
use super::{CaError, KeyType, Passphrase, PrivateKey, San};
use crate::limits::CA_CONSTRAINTS;

/// What a new CA is like.
#[derive(Debug, Clone)]
pub struct CaOptions {
    /// Its common name.
    pub name: String,
    /// How long it lasts.
    pub days: u32,
    /// Its end, instead of `days`.
    pub not_after: Option<OffsetDateTime>,
    /// The kind of key.
    pub key_type: KeyType,
    /// Address ranges; when there are any, only these and loopback may be certified.
    pub permit_ips: Vec<Cidr>,
    /// Domains; when there are any, only these, what is below them, and localhost may be certified.
    pub permit_dns: Vec<String>,
    /// How many CAs may stand below it.
    pub path_len: u8,
    /// Make an issuing CA below the root, so that the root's key can be taken away.
    pub intermediate: bool,
    /// What the keys are encrypted with, if anything.
    pub passphrase: Option<Passphrase>,
}

impl Default for CaOptions {
    /// P-256 for ten years, unencrypted, without constraints.
    fn default() -> Self {
        Self {
            name: "etcd-pki CA".into(),
            days: 3650,
            not_after: None,
            key_type: KeyType::P256,
            permit_ips: Vec::new(),
            permit_dns: Vec::new(),
            path_len: 0,
            intermediate: false,
            passphrase: None,
        }
    }
}

impl CaOptions {
    pub(super) fn end(&self, now: OffsetDateTime) -> Result<OffsetDateTime, CaError> {
        if let Some(end) = self.not_after {
            if end <= now || end.year() > 9999 {
                let hint = "give a date to come, such as 2036-01-01T00:00:00Z";
                return Err(CaError::value("--not-after", end.to_string(), "it has passed", hint));
            }
            return Ok(end);
        }
        if !(1..=36_500).contains(&self.days) {
            let hint = "a CA for a cluster lasts 3650 days";
            return Err(CaError::value("--days", self.days.to_string(), "not between 1 and 36500", hint));
        }
        Ok(now.saturating_add(Duration::days(i64::from(self.days))))
    }

    pub(super) fn constraints(&self) -> Result<Option<NameConstraints>, CaError> {
        let given = self.permit_ips.len() + self.permit_dns.len();
        if given > CA_CONSTRAINTS {
            let what =
                format!("there are more than {CA_CONSTRAINTS}, and Go gives up on a chain with too many");
            return Err(CaError::value(
                "--permit-ip, --permit-dns",
                given.to_string(),
                what,
                "give larger ranges and parent domains",
            ));
        }
        let mut ranges = self.permit_ips.clone();
        if !ranges.is_empty() {
            ranges.extend(["127.0.0.0/8", "::1/128"].map(|range| range.parse::<Cidr>().expect("a range")));
        }
        let mut domains =
            self.permit_dns.iter().map(|domain| permitted(domain)).collect::<Result<Vec<_>, _>>()?;
        if !domains.is_empty() && !domains.iter().any(|domain| domain == "localhost") {
            domains.push("localhost".into());
        }
        let ranges = ranges.into_iter().map(|range| {
            GeneralSubtree::IpAddress(rcgen::CidrSubnet::from_addr_prefix(range.address(), range.prefix()))
        });
        let permitted_subtrees: Vec<_> =
            ranges.chain(domains.into_iter().map(GeneralSubtree::DnsName)).collect();
        Ok((!permitted_subtrees.is_empty())
            .then_some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() }))
    }
}

fn permitted(domain: &str) -> Result<String, CaError> {
    let (dot, name) = domain.strip_prefix('.').map_or(("", domain), |name| (".", name));
    let San::Dns(name) = San::dns(name)? else { unreachable!("a DNS name is one") };
    if let Some(parent) = name.strip_prefix("*.") {
        let hint = format!("leave the star off: what is below {parent} is permitted too");
        return Err(CaError::value("--permit-dns", domain, "a star does not stand in a constraint", hint));
    }
    Ok(format!("{dot}{name}"))
}

/// What every CA made here has: its life, its serial, its identifiers, and that it may sign certificates and lists.
pub(super) fn ca_params(
    key: &PrivateKey,
    name: DistinguishedName,
    (start, end): (OffsetDateTime, OffsetDateTime),
    path_len: u8,
) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = start;
    params.not_after = end;
    params.serial_number = Some(SerialNumber::from_slice(Serial::random()?.as_bytes()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_len));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.key_identifier_method = KeyIdMethod::PreSpecified(key_id(key.public_bits()));
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}
