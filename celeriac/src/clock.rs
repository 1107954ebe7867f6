//! The one place that reads the time.
//!
//! Decisions take `now` as an argument; this is where it comes from.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Returns the wall-clock time.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the one reader of the wall clock"
)]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// A Lamport clock: orders events and control messages across the cluster.
///
/// Every message sent carries the value after an increment; every message seen
/// moves the clock past what it carried (wire rule of Celery's events and pidbox).
#[derive(Debug, Default)]
pub struct LamportClock(AtomicU64);

impl LamportClock {
    /// Advances the clock for something sent, and returns what to send.
    pub fn forward(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Moves the clock past a value seen from elsewhere.
    pub fn adjust(&self, seen: u64) {
        // The table of peers is not trusted: a clock near the end must not wrap.
        let seen = seen.min(u64::MAX / 2);
        self.0.fetch_max(seen, Ordering::Relaxed);
        self.forward();
    }

    /// Returns the present value.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
