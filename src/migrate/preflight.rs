//! What would go wrong later is looked for before anything changes: pairs that etcd would refuse, and files in the way.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::etcd::ClientUrl;
use crate::host::Layer;
use crate::verify::{GoVersion, Judgement, Request, Role, Verdict, judge};

use super::error::MigrateError;
use super::node::{Node, Pair, in_parallel};
use super::observe::{Observed, Sight};
use super::place::certificate_files;
use super::plan::{Action, Step};
use super::recipe::Wishes;
use super::stage::Stage;
use super::traces::Traces;

/// Checks every member that is about to be given certificates.
///
/// # Errors
/// [`MigrateError::NoPair`], [`MigrateError::Certificate`], [`MigrateError::InTheWay`].
pub(super) fn check(
    nodes: &[Node],
    observed: &Observed,
    steps: &[Step],
    wishes: Wishes,
) -> Result<(), MigrateError> {
    let climbing: BTreeSet<usize> =
        steps.iter().filter(|step| step.stage >= Stage::Certs).map(|step| step.member).collect();
    let installed: BTreeSet<usize> =
        steps.iter().filter(|step| step.actions.contains(&Action::Install)).map(|step| step.member).collect();
    in_parallel(nodes, |i, node| {
        if climbing.contains(&i) {
            let others = (0..nodes.len()).filter(|&other| other != i).map(|other| &observed.members[other]);
            certificate(node, &observed.members[i], &others.collect::<Vec<_>>(), wishes)?;
        }
        if installed.contains(&i) {
            files(node, &observed.members[i], wishes)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// A member's pair is judged as etcd will judge it: dialled at every URL it advertises and at its loopback address,
/// and dialling the others from the addresses that its machine has towards them.
fn certificate(node: &Node, sight: &Sight, others: &[&Sight], wishes: Wishes) -> Result<(), MigrateError> {
    let Some(pair) = &node.pair else {
        return Err(MigrateError::NoPair {
            member: node.name.clone(),
            what: "there is no pair of that name in the PKI directory".to_owned(),
        });
    };
    let advertised = sight.base.get("advertise-client-urls").map_or("", String::as_str);
    let advertised = ClientUrl::list(advertised).unwrap_or_default();
    let mut client_hosts: Vec<String> = advertised.iter().map(|url| url.at().host().to_owned()).collect();
    client_hosts.push(node.host.loopback().to_string());
    let server = request(pair, sight, wishes, Role::Server);
    refused(node, &judge(&Request { hosts: &client_hosts, ..server }))?;
    dials(node, pair, sight, others, wishes)
}

/// Every member but those that are `away` still dials the others from addresses that its certificate holds.
///
/// # Errors
/// [`MigrateError::Certificate`]
pub(super) fn sources_fit(
    nodes: &[Node],
    observed: &Observed,
    away: &[usize],
    wishes: Wishes,
) -> Result<(), MigrateError> {
    in_parallel(nodes, |i, node| {
        let Some(pair) = node.pair.as_ref().filter(|_| !away.contains(&i)) else { return Ok(()) };
        let others = (0..nodes.len()).filter(|&other| other != i).map(|other| &observed.members[other]);
        dials(node, pair, &observed.members[i], &others.collect::<Vec<_>>(), wishes)
    })?;
    Ok(())
}

/// Why the pairs with which members are spoken to would be refused now by whoever checks them, names apart.
pub(super) fn unfit(nodes: &[Node]) -> Vec<String> {
    let why = |node: &Node| {
        let pair = node.pair.as_ref()?;
        let client = Request::new(&pair.cert_pem, &pair.ca_pem, Role::Client);
        let judged = refused(node, &judge(&Request { key: Some(&pair.key_pem), ..client }));
        Some(judged.err()?.to_string())
    };
    nodes.iter().filter_map(why).collect()
}

/// A member's pair, judged as a peer's: dialled at its peer URLs, and dialling from the addresses that its machine has.
fn dials(
    node: &Node,
    pair: &Pair,
    sight: &Sight,
    others: &[&Sight],
    wishes: Wishes,
) -> Result<(), MigrateError> {
    let hosts: Vec<String> = sight.peer_urls.iter().map(|url| url.at().host().to_owned()).collect();
    for source_ip in sources(node, sight, others)? {
        let peer = request(pair, sight, wishes, Role::Peer);
        refused(node, &judge(&Request { hosts: &hosts, source_ip, ..peer }))?;
    }
    Ok(())
}

fn request<'a>(pair: &'a Pair, sight: &Sight, wishes: Wishes, role: Role) -> Request<'a> {
    Request {
        key: Some(&pair.key_pem),
        issuer: pair.issuer.as_deref(),
        client_cert_auth: wishes.client_auth,
        go: GoVersion::of_etcd(&sight.version).unwrap_or(GoVersion::NEWEST),
        ..Request::new(&pair.cert_pem, &pair.ca_pem, role)
    }
}

/// The addresses that a member's machine dials the others from: its own word, or where it cannot tell, the address of
/// its peer URL.
fn sources(node: &Node, sight: &Sight, others: &[&Sight]) -> Result<BTreeSet<Option<IpAddr>>, MigrateError> {
    let towards: BTreeSet<IpAddr> =
        others.iter().flat_map(|other| &other.peer_urls).filter_map(|url| url.at().ip()).collect();
    let mut sources = BTreeSet::new();
    for address in towards {
        sources.extend(node.host.source_towards(address)?.map(Some));
    }
    if sources.is_empty() {
        sources.insert(sight.peer_urls.iter().find_map(|url| url.at().ip()));
    }
    Ok(sources)
}

fn refused(node: &Node, judgement: &Judgement) -> Result<(), MigrateError> {
    if judgement.verdict == Verdict::Accept {
        return Ok(());
    }
    let errors =
        judgement.findings.iter().filter(|finding| finding.severity == crate::verify::Severity::Error);
    let why =
        errors.map(|finding| format!("{}: {}", finding.code, finding.message)).collect::<Vec<_>>().join("; ");
    let fix = judgement.findings.iter().find_map(|finding| finding.fix.clone());
    Err(MigrateError::Certificate {
        member: node.name.clone(),
        why,
        fix: fix.map(|fix| fix.named(&node.name)),
    })
}

/// Nothing that is not ours stands where certificates and settings will be placed.
fn files(node: &Node, sight: &Sight, wishes: Wishes) -> Result<(), MigrateError> {
    let traces = Traces::load(&*node.host)?;
    let certificates = certificate_files(node, None).into_iter().map(|file| (file.path, Some(file.bytes)));
    let settings = node.service.layer_files(&layers(node, sight, wishes, Stage::Tls)?)?;
    let settings = settings.into_iter().map(|file| (file.path, None));
    for (path, bytes) in certificates.chain(settings) {
        if traces.holds(&path) {
            continue;
        }
        // A file that says the same already is as good as placed.
        if node.host.read(&path)?.is_some_and(|image| bytes.is_none_or(|bytes| *bytes != *image.bytes)) {
            let path = path.display().to_string();
            return Err(MigrateError::InTheWay { member: node.name.clone(), path });
        }
    }
    Ok(())
}

/// The layers that bring a member to a stage.
///
/// # Errors
/// [`MigrateError::Url`]
pub(super) fn layers(
    node: &Node,
    sight: &Sight,
    wishes: Wishes,
    stage: Stage,
) -> Result<Vec<Layer>, MigrateError> {
    let layers = sight.recipe(node, wishes).layers(stage);
    let layers = layers.map_err(|source| MigrateError::Url { member: node.name.clone(), source })?;
    Ok(layers.into_iter().map(|(name, settings)| Layer { name, settings }).collect())
}
