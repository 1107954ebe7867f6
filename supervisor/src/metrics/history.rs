//! The metrics of the stored history.

use std::sync::atomic::Ordering;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::recorder::Recorded;

/// What Prometheus sees of the store; the recorder counts, and this repeats it.
#[derive(Debug, Default)]
pub(super) struct HistoryMetrics {
    dropped: Family<KindLabel, Counter>,
    written: Counter,
    waiting: Gauge,
    stored: Gauge,
    up: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

impl HistoryMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let dropped = "States of tasks that were not stored because the store was slow or down";
        registry.register("history_dropped", dropped, self.dropped.clone());
        let written = "States of tasks that were stored";
        registry.register("history_written", written, self.written.clone());
        let waiting = "Tasks that wait to be stored";
        registry.register("history_waiting", waiting, self.waiting.clone());
        registry.register("history_stored", "Tasks in the store", self.stored.clone());
        let up = "Whether the store can be written";
        registry.register("store_up", up, self.up.clone());
    }

    pub(super) fn set(&self, recorded: &Recorded, up: bool) {
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        for (kind, count) in [("intermediate", recorded.dropped), ("final", recorded.lost)] {
            let counter = self.dropped.get_or_create(&KindLabel { kind });
            counter.inner().store(count, Ordering::Relaxed);
        }
        let written = self.written.inner();
        written.store(recorded.written, Ordering::Relaxed);
        self.waiting.set(gauge(recorded.waiting));
        self.stored.set(gauge(recorded.stored));
        self.up.set(i64::from(up));
    }
}
