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
    theirs.scheme() == to.peer_url && (to.peer_url != Scheme::Https || certified)
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

/// What the disk would give, while the files of one stage are placed in their order and those of no use then taken away
/// from the last to the first.
fn on_the_way(from: Stage, to: Stage) -> Vec<Stage> {
    let files = |stage: Stage| -> Vec<Stage> {
        use Stage::{Certs, Loopback, Plain, Sealed, Tls};
        match stage {
            Plain => vec![],
            Loopback => vec![Loopback],
            Certs => vec![Loopback, Certs],
            Tls => vec![Loopback, Certs, Tls],
            Sealed => vec![Loopback, Certs, Sealed],
        }
    };
    let (mut disk, wanted) = (files(from), files(to));
    let stage = |disk: &[Stage]| disk.iter().copied().max().unwrap_or(Stage::Plain);
    let mut seen = Vec::new();
    for &file in &wanted {
        // The last two are one file, with other words.
        if file >= Stage::Tls {
            disk.retain(|&other| other < Stage::Tls);
        }
        if !disk.contains(&file) {
            disk.push(file);
        }
        seen.push(stage(&disk));
    }
    while let Some(last) = disk.iter().copied().filter(|file| !wanted.contains(file)).max() {
        disk.retain(|&file| file != last);
        seen.push(stage(&disk));
    }
    seen
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
                    if action == Action::Configure {
                        // Killed between two files.
                        for disk in on_the_way(members[step.member].disk, step.stage) {
                            let mut killed = members.clone();
                            (killed[step.member].disk, killed[step.member].traces) = (disk, true);
                            visit(killed, &mut seen, &mut queue);
                        }
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
    let refused = [1, 2, 3, 5].map(|count| (count, Down::Refused));
    let left = [3, 5].map(|count| (count, Down::Left));
    for (count, policy) in refused.into_iter().chain(left) {
        let states = walk(count, policy);
        println!("{count} members, {policy:?}: {} states", states.len());
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
                assert!(members.iter().all(|member| member.running == Some(goal.stage())), "{members:#?}");
            }
        }
    }
}
