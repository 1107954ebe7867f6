//! Which tasks take their nodes along: a pure function of what nodes say.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::cluster::{Action, Fact, NodeState, Reading};

/// Counts, for each task, the nodes that ended while it ran.
///
/// ```text
///  started ---> running on a node --ended--> forgotten
///                 |          |
///                 |          +-- the node is another process: one more crash
///                 +-- the node is lost, and the task starts elsewhere: one more crash,
///                     until the node speaks again: it was only cut off
///
///  crashes = limit: quarantined
/// ```
///
/// A node that is merely silent may still run its tasks, and one that says goodbye gave
/// them back: neither is a crash.
#[derive(Debug, Default)]
pub(crate) struct Crashes {
    limit: u32,
    running: HashMap<Arc<str>, Arc<str>>,
    lost: HashSet<String>,
    /// For each lost node, the tasks that have a crash more for it.
    doubted: HashMap<Arc<str>, Vec<Arc<str>>>,
    counts: Recent<u32>,
    quarantined: Recent<String>,
}

/// No more running tasks are followed at once.
const RUNNING: usize = 100_000;
/// So many tasks with a crash are remembered; the oldest go first.
const REMEMBERED: usize = 10_000;

impl Crashes {
    /// Quarantines what crashed so often; 0 is never.
    pub(crate) const fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Takes in what an event says. Returns the task that is quarantined by that.
    pub(crate) fn hear(&mut self, reading: &Reading) -> Option<Arc<str>> {
        let Reading::Task {
            id,
            sender,
            fact,
            by_worker: true,
            ..
        } = reading
        else {
            return None;
        };
        match fact {
            Fact::Started => self.started(id, sender).then(|| Arc::clone(id)),
            Fact::Sent(..) | Fact::Received(_) | Fact::Custom(_) => None,
            _ => {
                self.ended(id);
                None
            }
        }
    }

    /// Takes in what became of a node. Returns the tasks that are quarantined by that.
    pub(crate) fn learn(&mut self, action: &Action) -> Vec<Arc<str>> {
        match action {
            Action::Restarted { node } => return self.restarted(node),
            Action::Changed { node, to, .. } => match to {
                NodeState::Lost => self.lost(node),
                NodeState::Offline => self.left(node),
                _ => self.found(node),
            },
            Action::Forgotten { node } => self.left(node),
            Action::Joined { .. }
            | Action::Queue { .. }
            | Action::Gap { .. }
            | Action::Ping { .. }
            | Action::Pace { .. } => {}
        }
        Vec::new()
    }

    #[cfg(test)]
    fn new(limit: u32) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// A task starts on a node. Returns whether it is quarantined by that.
    fn started(&mut self, id: &Arc<str>, node: &Arc<str>) -> bool {
        self.lost.remove(&**node);
        let full = self.limit == 0 || self.running.len() >= RUNNING;
        if full && !self.running.contains_key(id) {
            return false;
        }
        let before = self.running.insert(Arc::clone(id), Arc::clone(node));
        let Some(before) = before.filter(|before| self.lost.contains(&**before)) else {
            return false;
        };
        let last = self.crashed(id);
        let doubted = self.doubted.entry(before).or_default();
        if !last && doubted.len() < REMEMBERED {
            doubted.push(Arc::clone(id));
        }
        last
    }

    /// A task ended, or will be tried again.
    fn ended(&mut self, id: &str) {
        self.running.remove(id);
        self.counts.remove(id);
    }

    /// A node is another process now. Returns the tasks that are quarantined by that.
    pub(crate) fn restarted(&mut self, node: &str) -> Vec<Arc<str>> {
        self.lost.remove(node);
        self.doubted.remove(node);
        let mut ids = self.leave(node);
        ids.retain(|id| self.crashed(id));
        ids
    }

    /// A node is silent for too long.
    fn lost(&mut self, node: &str) {
        self.lost.insert(node.to_owned());
    }

