//! issue --from cluster.toml: a whole cluster at once, and again.

use crate::support::Bench;

const CLUSTER: &str = r#"
[[member]]
name = "server1"
ips = ["172.16.0.101"]
[[member]]
name = "server2"
ips = ["172.16.0.102"]
dns = ["etcd2.example.com"]
[[client]]
name = "client1"
[[proxy]]
name = "proxy1"
ips = ["172.16.0.9"]
kind = "grpc"
"#;

fn bench(text: &str) -> Bench {
    let bench = Bench::new();
    std::fs::write(bench.root().join("cluster.toml"), text).unwrap();
    bench
}

#[test]
fn everybody_gets_the_certificate_of_their_part_and_a_second_run_changes_nothing() {
    let bench = bench(CLUSTER);
    let ran = bench.run(&["issue", "--from", "cluster.toml", "--json"]).ok();
    let issued = ran.json()["issued"].as_array().unwrap().clone();
    let part = |at: usize| (issued[at]["name"].as_str().unwrap(), issued[at]["profile"].as_str().unwrap());
    assert_eq!(
        [part(0), part(1), part(2), part(3)],
        [("server1", "server"), ("server2", "server"), ("client1", "client"), ("proxy1", "proxy")]
    );
    let before = bench.snapshot();
    let ran = bench.run(&["issue", "--from", "cluster.toml"]).ok();
    assert!(ran.out.contains("as wanted, left alone: server1, server2, client1, proxy1"), "{ran:?}");
    assert_eq!(bench.snapshot(), before);
}

#[test]
fn a_new_member_is_added_and_drift_is_told_and_mended_only_when_asked() {
    let bench = bench(CLUSTER);
    bench.run(&["issue", "--from", "cluster.toml"]).ok();
    let moved = CLUSTER.replace("172.16.0.102", "172.16.0.112")
        + "[[member]]\nname = \"server3\"\nips = [\"172.16.0.103\"]\n";
    std::fs::write(bench.root().join("cluster.toml"), moved).unwrap();
    let ran = bench.run(&["issue", "--from", "cluster.toml"]);
    assert_eq!(ran.code, Some(1), "drift is an answer of no: {ran:?}");
    assert!(ran.err.contains("server2: it lacks IP:172.16.0.112"), "{ran:?}");
    assert!(bench.file("server3.pem").exists() && !bench.file("server2.pem.1").exists());
    bench.run(&["issue", "--from", "cluster.toml", "--fix"]).ok();
    assert!(bench.file("server2.pem.1").exists() && bench.file("server2-key.pem.1").exists());
    bench.run(&["issue", "--from", "cluster.toml"]).ok();
}

#[test]
fn a_fault_in_the_file_is_told_with_its_line_and_nothing_is_issued() {
    let bench = bench(&CLUSTER.replace("172.16.0.102", "172.16.0.300"));
    let before = bench.snapshot();
    bench.run(&["issue", "--from", "cluster.toml"]).refused(2, "cluster.toml:7: member.ips");
    assert_eq!(bench.snapshot(), before);
}
