//! Where in a migration a fault strikes: every planned step, there and back.

use crate::lab_support::faults::{Course, Fault, Hosts, STOPPED};
use crate::lab_support::run::Told;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    There,
    Back,
}

impl Way {
    pub(super) const fn command(self) -> &'static str {
        match self {
            Self::There => "apply",
            Self::Back => "rollback",
        }
    }
}

/// A moment of a member's step: the fault is there when the tool sets about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum At {
    Gate,
    Install,
    PeerUrl,
    Configure,
    /// The look right before the restart.
    GateAgain,
    Restart,
    GateAfter,
    Restore,
}

use At::{Configure, Gate, GateAfter, GateAgain, Install, PeerUrl, Restart, Restore};
use Way::{Back, There};

impl At {
    const ALL: [Self; 8] = [Gate, Install, PeerUrl, Configure, GateAgain, Restart, GateAfter, Restore];

    /// Which moment an event begins.
    pub(super) fn of(told: &Told) -> Option<Self> {
        match (told.event.as_str(), told.what.as_str(), told.state.as_str()) {
            ("step", _, "start") => Some(Gate),
            ("action", "install", "start") => Some(Install),
            ("action", "update-peer-url", "start") => Some(PeerUrl),
            ("action", "configure", "start") => Some(Configure),
            ("action", "configure", "done") => Some(GateAgain),
            ("action", "restart", "start") => Some(Restart),
            ("action", "restart", "done") => Some(GateAfter),
            ("action", "restore", "start") => Some(Restore),
            _ => None,
        }
    }

    const fn describe(self) -> &'static str {
        match self {
            Gate => "gate before",
            Install => "certificates placed",
            PeerUrl => "peer URL changed",
            Configure => "settings placed",
            GateAgain => "look before the restart",
            Restart => "restart",
            GateAfter => "gate after",
            Restore => "files put back",
        }
    }
}

/// The four rolls, each with the moments of its steps.
pub(super) const ROLLS: [(Way, &str, &[At]); 4] = [
    (There, "certs", &[Gate, Install, Configure, GateAgain, Restart, GateAfter]),
    (There, "tls", &[Gate, PeerUrl, Configure, GateAgain, Restart, GateAfter]),
    (Back, "certs", &[Gate, PeerUrl, Configure, GateAgain, Restart, GateAfter]),
    (Back, "plain", &[Gate, Configure, GateAgain, Restart, GateAfter, Restore]),
];

/// One cell of the table.
#[derive(Clone, Copy)]
pub(super) struct Cell {
    pub(super) fault: Fault,
    pub(super) way: Way,
    pub(super) stage: &'static str,
    pub(super) at: At,
    /// Which member's turn in the roll, from 0.
    pub(super) turn: usize,
}

impl Cell {
    pub(super) const fn new(fault: Fault, way: Way, stage: &'static str, at: At, turn: usize) -> Self {
        Self { fault, way, stage, at, turn }
    }

    /// A fault at every moment of every roll, the members in turn. A CA that was not placed yet cannot be another.
    pub(super) fn all_of(fault: Fault, members: usize, shift: usize) -> Vec<Self> {
        let moments =
            ROLLS.into_iter().flat_map(|(way, stage, ats)| ats.iter().map(move |&at| (way, stage, at)));
        let cell = |(i, (way, stage, at))| Self::new(fault, way, stage, at, (i + shift) % members);
        let there_is = |cell: &Self| {
            !(fault.name.contains("wrong CA")
                && (cell.way, cell.stage) == (There, "certs")
                && cell.at <= Install)
        };
        moments.enumerate().map(cell).filter(there_is).collect()
    }

    /// Whether a fault that stands must have stopped the run before another member is through its step.
    pub(super) fn must_be_seen(&self) -> bool {
        match self.fault.course {
            Course::Stands => true,
            Course::Brief | Course::Passes => false,
            // The pairs of members that are to be given certificates, or to speak https, are judged first.
            Course::Given => self.stage == "certs" && self.way == There,
            // Certificates count on the way there; who dials https shows where from.
            Course::Lurks if self.fault.name.contains("wrong CA") => self.way == There,
            Course::Lurks if self.fault.name.contains("dials from") => self.stage == "tls",
            Course::Lurks => false,
        }
    }

    /// Whether a member's step puts right what went wrong: one that was stopped is started when its own turn comes.
    pub(super) fn is_mended(&self, by: u8, hosts: Hosts) -> bool {
        self.fault.name == STOPPED.name && by == hosts.others.0
    }

    pub(super) fn describe(&self) -> String {
        let Self { fault, way, stage, at, turn } = self;
        format!("{} at {}: {stage}, {}, turn {}", fault.name, way.command(), at.describe(), turn + 1)
    }
}

/// What was seen in a cell, for the table.
pub(super) struct Row {
    pub(super) cell: Cell,
    pub(super) outcome: String,
}

/// The table of all cells: a row for a fault and a moment, with what was seen in each roll.
pub(super) fn table(rows: &[Row]) -> Vec<(&str, &'static str, [&str; 4])> {
    let faults: std::collections::BTreeSet<&str> = rows.iter().map(|row| row.cell.fault.name).collect();
    let mut table = Vec::new();
    for fault in faults {
        for at in At::ALL {
            let seen = ROLLS.map(|(way, stage, ..)| {
                let same = |cell: &Cell| (cell.way, cell.stage, cell.at) == (way, stage, at);
                let row = rows.iter().find(|row| row.cell.fault.name == fault && same(&row.cell));
                row.map_or("", |row| row.outcome.as_str())
            });
            if seen.iter().any(|outcome| !outcome.is_empty()) {
                table.push((fault, at.describe(), seen));
            }
        }
    }
    table
}
