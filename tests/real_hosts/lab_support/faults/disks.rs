//! Disks that are full, and what etcd says when its own space is.

use super::{Course, Fault, Lab, root_on};

/// Puts a full file system over directories, with what they hold.
const FULL: &str = r#"
set -e
mkdir -p /run/fault
for dir; do
    at=/run/fault/$(echo "$dir" | tr / _)
    [ -d "$dir" ] || { mkdir -p "$dir"; touch "$at.made"; }
    mkdir "$at"
    mount -t tmpfs -o size=16m,mode=755 fault "$at"
    cp -a "$dir/." "$at/"
    cat /dev/zero >"$at/zz-fault-filler" 2>/dev/null || :
    mount --bind "$at" "$dir"
done
"#;

/// Takes it away again; what was written there meanwhile stays.
const ROOM: &str = r#"
set -e
mkdir /run/fault/below
mount --bind / /run/fault/below
for dir; do
    at=/run/fault/$(echo "$dir" | tr / _)
    rm "$dir/zz-fault-filler"
    find "/run/fault/below$dir" -mindepth 1 -delete
    cp -a "$dir/." "/run/fault/below$dir/"
    umount "$dir"
    umount "$at"
    rmdir "$at"
    [ ! -e "$at.made" ] || { rm "$at.made"; rmdir "$dir" 2>/dev/null || :; }
done
umount /run/fault/below
rmdir /run/fault/below
"#;

fn full(lab: &Lab, host: u8, dirs: &str) {
    root_on(lab, host, &format!("set -- {dirs}; {FULL}"));
}

fn room(lab: &Lab, host: u8, dirs: &str) {
    root_on(lab, host, &format!("set -- {dirs}; {ROOM}"));
}

/// What the tool writes to below /etc.
const ETC: &str = "/etc/ssl /etc/systemd/system";
const STATE: &str = "/var/lib/etcd-pki";

pub const ETC_FULL: Fault = Fault {
    name: "disk full below /etc",
    strike: |lab, at| full(lab, at.own, ETC),
    heal: |lab, at| room(lab, at.own, ETC),
    course: Course::Lurks,
    stops: &[("host", "No space left")],
};

pub const STATE_FULL: Fault = Fault {
    name: "disk full below /var/lib/etcd-pki",
    strike: |lab, at| full(lab, at.own, STATE),
    heal: |lab, at| room(lab, at.own, STATE),
    course: Course::Lurks,
    stops: &[("host", "No space left")],
};

/// The data directory must be on a small file system for this one: [`small_data`].
pub const DATA_FULL: Fault = Fault {
    name: "disk full below the data directory",
    strike: |lab, at| {
        root_on(lab, at.own, "cat /dev/zero >/var/lib/etcd/zz-fault-filler 2>/dev/null; exit 0");
    },
    heal: |lab, at| drop(root_on(lab, at.own, "rm -f /var/lib/etcd/zz-fault-filler")),
    course: Course::Lurks,
    stops: &[("unit-failed", "no space left"), ("gate", "no space left")],
};

/// Moves a member's data to a small file system of its own; there it stays.
pub fn small_data(lab: &Lab, host: u8) {
    let script = "set -e; systemctl stop etcd; mkdir /run/fault-data; mount -t tmpfs -o size=700m fault /run/fault-data; \
         cp -a /var/lib/etcd/. /run/fault-data/; chown etcd:etcd /run/fault-data; chmod 700 /run/fault-data; \
         mount --bind /run/fault-data /var/lib/etcd; systemctl start etcd";
    root_on(lab, host, script);
}

/// Raised by hand, as the space quota would raise it.
pub const ALARM: Fault = Fault {
    name: "alarm NOSPACE",
    strike: |lab, at| drop(root_on(lab, at.others.0, &alarm("ACTIVATE"))),
    heal: |lab, at| drop(root_on(lab, at.others.0, &alarm("DEACTIVATE"))),
    course: Course::Stands,
    stops: &[("gate", "an alarm is raised: NOSPACE")],
};

fn alarm(action: &str) -> String {
    format!(
        "id=$(curl -fs http://127.0.0.1:4001/v3/maintenance/status -d '{{}}' || curl -fs http://127.0.0.1:2379/v3/maintenance/status -d '{{}}'); \
         id=$(printf %s \"$id\" | sed 's/.*\"member_id\":\"\\([0-9]*\\)\".*/\\1/'); \
         body='{{\"action\":\"{action}\",\"memberID\":\"'$id'\",\"alarm\":\"NOSPACE\"}}'; \
         curl -fs http://127.0.0.1:4001/v3/maintenance/alarm -d \"$body\" || \
         curl -fs http://127.0.0.1:2379/v3/maintenance/alarm -d \"$body\""
    )
}
