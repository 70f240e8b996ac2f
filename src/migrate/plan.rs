//! What to do next: a pure function of what was observed and what is wanted.
//!
//! Every run plans from what it sees, so every run is a resume. Two rolls lead there, one member at a time, the
//! leader last: the first puts certificates in force everywhere while HTTP is still served, the second moves peer
//! and client URLs. The way back mirrors it. At every moment a quorum of members can reach each other: the tests
//! below walk every state that can be reached, with the tool killed after any action.

use crate::etcd::Scheme;

use super::stage::Stage;

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
        match self {
            Self::Http => &[Stage::Certs, Stage::Plain],
            Self::Https => &[Stage::Certs, Stage::Tls],
            Self::Sealed => &[Stage::Certs, Stage::Tls, Stage::Sealed],
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
    /// What its peer URL in the members list says.
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
}

/// The next step towards a goal.
pub fn next(members: &[Standing], goal: Goal) -> Next {
    let Some((member, stage)) = choose(members, goal) else {
        return Next::Done;
    };
    let down: Vec<usize> =
        (0..members.len()).filter(|&i| i != member && members[i].running.is_none()).collect();
    let actions = actions(&members[member], stage);
    if !down.is_empty() && actions.contains(&Action::Restart) {
        return Next::Refused(Refusal::OthersDown(down));
    }
    Next::Step(Step { member, stage, actions })
}

