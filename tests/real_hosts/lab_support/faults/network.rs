//! Connections that break, and addresses that are others than they were.

use super::{Course, Fault, Lab, ip, root_on};

pub const SSH_CUT: Fault = Fault {
    name: "ssh connection killed",
    strike: |lab, at| drop(root_on(lab, at.own, "pkill -9 -f '^sshd: root'; exit 0")),
    heal: |_, _| {},
    course: Course::Brief,
    stops: &[("ssh-broken", "connection")],
};

pub const SSH_DROPPED: Fault = Fault {
    name: "packets of ssh dropped",
    strike: |lab, at| ip(lab, at.own, "rule add pref 10 ipproto tcp sport 22 blackhole"),
    heal: |lab, at| ip(lab, at.own, "rule del pref 10"),
    course: Course::Stands,
    stops: &[
        ("ssh-broken", "connection"),
        ("unreachable", "ssh cannot reach it"),
        ("gate", "ssh"),
        ("host", "did not end within"),
    ],
};

fn cut(lab: &Lab, (a, b): (u8, u8), what: &str) {
    for (from, to) in [(a, b), (b, a)] {
        ip(lab, from, &format!("route {what} blackhole {}/32", lab.address(to)));
    }
}

pub const CUT_OFF: Fault = Fault {
    name: "partition: from another member",
    strike: |lab, at| cut(lab, (at.own, at.others.0), "add"),
    heal: |lab, at| cut(lab, (at.own, at.others.0), "del"),
    course: Course::Stands,
    stops: &[("gate", "from server")],
};

pub const OTHERS_CUT: Fault = Fault {
    name: "partition: between two others",
    strike: |lab, at| cut(lab, at.others, "add"),
    heal: |lab, at| cut(lab, at.others, "del"),
    course: Course::Stands,
    stops: &[("gate", "from server")],
};

/// A second address, from which the host dials the others.
pub const SECOND_ADDRESS: Fault = Fault {
    name: "dials from an address that is not in its certificate",
    strike: |lab, at| {
        ip(lab, at.own, &format!("addr add 172.16.0.{}/24 dev eth0", 200 + at.own));
        let route = format!("route replace 172.16.0.0/24 dev eth0 src 172.16.0.{}", 200 + at.own);
        ip(lab, at.own, &route);
    },
    heal: |lab, at| {
        let route = format!("route replace 172.16.0.0/24 dev eth0 src {}", lab.address(at.own));
        ip(lab, at.own, &route);
        ip(lab, at.own, &format!("addr del 172.16.0.{}/24 dev eth0", 200 + at.own));
    },
    course: Course::Lurks,
    stops: &[("certificate-refused", "dials from 172.16.0.20"), ("gate", "from server")],
};
