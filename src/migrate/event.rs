//! What a migration tells while it goes: one event a line with `--json`, a sentence otherwise.

use serde::Serialize;

use super::around::Moved;
use super::plan::Action;
use super::stage::Stage;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The member.
    pub member: String,
    /// What was looked at, in words.
    pub what: String,
    /// Whether it was as it should be; none where it could not be seen.
    pub ok: Option<bool>,
    /// What was seen.
    pub saw: String,
}

/// Something that happened.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event<'a> {
    /// Something around the members is moved.
    Around(Moved),
    /// Where the cluster stands.
    Observed {
        /// The cluster's identifier, in hexadecimal.
        cluster: String,
        /// Its members.
        members: Vec<MemberLine>,
    },
    /// What will be done.
    Plan {
        /// The steps.
        steps: Vec<StepLine>,
    },
    /// A step begins or ended.
    Step {
        /// Its number in this run, from 1.
        n: usize,
        /// How many there are in this run, as far as can be foreseen.
        of: usize,
        /// The member.
        member: &'a str,
        /// Where it goes.
        stage: Stage,
        /// `start` or `done`.
        state: &'static str,
        /// How long it took, in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        ms: Option<u64>,
    },
    /// Something is about to change, or did.
    Action {
        /// The member.
        member: &'a str,
        /// What.
        action: Action,
        /// In words.
        what: String,
        /// `start` or `done`.
        state: &'static str,
    },
    /// The member of the step led, and another was asked to.
    Leadership {
        /// The member of the step.
        from: &'a str,
        /// The new leader; none where the member still leads.
        to: Option<&'a str>,
        /// In words.
        what: String,
    },
    /// A member's process that was asked to stop has ended, or is waited for no longer.
    Stopped {
        /// The member.
        member: &'a str,
        /// How many connections of clients were closed for it.
        closed: usize,
        /// How long it took, in milliseconds.
        ms: u64,
    },
    /// A gate held.
    Gate {
        /// The member whose turn it is.
        member: &'a str,
        /// `before` or `after` its restart.
        when: &'static str,
        /// How long it took to hold, in milliseconds.
        ms: u64,
        /// What was looked at.
        checks: Vec<String>,
    },
    /// A gate does not hold yet: told when the wait is long, and again when something else is waited for.
    Waiting {
        /// The member whose turn it is.
        member: &'a str,
        /// `before` or `after` its restart.
        when: &'static str,
        /// How long it has been waited for, in milliseconds.
        ms: u64,
        /// What is waited for.
        saw: Vec<String>,
    },
    /// Clients stand in the way of the next roll.
    Clients {
        /// What they speak.
        speak: &'static str,
        /// Who they are.
        clients: Vec<String>,
    },
    /// A snapshot of the data was taken before the first change.
    Snapshot {
        /// The file, on this machine.
        path: String,
        /// Its length in bytes.
        bytes: u64,
    },
    /// A backup of v2 data was made before the first change.
    V2Backup {
        /// The member on whose host it is.
        member: String,
        /// The directory there.
        path: String,
    },
    /// The last look at the end.
    Closing {
        /// What was looked at, member by member.
        checks: Vec<Check>,
    },
    /// Something to know.
    Note {
        /// In words.
        what: String,
    },
    /// All is as wanted.
    Done {
        /// How many steps this run took.
        steps: usize,
        /// How long it took, in milliseconds.
        ms: u64,
    },
}

/// A member in an [`Event::Observed`].
#[derive(Debug, Clone, Serialize)]
pub struct MemberLine {
    /// Its name.
    pub name: String,
    /// Its identifier, in hexadecimal.
    pub id: String,
    /// What it runs with; none when it is down.
    pub stage: Option<Stage>,
    /// What its next start would run with.
    pub disk: Stage,
    /// Its peer URLs in the members list.
    pub peer_urls: Vec<String>,
    /// The client URLs it advertises.
    pub client_urls: Vec<String>,
    /// Its version.
    pub version: String,
    /// Whether it leads.
    pub leader: bool,
}

/// A step in an [`Event::Plan`].
#[derive(Debug, Clone, Serialize)]
pub struct StepLine {
    /// The member.
    pub member: String,
    /// Where it goes.
    pub stage: Stage,
    /// What is done, in order.
    pub actions: Vec<Action>,
}

/// Where events go.
pub trait Report: Send + Sync {
    /// Takes one.
    fn event(&self, event: &Event<'_>);

    /// Whether somebody is to be asked between members.
    fn pauses(&self) -> bool {
        false
    }

    /// Whether to go on with the next member, to that stage.
    fn go_on(&self, _member: &str, _stage: Stage) -> bool {
        true
    }
}
