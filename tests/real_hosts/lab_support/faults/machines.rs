//! Hosts and units that go down, hang, or do not come back.

use super::{Course, Fault, Lab, ip, root_on};

fn power(lab: &Lab, what: &str, host: u8) {
    let output = lab.lab(&["power", "--name", &lab.name, what, &format!("server{host}")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until systemd on a host has started what it starts at boot.
fn wait_for_boot(lab: &Lab, host: u8) {
    for _ in 0..300 {
        let ssh = lab.lab(&["ssh", "--name", &lab.name, &format!("server{host}"), "systemctl is-active ssh"]);
        if ssh.status.success() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("server{host} does not come back");
}

/// What says that a host cannot be reached.
const AWAY: &[(&str, &str)] = &[
    ("ssh-broken", "connection"),
    ("unreachable", "ssh cannot reach it"),
    ("gate", "server"),
    ("host", "did not end within"),
    ("host", "shutting down or rebooting"),
];

pub const REBOOT: Fault = Fault {
    name: "host rebooted",
    strike: |lab, at| drop(root_on(lab, at.own, "systemctl reboot")),
    heal: |lab, at| wait_for_boot(lab, at.own),
    course: Course::Brief,
    stops: AWAY,
};

pub const POWER_OFF: Fault = Fault {
    name: "host powered off",
    strike: |lab, at| {
        // Nothing answers for a host without power, not even its kernel.
        ip(lab, at.own, "link set eth0 down");
        power(lab, "off", at.own);
    },
    heal: |lab, at| {
        ip(lab, at.own, "link set eth0 up");
        ip(lab, at.own, "route replace default via 172.16.0.1");
        power(lab, "on", at.own);
    },
    course: Course::Stands,
    stops: AWAY,
};

const UNIT_DIR: &str = "/run/systemd/system/etcd.service.d";

/// A drop-in that stands beside ours and is no part of etcd's configuration.
fn drop_in(lab: &Lab, host: u8, line: &str) {
    root_on(
        lab,
        host,
        &format!(
            "mkdir -p {UNIT_DIR} && printf '[Service]\\n{line}\\n' >{UNIT_DIR}/90-fault.conf && systemctl daemon-reload"
        ),
    );
}

fn no_drop_in(lab: &Lab, host: u8) {
    root_on(
        lab,
        host,
        &format!("rm -f {UNIT_DIR}/90-fault.conf; rmdir {UNIT_DIR}; systemctl daemon-reload; exit 0"),
    );
}

pub const SLOW_START: Fault = Fault {
    name: "etcd takes 20 s to start",
    strike: |lab, at| drop_in(lab, at.own, "ExecStartPre=/bin/sleep 20"),
    heal: |lab, at| no_drop_in(lab, at.own),
    course: Course::Passes,
    stops: &[],
};

pub const UNIT_FAILS: Fault = Fault {
    name: "unit fails to start",
    strike: |lab, at| drop_in(lab, at.own, "ExecStartPre=/bin/sh -c \"echo no such disk; exit 7\""),
    heal: |lab, at| no_drop_in(lab, at.own),
    course: Course::Lurks,
    stops: &[("unit-failed", "no such disk")],
};

pub const LAGGING: Fault = Fault {
    name: "another member hangs for 5 s",
    strike: |lab, at| {
        let script = "pkill -STOP -x etcd; (sleep 5; pkill -CONT -x etcd) >/dev/null 2>&1 </dev/null &";
        root_on(lab, at.others.0, script);
    },
    heal: |_, _| {},
    course: Course::Passes,
    stops: &[],
};

pub const STUCK: Fault = Fault {
    name: "another member hangs",
    strike: |lab, at| drop(root_on(lab, at.others.0, "pkill -STOP -x etcd")),
    heal: |lab, at| drop(root_on(lab, at.others.0, "pkill -CONT -x etcd")),
    course: Course::Stands,
    stops: &[("gate", "server")],
};

pub const STOPPED: Fault = Fault {
    name: "another member is stopped",
    strike: |lab, at| drop(root_on(lab, at.others.0, "systemctl stop etcd")),
    // One that the others do not reach yet never says that it is ready: nobody waits for that.
    heal: |lab, at| drop(root_on(lab, at.others.0, "systemctl start --no-block etcd")),
    course: Course::Stands,
    stops: &[("gate", "is down"), ("members-down", "down")],
};

/// nspawn shares this machine's clock: what is other is what `date` says to those who ask by ssh.
pub const CLOCK: Fault = Fault {
    name: "clock ten minutes off",
    strike: |lab, at| {
        let script = "printf '#!/bin/sh\\nexec /usr/bin/date -d \"10 minutes ago\" \"$@\"\\n' >/usr/local/bin/date && \
            chmod 755 /usr/local/bin/date";
        root_on(lab, at.own, script);
    },
    heal: |lab, at| drop(root_on(lab, at.own, "rm -f /usr/local/bin/date")),
    course: Course::Stands,
    stops: &[("clock-skew", "its clock is")],
};
