//! Whether a queue grows. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The last depths of a queue.
#[derive(Debug, Default)]
pub(crate) struct Trend(VecDeque<(Instant, u64)>);

/// A queue grows where the least of its later depths is more than the most of its
/// earlier ones, over at least this long: waves do not count.
const LONG: Duration = Duration::from_secs(60);
/// How many depths are kept.
const KEPT: usize = 12;
/// Of depths that are read faster than this, fewer are taken, so that those that are kept
/// span long enough.
const APART: Duration = Duration::from_secs(6);

impl Trend {
    /// Takes a depth in, and returns by how many messages per second the queue grows, if
    /// it does.
    pub(crate) fn learn(&mut self, now: Instant, ready: u64) -> Option<f64> {
        let last = self.0.back().map(|(at, _)| *at);
        if last.is_some_and(|last| now.saturating_duration_since(last) < APART) {
            return self.growth();
        }
        self.0.push_back((now, ready));
        while self.0.len() > KEPT {
            self.0.pop_front();
        }
        self.growth()
    }

    fn growth(&self) -> Option<f64> {
        let (start, first) = *self.0.front()?;
        let (end, last) = *self.0.back()?;
        let span = end.saturating_duration_since(start);
        let half = self.0.len() / 2;
        let earlier = self.0.iter().take(half).map(|(_, ready)| ready).max()?;
        let later = self.0.iter().skip(half).map(|(_, ready)| ready).min()?;
        let grows = span >= LONG && later > earlier;
        grows.then(|| last.saturating_sub(first) as f64 / span.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(depths: impl IntoIterator<Item = u64>, step: Duration) -> Option<f64> {
        let (start, mut trend, mut found) = (Instant::now(), Trend::default(), None);
        for (turn, depth) in depths.into_iter().enumerate() {
            found = trend.learn(start + step * turn as u32, depth);
            assert!(trend.0.len() <= KEPT);
        }
        found
    }

    #[test]
    fn what_rises_for_a_minute_grows_and_waves_do_not() {
        let often = Duration::from_secs(6);
        assert_eq!(after([], often), None);
        assert_eq!(
            after((0..5).map(|n| n * 60), often),
            None,
            "too soon to tell"
        );
        assert_eq!(after((0..40).map(|n| n * 60), often), Some(10.0));
        assert_eq!(after((0..40).map(|n| 1_000 - n), often), None);
        assert_eq!(after((0..40).map(|_| 7), often), None);
        assert_eq!(after((0..40).map(|n| n % 4 * 100), often), None);
        // A dip within a rise does not hide it.
        assert_eq!(
            after((0..12).map(|n| n * 60 - n % 2 * 30), often).map(f64::round),
            Some(10.0)
        );
    }

    #[test]
    fn however_often_the_broker_is_asked_a_minute_is_looked_at() {
        assert!(after((0..400).map(|n| n * 10), Duration::from_millis(500)).is_some());
        assert!(after((0..40).map(|n| n * 10), Duration::from_millis(500)).is_none());
        assert!(after((0..40).map(|n| n * 10), Duration::from_secs(5)).is_some());
        assert!(after((0..12).map(|n| n * 10), Duration::from_secs(30)).is_some());
    }
}
