//! When what stands around the members is moved, in a migration.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::OnceLock;

use super::super::drive::Migration;
use super::super::error::MigrateError;
use super::super::event::Event;
use super::super::found::is_last;
use super::super::journal::Journal;
use super::super::node::Node;
use super::super::observe::{Observed, Sight};
use super::super::plan::{Goal, Step};
use super::super::stage::Stage;
use super::following::Followers;
use super::place::{Place, Surroundings};
use super::proxy;
use super::stance::{Kind, Moved, Stance};
use super::station::Station;
use super::ways::Ways;
use crate::host::Connection;
use crate::inventory::ProxyKind;

impl Migration<'_> {
    /// Tells of a connection to a member whether it is a proxy's. v2 proxies speak to members by whatever they serve; gRPC
    /// proxies were given https, and try it in vain where it is yet to come.
    pub(in super::super) fn follows(
        &self,
        observed: &Observed,
    ) -> impl Fn(&Node, &Connection) -> bool + Sync + use<'_> {
        let around = self.around;
        let places = around.map_or(&[][..], |around| &around.places);
        let alone = places.iter().filter(|place| place.proxy.is_some() && place.member_unit.is_none());
        let addresses: BTreeSet<IpAddr> = alone.flat_map(|place| place.addresses.iter().copied()).collect();
        // On a member's machine it is known by its unit; that is looked for only where an etcd is connected that is not
        // the member. One that cannot be told counts as a client.
        let ways = Ways::of(self.nodes, observed);
        let beside = OnceLock::new();
        let look = move || around.and_then(|around| around.proxy_processes(&ways).ok()).unwrap_or_default();
        move |node, connection| match &connection.process {
            None => addresses.contains(&connection.remote.ip().to_canonical()),
            Some(process) => {
                process.name == "etcd"
                    && beside.get_or_init(&look).contains(&(node.name.clone(), process.pid))
            }
        }
    }

    /// Those on proxies' machines that go past the proxy in plain text.
    pub(in super::super) fn past_proxies(&self, observed: &Observed) -> Result<Vec<String>, MigrateError> {
        let places = self.around.map_or(&[][..], |around| &around.places);
        let ways = Ways::of(self.nodes, observed);
        let alone = places.iter().filter(|place| place.member_unit.is_none());
        let proxies = alone.filter_map(|place| Some((place, place.proxy.as_ref()?.kind)));
        let found: Result<Vec<_>, _> =
            proxies.map(|(place, kind)| proxy::past(place, kind, &ways.plain)).collect();
        Ok(found?.concat())
    }

    /// Whether the way back begins by opening the loopback port again, for units that speak https now.
    pub(in super::super) fn unseals_first(&self, observed: &Observed) -> Result<bool, MigrateError> {
        let sealed = |sight: &Sight| sight.standing.running == Some(Stage::Sealed);
        if !observed.members.iter().any(sealed) {
            return Ok(false);
        }
        Ok(self.around(observed)?.iter().any(|station| station.stance == Stance::Https && station.on_member))
    }

    /// Before the first step: on the way back nothing may depend on https any more.
    pub(in super::super) fn around_first(
        &self,
        goal: Goal,
        observed: &Observed,
        journal: &Journal,
        changed: &mut bool,
    ) -> Result<(), MigrateError> {
        let Some(around) = self.around.filter(|_| goal == Goal::Http) else { return Ok(()) };
        let ways = Ways::of(self.nodes, observed);
        if around.stand(&ways)?.iter().any(|station| station.stance == Stance::Https) {
            self.bring(around, &ways, (Stance::Loopback, true), journal, changed)?;
        }
        Ok(())
    }

    /// Before a step that takes listeners away: everything around moves to those that stay.
    pub(in super::super) fn around_before(
        &self,
        goal: Goal,
        step: &Step,
        observed: &Observed,
        journal: &Journal,
        changed: &mut bool,
    ) -> Result<(), MigrateError> {
        let Some(around) = self.around else { return Ok(()) };
        let ways = Ways::of(self.nodes, observed);
        match (goal, step.stage) {
            (Goal::Http, Stage::Plain) => self.bring(around, &ways, (Stance::AsWas, true), journal, changed),
            (Goal::Https | Goal::Sealed, Stage::Tls) => {
                self.bring(around, &ways, (Stance::Loopback, false), journal, changed)
            }
            (Goal::Sealed, Stage::Sealed) => {
                let units: Vec<_> = around
                    .stand(&ways)?
                    .iter()
                    .filter(|station| station.needs_loopback())
                    .map(Moved::name)
                    .collect();
                if units.is_empty() { Ok(()) } else { Err(MigrateError::StillPlain { units }) }
            }
            _ => Ok(()),
        }
    }

    /// Who reaches v2 proxies by listeners that go when these are given certificates.
    pub(in super::super) fn outside_proxies(
        &self,
        to: Stage,
        observed: &Observed,
    ) -> Result<Vec<String>, MigrateError> {
        let Some(around) = self.around.filter(|_| to == Stage::Tls) else { return Ok(Vec::new()) };
        let proxies = around.proxies(Kind::V2Proxy, &Ways::of(self.nodes, observed))?;
        Ok(proxies.iter().map(Station::outside).collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// Before the last member of a roll changes its scheme: proxies must have found those that changed before it.
    pub(in super::super) fn proxies_before(
        &self,
        step: &Step,
        observed: &Observed,
        journal: &Journal,
        changed: &mut bool,
    ) -> Result<(), MigrateError> {
        let Some(around) = self.around.filter(|_| is_last(step, observed)) else { return Ok(()) };
        let (ways, timeout) = (Ways::of(self.nodes, observed), self.options.step_timeout);
        for proxy in around.proxies(Kind::GrpcProxy, &ways)? {
            *changed = true;
            let station = Moved { restarted: true, ..proxy.told(proxy.stance(around, &ways)?) };
            self.tell(&station, "intent", journal)?;
            proxy.ask_anew(timeout)?;
            self.tell(&station, "done", journal)?;
        }
        let v2 = around.proxies(Kind::V2Proxy, &ways)?;
        v2.iter().try_for_each(|proxy| proxy.knows(step.stage.scheme(), timeout))
    }

    /// The proxies of a cluster's only member, where a step changes what it speaks: nobody else tells them of its new
    /// URLs.
    pub(in super::super) fn proxies_of_one(
        &self,
        observed: &Observed,
        stage: Stage,
    ) -> Result<Followers<'_>, MigrateError> {
        let (scheme, timeout) = (stage.scheme(), self.options.step_timeout);
        let mut followers = Followers { proxies: Vec::new(), scheme, timeout };
        let (Some(around), [sight]) = (self.around, observed.members.as_slice()) else {
            return Ok(followers);
        };
        let Some(running) = sight.standing.running else { return Ok(followers) };
        let ways = Ways::of(self.nodes, observed);
        if running.scheme() != scheme {
            followers.proxies = around.proxies(Kind::V2Proxy, &ways)?;
            followers.proxies.extend(around.proxies(Kind::GrpcProxy, &ways)?);
        }
        Ok(followers)
    }

    /// What the operator should know beforehand.
    pub(in super::super) fn around_notes(&self) -> Vec<String> {
        let places = self.around.map_or(&[][..], |around| &around.places);
        let v2 = |place: &&Place| place.proxy.as_ref().is_some_and(|proxy| proxy.kind == ProxyKind::V2);
        let note = |place: &Place| {
            format!(
                "the v2 proxy of {} answers 503 for a few seconds when the only member changes what it speaks: from that \
                 restart until the proxy was restarted too",
                place.name
            )
        };
        places.iter().filter(|_| self.nodes.len() == 1).filter(v2).map(note).collect()
    }

    /// At the end: everything around still works.
    pub(in super::super) fn around_after(
        &self,
        goal: Goal,
        observed: &Observed,
        journal: &Journal,
        changed: &mut bool,
    ) -> Result<(), MigrateError> {
        let Some(around) = self.around else { return Ok(()) };
        let to = if goal == Goal::Http { (Stance::AsWas, true) } else { (Stance::Loopback, false) };
        self.bring(around, &Ways::of(self.nodes, observed), to, journal, changed)
    }

    /// Moves every unit to https with a certificate of its own, so that the loopback port can be closed.
    ///
    /// # Errors
    /// [`MigrateError`]
    pub fn move_clients(&self) -> Result<usize, MigrateError> {
        let Some(around) = self.around else { return Ok(0) };
        let observed = self.observe()?;
        if let Some(i) = observed.members.iter().position(|sight| sight.standing.running < Some(Stage::Tls)) {
            return Err(MigrateError::Around {
                host: self.nodes[i].name.clone(),
                unit: self.nodes[i].service.name().to_owned(),
                what: "it does not speak https on its client port yet: finish `etcd-pki migrate apply` first"
                    .to_owned(),
            });
        }
        let _locks = self.locks()?;
        let journal = Journal::open(&self.options.pki_dir, &observed.cluster())?;
        journal.write(None, "begin", &format!("Clients by {}", self.options.operator))?;
        let ways = Ways::of(self.nodes, &observed);
        let mut tell = |station: &Moved, phase| self.tell(station, phase, &journal);
        let moved = around.bring(&ways, (Stance::Https, false), self.options.step_timeout, &mut tell);
        match &moved {
            Ok(_) => journal.write(None, "end", "done")?,
            Err(error) => journal.stopped(error),
        }
        moved
    }

    /// Where everything around stands, looked at now.
    ///
    /// # Errors
    /// [`MigrateError`]
    pub fn stations(&self) -> Result<Vec<Moved>, MigrateError> {
        self.around(&self.observe()?)
    }

    pub(in super::super) fn around(&self, observed: &Observed) -> Result<Vec<Moved>, MigrateError> {
        self.around.map_or_else(|| Ok(Vec::new()), |around| around.stand(&Ways::of(self.nodes, observed)))
    }

    fn bring(
        &self,
        around: &Surroundings,
        ways: &Ways,
        to: (Stance, bool),
        journal: &Journal,
        changed: &mut bool,
    ) -> Result<(), MigrateError> {
        let mut tell = |station: &Moved, phase| {
            *changed = true;
            self.tell(station, phase, journal)
        };
        around.bring(ways, to, self.options.step_timeout, &mut tell).map(drop)
    }

    fn tell(&self, station: &Moved, phase: &'static str, journal: &Journal) -> Result<(), MigrateError> {
        journal.write(Some(&station.host), phase, &format!("{}: {}", station.unit, station.describe()))?;
        if phase == "intent" {
            self.report.event(&Event::Around(station.clone()));
        }
        Ok(())
    }
}

impl Moved {
    /// `unit of host`
    fn name(&self) -> String {
        format!("{} of {}", self.unit, self.host)
    }

    /// Whether it would be cut off if the loopback port were closed.
    fn needs_loopback(&self) -> bool {
        self.on_member && self.stance < Stance::Https && !matches!(self.kind, Kind::V2Proxy | Kind::GrpcProxy)
    }
}
