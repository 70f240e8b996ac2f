//! Where a cluster stands and what will be done, as events.

use super::super::event::{Event, MemberLine, StepLine};
use super::super::node::Node;
use super::super::observe::{Observed, Sight};
use super::super::plan::{Step, plan};
use super::Migration;

impl Migration<'_> {
    pub(super) fn announce(&self, observed: &Observed) {
        self.report.event(&self.observed_event(observed));
        let (steps, _) = plan(&observed.standings(), self.options.goal, self.options.down);
        self.report.event(&Event::Plan { steps: self.step_lines(&steps) });
        if let [_] | [_, _] = self.nodes {
            let what = "with one or two members the cluster is down while one of them restarts".to_owned();
            self.report.event(&Event::Note { what });
        }
    }

    /// Where the cluster stands, as an event.
    pub fn observed_event(&self, observed: &Observed) -> Event<'static> {
        let line = |(node, sight): (&Node, &Sight)| MemberLine {
            name: node.name.clone(),
            id: sight.id.to_string(),
            stage: sight.standing.running,
            disk: sight.standing.disk,
            peer_urls: sight.peer_urls.iter().map(ToString::to_string).collect(),
            client_urls: sight.client_urls.clone(),
            version: sight.version.clone(),
            leader: sight.standing.leader,
        };
        Event::Observed {
            cluster: observed.cluster(),
            members: self.nodes.iter().zip(&observed.members).map(line).collect(),
        }
    }

    /// Steps with their members' names.
    pub fn step_lines(&self, steps: &[Step]) -> Vec<StepLine> {
        let line = |step: &Step| StepLine {
            member: self.nodes[step.member].name.clone(),
            stage: step.stage,
            actions: step.actions.clone(),
        };
        steps.iter().map(line).collect()
    }
}
