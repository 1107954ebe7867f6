//! How often tasks may start.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use celeriac::task::{RateLimit, Registry};

/// How often tasks may start on this node, by task name.
///
/// Counts on the monotonic clock: one on the wall that is set must not open or close a
/// gate.
#[derive(Debug)]
pub(crate) struct Rates {
    /// Every task asks, and mostly none is limited.
    any: AtomicBool,
    buckets: Mutex<HashMap<String, Bucket>>,
}

impl Rates {
    /// Takes the limits that tasks have by themselves.
    pub(crate) fn new(registry: &Registry) -> Self {
        let limited = registry.iter().filter_map(|handler| {
            let limit = handler.options().rate_limit?;
            Some((handler.name().to_owned(), Bucket::new(limit)))
        });
        let buckets: HashMap<_, _> = limited.collect();
        Self {
            any: AtomicBool::new(!buckets.is_empty()),
            buckets: Mutex::new(buckets),
        }
    }

    /// Sets or removes a task's limit.
    pub(crate) fn set(&self, task: &str, limit: Option<RateLimit>) {
        let mut buckets = self.lock();
        match limit {
            Some(limit) => buckets.insert(task.to_owned(), Bucket::new(limit)),
            None => buckets.remove(task),
        };
        self.any.store(!buckets.is_empty(), Ordering::Release);
    }

    /// Returns a task's limit.
    pub(crate) fn get(&self, task: &str) -> Option<RateLimit> {
        self.lock().get(task).map(|bucket| bucket.limit)
    }

    /// Takes the next place in time for a task and returns how long it is until then;
    /// `None` is now. Whoever takes a time must start then without asking again.
    pub(crate) fn take(&self, task: &str) -> Option<Duration> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.lock().get_mut(task)?.take(Instant::now())
    }

    /// Returns how long it is until a task could start, without taking the time; `None`
    /// is now.
    pub(crate) fn peek(&self, task: &str) -> Option<Duration> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.lock().get(task)?.wait(Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Spreads starts evenly: one every `period / count`, in the order they were asked for.
#[derive(Debug)]
struct Bucket {
    limit: RateLimit,
    /// When the next one may start.
    next: Option<Instant>,
}

/// No limit is slower than one start in this time, which every clock can add up.
const LONGEST_STEP: Duration = Duration::from_secs(366 * 86_400);

impl Bucket {
    const fn new(limit: RateLimit) -> Self {
        Self { limit, next: None }
    }

    fn take(&mut self, now: Instant) -> Option<Duration> {
        let wait = self.wait(now);
        let step = self.limit.step().min(LONGEST_STEP);
        self.next = Some(now + wait.unwrap_or_default() + step);
        wait
    }

    fn wait(&self, now: Instant) -> Option<Duration> {
        let wait = self.next?.saturating_duration_since(now);
        (!wait.is_zero()).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn starts_are_spread_evenly() {
        let limit = RateLimit {
            count: 1.0,
            period: seconds(2),
        };
        let (mut bucket, start) = (Bucket::new(limit), Instant::now());
        assert_eq!(bucket.take(start), None);
        assert_eq!(bucket.take(start), Some(seconds(2)));
        assert_eq!(bucket.take(start + seconds(1)), Some(seconds(3)));
        assert_eq!(bucket.take(start + seconds(10)), None);
    }

    #[test]
    fn slow_limits_and_long_queues_limit() {
        let (hour, start) = (seconds(3600), Instant::now());
        let (count, period) = (1.0, hour);
        let mut bucket = Bucket::new(RateLimit { count, period });
        for number in 0..1000 {
            let wait = (number > 0).then_some(number * hour);
            assert_eq!(bucket.take(start), wait);
        }
        for (period, step) in [(48 * hour, 48 * hour), (Duration::MAX, LONGEST_STEP)] {
            let mut bucket = Bucket::new(RateLimit { count, period });
            assert_eq!(bucket.take(start), None);
            assert_eq!(bucket.wait(start), Some(step));
        }
    }

    #[test]
    fn only_limited_tasks_wait() {
        let rates = Rates::new(&Registry::default());
        assert_eq!(rates.take("a"), None);
        let (count, period) = (1.0, seconds(3600));
        rates.set("a", Some(RateLimit { count, period }));
        assert_eq!(rates.take("b"), None);
        assert_eq!(rates.take("a"), None);
        let wait = rates.take("a").unwrap();
        assert!(wait <= period && wait > period / 2, "{wait:?}");
        rates.set("a", None);
        assert_eq!(rates.take("a"), None);
    }
}
