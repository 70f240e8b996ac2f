//! What etcd's peer port asks beyond Go: does the address a peer comes from stand in its certificate?
//!
//! Seen in etcd 3.3 to 3.6, `client/pkg/transport/listener_tls.go`: no SAN at all passes; then the IP SANs; then, if
//! there are DNS SANs, a reverse lookup of the address and a forward lookup of each name that is no wildcard.

use std::net::IpAddr;

use super::certificate::Certificate;
use super::cure::{Cures, Name};
use super::findings::Findings;
use super::pitfalls::Code;
use super::{Lookups, Request, host_name};

pub(super) fn check_source(request: &Request<'_>, leaf: &Certificate<'_>, findings: &mut Findings) {
    let Some(source) = request.source_ip else { return };
    let (ips, dns) = (leaf.extensions.ips(), leaf.extensions.dns());
    if ips.is_empty() && dns.is_empty() {
        return;
    }
    let source = source.to_canonical();
    if ips.iter().any(|ip| ip.to_canonical() == source)
        || dns.iter().any(|name| is_at(name, source, request.lookups))
    {
        return;
    }
    let says = if dns.is_empty() {
        host_name::verify_host(leaf, &source.to_string(), request.go).err().unwrap_or_default()
    } else {
        format!("tls: \"{source}\" does not match any of DNSNames [{}]", quoted(dns))
    };
    // etcd asks DNS as well; whoever judges bytes alone can only say what it will ask.
    let unless = match request.lookups {
        None if !dns.is_empty() => {
            let is_looked_up = |name: &&str| !name.starts_with("*.") && name.parse::<IpAddr>().is_err();
            let forward: Vec<_> = dns.iter().copied().filter(is_looked_up).collect();
            let also = if forward.is_empty() {
                String::new()
            } else {
                format!(", and whether {} resolves to it", forward.join(" or "))
            };
            format!(
                "; what could still save it is DNS: etcd looks up the name of {source} (getent hosts {source}){also}"
            )
        }
        _ => String::new(),
    };
    findings.reject(
        Code::PeerSourceAddress,
        format!(
            "the members' peer ports refuse it: it dials from {source}, which is not among its SANs{unless}"
        ),
        says,
        Cures::of(request, Some(leaf)).add(Name::Ip(source)),
    );
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(" ")
}

/// Whether a DNS SAN stands for the address: by its reverse names (a wildcard by its suffix), or by its own addresses.
fn is_at(name: &str, source: IpAddr, lookups: Option<&Lookups>) -> bool {
    // Go's resolver takes an address for its own, as it is written, and etcd compares the texts.
    if name == source.to_string() {
        return true;
    }
    let Some(lookups) = lookups else {
        // Every hosts file knows this one.
        return name == "localhost" && source == IpAddr::from([127, 0, 0, 1]);
    };
    let wildcard = name.strip_prefix('*').filter(|suffix| suffix.starts_with('.'));
    let by_reverse = lookups.reverse.iter().any(|reverse| {
        let reverse = reverse.strip_suffix('.').unwrap_or(reverse);
        match wildcard {
            Some(suffix) => reverse.ends_with(suffix),
            None => reverse == name,
        }
    });
    let by_forward = wildcard.is_none()
        && lookups
            .forward
            .iter()
            .any(|(forward, ips)| forward == name && ips.iter().any(|ip| ip.to_canonical() == source));
    by_reverse || by_forward
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_as_a_dns_san_stands_for_itself_as_it_is_written() {
        let at = |name: &str, source: &str| is_at(name, source.parse().unwrap(), None);
        assert!(at("127.0.0.1", "127.0.0.1") && at("fd00::1", "fd00::1"));
        for other in ["127.0.0.9", "127.0.0.01", "*.0.0.1", "::ffff:127.0.0.1"] {
            assert!(!at(other, "127.0.0.1"), "{other}");
        }
        assert!(!at("FD00::1", "fd00::1") && !at("fd00:0::1", "fd00::1"));
    }
}
