//! What can be set on an AMQP broker.

use std::time::Duration;

/// What can be set on an [`AmqpBroker`](super::AmqpBroker) beyond its URL.
///
/// The URL's query overrides `heartbeat` (seconds) and `connection_timeout`
/// (milliseconds).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// How the server's tools show the connections. Default `celeriac`.
    pub connection_name: String,
    /// How long a publication may take, with waiting for the link and for the
    /// confirm. Default 30 s.
    pub publish_timeout: Duration,
    /// How long a declaration or another question may take, with waiting for the
    /// link. Default 30 s.
    pub call_timeout: Duration,
    /// How long one try to connect may take. Default 10 s.
    pub connection_timeout: Duration,
    /// How often each side shows that it lives; after twice that the connection
    /// counts as dead. Whole seconds. Default 10 s.
    pub heartbeat: Duration,
    /// How many publications may be under way at once; more of them wait.
    /// Default 4096.
    pub window: u32,
    /// The first and the longest wait between tries to connect. Default 100 ms and
    /// 15 s.
    pub backoff: Backoff,
    /// How long a consumer may get nothing from a queue that has messages ready
    /// before its channel is made anew. Default 30 s.
    pub stall_timeout: Duration,
    /// The type of the queues that hold delayed messages: `quorum` or `classic`.
    /// Only used when they do not exist yet. Default `quorum`, as in Celery.
    pub delayed_queue_type: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connection_name: "celeriac".to_owned(),
            publish_timeout: Duration::from_secs(30),
            call_timeout: Duration::from_secs(30),
            connection_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(10),
            window: 4096,
            backoff: Backoff::default(),
            stall_timeout: Duration::from_secs(30),
            delayed_queue_type: "quorum".to_owned(),
        }
    }
}

/// Waits between tries: doubling, with jitter, and for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The bound of the first wait.
    pub first: Duration,
    /// The bound of every later wait.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(15),
        }
    }
}

impl Backoff {
    /// Returns how long to wait after `failures` failures in a row.
    ///
    /// `random` spreads it over the upper half of the bound, so that clients that lost
    /// one server do not return in step.
    pub fn wait(&self, failures: u32, random: u64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let bound = self.first.saturating_mul(1 << doublings).min(self.longest);
        let share = random as f64 / u64::MAX as f64;
        bound.mul_f64(0.5 + share / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff::default();
        let bounds: Vec<_> = (1..=10)
            .map(|n| backoff.wait(n, u64::MAX).as_millis())
            .collect();
        assert_eq!(
            bounds,
            [100, 200, 400, 800, 1600, 3200, 6400, 12800, 15000, 15000]
        );
        assert_eq!(backoff.wait(u32::MAX, u64::MAX), backoff.longest);
    }

    #[test]
    fn jitter_takes_half_at_most() {
        let backoff = Backoff::default();
        assert_eq!(backoff.wait(1, 0).as_millis(), 50);
        assert_eq!(backoff.wait(0, u64::MAX).as_millis(), 100);
    }
}
