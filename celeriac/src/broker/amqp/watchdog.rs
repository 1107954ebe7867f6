//! Notices a consumer that should receive and does not.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Live;
use super::consumer::Shared;
use super::core::Core;
use super::declare::Scratch;

/// Notices a consumer that should receive and does not: its queue has messages ready,
/// it has room for more, and nothing came for a while.
///
/// ```text
/// watching --stalled--> channel made anew --stalled--> connection made anew
///    ^                      |     ^                          | stalled
///    |                      +-----+ stalled, while others    |
///    |                              receive: only warning    |
///    +---------------- a delivery ---------------------- only warning
/// ```
///
/// The warnings are for consumers that get nothing by right, such as those that stand
/// by on a queue with a single active consumer. All consumers of a broker share one
/// connection: it is not at fault while any of them receives.
#[derive(Debug)]
pub(super) struct Watchdog {
    timeout: Duration,
    due: Instant,
    stalls: u32,
    /// What all consumers of the broker had received at the last stall.
    delivered: u64,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    Channel,
    Connection,
}

impl Watchdog {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            due: Instant::now() + timeout,
            stalls: 0,
            delivered: 0,
        }
    }

    /// Returns when to look.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Notes that the wait begins.
    pub(super) fn arrived(&mut self, now: Instant) {
        self.due = now + self.timeout;
    }

    /// Notes a delivery: whatever was wrong is over.
    pub(super) fn recovered(&mut self, now: Instant) {
        self.stalls = 0;
        self.arrived(now);
    }

    /// Looks whether the consumer stalls.
    pub(super) async fn look(
        &mut self,
        core: &Core,
        live: &Live,
        shared: &Shared,
        prefetch: u16,
    ) -> Verdict {
        self.due = Instant::now() + self.timeout;
        let (outstanding, _) = shared.load();
        if outstanding >= usize::from(prefetch) {
            return Verdict::Fine;
        }
        let Ok(name) = super::table::short("queue name", &shared.queue) else {
            return Verdict::Fine;
        };
        let ready = match Scratch::new(live, core.config.call_timeout)
            .look(name)
            .await
        {
            Ok(Some(queue)) => queue.message_count(),
            // A queue that is gone cancels its consumers; a server that does not
            // answer loses its heartbeats. Neither is a stall.
            _ => return Verdict::Fine,
        };
        if ready == 0 {
            return Verdict::Fine;
        }
        core.stats.stalls.fetch_add(1, Ordering::Relaxed);
        let verdict = self.stalled(core.stats.delivered.load(Ordering::Relaxed));
        tracing::warn!(
            broker = %core.url, queue = %shared.queue, ready, outstanding, prefetch,
            seconds = self.timeout.as_secs(), remedy = ?verdict,
            "the queue has messages and the consumer gets none",
        );
        verdict
    }

    fn stalled(&mut self, delivered: u64) -> Verdict {
        let others_receive = std::mem::replace(&mut self.delivered, delivered) != delivered;
        let (stalls, verdict) = match self.stalls {
            0 => (1, Verdict::Channel),
            1 if others_receive => (1, Verdict::Fine),
            1 => (2, Verdict::Connection),
            stalls => (stalls, Verdict::Fine),
        };
        self.stalls = stalls;
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn remedies_grow_and_then_stop() {
        let mut watchdog = Watchdog::new(Duration::from_secs(30));
        assert_eq!(watchdog.stalled(7), Verdict::Channel);
        watchdog.arrived(Instant::now());
        assert_eq!(watchdog.stalled(7), Verdict::Connection);
        assert_eq!(watchdog.stalled(7), Verdict::Fine);
        watchdog.recovered(Instant::now());
        assert_eq!(watchdog.stalled(8), Verdict::Channel);
    }

    #[tokio::test]
    async fn a_connection_that_serves_others_is_left_alone() {
        let mut watchdog = Watchdog::new(Duration::from_secs(30));
        assert_eq!(watchdog.stalled(7), Verdict::Channel);
        assert_eq!(watchdog.stalled(8), Verdict::Fine);
        assert_eq!(watchdog.stalled(9), Verdict::Fine);
        assert_eq!(watchdog.stalled(9), Verdict::Connection);
        assert_eq!(watchdog.stalled(9), Verdict::Fine);
    }
}
