//! The machines around the members, and what runs on them by the inventory.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::host::Host;
use crate::inventory::ProxyKind;

use super::super::error::MigrateError;
use super::super::node::Pair;

/// A machine with something on it that reaches the cluster.
pub struct Place {
    /// The inventory's name.
    pub name: String,
    /// The machine.
    pub host: Arc<dyn Host>,
    /// Its addresses, as the members see them; needed of proxies only.
    pub addresses: Vec<IpAddr>,
    /// Where certificates go.
    pub ssl_dir: PathBuf,
    /// The unit of the member that runs there, which is not ours to look at here.
    pub member_unit: Option<String>,
    /// The proxy that the inventory names there.
    pub proxy: Option<Proxy>,
}

/// A proxy that the inventory names.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Which of the two.
    pub kind: ProxyKind,
    /// Its unit; found when not named.
    pub unit: Option<String>,
}

/// Everything around the members.
#[derive(Default)]
pub struct Surroundings {
    /// The machines.
    pub places: Vec<Place>,
    /// Pairs for what runs on them, by name.
    pub pairs: BTreeMap<String, Pair>,
}

/// A unit there that is not as it should be.
pub(super) fn trouble(place: &Place, unit: &str, what: impl Into<String>) -> MigrateError {
    MigrateError::Around { host: place.name.clone(), unit: unit.to_owned(), what: what.into() }
}
