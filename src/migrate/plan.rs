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

impl Standing {
    /// One that came further than the roll and lacks only its certificates does not go back for them.
    fn no_lower(&self, stage: Stage, goal: Goal) -> Stage {
        let whole = self.running == Some(self.disk) && self.disk.peer_scheme() == self.peer_url;
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

/// Whether a quorum stays while one member restarts and so many are down.
pub const fn can_spare_one_more(members: usize, down: usize) -> bool {
    down + 1 + members / 2 < members
}

/// The next step towards a goal.
pub fn next(members: &[Standing], goal: Goal, policy: Down) -> Next {
    let down: Vec<usize> = (0..members.len()).filter(|&i| members[i].running.is_none()).collect();
    // One that would come back where the others do not look for it went down in the middle of a step. Left so, and
    // another beside it, they could not reach each other.
    let between = |&i: &usize| members[i].disk.peer_scheme() != members[i].peer_url;
    let policy = if down.iter().any(between) { Down::Refused } else { policy };
    let Some((member, stage)) = choose(members, goal, policy) else {
        return if policy == Down::Left && !down.is_empty() {
            Next::Refused(Refusal::Left(down))
        } else {
            Next::Done
        };
    };
    let actions = actions(&members[member], stage);
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
        Action::UpdatePeerUrl => member.peer_url = stage.peer_scheme(),
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
        let mismatched = member.running.is_some_and(|running| running.peer_scheme() != member.peer_url);
        let fragile = member.disk.peer_scheme() != member.peer_url;
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
    fn walk(count: usize, policy: Down) -> BTreeSet<Vec<Standing>> {
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
                    let Next::Step(step) = next(&members, goal, policy) else { continue };
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
            for down in
                (0..count).filter(|_| policy == Down::Left && state.iter().all(|m| m.running.is_some()))
            {
                let mut members = state.clone();
                members[down].running = None;
                visit(members, &mut seen, &mut queue);
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
        let walks = [1, 2, 3, 5].map(|count| (count, Down::Refused));
        for (count, policy) in walks.into_iter().chain([(3, Down::Left), (5, Down::Left)]) {
            let states = walk(count, policy);
            println!("{count} members, those that are down {policy:?}: {} states", states.len());
            for state in &states {
                let down = state.iter().filter(|member| member.running.is_none()).count();
                let quorum = count / 2 + 1;
                let spare = if policy == Down::Left { (count - quorum).max(1) } else { 1 };
                assert!(down <= spare, "{down} members down at once: {state:#?}");
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
            for mut state in walk(count, Down::Refused) {
                // Nobody but its operator starts a member that was not touched.
                let untouched = state.iter_mut().filter(|member| member.running.is_none() && !member.traces);
                untouched.for_each(|member| member.running = Some(member.disk));
                for goal in GOALS {
                    let (steps, refusal) = plan(&state, goal, Down::Refused);
                    assert_eq!(refusal, None, "{state:#?} to {goal:?}");
                    let mut members = state.clone();
                    for step in &steps {
                        for &action in &step.actions {
                            perform(&mut members[step.member], step.stage, action);
                        }
                    }
                    assert_eq!(next(&members, goal, Down::Refused), Next::Done, "{state:#?} to {goal:?}");
                }
            }
        }
    }

    #[test]
    fn the_way_there_is_two_rolls_and_the_leader_is_last() {
        let mut members = vec![PLAIN; 3];
        members[0].leader = true;
        let (steps, _) = plan(&members, Goal::Https, Down::Refused);
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
        let (steps, _) = plan(&[tls.clone(), tls.clone(), tls], Goal::Http, Down::Refused);
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
        let (steps, _) = plan(&[certs.clone(), certs, updated], Goal::Https, Down::Refused);
        assert_eq!(steps[0].member, 2);
        assert_eq!(steps[0].actions, [Action::Configure, Action::Restart]);
    }

    #[test]
    fn no_member_is_restarted_while_another_is_down() {
        let down = Standing { running: None, ..PLAIN };
        let both = [down.clone(), down, PLAIN];
        assert_eq!(next(&both, Goal::Https, Down::Refused), Next::Refused(Refusal::OthersDown(vec![1])));
    }

    #[test]
    fn a_member_that_somebody_stopped_is_not_started_behind_their_back() {
        let down = Standing { running: None, ..PLAIN };
        let members = [PLAIN, PLAIN, down, PLAIN, PLAIN];
        assert_eq!(next(&members, Goal::Https, Down::Refused), Next::Refused(Refusal::OthersDown(vec![2])));
        // One that went down on our way is.
        let mut ours = members;
        (ours[2].traces, ours[2].installed) = (true, true);
        let Next::Step(step) = next(&ours, Goal::Https, Down::Refused) else { panic!("it is refused") };
        assert_eq!((step.member, step.actions.last()), (2, Some(&Action::Restart)));
    }

    #[test]
    fn members_that_are_down_are_left_while_a_quorum_stays() {
        let down = Standing { running: None, ..PLAIN };
        let (steps, refusal) = plan(&[PLAIN, PLAIN, down.clone(), PLAIN, PLAIN], Goal::Https, Down::Left);
        assert_eq!(refusal, Some(Refusal::Left(vec![2])));
        assert_eq!(steps.len(), 8);
        assert!(steps.iter().all(|step| step.member != 2));
        // Two of five, or one of three: the next restart would cost the quorum.
        for members in [vec![PLAIN, down.clone(), down.clone(), PLAIN, PLAIN], vec![PLAIN, down, PLAIN]] {
            let (steps, refusal) = plan(&members, Goal::Https, Down::Left);
            assert!(steps.is_empty() && matches!(refusal, Some(Refusal::OthersDown(_))), "{refusal:?}");
        }
    }

    #[test]
    fn new_certificates_do_not_lead_a_member_back() {
        let tls = Standing {
            running: Some(Stage::Tls),
            disk: Stage::Tls,
            peer_url: Scheme::Https,
            traces: true,
            ..PLAIN
        };
        let (steps, refusal) = plan(&[tls.clone(), tls.clone(), tls], Goal::Https, Down::Refused);
        assert_eq!((steps.len(), refusal), (3, None));
        assert!(steps.iter().all(|step| step.actions == [Action::Install]));
    }

    #[test]
    fn peer_urls_that_were_all_updated_by_hand_are_put_right_first() {
        // The documents' order: every peer URL is https already, nobody has certificates.
        let ahead = Standing { peer_url: Scheme::Https, ..PLAIN };
        let (steps, refusal) = plan(&[ahead.clone(), ahead.clone(), ahead], Goal::Https, Down::Refused);
        assert_eq!(refusal, None);
        assert_eq!(steps[0].actions[..2], [Action::Install, Action::UpdatePeerUrl]);
    }
}