/// All steps to a goal, as far as they can be foreseen: each is taken to succeed.
pub fn plan(members: &[Standing], goal: Goal) -> (Vec<Step>, Option<Refusal>) {
    let mut members = members.to_vec();
    let mut steps = Vec::new();
    // A member passes at most each stage once in each direction.
    for _ in 0..members.len() * Stage::ALL.len() * 2 {
        match next(&members, goal) {
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
        Action::UpdatePeerUrl => member.peer_url = stage.peer_scheme(),
        Action::Configure => (member.disk, member.traces) = (stage, true),
        Action::Restart => member.running = Some(member.disk),
    }
}

/// The member whose turn it is, and where it goes.
fn choose(members: &[Standing], goal: Goal) -> Option<(usize, Stage)> {
    let roll = goal.rolls().iter().copied().find(|&stage| members.iter().any(|m| wants(m, stage, goal)));
    // One that is down comes up before another is touched: as the disk has it, unless the roll leads elsewhere.
    if let Some(i) = members.iter().position(|member| member.running.is_none()) {
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
        let mismatched = member.running.is_some_and(|running| running.peer_scheme() != member.peer_url);
        let fragile = member.disk.peer_scheme() != member.peer_url;
        (!mismatched, !fragile, member.running == Some(member.disk), member.leader)
    };
    let waiting = (0..members.len()).filter(|&i| wants(&members[i], stage, goal));
    waiting.min_by_key(|&i| (turn(&members[i]), i)).map(|i| (i, stage))
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
            || (stage.peer_scheme() == Scheme::Https && member.peer_url == Scheme::Http)
    } else {
        at > stage
            || member.disk > stage
            || (stage.peer_scheme() == Scheme::Http && member.peer_url == Scheme::Https)
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
    if member.peer_url != stage.peer_scheme() {
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
mod tests {
    use std::collections::{BTreeSet, VecDeque};

    use super::*;

    const PLAIN: Standing = Standing {
        running: Some(Stage::Plain),
        disk: Stage::Plain,
        peer_url: Scheme::Http,
        leader: false,
        installed: false,
        traces: false,
    };
    const GOALS: [Goal; 3] = [Goal::Http, Goal::Https, Goal::Sealed];

    /// Whether one member can open a connection to the other: the URL it knows must speak what listens there, and
    /// for https it must run with certificates itself.
    fn dials(from: &Standing, to: &Standing) -> bool {
        let (Some(mine), Some(theirs)) = (from.running, to.running) else { return false };
        let certified = mine >= Stage::Certs && from.installed;
        to.peer_url == theirs.peer_scheme() && (theirs.peer_scheme() == Scheme::Http || certified)
    }

    /// The size of the largest set of members that all talk to each other; a pair talks if either can dial.
    fn largest_group(members: &[Standing]) -> usize {
        let talks = |a: usize, b: usize| dials(&members[a], &members[b]) || dials(&members[b], &members[a]);
        (0..1u32 << members.len())
            .filter(|set| {
                let group: Vec<usize> = (0..members.len()).filter(|i| set >> i & 1 == 1).collect();
                group
                    .iter()
                    .all(|&a| members[a].running.is_some() && group.iter().all(|&b| a == b || talks(a, b)))
            })
            .map(u32::count_ones)
            .max()
            .unwrap_or(0) as usize
    }

    /// Every state that is reached when each action may be the last before the tool is killed, when any member may
    /// lead, when a member may reboot between two actions, and when each run may want something else.
    fn walk(count: usize) -> BTreeSet<Vec<Standing>> {
        let start = vec![PLAIN; count];
        let mut seen = BTreeSet::from([start.clone()]);
        let mut queue = VecDeque::from([start]);
        let visit = |mut state: Vec<Standing>, seen: &mut BTreeSet<_>, queue: &mut VecDeque<_>| {
            state.iter_mut().for_each(|member| member.leader = false);
            state.sort();
            if seen.insert(state.clone()) {
                queue.push_back(state);
            }
        };
        while let Some(state) = queue.pop_front() {
            for goal in GOALS {
                for leader in 0..count {
                    let mut members = state.clone();
                    members[leader].leader = members[leader].running.is_some();
                    let Next::Step(step) = next(&members, goal) else { continue };
                    for &action in &step.actions {
                        if action == Action::Restart {
                            let mut stopped = members.clone();
                            stopped[step.member].running = None;
                            visit(stopped, &mut seen, &mut queue);
                        }
                        let half = match (action, members[step.member].disk, step.stage) {
                            (Action::Configure, Stage::Plain, Stage::Certs) => Some(Stage::Loopback),
                            (Action::Configure, Stage::Certs, Stage::Plain) => Some(Stage::Loopback),
                            _ => None,
                        };
                        if let Some(disk) = half {
                            // Killed between the first file and the second.
                            let mut killed = members.clone();
                            (killed[step.member].disk, killed[step.member].traces) = (disk, true);
                            visit(killed, &mut seen, &mut queue);
                        }
                        perform(&mut members[step.member], step.stage, action);
                        visit(members.clone(), &mut seen, &mut queue);
                    }
                }
            }
            for rebooted in 0..count {
                let mut members = state.clone();
                members[rebooted].running = Some(members[rebooted].disk);
                visit(members, &mut seen, &mut queue);
            }
        }
        seen
    }

    #[test]
    fn a_quorum_reaches_each_other_in_every_state_that_can_be_reached() {
        for count in [1, 2, 3, 5] {
            let states = walk(count);
            println!("{count} members: {} states", states.len());
            for state in &states {
                let down = state.iter().filter(|member| member.running.is_none()).count();
                assert!(down <= 1, "two members down at once: {state:#?}");
                let quorum = count / 2 + 1;
                let group = largest_group(state);
                // One or two members have no quorum while one of them restarts; they are told.
                let possible = quorum.min(count - down);
                assert!(group >= possible, "{group} of {count} talk: {state:#?}");
            }
        }
    }

    #[test]
    fn every_goal_is_reached_from_every_state() {
        for count in [1, 2, 3, 5] {
            for state in walk(count) {
                for goal in GOALS {
                    let (steps, refusal) = plan(&state, goal);
                    assert_eq!(refusal, None, "{state:#?} to {goal:?}");
                    let mut members = state.clone();
                    for step in &steps {
                        for &action in &step.actions {
                            perform(&mut members[step.member], step.stage, action);
                        }
                    }
                    assert_eq!(next(&members, goal), Next::Done, "{state:#?} to {goal:?}");
                }
            }
        }
    }

    #[test]
    fn the_way_there_is_two_rolls_and_the_leader_is_last() {
        let mut members = vec![PLAIN; 3];
        members[0].leader = true;
        let (steps, _) = plan(&members, Goal::Https);
        let order: Vec<_> = steps.iter().map(|step| (step.member, step.stage)).collect();
        let (certs, tls) = (Stage::Certs, Stage::Tls);
        assert_eq!(order, [(1, certs), (2, certs), (0, certs), (1, tls), (2, tls), (0, tls)]);
        assert_eq!(steps[0].actions, [Action::Install, Action::Configure, Action::Restart]);
        assert_eq!(steps[3].actions, [Action::UpdatePeerUrl, Action::Configure, Action::Restart]);
    }

    #[test]
    fn the_way_back_keeps_the_certificates_until_no_member_speaks_https() {
        let tls = Standing {
            running: Some(Stage::Tls),
            disk: Stage::Tls,
            peer_url: Scheme::Https,
            installed: true,
            traces: true,
            ..PLAIN
        };
        let (steps, _) = plan(&[tls.clone(), tls.clone(), tls], Goal::Http);
        let stages: Vec<_> = steps.iter().map(|step| step.stage).collect();
        assert_eq!(stages, [[Stage::Certs; 3], [Stage::Plain; 3]].concat());
        assert_eq!(steps[0].actions, [Action::UpdatePeerUrl, Action::Configure, Action::Restart]);
        assert_eq!(steps[3].actions, [Action::Configure, Action::Restart, Action::Restore]);
    }

    #[test]
    fn a_member_between_two_stages_is_finished_first() {
        let certs = Standing {
            running: Some(Stage::Certs),
            disk: Stage::Certs,
            installed: true,
            traces: true,
            ..PLAIN
        };
        let updated = Standing { peer_url: Scheme::Https, leader: true, ..certs };
        let (steps, _) = plan(&[certs.clone(), certs, updated], Goal::Https);
        assert_eq!(steps[0].member, 2);
        assert_eq!(steps[0].actions, [Action::Configure, Action::Restart]);
    }

    #[test]
    fn no_member_is_restarted_while_another_is_down() {
        let down = Standing { running: None, ..PLAIN };
        let both = [down.clone(), down, PLAIN];
        assert_eq!(next(&both, Goal::Https), Next::Refused(Refusal::OthersDown(vec![1])));
    }

    #[test]
    fn peer_urls_that_were_all_updated_by_hand_are_put_right_first() {
        // The documents' order: every peer URL is https already, nobody has certificates.
        let ahead = Standing { peer_url: Scheme::Https, ..PLAIN };
        let (steps, refusal) = plan(&[ahead.clone(), ahead.clone(), ahead], Goal::Https);
        assert_eq!(refusal, None);
        assert_eq!(steps[0].actions[..2], [Action::Install, Action::UpdatePeerUrl]);
    }
}
