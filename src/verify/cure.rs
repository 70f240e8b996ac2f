//! Cures that are commands of ours: a certificate is made again, with the names that it has and what it lacks, in the PKI
//! directory of the CA that is trusted, and within what that CA may certify.

use std::net::IpAddr;

use ::time::Duration;

use super::certificate::Certificate;
use super::constrained::permits;
use super::extensions::Usage;
use super::pem::{self, Block};
use super::{Leaf, Request, Role};
use crate::advice::{Advice, CommandLine, Directory};
use crate::inventory::names;
use crate::limits;

/// The most names that a command line repeats, as many as a request may have. Of more it has the placeholder `NAMES`.
const MOST_NAMES: usize = limits::REQUEST_NAMES;

/// A name that a certificate is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name<'n> {
    Dns(&'n str),
    Ip(IpAddr),
}

impl<'n> Name<'n> {
    /// A host as it is dialled.
    pub(super) fn of(host: &'n str) -> Self {
        host.trim_matches(['[', ']']).parse().map_or(Self::Dns(host), Self::Ip)
    }
}

/// Builds the cures of one certificate.
pub(super) struct Cures<'r> {
    request: &'r Request<'r>,
    /// None where it cannot be read.
    leaf: Option<&'r Certificate<'r>>,
}

impl<'r> Cures<'r> {
    pub(super) const fn of(request: &'r Request<'r>, leaf: Option<&'r Certificate<'r>>) -> Self {
        Self { request, leaf }
    }

    /// Renews it.
    pub(super) fn renew(&self) -> Advice {
        if let Some(other) = self.obstacle() {
            return other;
        }
        let sans = self.leaf.map(|leaf| self.names(leaf)).unwrap_or_default();
        if self.permitted(&sans).contains(&false) {
            return self.reissue();
        }
        self.named("renew").within(self.directory()).into()
    }

    /// Issues it again.
    pub(super) fn reissue(&self) -> Advice {
        self.reissue_with(None, &[])
    }

    /// Issues it again with a key of another kind.
    pub(super) fn new_key(&self) -> Advice {
        self.reissue_with(None, &["--key-type", "p256"])
    }

    /// Issues it again with one more name.
    pub(super) fn add(&self, name: Name<'_>) -> Advice {
        if let Some(other) = self.obstacle() {
            return other;
        }
        let text = match name {
            Name::Dns(host) if names::check_dns(host).is_err() => {
                return format!("dial it by a host name or an address: {host} is neither").into();
            }
            Name::Dns(host) => host.to_owned(),
            Name::Ip(ip) if names::check_ip(ip).is_err() => {
                return format!("dial it by an address of its own: {ip} is none").into();
            }
            Name::Ip(ip) => ip.to_string(),
        };
        if self.permitted(&[name]) == [true] {
            return self.reissue_with(Some(name), &[]);
        }
        let (kind, permit) = match name {
            Name::Dns(_) => ("--permit-dns", text.clone()),
            Name::Ip(_) => ("--permit-ip", text.clone()),
        };
        let init = CommandLine::new("init-ca").option(kind, permit).within(Directory::New);
        let pair = self.pair(Some(name), Directory::New);
        Advice::from(format!(
            "the CA's name constraints forbid {text}: dial a name or address that they permit, or make a CA that permits it: "
        ))
        .and(init.then(pair))
        .and(self.bundle())
    }

    /// Issues it again with these further options.
    pub(super) fn reissue_with(&self, name: Option<Name<'_>>, options: &[&str]) -> Advice {
        if let Some(other) = self.obstacle() {
            return other;
        }
        let line = options.iter().fold(self.pair(name, self.directory()), |line, word| line.arg(word));
        line.arg("--force").into()
    }

    /// A CA that cannot be used for longer is replaced.
    pub(super) fn new_ca(&self) -> Advice {
        let init = CommandLine::new("init-ca").within(Directory::New);
        let pair = self.pair(None, Directory::New);
        Advice::from("make a new CA in a directory of its own and issue from it: ")
            .and(init.then(pair))
            .and(self.bundle())
    }

    /// An intermediate that cannot be used for longer is replaced, or its root where that has ended too.
    pub(super) fn new_intermediate(&self) -> Advice {
        self.obstacle().unwrap_or_else(|| self.next_intermediate())
    }

