//! What the node has counted since its start.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use celeriac::task::Registry;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the node has counted since its start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Messages taken from the broker.
    pub(crate) received: Counter,
    /// Tasks that ended, whatever the outcome; Celery's `processed`.
    pub(crate) processed: Counter,
    pub(crate) revoked: Counter,
    /// Messages that were no task, or that a task or this node refused.
    pub(crate) rejected: Counter,
    /// Messages given back to the broker: asked for by a task, or by shutdown.
    pub(crate) requeued: Counter,
    /// Messages that wait in the broker for their time.
    pub(crate) parked: Counter,
    /// Messages that came again while, or after, their task ran here.
    pub(crate) duplicates: Counter,
    /// Tries to store, send or settle that failed and are made again.
    pub(crate) retries: Counter,
    /// Times the link to the broker came up, the first one among them.
    pub(crate) connections: Counter,
    /// Results that the backend refused for good.
    pub(crate) results_refused: Counter,
    /// Threads that run a task whose hard limit has passed.
    pub(crate) lost_threads: AtomicI64,
    /// By task name. Only tasks of the registry, so the table is bounded.
    tasks: BTreeMap<String, TaskCounters>,
}

/// What the node has counted of one task.
#[derive(Debug, Default)]
pub(crate) struct TaskCounters {
    pub(crate) started: Counter,
    pub(crate) succeeded: Counter,
    pub(crate) failed: Counter,
    pub(crate) retried: Counter,
    pub(crate) runtime: Histogram,
    /// From the sending, or the arrival here, to the start.
    pub(crate) queue_time: Histogram,
}

/// How long something took.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// One more than there are bounds: the last has none.
    buckets: [Counter; BOUNDS.len() + 1],
    micros: Counter,
}

/// The upper bounds of the histogram's buckets, in seconds.
pub(crate) const BOUNDS: [f64; 12] = [
    0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

impl Counters {
    pub(crate) fn new(registry: &Registry) -> Self {
        let tasks = registry
            .iter()
            .map(|handler| (handler.name().to_owned(), TaskCounters::default()));
        Self {
            tasks: tasks.collect(),
            ..Self::default()
        }
    }

    /// Returns what was counted of a task of the registry.
    pub(crate) fn task(&self, name: &str) -> Option<&TaskCounters> {
        self.tasks.get(name)
    }

    /// Returns what was counted of each task, sorted by name.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = (&str, &TaskCounters)> {
        self.tasks
            .iter()
            .map(|(name, counters)| (name.as_str(), counters))
    }

    /// Returns a number summed over all tasks.
    pub(crate) fn sum(&self, of: impl Fn(&TaskCounters) -> &Counter) -> u64 {
        self.tasks.values().map(|task| of(task).get()).sum()
    }

    /// Returns how many threads are lost to tasks past their hard limit.
    pub(crate) fn lost_threads(&self) -> u64 {
        u64::try_from(self.lost_threads.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

impl Histogram {
    pub(crate) fn observe(&self, runtime: Duration) {
        let seconds = runtime.as_secs_f64();
        let at = BOUNDS
            .iter()
            .position(|bound| seconds <= *bound)
            .unwrap_or(BOUNDS.len());
        self.buckets[at].add(1);
        self.micros
            .add(u64::try_from(runtime.as_micros()).unwrap_or(u64::MAX));
    }

    /// Returns the counts of the buckets, not summed up; the last is above all bounds.
    pub(crate) fn counts(&self) -> [u64; BOUNDS.len() + 1] {
        std::array::from_fn(|at| self.buckets[at].get())
    }

    /// Returns the sum of all runs, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        Duration::from_micros(self.micros.get()).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_falls_into_one_bucket() {
        let histogram = Histogram::default();
        for millis in [0, 1, 30, 1_000_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let counts = histogram.counts();
        assert_eq!((counts[0], counts[3], counts[BOUNDS.len()]), (2, 1, 1));
        assert!((histogram.seconds() - 1000.031).abs() < 1e-6);
    }
}
