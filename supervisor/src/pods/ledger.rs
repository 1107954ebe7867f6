//! Which pods are told of a new cost: decisions alone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use super::loss::{Loss, Step, host_in};
use super::pod::Pod;

/// The pods of nodes as they were listed last, with what they were told since.
///
/// ```text
///            loses more, or leaves: told at once
///          +----------------------------------------+
///          |                                        v
///        as told                                 as told
///          |                                        ^
///          +-- loses less --> waits for a minute ---+
///                              told of the most that it would have lost meanwhile
/// ```
///
/// Waiting keeps a pod that is busy now and then from being told twice for each task.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pods: BTreeMap<String, Entry>,
    /// Hosts that several pods would have: a node's name does not say which.
    shared: HashSet<String>,
}

#[derive(Debug)]
struct Entry {
    uid: String,
    /// As the cluster has it.
    known: Step,
    /// Since when it would lose less, and the most of that.
    less: Option<(Instant, Step)>,
    /// Being deleted already.
    terminating: bool,
}

/// A pod that is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) pod: String,
    pub(super) uid: String,
    pub(super) step: Step,
}

/// How long a pod has to lose less before it is told. Autoscalers wait for longer before they
/// remove anything.
const SETTLE: Duration = Duration::from_secs(60);

impl Ledger {
    /// Takes over a list of the pods; what they wait for is kept.
    pub(super) fn list(&mut self, pods: Vec<Pod>) {
        let mut before = std::mem::take(&mut self.pods);
        let entries = pods.into_iter().map(|pod| {
            let same = before
                .remove(&pod.name)
                .filter(|known| known.uid == pod.uid);
            let entry = Entry {
                // Without the annotation, or with one that is no number, it is 0.
                known: Step::near(pod.cost.unwrap_or(0)),
                less: same.and_then(|known| known.less),
                terminating: pod.terminating,
                uid: pod.uid,
            };
            (pod.name, entry)
        });
        self.pods = entries.collect();
        self.shared = shared_hosts(self.pods.keys());
    }

    /// Decides which pods are told now, the most urgent first, `most` at most. A pod without
    /// a node is starting or dead, and left alone.
    pub(super) fn plan(
        &mut self,
        losses: &HashMap<String, Loss>,
        now: Instant,
        most: usize,
    ) -> Vec<Change> {
        let mut due = Vec::new();
        for (name, entry) in &mut self.pods {
            let host = host_in(name);
            let loss = losses.get(host).filter(|_| !self.shared.contains(host));
            let Some(step) = loss.map(|loss| Step::of(*loss)) else {
                entry.less = None;
                continue;
            };
            if let Some(step) = entry.due(step, now) {
                due.push((Reverse(step.urgency(entry.known)), name, &entry.uid, step));
            }
        }
        due.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        let change = |(_, pod, uid, step): (_, &String, &String, Step)| Change {
            pod: pod.clone(),
            uid: uid.clone(),
            step,
        };
        due.into_iter().take(most).map(change).collect()
    }

    /// Tells whether a node runs where no pod is known.
    pub(super) fn lacks(&self, losses: &HashMap<String, Loss>) -> bool {
        let hosts: HashSet<_> = self.pods.keys().map(|pod| host_in(pod)).collect();
        losses.keys().any(|host| !hosts.contains(host.as_str()))
    }

    /// Notes that a pod was told.
    pub(super) fn told(&mut self, change: &Change) {
        if let Some(entry) = self.pods.get_mut(&change.pod)
            && entry.uid == change.uid
        {
            entry.known = change.step;
            entry.less = None;
        }
    }

    /// Notes that a pod is gone, or another one.
    pub(super) fn gone(&mut self, pod: &str) {
        self.pods.remove(pod);
    }
}

impl Entry {
    /// Decides whether it is told of a step, or of which other one.
    fn due(&mut self, step: Step, now: Instant) -> Option<Step> {
        if self.terminating {
            return None;
        }
        if step >= self.known {
            self.less = None;
            return (step > self.known).then_some(step);
        }
        if step == Step::LEAVING {
            return Some(step);
        }
        let (since, highest) = self.less.get_or_insert((now, step));
        *highest = (*highest).max(step);
        (now.saturating_duration_since(*since) >= SETTLE).then_some(*highest)
    }
}

