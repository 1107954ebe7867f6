//! The model of the cluster: pure decisions about nodes, tasks and queues.
//!
//! Nothing here reads a clock or does I/O. Events and ticks come in with the time they
//! came at; what is to be done comes out as [`Action`]s.

mod audit;
mod history;
mod latest;
mod node;
mod queue;
mod reading;
mod task;
mod tempo;
mod trend;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub(crate) use self::audit::{Findings, Held, Open};
pub(crate) use self::history::{Filter, History, Moved, UNNAMED};
pub(crate) use self::latest::Said;
#[cfg(test)]
pub(crate) use self::node::Beat;
pub(crate) use self::node::{Node, NodeState, Rules};
use self::queue::Queues;
pub(crate) use self::reading::{Reading, cut};
pub(crate) use self::task::{Call, Fact, Figures, Route, Step, StepKind, Task};
pub(crate) use self::trend::Trend;

/// The nodes and queues of a cluster.
///
/// Tasks are kept apart in a [`History`], because their writer is another actor.
#[derive(Debug)]
pub(crate) struct Cluster {
    rules: Rules,
    max_nodes: usize,
    nodes: BTreeMap<String, Node>,
    queues: Queues,
    /// Since when nodes are listened to without a break.
    listening: Option<Instant>,
    /// When the interval of heartbeats was looked at last.
    paced: Option<Instant>,
    /// Nodes that were left out because the table was full.
    pub(crate) refused: u64,
    /// Events that nodes say they sent and that never came.
    pub(crate) missed: u64,
}

/// What the owner of the model is to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// A node is here for the first time, or again after it was forgotten.
    Joined { node: String },
    /// A node is another process now; what it was asked before may no longer hold.
    Restarted { node: String },
    /// A node's state changed.
    Changed {
        node: String,
        from: NodeState,
        to: NodeState,
    },
    /// A node has been gone for so long that it is dropped.
    Forgotten { node: String },
    /// Events of a node are missing: what is known of its tasks may be wrong.
    Gap { node: String },
    /// These nodes are to be asked whether they live.
    Ping { nodes: Vec<String> },
    /// These nodes are to beat with this interval, in seconds.
    Pace { nodes: Vec<String>, seconds: f64 },
    /// A queue was named for the first time.
    Queue { name: String },
}

/// How often the interval of heartbeats is looked at.
const PACING: Duration = Duration::from_secs(1);

impl Cluster {
    pub(crate) fn new(rules: Rules, max_nodes: usize) -> Self {
        let queues = Queues::default();
        Self {
            rules,
            max_nodes,
            nodes: BTreeMap::new(),
            queues,
            listening: None,
            paced: None,
            refused: 0,
            missed: 0,
        }
    }

    /// Takes in what an event says; `wall` is this process's own time in seconds since
    /// the epoch, for the comparison of clocks.
    pub(crate) fn apply(
        &mut self,
        sender: &str,
        reading: &Reading,
        now: Instant,
        wall: f64,
    ) -> Vec<Action> {
        match reading {
            Reading::Beat { beat, online } => self.change(sender, true, now, |node| {
                node.skew = Some(beat.timestamp - wall);
                node.beat(beat, *online, now)
            }),
            Reading::Goodbye(beat) => self.change(sender, false, now, |node| {
                node.goodbye(beat, now);
                false
            }),
            Reading::Task {
                sender,
                said,
                by_worker: true,
                ..
            } => {
                // Only beats make nodes: events may come from a name that never beats,
                // such as a worker without heartbeats, and would be lost at once.
                self.change(sender, false, now, |node| {
                    node.task_event(said.clock, now);
                    false
                })
            }
            Reading::Task {
                fact: Fact::Sent(_, route),
                ..
            } => match route.queue.as_deref() {
                Some(queue) => self.learn_queue(queue),
                None => Vec::new(),
            },
            Reading::Task { .. } | Reading::Nothing => Vec::new(),
        }
    }

