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
pub(super) const ROLLS: [(Way, &str, &str, &[At]); 4] = [
    (There, "certs", "there: certificates", &[Gate, Install, Configure, GateAgain, Restart, GateAfter]),
    (There, "tls", "there: https", &[Gate, PeerUrl, Configure, GateAgain, Restart, GateAfter]),
    (Back, "certs", "back: http", &[Gate, PeerUrl, Configure, GateAgain, Restart, GateAfter]),
    (Back, "plain", "back: as before", &[Gate, Configure, GateAgain, Restart, GateAfter, Restore]),
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
            ROLLS.into_iter().flat_map(|(way, stage, _, ats)| ats.iter().map(move |&at| (way, stage, at)));
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

/// The table of all cells: a line for a fault and a moment, a column for a roll.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = "| fault | at |".to_owned();
    ROLLS.iter().for_each(|roll| text.push_str(&format!(" {} |", roll.2)));
    text.push_str("\n|---|---|---|---|---|---|\n");
    let mut faults: Vec<&str> = rows.iter().map(|row| row.cell.fault.name).collect();
    faults.dedup();
    faults.sort_unstable();
    faults.dedup();
    for fault in faults {
        for at in At::ALL {
            let of = |roll: &(Way, &str, &str, &[At])| {
                let same = |cell: &Cell| (cell.way, cell.stage, cell.at) == (roll.0, roll.1, at);
                let row = rows.iter().find(|row| row.cell.fault.name == fault && same(&row.cell));
                row.map_or("", |row| row.outcome.as_str())
            };
            let columns = ROLLS.each_ref().map(of);
            if columns.iter().any(|column| !column.is_empty()) {
                text.push_str(&format!("| {fault} | {} | {} |\n", at.describe(), columns.join(" | ")));
            }
        }
    }
    text
}