/// Returns the hosts that several pods would have: their names are cut to the same.
fn shared_hosts<'a>(pods: impl Iterator<Item = &'a String>) -> HashSet<String> {
    let mut hosts = BTreeMap::<&str, u32>::new();
    for pod in pods {
        *hosts.entry(host_in(pod)).or_default() += 1;
    }
    let several = hosts.into_iter().filter(|(_, pods)| *pods > 1);
    several.map(|(host, _)| host.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, cost: Option<i32>) -> Pod {
        Pod {
            name: name.to_owned(),
            uid: format!("uid of {name}"),
            cost,
            ..Pod::default()
        }
    }

    fn busy(invested: u64) -> Loss {
        Loss {
            leaving: false,
            running: 1,
            invested,
        }
    }

    const IDLE: Loss = Loss {
        leaving: false,
        running: 0,
        invested: 0,
    };

    fn losses(all: &[(&str, Loss)]) -> HashMap<String, Loss> {
        let owned = |(host, loss): &(&str, Loss)| ((*host).to_owned(), *loss);
        all.iter().map(owned).collect()
    }

    fn told(plan: &[Change]) -> Vec<(&str, i32)> {
        let told = plan.iter().map(|one| (one.pod.as_str(), one.step.cost()));
        told.collect()
    }

    #[test]
    fn more_is_told_at_once_and_less_when_it_lasts() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut ledger = Ledger::default();
        ledger.list(vec![pod("a", None), pod("b", Some(10)), pod("c", Some(42))]);
        let mut look = |at, all: &[(&str, Loss)]| {
            let plan = ledger.plan(&losses(all), at, 9);
            plan.iter().for_each(|change| ledger.told(change));
            told(&plan)
                .into_iter()
                .map(|(pod, cost)| (pod.to_owned(), cost))
                .collect::<Vec<_>>()
        };
        let one = |pod: &str, cost| vec![(pod.to_owned(), cost)];
        // Without an annotation a pod is idle to the cluster: nothing to tell.
        assert_eq!(
            look(at(0), &[("a", IDLE), ("b", IDLE), ("c", busy(40))]),
            []
        );
        assert_eq!(
            look(at(5), &[("a", busy(0)), ("b", IDLE), ("c", busy(40))]),
            one("a", 10)
        );
        // Busy once in between: the wait begins anew.
        assert_eq!(
            look(at(10), &[("a", IDLE), ("b", busy(3)), ("c", busy(20))]),
            []
        );
        assert_eq!(look(at(15), &[("a", IDLE), ("b", IDLE), ("c", IDLE)]), []);
        assert_eq!(look(at(69), &[("a", IDLE), ("b", IDLE), ("c", IDLE)]), []);
        let less = look(at(70), &[("a", IDLE), ("b", IDLE), ("c", IDLE)]);
        assert_eq!(
            less,
            [("a".to_owned(), 0), ("c".to_owned(), 26)],
            "the most of the wait"
        );
        assert_eq!(
            look(at(75), &[("a", IDLE), ("b", IDLE), ("c", IDLE)]),
            one("b", 0)
        );
        // Unknown for a while, such as between two nodes of a pod.
        assert_eq!(look(at(99), &[("a", IDLE), ("b", IDLE)]), []);
        let leaves = Loss {
            leaving: true,
            ..busy(90)
        };
        assert_eq!(look(at(100), &[("a", leaves), ("b", IDLE)]), one("a", -10));
        assert_eq!(look(at(105), &[("a", IDLE), ("b", IDLE)]), one("a", 0));
    }

    #[test]
    fn the_most_urgent_are_told_first() {
        let now = Instant::now();
        let mut ledger = Ledger::default();
        let pods = [
            ("grows", Some(10)),
            ("jumps", Some(10)),
            ("turns", None),
            ("same", Some(42)),
        ];
        ledger.list(pods.map(|(name, cost)| pod(name, cost)).into());
        let all = losses(&[
            ("grows", busy(16)),
            ("jumps", busy(1_024)),
            ("turns", busy(0)),
            ("same", busy(33)),
        ]);
        assert_eq!(
            told(&ledger.plan(&all, now, 9)),
            [("jumps", 1_034), ("turns", 10), ("grows", 26)]
        );
        assert_eq!(told(&ledger.plan(&all, now, 1)), [("jumps", 1_034)]);
    }

    #[test]
    fn pods_that_nobody_can_speak_for_are_left_alone() {
        let now = Instant::now();
        let long = "p".repeat(63);
        let mut ledger = Ledger::default();
        let mut ends = pod("ends", None);
        ends.terminating = true;
        let twins = ["-a", "-b"].map(|end| pod(&format!("{long}{end}"), None));
        ledger.list([vec![pod("starts", Some(7)), ends], twins.into()].concat());
        let all = losses(&[
            ("ends", busy(99)),
            (&long, busy(99)),
            ("elsewhere", busy(99)),
        ]);
        assert_eq!(ledger.plan(&all, now, 9), []);
        assert!(ledger.lacks(&all), "a node without a pod");
        assert!(!ledger.lacks(&losses(&[("starts", IDLE)])));
    }

    #[test]
    fn a_pod_that_was_replaced_begins_anew() {
        let now = Instant::now();
        let mut ledger = Ledger::default();
        ledger.list(vec![pod("a", None)]);
        let all = losses(&[("a", busy(99))]);
        let change = ledger.plan(&all, now, 9).remove(0);
        let mut next = pod("a", None);
        next.uid = "another".to_owned();
        ledger.list(vec![next]);
        ledger.told(&change);
        assert_eq!(ledger.plan(&all, now, 9)[0].uid, "another");
        ledger.gone("a");
        assert_eq!(ledger.plan(&all, now, 9), []);
    }
}
