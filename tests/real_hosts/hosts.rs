//! The lab itself: it stands in seconds, two of them side by side, and nothing of it is left however it ends.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::lab_support::Lab;
use crate::seats::Seats;

/// What is there of a lab: namespaces, mounts, cgroups, processes.
fn traces(name: &str) -> Vec<String> {
    let script = format!(
        "ls -d /run/netns/lab-{name}-* /run/etcd-pki-lab/{name} 2>/dev/null; grep -o 'lab-{name}-[a-z0-9]* ' /proc/mounts; \
         find /sys/fs/cgroup -maxdepth 2 -name 'lab-{name}-*'; pgrep -af -- '-M lab-{name}-'; true"
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    // The search finds itself.
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|line| !line.contains("pgrep")).map(str::to_owned).collect()
}

fn gone(name: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    while !traces(name).is_empty() {
        assert!(Instant::now() < end, "left: {:?}", traces(name));
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn two_stand_side_by_side_and_go_without_a_trace() {
    let _seats = Seats::take(4);
    let Some(first) = Lab::without_seats("3.4.23", "debian", &["--hosts", "1"]) else { return };
    let start = Instant::now();
    let Some(second) = Lab::without_seats("3.4.23", "kubespray", &["--hosts", "1"]) else { return };
    println!("the second lab stood in {} ms", start.elapsed().as_millis());
    first.on("server1", "test -s /etc/default/etcd && test ! -e /etc/etcd.env");
    second.on("server1", "test ! -e /etc/default/etcd && test -s /etc/etcd.env");
    // The same address in each, and different hosts behind it.
    let machine = |lab: &Lab| lab.on("server1", "cat /etc/machine-id; hostname -I");
    assert!(machine(&first).contains("172.16.0.101") && machine(&second).contains("172.16.0.101"));
    assert_ne!(machine(&first), machine(&second));
    let names = [first.name.clone(), second.name.clone()];
    drop(first);
    gone(&names[0]);
    second.on("server1", "systemctl is-active etcd");
    drop(second);
    gone(&names[1]);
}

#[test]
fn a_lab_does_not_outlive_what_it_was_made_for() {
    let Some(lab) = Lab::bare("3.4.23", "debian", &["--hosts", "1"]) else { return };
    // Its keeper is killed as hard as can be.
    let name = lab.name.clone();
    let keeper = std::fs::read_to_string(lab.dir.join("keeper")).unwrap();
    assert!(Command::new("kill").args(["-9", keeper.trim()]).status().unwrap().success());
    gone(&name);
    drop(lab);

    // A test that is killed closes the pipe that its lab hangs on.
    let lab = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/lab");
    let name = format!("t{}-killed", std::process::id());
    let script = format!("sleep 1000 | '{lab}' run --name {name} --hosts 1; wait");
    let mut test = Command::new("sh");
    test.args(["-c", &script]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut test = test.spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(test.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    assert!(ready.starts_with("ready "), "{ready}");
    let children = Command::new("pgrep").args(["-P", &test.id().to_string(), "sleep"]).output().unwrap();
    let sleep = String::from_utf8(children.stdout).unwrap();
    assert!(Command::new("kill").args(["-9", sleep.trim()]).status().unwrap().success());
    gone(&name);
    let _ = test.kill();
    test.wait().unwrap();
}
