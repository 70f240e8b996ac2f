//! What to do next: a pure function of what was observed and what is wanted.
//!
//! Every run plans from what it sees, so every run is a resume. Two rolls lead there, one member at a time, the
//! leader last: the first puts certificates in force everywhere while HTTP is still served, the second moves peer
//! and client URLs. The way back mirrors it. At every moment a quorum of members can reach each other.
//! The tests (`walk`) go through every state that can be reached, with the tool killed after any action.

use super::stage::Stage;
use crate::etcd::Scheme;
use crate::etcd::quorum::{can_spare_one_more, has_quorum};

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Goal {
    /// HTTP as before, nothing of this tool left.
    Http,
    /// HTTPS with plain HTTP on the loopback port.
    Https,
    /// HTTPS alone.
    Sealed,
}

impl Goal {
    /// The stage every member ends at.
    pub const fn stage(self) -> Stage {
        match self {
            Self::Http => Stage::Plain,
            Self::Https => Stage::Tls,
            Self::Sealed => Stage::Sealed,
        }
    }

    /// The stages that all members pass, one after the other.
    const fn rolls(self) -> &'static [Stage] {
        use Stage::{Certs, Plain, Sealed, Tls};
        match self {
            Self::Http => &[Certs, Plain],
            Self::Https => &[Certs, Tls],
            Self::Sealed => &[Certs, Tls, Sealed],
        }
    }

    const fn rises(self) -> bool {
        !matches!(self, Self::Http)
    }
}

/// What the planner knows of a member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Standing {
    /// What it runs with; `None` when it is down.
    pub running: Option<Stage>,
    /// What the disk would give it at the next start.
    pub disk: Stage,
    /// The scheme of its peer URL in the members list.
    pub peer_url: Scheme,
    /// Whether it leads.
    pub leader: bool,
    /// Whether its certificates are in place.
    pub installed: bool,
    /// Whether something that this tool placed there has yet to be taken away on the way back.
    pub traces: bool,
}

/// One member brought to one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The member, by its place in what was observed.
    pub member: usize,
    /// Where it goes.
    pub stage: Stage,
    /// What is done, in order.
    pub actions: Vec<Action>,
}

/// One thing that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The pair and the CA are placed on the host.
    Install,
    /// The member's peer URL is changed through the members API.
    UpdatePeerUrl,
    /// The files with the stage's settings are placed, those of later stages removed.
    Configure,
    /// etcd is restarted.
    Restart,
    /// What was there before is put back, byte for byte; what was not there is taken away.
    Restore,
}

impl Standing {
    /// One that came further than the roll and lacks only its certificates does not go back for them.
    fn no_lower(&self, stage: Stage, goal: Goal) -> Stage {
        let whole = self.running == Some(self.disk) && self.disk.scheme() == self.peer_url;
        if goal.rises() && whole { stage.max(self.disk.min(goal.stage())) } else { stage }
    }
}

/// A step, or none is left, or none is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Everything is as wanted.
    Done,
    /// Do this, then observe again.
    Step(Step),
    /// Something must be mended by hand first.
    Refused(Refusal),
}

/// Why no step is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Other members are down; restarting one more would cost the quorum or leave it hanging on one member.
    OthersDown(Vec<usize>),
    /// All is done but for these, which are down and were to be left so.
    Left(Vec<usize>),
}

/// What becomes of members that are down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Down {
    /// One that went down on our way is started first; any other must be started by whoever stopped it.
    Refused,
    /// They are left as they are, as long as a quorum stays while one of the others restarts.
    Left,
}

/// The next step towards a goal.
pub fn next(members: &[Standing], goal: Goal, policy: Down) -> Next {
    let down: Vec<usize> = (0..members.len()).filter(|&i| members[i].running.is_none()).collect();
    // One that would come back where the others do not look for it went down in the middle of a step. Left so, and
    // another beside it, they could not reach each other.
    let between = |&i: &usize| members[i].disk.scheme() != members[i].peer_url;
    let policy = if down.iter().any(between) { Down::Refused } else { policy };
    let Some((member, stage)) = choose(members, goal, policy) else {
        return if policy == Down::Left && !down.is_empty() {
            Next::Refused(Refusal::Left(down))
        } else {
            Next::Done
        };
    };
    let mut actions = actions(&members[member], stage);
    // Without a quorum nobody can commit another peer URL before the member is up: that follows in a step of its own.
    if members[member].running.is_none() && !has_quorum(members.len(), down.len()) {
        actions.retain(|action| *action != Action::UpdatePeerUrl);
    }
    let others: Vec<usize> = down.iter().copied().filter(|&i| i != member).collect();
    let may_restart = match policy {
        // A member that was not touched yet did not go down on our way.
        Down::Refused => others.is_empty() && (down.is_empty() || members[member].traces),
        Down::Left => others.is_empty() || can_spare_one_more(members.len(), others.len()),
    };
    if actions.contains(&Action::Restart) && !may_restart {
        return Next::Refused(Refusal::OthersDown(if others.is_empty() { down } else { others }));
    }
    Next::Step(Step { member, stage, actions })
}

