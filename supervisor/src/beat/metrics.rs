//! What Prometheus sees of the beat.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// What Prometheus sees of the beat. No series carries the name of an entry: entries are
/// made by users.
pub(crate) struct BeatMetrics {
    pub(crate) leads: Gauge,
    pub(crate) lag: Gauge<f64, AtomicU64>,
    pub(crate) sent: Counter,
    pub(crate) failed: Counter,
    pub(crate) delay: Histogram,
}

impl Default for BeatMetrics {
    fn default() -> Self {
        Self {
            leads: Gauge::default(),
            lag: Gauge::default(),
            sent: Counter::default(),
            failed: Counter::default(),
            delay: Histogram::new(exponential_buckets(0.001, 4.0, 10)),
        }
    }
}

impl BeatMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let leads = "Whether this supervisor leads, and sends the ticks of schedules";
        registry.register("beat_leader", leads, self.leads.clone());
        let lag = "How late the most overdue tick is, on the leader";
        registry.register("beat_lag_seconds", lag, self.lag.clone());
        registry.register("beat_ticks", "Ticks sent", self.sent.clone());
        let failed = "Tries to send a tick that failed; it is tried again";
        registry.register("beat_failures", failed, self.failed.clone());
        let delay = "Time from a tick to the broker's confirmation of its task";
        registry.register("beat_delay_seconds", delay, self.delay.clone());
    }
}
