//! What the proxies do: ask nodes for their tasks, some at a time.

use std::collections::BTreeSet;

use super::fleet::{Fleet, Life};
use super::*;

/// The nodes whose tasks are to be looked after.
#[derive(Default)]
pub(super) struct Auditor(BTreeSet<String>);

impl Auditor {
    pub(super) fn hear(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Gap { node } | Action::Restarted { node } => {
                    self.0.insert(node.clone());
                }
                Action::Changed { node, from, to } if from.is_gone() || to.is_gone() => {
                    self.0.insert(node.clone());
                }
                _ => {}
            }
        }
    }

    /// Audits so many nodes; returns how many there were.
    pub(super) fn turn(&mut self, most: u64, fleet: &Fleet, history: &History, now: f64) -> u64 {
        let mut audited = 0;
        for _ in 0..most {
            let Some(node) = self.0.pop_first() else {
                break;
            };
            audit(&node, fleet, history, now);
            audited += 1;
        }
        audited
    }

    pub(super) fn refresh(&mut self, cluster: &Cluster, fleet: &Fleet, history: &History) -> u64 {
        self.0.extend(cluster.nodes().map(|node| node.name.clone()));
        self.turn(u64::MAX, fleet, history, 1e6)
    }
}

fn audit(node: &str, fleet: &Fleet, history: &History, now: f64) {
    let open = history.open_on(node, usize::MAX);
    let lives = matches!(fleet.state_of(node), Life::Working | Life::Draining);
    let runs = |open: &&Open| lives && fleet.runs(node, &open.id);
    let held = Held::of(open.iter().filter(runs).map(|open| open.id.clone()));
    let findings = held.compare(open);
    findings.present.iter().for_each(|id| history.find(id));
    for open in findings.absent {
        if fleet.has_stored(&open.id) {
            let said = Said {
                at: 1e9 + now,
                clock: 0,
            };
            let succeeded = Fact::Succeeded {
                result: None,
                runtime: None,
            };
            drop(history.merge(&open.id, said, &"".into(), succeeded, &mut None));
        } else {
            history.lose(&open);
        }
    }
}
