//! What is lost when a pod goes, and what that costs.

use std::collections::HashMap;
use std::time::Instant;

use crate::cluster::{Node, NodeState};

/// What is lost when a pod goes, of all nodes in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Loss {
    /// Its nodes drain, or consume nothing and run nothing: they are of no more use.
    pub(super) leaving: bool,
    /// How many tasks run.
    pub(super) running: u64,
    /// For how many seconds these have run, in sum: the work that would be done again.
    pub(super) invested: u64,
}

/// How much a pod would lose, coarsely: each step is twice the one before, so that a task of
/// an hour moves its pod nine times, and short ones hardly ever.
///
/// | step | when | cost |
/// |---|---|---|
/// | -1 | it leaves: drains, or consumes nothing | -10 |
/// | 0 | it is idle | 0 |
/// | 1 | it runs tasks, for less than 16 s in sum | 10 |
/// | 2, 3, 4... | for 16, 32, 64... s in sum | 26, 42, 74... |
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Step(i8);

/// The seconds from which on the second step is.
const FIRST: u64 = 16;
/// The last step whose cost is still a number of 32 bits.
const LAST: i8 = 28;
/// How long a name the kernel knows a host by.
const HOST: usize = 63;

impl Step {
    pub(super) const LEAVING: Self = Self(-1);
    pub(super) const IDLE: Self = Self(0);
    pub(super) const BUSY: Self = Self(1);

    pub(super) fn of(loss: Loss) -> Self {
        if loss.leaving {
            return Self::LEAVING;
        }
        match (loss.running, loss.invested / FIRST) {
            (0, _) => Self::IDLE,
            (_, 0) => Self::BUSY,
            (_, times) => Self((2 + times.ilog2().min(LAST as u32) as i8).min(LAST)),
        }
    }

    /// Returns the step whose cost is the nearest below.
    pub(super) fn near(cost: i32) -> Self {
        match cost {
            ..0 => Self::LEAVING,
            0 => Self::IDLE,
            1.. => {
                let times = (i64::from(cost) - 10).max(0).unsigned_abs() / FIRST;
                times
                    .checked_ilog2()
                    .map_or(Self::BUSY, |log| Self(2 + log as i8))
            }
        }
    }

    /// Returns what the cluster is told.
    pub(super) fn cost(self) -> i32 {
        match self.0 {
            ..0 => -10,
            0 => 0,
            1 => 10,
            step => 10 + ((FIRST as i32) << (step - 2).min(LAST - 2)),
        }
    }

    /// Returns how urgent it is to tell of this one where the other is known. A pod that
    /// turned idle or busy comes before one that is a few steps off.
    pub(super) fn urgency(self, known: Self) -> u8 {
        let turned = (self <= Self::IDLE) != (known <= Self::IDLE);
        self.0.abs_diff(known.0) + if turned { 3 } else { 0 }
    }
}

/// Sums up what the nodes say, by the host that they run on.
///
/// Nodes that are gone say nothing: their pods are starting, or dead, or cut off, and are
/// left as they are. `consumes` tells whether a node consumes anything, as far as known.
pub(super) fn losses<'a>(
    nodes: impl IntoIterator<Item = &'a Node>,
    consumes: impl Fn(&str) -> bool,
    now: Instant,
) -> HashMap<String, Loss> {
    let mut losses = HashMap::<String, Loss>::new();
    for node in nodes {
        let Some(host) = host_of(&node.name).filter(|_| !node.state.is_gone()) else {
            continue;
        };
        let running = node.active.unwrap_or(0);
        let of_no_use = running == 0 && !consumes(&node.name);
        let loss = losses.entry(host.to_owned()).or_insert(Loss {
            leaving: true,
            running: 0,
            invested: 0,
        });
        loss.leaving &= node.state == NodeState::Draining || of_no_use;
        loss.running = loss.running.saturating_add(running);
        loss.invested = loss.invested.saturating_add(node.invested(now));
    }
    losses
}

/// Returns the host that a node runs on, by its name.
fn host_of(node: &str) -> Option<&str> {
    let (_, host) = node.split_once('@')?;
    (!host.is_empty()).then_some(host)
}

