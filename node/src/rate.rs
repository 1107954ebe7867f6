//! How often tasks may start.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use celeriac::task::{RateLimit, Registry};

/// How often tasks may start on this node, by task name.
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

    /// Takes the next place in time for a task: `None` is now. Whoever takes a time
    /// must start then without asking again.
    pub(crate) fn take(&self, task: &str, now: SystemTime) -> Option<SystemTime> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.lock().get_mut(task)?.take(now)
    }

    /// Returns when a task could start, without taking the time: `None` is now.
    pub(crate) fn peek(&self, task: &str, now: SystemTime) -> Option<SystemTime> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.lock().get(task)?.next(now)
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
    next: Option<SystemTime>,
}

impl Bucket {
    const fn new(limit: RateLimit) -> Self {
        Self { limit, next: None }
    }

    fn take(&mut self, now: SystemTime) -> Option<SystemTime> {
        let at = self.next(now);
        let step = self.limit.period / self.limit.count.max(1);
        self.next = Some(at.unwrap_or(now) + step);
        at
    }

    fn next(&self, now: SystemTime) -> Option<SystemTime> {
        // A clock that was set back must not close the gate for long.
        let sane = |next: &SystemTime| {
            next.duration_since(now).unwrap_or_default() <= Duration::from_secs(86_400)
        };
        self.next.filter(sane).filter(|next| *next > now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn second(n: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(n)
    }

    #[test]
    fn starts_are_spread_evenly() {
        let limit = RateLimit {
            count: 1,
            period: Duration::from_secs(2),
        };
        let mut bucket = Bucket::new(limit);
        assert_eq!(bucket.take(second(10)), None);
        assert_eq!(bucket.take(second(10)), Some(second(12)));
        assert_eq!(bucket.take(second(11)), Some(second(14)));
        assert_eq!(bucket.take(second(20)), None);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_block() {
        let limit = RateLimit {
            count: 1,
            period: Duration::from_secs(1),
        };
        let mut bucket = Bucket::new(limit);
        bucket.take(second(1_000_000));
        assert_eq!(bucket.take(second(10)), None);
    }

    #[test]
    fn only_limited_tasks_wait() {
        let rates = Rates::new(&Registry::default());
        assert_eq!(rates.take("a", second(1)), None);
        rates.set(
            "a",
            Some(RateLimit {
                count: 1,
                period: Duration::from_secs(1),
            }),
        );
        assert_eq!(rates.take("b", second(1)), None);
        assert_eq!(rates.take("a", second(1)), None);
        assert_eq!(rates.take("a", second(1)), Some(second(2)));
        rates.set("a", None);
        assert_eq!(rates.take("a", second(1)), None);
    }
}
