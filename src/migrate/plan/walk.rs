//! The planner over every state that a cluster can reach.

use std::collections::{BTreeSet, VecDeque};

use super::*;

pub(super) const PLAIN: Standing = Standing {
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
        for down in (0..count).filter(|_| policy == Down::Left && state.iter().all(|m| m.running.is_some())) {
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
