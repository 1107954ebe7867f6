//! How long to wait before the next try.

use std::time::Duration;

/// How long to wait before the next try: doubles each time, up to a limit.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use celeriac::retry::Backoff;
///
/// let backoff = Backoff::new(Duration::from_secs(2)).max(Duration::from_secs(30)).exact();
/// assert_eq!(backoff.delay(0, 0.5), Duration::from_secs(2));
/// assert_eq!(backoff.delay(3, 0.5), Duration::from_secs(16));
/// assert_eq!(backoff.delay(9, 0.5), Duration::from_secs(30));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    jitter: bool,
}

impl Backoff {
    /// Makes a backoff that starts at `base`, ends at 10 minutes and has full jitter,
    /// as Celery's `retry_backoff` has.
    pub const fn new(base: Duration) -> Self {
        Self {
            base,
            max: Duration::from_secs(600),
            jitter: true,
        }
    }

    /// Sets the longest delay.
    #[must_use]
    pub const fn max(mut self, max: Duration) -> Self {
        self.max = max;
        self
    }

    /// Turns jitter off: the same try waits the same time.
    #[must_use]
    pub const fn exact(mut self) -> Self {
        self.jitter = false;
        self
    }

    /// Returns the delay before try number `retries + 1`; `random` in 0..1 picks the
    /// point between nothing and the whole delay when there is jitter.
    pub fn delay(&self, retries: u32, random: f64) -> Duration {
        let whole = self
            .base
            .checked_mul(2_u32.saturating_pow(retries))
            .unwrap_or(self.max)
            .min(self.max);
        if self.jitter {
            whole.mul_f64(random.clamp(0.0, 1.0))
        } else {
            whole
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_never_exceeds_the_limit() {
        let backoff = Backoff::new(Duration::from_secs(1)).max(Duration::from_secs(60));
        for retries in [0, 1, 5, 6, 31, 32, 1_000, u32::MAX] {
            assert!(backoff.delay(retries, 1.0) <= Duration::from_secs(60));
        }
    }

    #[test]
    fn jitter_spreads_from_nothing_to_the_whole() {
        let backoff = Backoff::new(Duration::from_secs(8));
        assert_eq!(backoff.delay(0, 0.0), Duration::ZERO);
        assert_eq!(backoff.delay(0, 0.5), Duration::from_secs(4));
        assert_eq!(backoff.delay(0, 1.0), Duration::from_secs(8));
    }
}
