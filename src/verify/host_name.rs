//! Whether a certificate speaks for a host, as Go's `VerifyHostname` has it.

use std::net::IpAddr;

use super::certificate::Certificate;
use super::go::{GoVersion, Since};
use super::godebug::Rule;
use super::names::{covers, ip_address, is_valid, matches, scoped_address};

/// From how many names on Go counts them instead of listing them.
const MANY: usize = 100;

/// Whether the certificate speaks for `host`; if not, Go's words.
///
/// An address is looked for among the IP SANs only, a v4-mapped one equals its v4 form. A name is compared without
/// regard to case and to one trailing dot; `*` stands for the whole left-most label only. The common name counts only
/// where it [stands in for SANs](stands_in).
pub(crate) fn verify_host(certificate: &Certificate<'_>, host: &str, go: GoVersion) -> Result<(), String> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let found = match address(bare, go) {
        Some(ip) => certificate.extensions.ips().iter().any(|san| san.to_canonical() == ip),
        None if stands_in(certificate, go) => covers(&certificate.common_name(), host, go),
        None => certificate.extensions.dns().iter().any(|pattern| covers(pattern, host, go)),
    };
    if found { Ok(()) } else { Err(host_error(certificate, bare, go)) }
}

/// Whether the common name stands in for SANs: there are none, it could be a host's name, and Go is 1.14 or older, or was
/// told to go by it (`GODEBUG=x509ignoreCN=0`, 1.15 and 1.16).
pub(crate) fn stands_in(certificate: &Certificate<'_>, go: GoVersion) -> bool {
    let counts = go < GoVersion::NO_COMMON_NAME || go.relaxes(Rule::IgnoredCommonName);
    counts && certificate.extensions.san.is_none() && is_valid(&certificate.common_name(), true)
}

/// The address that a text is to Go; a zone (`fe80::1%eth0`) is looked over from 1.27 on.
fn address(text: &str, go: GoVersion) -> Option<IpAddr> {
    let ip = if go >= GoVersion::NO_MAPPED { scoped_address(text) } else { ip_address(text, go) };
    ip.map(|ip| ip.to_canonical())
}

fn host_error(certificate: &Certificate<'_>, host: &str, go: GoVersion) -> String {
    let common_name = certificate.common_name();
    let stands_in = stands_in(certificate, go);
    if certificate.extensions.san.is_none() && !stands_in && matches(&common_name, host) {
        let relies = "x509: certificate relies on legacy Common Name field";
        let ignored = go >= GoVersion::NO_COMMON_NAME && !go.relaxes(Rule::IgnoredCommonName);
        match () {
            () if go >= GoVersion::SANS_ONLY => return format!("{relies}, use SANs instead"),
            () if !ignored => return format!("x509: Common Name is not a valid hostname: {common_name}"),
            () if is_valid(&common_name, true) => {
                return format!(
                    "{relies}, use SANs or temporarily enable Common Name matching with GODEBUG=x509ignoreCN=0"
                );
            }
            () => {}
        }
    }
    let (names, kind): (Vec<String>, _) = if ip_address(host, go).is_some() {
        let ips = certificate.extensions.ips();
        if ips.is_empty() {
            return format!(
                "x509: cannot validate certificate for {host} because it doesn't contain any IP SANs"
            );
        }
        (ips.iter().map(|ip| ip.to_canonical().to_string()).collect(), "IP SANs")
    } else if stands_in {
        (vec![common_name], "names")
    } else {
        (certificate.extensions.dns().iter().map(|&name| name.to_owned()).collect(), "names")
    };
    if go.has(&Since::EXCLUDED_WILDCARDS) && names.len() >= MANY {
        return format!("x509: certificate is valid for {} {kind}, but none matched {host}", names.len());
    }
    let valid = names.join(", ");
    if valid.is_empty() {
        return format!("x509: certificate is not valid for any names, but wanted to match {host}");
    }
    format!("x509: certificate is valid for {valid}, not {host}")
}