    /// A node that was silent speaks again: nothing ended it.
    fn found(&mut self, node: &str) {
        self.lost.remove(node);
        for id in self.doubted.remove(node).unwrap_or_default() {
            if let Some(count) = self.counts.values.get_mut(&id) {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// A node said goodbye: what it ran is with the broker.
    fn left(&mut self, node: &str) {
        self.lost.remove(node);
        self.doubted.remove(node);
        self.leave(node);
    }

    /// The tasks that are not to be tried again, with the reasons.
    pub(crate) fn quarantined(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.quarantined.values.iter();
        all.map(|(id, reason)| (&**id, reason.as_str()))
    }

    /// Returns why a task is not to be tried again.
    pub(crate) fn reason(&self, id: &str) -> Option<&str> {
        self.quarantined.values.get(id).map(String::as_str)
    }

    fn leave(&mut self, node: &str) -> Vec<Arc<str>> {
        let here = self.running.extract_if(|_, at| &**at == node);
        here.map(|(id, _)| id).collect()
    }

    /// Counts a crash; tells whether it was the last one.
    fn crashed(&mut self, id: &Arc<str>) -> bool {
        let count = self.counts.values.get(id).copied().unwrap_or(0) + 1;
        if count < self.limit {
            self.counts.insert(id, count);
            return false;
        }
        self.counts.remove(id);
        let reason = format!("its node ended while it ran, {count} times");
        self.quarantined.insert(id, reason);
        true
    }
}

/// A map of bounded size; the oldest entries go first.
#[derive(Debug)]
struct Recent<T> {
    values: HashMap<Arc<str>, T>,
    order: VecDeque<Arc<str>>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self {
            values: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<T> Recent<T> {
    fn insert(&mut self, id: &Arc<str>, value: T) {
        if self.values.insert(Arc::clone(id), value).is_none() {
            self.order.push_back(Arc::clone(id));
        }
        while self.values.len() > REMEMBERED {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            self.values.remove(&oldest);
        }
    }

    fn remove(&mut self, id: &str) {
        if self.values.remove(id).is_some() {
            self.order.retain(|known| &**known != id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Arc<str> {
        text.into()
    }

    // S45.
    #[test]
    fn what_ran_on_three_nodes_that_ended_is_quarantined() {
        let mut crashes = Crashes::new(3);
        for round in 1..=3 {
            assert!(!crashes.started(&name("bad"), &name("n")));
            crashes.started(&name("good"), &name("n"));
            crashes.ended("good");
            let quarantined = crashes.restarted("n");
            assert_eq!(quarantined.len(), usize::from(round == 3), "{round}");
        }
        let all: Vec<_> = crashes.quarantined().collect();
        assert_eq!(all, [("bad", "its node ended while it ran, 3 times")]);
        assert!(crashes.reason("bad").is_some() && crashes.reason("good").is_none());
    }

    #[test]
    fn a_task_that_ends_in_between_starts_anew() {
        let mut crashes = Crashes::new(2);
        crashes.started(&name("t"), &name("n"));
        assert!(crashes.restarted("n").is_empty());
        crashes.started(&name("t"), &name("n"));
        crashes.ended("t");
        crashes.started(&name("t"), &name("n"));
        assert!(crashes.restarted("n").is_empty());
    }

    #[test]
    fn silence_counts_only_when_the_task_starts_elsewhere() {
        let mut crashes = Crashes::new(1);
        crashes.started(&name("t"), &name("a"));
        crashes.lost("a");
        crashes.found("a");
        assert!(!crashes.started(&name("t"), &name("b")));
        crashes.lost("b");
        assert!(crashes.started(&name("t"), &name("a")));
    }

    // S54: nothing ended a node that was only cut off.
    #[test]
    fn what_ran_on_a_node_that_comes_back_is_not_blamed() {
        let mut crashes = Crashes::new(2);
        let other = |round: usize| name(["b", "a"][round % 2]);
        crashes.started(&name("t"), &name("a"));
        for round in 0..5 {
            let present = other(round + 1);
            crashes.lost(&present);
            assert!(!crashes.started(&name("t"), &other(round)), "{round}");
            crashes.found(&present);
        }
        // One that is another process when it comes back did end.
        crashes.lost("b");
        assert!(!crashes.started(&name("t"), &name("a")));
        crashes.restarted("b");
        crashes.found("b");
        crashes.lost("a");
        assert!(crashes.started(&name("t"), &name("b")));
    }

    #[test]
    fn a_goodbye_is_no_crash() {
        let mut crashes = Crashes::new(1);
        crashes.started(&name("t"), &name("n"));
        crashes.left("n");
        assert!(crashes.restarted("n").is_empty());
        assert!(Crashes::new(0).restarted("n").is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut crashes = Crashes::new(1);
        for n in 0..REMEMBERED + 5 {
            crashes.started(&name(&n.to_string()), &name("n"));
            assert_eq!(crashes.restarted("n").len(), 1);
        }
        assert_eq!(crashes.quarantined().count(), REMEMBERED);
        assert!(crashes.reason("0").is_none());
    }
}
