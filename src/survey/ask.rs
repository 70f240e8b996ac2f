//! What a member says of itself: the URLs in the members list, and whether authentication is on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Member, Terms};
use crate::etcd::client::{Client, Endpoint};
use crate::etcd::{ClientUrl, DialFrom, Fault, Tls};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks it on its own machine, with its own pair. Where nobody answers, its settings are all there is.
pub(super) fn ask(member: &mut Member, terms: &Terms) {
    let ca = member.file("trusted-ca-file").or(terms.ca.as_deref()).or(terms.spare_ca.as_deref());
    let tls = ca.and_then(|ca| match (member.file("cert-file"), member.file("key-file")) {
        (Some(cert), Some(key)) => Tls::with_pair(ca, cert, key).ok(),
        _ => Tls::new(ca).ok(),
    });
    let tls = tls.map(Arc::new);
    // Where HTTP has ports of its own, the others serve gRPC only.
    let http = if member.splits_http() { "listen-client-http-urls" } else { "listen-client-urls" };
    let mut listeners: Vec<ClientUrl> = member.config.urls(http).unwrap_or_default();
    // Plain text asks least of us.
    listeners.sort_by_key(ClientUrl::scheme);
    for url in listeners {
        let client = Client::new(Endpoint {
            url: reachable(member, &url).to_member_url(),
            tls: tls.clone(),
            dial: Arc::new(DialFrom(Arc::clone(&member.host))),
            timeout: PATIENCE,
        });
        if member.authentication.is_none() {
            member.authentication = match client.read_probe().map_err(|error| error.fault) {
                Ok(()) => Some(false),
                Err(Fault::Auth { .. }) => Some(true),
                Err(_) => None,
            };
        }
        let Ok(list) = client.members() else { continue };
        let name = member.config.effective("name").unwrap_or_default().into_owned();
        let Some(own) = list.members.iter().find(|one| one.name == name) else { return };
        member.peer_urls = own.peer_urls.iter().filter_map(|text| text.parse().ok()).collect();
        member.client_urls = own.client_urls.iter().filter_map(|text| text.parse().ok()).collect();
        return;
    }
}

/// A listener as its machine reaches it: an address that stands for all becomes the loopback one.
fn reachable(member: &Member, url: &ClientUrl) -> ClientUrl {
    match url.at().ip() {
        Some(ip) if ip.is_unspecified() => {
            ClientUrl::new(url.scheme(), SocketAddr::new(member.host.loopback(), url.at().port()).into())
        }
        _ => url.clone(),
    }
}