/// All steps to a goal, as far as they can be foreseen: each is taken to succeed.
pub fn plan(members: &[Standing], goal: Goal, policy: Down) -> (Vec<Step>, Option<Refusal>) {
    let mut members = members.to_vec();
    let mut steps = Vec::new();
    // A member passes at most each stage once in each direction.
    for _ in 0..members.len() * Stage::ALL.len() * 2 {
        match next(&members, goal, policy) {
            Next::Done => return (steps, None),
            Next::Refused(refusal) => return (steps, Some(refusal)),
            Next::Step(step) => {
                for &action in &step.actions {
                    perform(&mut members[step.member], step.stage, action);
                }
                steps.push(step);
            }
        }
    }
    (steps, None)
}

/// What an action that succeeds makes of a member.
pub fn perform(member: &mut Standing, stage: Stage, action: Action) {
    match action {
        Action::Install => (member.installed, member.traces) = (true, true),
        Action::Restore => (member.installed, member.traces) = (false, false),
        Action::UpdatePeerUrl => member.peer_url = stage.scheme(),
        Action::Configure => (member.disk, member.traces) = (stage, true),
        Action::Restart => member.running = Some(member.disk),
    }
}

/// The member whose turn it is, and where it goes.
fn choose(members: &[Standing], goal: Goal, policy: Down) -> Option<(usize, Stage)> {
    let counts = |member: &Standing| policy == Down::Refused || member.running.is_some();
    let roll = goal
        .rolls()
        .iter()
        .copied()
        .find(|&stage| members.iter().any(|m| counts(m) && wants(m, stage, goal)));
    // One that is down comes up before another is touched: as the disk has it, unless the roll leads elsewhere.
    if policy == Down::Refused
        && let Some(i) = members.iter().position(|member| member.running.is_none())
    {
        let disk = members[i].disk;
        let stage = match roll {
            Some(roll) if goal.rises() => disk.max(roll),
            Some(roll) => disk.min(roll),
            None => disk,
        };
        return Some((i, stage));
    }
    let stage = roll?;
    let turn = |member: &Standing| {
        // First one that the others cannot dial, then one that they could not after a reboot, then one that is
        // between two stages; the leader last.
        let mismatched = member.running.is_some_and(|running| running.scheme() != member.peer_url);
        let fragile = member.disk.scheme() != member.peer_url;
        (!mismatched, !fragile, member.running == Some(member.disk), member.leader)
    };
    let waiting = (0..members.len()).filter(|&i| counts(&members[i]) && wants(&members[i], stage, goal));
    waiting.min_by_key(|&i| (turn(&members[i]), i)).map(|i| (i, members[i].no_lower(stage, goal)))
}

/// Whether a member has still to be brought to a stage on its way to a goal.
fn wants(member: &Standing, stage: Stage, goal: Goal) -> bool {
    if stage == goal.stage() {
        return !actions(member, stage).is_empty();
    }
    let at = member.running.unwrap_or(member.disk);
    if goal.rises() {
        at < stage
            || member.disk < stage
            || !member.installed
            || (stage.scheme() == Scheme::Https && member.peer_url != Scheme::Https)
    } else {
        at > stage
            || member.disk > stage
            || (stage.scheme() == Scheme::Http && member.peer_url != Scheme::Http)
    }
}

/// What brings a member to a stage.
///
/// The peer URL moves before the restart, on the way there and on the way back: the other order leaves the member
/// isolated in between.
fn actions(member: &Standing, stage: Stage) -> Vec<Action> {
    let mut actions = Vec::new();
    if stage >= Stage::Certs && !member.installed {
        actions.push(Action::Install);
    }
    if stage.scheme() != member.peer_url {
        actions.push(Action::UpdatePeerUrl);
    }
    if member.disk != stage {
        actions.push(Action::Configure);
    }
    if member.running != Some(stage) {
        actions.push(Action::Restart);
    }
    if stage == Stage::Plain && member.traces {
        actions.push(Action::Restore);
    }
    actions
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk;
