//! The figures of queues.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The figures of queues, of each those that are known.
#[derive(Debug, Default)]
pub(super) struct QueueMetrics {
    ready: Family<QueueLabel, Gauge>,
    consumers: Family<QueueLabel, Gauge>,
    unacked: Family<QueueLabel, Gauge>,
    reserved: Family<QueueLabel, Gauge>,
    running: Family<QueueLabel, Gauge>,
    tasks: Family<QueueLabel, Gauge>,
    slots: Family<QueueLabel, Gauge>,
    oldest: Family<QueueLabel, Gauge<f64, AtomicU64>>,
    load: Family<QueueLabel, Gauge<f64, AtomicU64>>,
}

/// The figures of one queue; what is not known is left out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct QueueFigures {
    pub(crate) ready: Option<i64>,
    pub(crate) consumers: Option<i64>,
    pub(crate) unacked: Option<i64>,
    pub(crate) reserved: Option<i64>,
    pub(crate) running: Option<i64>,
    pub(crate) tasks: Option<i64>,
    pub(crate) slots: Option<i64>,
    /// Seconds.
    pub(crate) oldest: Option<f64>,
    pub(crate) load: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    queue: String,
}

impl QueueMetrics {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register(
            "queue_ready",
            "Messages ready in a queue",
            self.ready.clone(),
        );
        r.register(
            "queue_consumers",
            "Consumers of a queue",
            self.consumers.clone(),
        );
        let unacked = "Messages of a queue that are handed out and not settled";
        r.register("queue_unacked", unacked, self.unacked.clone());
        let oldest = "How long the oldest message of a queue waits, where that is known";
        r.register("queue_oldest_seconds", oldest, self.oldest.clone());
        let reserved = "Messages that the nodes that consume a queue took and have not started";
        r.register("queue_reserved", reserved, self.reserved.clone());
        let running = "Tasks that run on the nodes that consume a queue";
        r.register("queue_running", running, self.running.clone());
        let tasks = "Tasks that want a place or have one: ready + reserved + running";
        r.register("queue_tasks", tasks, self.tasks.clone());
        let slots = "Places to run on the nodes that consume a queue";
        r.register("queue_slots", slots, self.slots.clone());
        let load = "(ready + reserved + running) / slots of the nodes that consume a queue";
        r.register("queue_load_ratio", load, self.load.clone());
    }

    /// Shows the figures of these queues, and of no others.
    pub(super) fn set(&self, queues: &[(String, QueueFigures)]) {
        for family in self.counts() {
            family.clear();
        }
        for family in [&self.oldest, &self.load] {
            family.clear();
        }
        for (queue, figures) in queues {
            let queue = queue.clone();
            let label = QueueLabel { queue };
            let counts = [
                figures.ready,
                figures.consumers,
                figures.unacked,
                figures.reserved,
                figures.running,
                figures.tasks,
                figures.slots,
            ];
            for (family, value) in self.counts().into_iter().zip(counts) {
                if let Some(value) = value {
                    family.get_or_create(&label).set(value);
                }
            }
            for (family, value) in [(&self.oldest, figures.oldest), (&self.load, figures.load)] {
                if let Some(value) = value {
                    family.get_or_create(&label).set(value);
                }
            }
        }
    }

    fn counts(&self) -> [&Family<QueueLabel, Gauge>; 7] {
        [
            &self.ready,
            &self.consumers,
            &self.unacked,
            &self.reserved,
            &self.running,
            &self.tasks,
            &self.slots,
        ]
    }
}