    fn next_intermediate(&self) -> Advice {
        let next = CommandLine::new("init-ca").arg("--intermediate").arg("--renew");
        let pair = self.pair(None, Directory::Own).arg("--force");
        Advice::from("make the next intermediate below the same root and issue from it: ")
            .and(next.then(pair).within(self.directory()))
    }

    /// What follows where a new CA was made.
    fn bundle(&self) -> Advice {
        let both = CommandLine::program("cat").ca_file(Directory::New).ca_file(self.directory());
        Advice::from("; before that pair is installed, give every member and client both CAs (")
            .and(both)
            .and(") and restart the members one after the other")
    }

    fn named(&self, subcommand: &str) -> CommandLine {
        let name = self.leaf.map(Certificate::common_name).unwrap_or_default();
        CommandLine::new(subcommand).name(usable(&name))
    }

    /// The command that issues it, with the names that it has and that the CA may certify.
    fn pair(&self, more: Option<Name<'_>>, directory: Directory) -> CommandLine {
        let mut line = self.named("issue").within(directory);
        let role = self.request.role;
        let usages = self.leaf.map(|leaf| leaf.extensions.usages.as_slice()).unwrap_or_default();
        let is_client = role == Role::Client && !usages.contains(&Usage::Server);
        let profile = match role {
            Role::Proxy => Some("proxy"),
            Role::Client if is_client => Some("client"),
            _ => None,
        };
        if let Some(profile) = profile {
            line = line.option("--profile", profile);
        }
        let mut names = self.leaf.map(|leaf| self.names(leaf)).unwrap_or_default();
        names.extend(more.filter(|more| !names.contains(more)));
        if names.len() > MOST_NAMES {
            return line.option("--dns", "NAMES");
        }
        let permitted = match directory {
            Directory::New => vec![true; names.len()],
            _ => self.permitted(&names),
        };
        for (name, is_permitted) in names.into_iter().zip(permitted) {
            // A profile for members brings these along.
            let is_default = profile.is_none()
                && match name {
                    Name::Dns(dns) => dns == "localhost",
                    Name::Ip(ip) => ip == IpAddr::from([127, 0, 0, 1]) || ip.to_string() == "::1",
                };
            if is_default || !is_permitted {
                continue;
            }
            line = match name {
                Name::Dns(dns) if profile.is_none() => line.unless_name("--dns", dns),
                Name::Dns(dns) => line.option("--dns", dns),
                Name::Ip(ip) => line.option("--ip", ip.to_canonical()),
            };
        }
        if self.leaf.is_none() {
            line = line.option("--ip", "ADDRESS");
        }
        line
    }

