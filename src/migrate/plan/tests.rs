//! The order of steps, by example.

use super::walk::PLAIN;
use super::*;

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
    let certs =
        Standing { running: Some(Stage::Certs), disk: Stage::Certs, installed: true, traces: true, ..PLAIN };
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