    /// Takes in that a node answered.
    pub(crate) fn alive(&mut self, name: &str, now: Instant) -> Vec<Action> {
        self.change(name, false, now, |node| {
            node.alive(now);
            false
        })
    }

    /// Takes in the name of a queue.
    pub(crate) fn learn_queue(&mut self, name: &str) -> Vec<Action> {
        if self.queues.learn(name) {
            vec![Action::Queue {
                name: name.to_owned(),
            }]
        } else {
            Vec::new()
        }
    }

    /// Lets time pass in which nobody listened to the nodes: their silence says nothing.
    pub(crate) fn deaf(&mut self, now: Instant) {
        self.listening = None;
        self.nodes.values_mut().for_each(|node| node.forgive(now));
    }

    /// Lets time pass.
    pub(crate) fn tick(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        let rules = self.rules;
        let mut silent = Vec::new();
        self.nodes.retain(|name, node| {
            judge(node, now, rules, &mut actions);
            if node.ping(now) {
                silent.push(name.clone());
            }
            let forget = node.is_forgettable(now, rules);
            if forget {
                actions.push(Action::Forgotten { node: name.clone() });
            }
            !forget
        });
        if !silent.is_empty() {
            actions.push(Action::Ping { nodes: silent });
        }
        actions.extend(self.pace(now));
        actions
    }

    fn pace(&mut self, now: Instant) -> Option<Action> {
        let listening = *self.listening.get_or_insert(now);
        let since = |at| now.saturating_duration_since(at);
        if self.paced.is_some_and(|at| since(at) < PACING) {
            return None;
        }
        self.paced = Some(now);
        let alive = self.nodes.values().filter(|node| !node.state.is_gone());
        let seconds = tempo::affordable(alive.count());
        let nodes = tempo::tell(self.nodes.values_mut(), seconds, since(listening), now);
        (!nodes.is_empty()).then_some(Action::Pace { nodes, seconds })
    }

    pub(crate) fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)
    }

    #[cfg(test)]
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    fn change(
        &mut self,
        name: &str,
        may_join: bool,
        now: Instant,
        change: impl FnOnce(&mut Node) -> bool,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        if !self.nodes.contains_key(name) {
            if !may_join {
                return actions;
            }
            if !self.make_room(&mut actions) || name.is_empty() || name.len() > 255 {
                self.refused += 1;
                return actions;
            }
            self.nodes.insert(name.to_owned(), Node::new(name, now));
            actions.push(Action::Joined {
                node: name.to_owned(),
            });
        }
        if let Some(node) = self.nodes.get_mut(name) {
            let missed = node.gaps.missed;
            let restarted = change(node);
            let missed = node.gaps.missed - missed;
            self.missed += missed;
            if missed > 0 {
                actions.push(Action::Gap {
                    node: name.to_owned(),
                });
            }
            if restarted {
                actions.push(Action::Restarted {
                    node: name.to_owned(),
                });
            }
            judge(node, now, self.rules, &mut actions);
        }
        actions
    }

    /// Drops a node that is gone when the table is full; says whether there is room.
    fn make_room(&mut self, actions: &mut Vec<Action>) -> bool {
        if self.nodes.len() < self.max_nodes {
            return true;
        }
        let gone = self.nodes.values().filter(|node| node.state.is_gone());
        let Some(name) = gone
            .min_by_key(|node| node.last_seen)
            .map(|node| node.name.clone())
        else {
            return false;
        };
        self.nodes.remove(&name);
        actions.push(Action::Forgotten { node: name });
        true
    }
}

fn judge(node: &mut Node, now: Instant, rules: Rules, actions: &mut Vec<Action>) {
    let (from, to) = (node.state, node.judge(now, rules));
    if from != to {
        node.state = to;
        actions.push(Action::Changed {
            node: node.name.clone(),
            from,
            to,
        });
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