/// Returns the name of the host in a pod: the kernel has no room for longer ones.
pub(crate) fn host_in(pod: &str) -> &str {
    match pod.get(..HOST) {
        Some(cut) => cut.trim_end_matches(['-', '.']),
        None => pod,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::cluster::Beat;

    fn loss(leaving: bool, running: u64, invested: u64) -> Loss {
        Loss {
            leaving,
            running,
            invested,
        }
    }

    #[test]
    fn costs() {
        for (loss, cost) in [
            (loss(true, 3, 500), -10),
            (loss(false, 0, 0), 0),
            (loss(false, 1, 0), 10),
            (loss(false, 8, 15), 10),
            (loss(false, 1, 16), 26),
            (loss(false, 1, 31), 26),
            (loss(false, 1, 32), 42),
            (loss(false, 1, 3_600), 2_058),
            (loss(false, 1, u64::MAX), 1_073_741_834),
        ] {
            assert_eq!(Step::of(loss).cost(), cost, "{loss:?}");
        }
    }

    proptest! {
        // The order of costs is the order of losses.
        #[test]
        fn who_loses_more_costs_no_less(a in any::<(bool, u64, u64)>(), b in any::<(bool, u64, u64)>()) {
            let of = |(leaving, running, invested): (bool, u64, u64)| {
                // Nothing runs, so nothing was invested.
                loss(leaving, running, if running == 0 { 0 } else { invested })
            };
            let (a, b) = (of(a), of(b));
            let key = |loss: Loss| (!loss.leaving, !loss.leaving && loss.running > 0, loss.invested);
            let (a, b) = if key(a) <= key(b) { (a, b) } else { (b, a) };
            if !(a.leaving && b.leaving) {
                prop_assert!(Step::of(a).cost() <= Step::of(b).cost());
            }
            if !a.leaving && a.running > 0 && b.invested / 2 >= a.invested.max(FIRST) {
                prop_assert!(Step::of(a) < Step::of(b) || b.invested > 1 << 30, "twice is more");
            }
        }

        #[test]
        fn a_cost_is_known_again(loss in any::<(bool, u64, u64)>(), any in any::<i32>()) {
            let step = Step::of(Loss { leaving: loss.0, running: loss.1, invested: loss.2 });
            prop_assert_eq!(Step::near(step.cost()), step);
            let near = Step::near(any);
            prop_assert_eq!(Step::near(near.cost()), near);
            prop_assert!(near.cost() <= any.max(-10) || any < 10);
        }
    }

    #[test]
    fn nodes_are_summed_up_by_pod() {
        let now = Instant::now();
        let node = |name: &str, active: u64, seconds: u64, draining: bool| {
            let mut node = Node::new(name, now);
            let beat = Beat {
                pid: Some(1),
                clock: 1,
                active: Some(active),
                running_seconds: Some(seconds),
                draining,
                ..Beat::default()
            };
            node.beat(&beat, true, now);
            if draining {
                node.state = NodeState::Draining;
            }
            node
        };
        let mut gone = node("c@dead", 4, 100, false);
        gone.state = NodeState::Lost;
        let nodes = [
            node("a@two", 1, 20, false),
            node("b@two", 2, 30, false),
            node("a@half", 0, 0, true),
            node("b@half", 1, 7, false),
            node("a@away", 3, 900, true),
            node("a@mute", 0, 0, false),
            node("a@idle", 0, 0, false),
            node("nowhere", 1, 1, false),
            gone,
        ];
        let found = losses(&nodes, |name| name != "a@mute", now);
        let expected = [
            ("two", loss(false, 3, 50)),
            ("half", loss(false, 1, 7)),
            ("away", loss(true, 3, 900)),
            ("mute", loss(true, 0, 0)),
            ("idle", loss(false, 0, 0)),
        ];
        let expected = expected.map(|(host, loss)| (host.to_owned(), loss));
        assert_eq!(found, HashMap::from(expected));
    }

    #[test]
    fn workers_of_celery_count_from_the_last_task_that_they_took() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut node = Node::new("py@pod", start);
        let beat = |clock, active, processed| Beat {
            pid: Some(1),
            clock,
            active: Some(active),
            processed: Some(processed),
            ..Beat::default()
        };
        node.beat(&beat(1, 2, 5), true, start);
        node.beat(&beat(2, 2, 5), false, at(30));
        assert_eq!(node.invested(at(40)), 80);
        node.beat(&beat(3, 2, 6), false, at(60));
        assert_eq!(node.invested(at(65)), 10);
        node.beat(&beat(4, 0, 6), false, at(90));
        assert_eq!(node.invested(at(95)), 0);
    }

    #[test]
    fn nodes_are_found_by_the_host_in_their_name() {
        assert_eq!(
            host_of("celeriac@celeriac-node-7d-x2"),
            Some("celeriac-node-7d-x2")
        );
        assert_eq!(host_of("a@b@c"), Some("b@c"));
        assert_eq!(host_of("celeriac@"), None);
        assert_eq!(host_of("celeriac-node"), None);
        assert_eq!(host_in("celeriac-node-7d-x2"), "celeriac-node-7d-x2");
        // As kubelets cut it.
        let long = "p".repeat(62);
        assert_eq!(host_in(&format!("{long}-x.y")), long);
    }
}
