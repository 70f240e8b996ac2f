//! What goes wrong on an ordinary bad night, as it is made to happen on the lab's hosts, and how it is put right.

mod certificates;
mod disks;
mod machines;
mod network;

use std::process::{Command, Stdio};

pub use certificates::{EXPIRED, OTHERS_PAIR, WRONG_CA};
pub use disks::{ALARM, DATA_FULL, ETC_FULL, STATE_FULL, small_data};
pub use machines::{CLOCK, LAGGING, POWER_OFF, REBOOT, SLOW_START, STOPPED, STUCK, UNIT_FAILS};
pub use network::{CUT_OFF, OTHERS_CUT, SECOND_ADDRESS, SSH_CUT, SSH_DROPPED};

use super::{EXE, LAB, Lab};

/// Something that goes wrong on one host, or between two.
#[derive(Clone, Copy)]
pub struct Fault {
    pub name: &'static str,
    /// Made to happen while the tool stands still; the host is the one whose turn it is, the other one of the others.
    pub strike: fn(&Lab, Hosts),
    /// Put right after the tool has ended or passed.
    pub heal: fn(&Lab, Hosts),
    pub course: Course,
    /// How it may stop a run: the error's code, and words of its message.
    pub stops: &'static [(&'static str, &'static str)],
}

/// How a fault goes on once it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// It is over in a moment.
    Brief,
    /// It passes by itself, and is waited for.
    Passes,
    /// It stands until it is healed, and no other member may get through a step meanwhile.
    Stands,
    /// It stands until it is healed, and hurts only those who touch it.
    Lurks,
    /// It is there when the operator, whose run has ended, begins another.
    Given,
}

/// Where a fault strikes, by number.
#[derive(Debug, Clone, Copy)]
pub struct Hosts {
    /// The member whose turn it is.
    pub own: u8,
    /// Two of the others.
    pub others: (u8, u8),
}

impl Hosts {
    pub fn of(lab: &Lab, own: u8) -> Self {
        let next = |host: u8| host % lab.hosts + 1;
        Self { own, others: (next(own), next(next(own))) }
    }
}

/// As root on a host, without ssh; whether it succeeded is for the script to see to.
pub fn root_on(lab: &Lab, host: u8, script: &str) -> String {
    let output = Command::new(LAB)
        .args(["on", "--name", &lab.name, &format!("server{host}"), "sh", "-c", script])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "server{host}: {script}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `ip` in a host's network.
fn ip(lab: &Lab, host: u8, words: &str) {
    let namespace = format!("lab-{}-server{host}", lab.name);
    let output = Command::new("ip").args(["-n", &namespace]).args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// In the operator's directory.
fn here(lab: &Lab, script: &str) {
    let output = Command::new("sh").args(["-c", script]).current_dir(lab.home.path()).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}