    /// The names of a certificate that a new one can have; more than [`MOST_NAMES`] are not all read.
    fn names(&self, leaf: &'r Certificate<'r>) -> Vec<Name<'r>> {
        let ips = leaf.extensions.ips().iter().map(|&ip| Name::Ip(ip));
        // An address that is written as a DNS name becomes one.
        let all = ips.chain(leaf.extensions.dns().iter().map(|dns| Name::of(dns)));
        all.filter(|name| match name {
            Name::Dns(dns) => names::check_dns(dns).is_ok(),
            Name::Ip(ip) => names::check_ip(*ip).is_ok(),
        })
        .take(MOST_NAMES + 1)
        .collect()
    }

    /// The invocation's PKI directory, where its CA is one that is trusted here.
    pub(super) fn directory(&self) -> Directory {
        let issuer = self.issuer();
        let is_trusted = match self.request.trust {
            Some(trust) => {
                issuer.iter().any(|block| trust.roots.all().iter().any(|root| root.raw == *block.der))
            }
            None => {
                let roots = pem::blocks(self.request.ca, self.request.go);
                issuer.iter().any(|block| roots.iter().any(|root| root.der == block.der))
            }
        };
        if is_trusted { Directory::Own } else { Directory::Unknown }
    }

    fn issuer(&self) -> Vec<Block> {
        pem::blocks(self.request.issuer.unwrap_or_default(), self.request.go)
    }

    /// What has to be done before anything can be issued from the invocation's PKI directory.
    fn obstacle(&self) -> Option<Advice> {
        if self.directory() != Directory::Own {
            return None;
        }
        let (blocks, go) = (self.issuer(), self.request.go);
        let chain: Vec<Certificate<'_>> =
            blocks.iter().filter_map(|block| Certificate::parse(&block.der, go).ok()).collect();
        let role = self.request.role;
        let lacks = |ca: &Certificate<'_>, usage: Usage| {
            let usages = &ca.extensions.usages;
            !usages.is_empty() && !usages.contains(&Usage::Any) && !usages.contains(&usage)
        };
        // From the root down: below one that has ended nothing helps.
        for (at, ca) in chain.iter().enumerate().rev() {
            let is_root = at + 1 == chain.len();
            if ca.not_after < self.request.at {
                return Some(if is_root { self.new_ca() } else { self.next_intermediate() });
            }
            if lacks(ca, Usage::Client) || (role.serves() && lacks(ca, Usage::Server)) {
                return Some(if is_root { self.new_ca() } else { intermediate_usage(&ca.subject_text()) });
            }
        }
        None
    }

    /// For each name, whether the name constraints of the CAs from which it would be issued permit it.
    fn permitted(&self, names: &[Name<'_>]) -> Vec<bool> {
        let (request, go) = (self.request, self.request.go);
        let mut permitted = vec![true; names.len()];
        let mut limit = |ca: &Certificate<'_>| {
            for (name, is_permitted) in names.iter().zip(&mut permitted) {
                *is_permitted = *is_permitted && allows(ca, *name);
            }
        };
        let parsed = |block: &Block, limit: &mut dyn FnMut(&Certificate<'_>)| {
            if let Ok(ca) = Certificate::parse(&block.der, go) {
                limit(&ca);
            }
        };
        if self.directory() == Directory::Own {
            self.issuer().iter().for_each(|block| parsed(block, &mut limit));
            return permitted;
        }
        let is_leaf = |ca: &Certificate<'_>| self.leaf.is_some_and(|leaf| leaf.raw == ca.raw);
        for block in [request.chain, request.extra_chain].iter().flat_map(|pem| pem::blocks(pem, go)) {
            parsed(&block, &mut |ca| {
                if !is_leaf(ca) {
                    limit(ca)
                }
            });
        }
        match request.trust {
            Some(trust) => trust.roots.all().iter().for_each(&mut limit),
            None => pem::blocks(request.ca, go).iter().for_each(|block| parsed(block, &mut limit)),
        }
        permitted
    }
}

/// A common name where it can be a certificate's name, else a placeholder.
fn usable(common_name: &str) -> &str {
    if names::check_name(common_name).is_ok() { common_name } else { "NAME" }
}

/// The cure of a certificate that ends within a time; of the request its chain, the CA that is trusted and the issuer count.
pub fn renewal(request: &Request<'_>, leaf: &Leaf, within: Duration) -> Advice {
    // What matters is whether the CA lasts until then.
    let later = Request { at: request.at + within, ..*request };
    let cures = Cures::of(&later, None);
    let mut line = CommandLine::new("renew").name(usable(&leaf.common_name)).within(cures.directory());
    let blocks = pem::blocks(request.chain, request.go);
    let parsed = blocks.first().and_then(|block| Certificate::parse(&block.der, request.go).ok());
    // A renewed certificate lasts as long as the one before it.
    if parsed.is_some_and(|leaf| leaf.not_after - leaf.not_before <= within + Duration::days(1)) {
        line = line.option("--days", (within.whole_days() + 1).max(365));
    }
    cures.obstacle().unwrap_or_else(|| line.into())
}

fn allows(ca: &Certificate<'_>, name: Name<'_>) -> bool {
    ca.extensions.name_constraints.as_ref().is_none_or(|constraints| match name {
        Name::Dns(dns) => permits::dns(constraints, dns),
        Name::Ip(ip) => permits::ip(constraints, ip),
    })
}

/// An intermediate whose usages leave one out: the leaf is not at fault, and what is issued below it has the same fault.
pub(super) fn intermediate_usage(subject: &str) -> Advice {
    format!(
        "make {subject} again without extended key usages, or with serverAuth and clientAuth, and issue below it: no \
         certificate of the chain may leave a usage out"
    )
    .into()
}
