//! A `cluster.toml` of any size up to its limits is read in a time that grows with it, and refused beyond.

use std::path::Path;

use etcd_pki::inventory::Inventory;

use crate::support::{Bench, text};

fn inventory(entries: usize) -> String {
    (0..entries)
        .map(|at| {
            let (a, b) = (at / 250 % 250, at % 250);
            format!("[[client]]\nname = \"client{at}\"\nips = [\"10.{}.{a}.{b}\"]\ndns = [\"c{at}.example.com\"]\n\n", at / 62_500)
        })
        .collect()
}

/// The processor time of this thread in nanoseconds (proc(5), `schedstat`): other tests do not count.
fn processor_time() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn time_of(entries: usize) -> u64 {
    let text = inventory(entries);
    let one = || {
        let begin = processor_time();
        let read = Inventory::parse(&text, Path::new("cluster.toml")).unwrap();
        assert_eq!(read.clients.len(), entries);
        processor_time() - begin
    };
    (0..3).map(|_| one()).min().unwrap()
}

#[test]
fn four_times_the_entries_take_about_four_times_as_long() {
    let (small, large) = (time_of(2_500), time_of(10_000));
    println!("inventory: 2,500 entries {} ms, 10,000 entries {} ms", small / 1_000_000, large / 1_000_000);
    assert!(large < 6 * small, "{small} ns and {large} ns");
}

#[test]
fn more_entries_or_bytes_than_the_limit_are_refused_with_it() {
    let bench = Bench::new();
    let path = bench.root().join("cluster.toml");
    let entry = |at: usize| format!("[[client]]\nname = \"c{at}\"\n");
    std::fs::write(&path, (0..=100_000).map(entry).collect::<String>()).unwrap();
    let issue = || bench.run(&["issue", "--from", text(&path)]);
    issue()
        .refused(2, "cluster.toml:200001: client: there are more than 100000 members, clients and proxies");
    std::fs::write(&path, "#".repeat((32 << 20) + 1)).unwrap();
    issue().refused(2, "it has 33554433 bytes, and cluster.toml files are read up to 32 MiB");
    // Depth is refused by the parser, wherever it is.
    std::fs::write(&path, format!("a = {}{}\n", "[".repeat(100_000), "]".repeat(100_000))).unwrap();
    issue().refused(2, "cluster.toml:1: ");
    std::fs::write(&path, format!("{}x = 1\n", "a.".repeat(100_000))).unwrap();
    issue().refused(2, "cluster.toml:1: ");
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    issue().refused(2, "it is not UTF-8 text");
}
