//! Progress of loops, for a watchdog.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Every loop beats at least this often, also when it has nothing to do.
pub(crate) const BEAT: Duration = Duration::from_secs(1);

/// The progress of one loop: a counter that stands still when the loop does.
#[derive(Debug, Default)]
pub(crate) struct Pulse(AtomicU64);

impl Pulse {
    /// Says that the loop has turned.
    pub(crate) fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for a future and beats meanwhile, for waits that may be long and are
    /// healthy all the same. Both are polled by the caller, so a blocked thread shows.
    ///
    /// # Cancel safety
    ///
    /// As that of the future.
    pub(crate) async fn during<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        loop {
            self.beat();
            if let Ok(value) = tokio::time::timeout(BEAT, &mut future).await {
                return value;
            }
        }
    }

    /// Returns how often the loop has turned.
    pub(crate) fn turns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The loops that are alive, by name. A loop that has ended is out of the table once
/// nobody else holds its pulse.
#[derive(Debug, Default)]
pub(crate) struct Pulses(Mutex<BTreeMap<String, Arc<Pulse>>>);

impl Pulses {
    /// Adds a loop, in place of the earlier one of that name.
    pub(crate) fn add(&self, name: impl Into<String>) -> Arc<Pulse> {
        let pulse = Arc::new(Pulse::default());
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.insert(name.into(), Arc::clone(&pulse));
        pulse
    }

    /// Returns the turns of the loops that are alive.
    pub(crate) fn turns(&self) -> BTreeMap<String, u64> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.retain(|_, pulse| Arc::strong_count(pulse) > 1);
        table
            .iter()
            .map(|(name, pulse)| (name.clone(), pulse.turns()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_living_loops_are_listed() {
        let pulses = Pulses::default();
        let (one, two) = (pulses.add("one"), pulses.add("two"));
        one.beat();
        drop(two);
        assert_eq!(pulses.turns(), BTreeMap::from([("one".to_owned(), 1)]));
    }
}
