//! The rehearsal's cluster and load, without a migration: what a restart of each member costs clients.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use etcd_pki::etcd::Scheme;
use etcd_pki::etcd::client::{Api, Client, Endpoint};
use etcd_pki::etcd::ports;
use etcd_pki::host::Service;
use etcd_pki::rehearse::cluster::{self, Cluster};
use etcd_pki::rehearse::load::Load;
use etcd_pki::rehearse::proof;

use crate::rehearsal_support::{EXE, own_base, until};

fn every_member_restarts_under_load(v2: bool) {
    let dir = tempfile::tempdir().unwrap();
    let etcd = cluster::find_etcd(None).unwrap();
    let addresses = cluster::addresses(own_base(), 3).unwrap();
    let stop = AtomicBool::new(false);
    let cluster = Cluster::start(Path::new(EXE), dir.path(), &etcd, &addresses, v2, &stop).unwrap();
    let client = |i: usize| {
        let url = cluster.members[i].url(Scheme::Http, ports::CLIENT);
        Client::new(Endpoint { timeout: Duration::from_secs(2), ..Endpoint::direct(url, None) })
    };
    let api = if v2 { Api::V2 } else { client(0).api().unwrap() };
    let load = Load::start(&addresses, api).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    for (i, member) in cluster.members.iter().enumerate() {
        let service = member.host().unwrap().service();
        let before = service.running().unwrap().unwrap().identity;
        service.restart().unwrap();
        until("started anew", || service.running().unwrap().is_some_and(|now| now.identity != before));
        until("healthy", || client(i).health().is_ok_and(|health| health.healthy));
    }
    // However fast the machine is: enough to tell that they went on all the while, and after the last restart.
    until("enough writes", || load.so_far().writes > 100);
    let figures = load.finish(|| proof::keys(&cluster, Scheme::Http, None, api).unwrap());
    println!("{figures:?}");
    assert_eq!((figures.failed, figures.lost, figures.missed), (0, 0, 0), "{figures:?}");
}

#[test]
fn restarts_cost_no_write_and_no_event_over_v3() {
    every_member_restarts_under_load(false);
}

#[test]
fn restarts_cost_no_write_and_no_event_over_v2() {
    every_member_restarts_under_load(true);
}
