//! How long a task may run.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use celeriac::protocol::headers::TimeLimits;
use celeriac::task::TaskOptions;

use crate::config::Config;

/// The limits of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RunLimits {
    /// It is asked to stop after this.
    pub(crate) soft: Option<Duration>,
    /// It is stopped after this.
    pub(crate) hard: Option<Duration>,
}

impl RunLimits {
    /// Picks the limits of a run, each for itself: the call's, the task's, or both of those
    /// set by remote control in their place, the node's. 0 is none, as for Celery.
    pub(crate) fn pick(
        call: TimeLimits,
        set: Option<Self>,
        options: &TaskOptions,
        config: &Config,
    ) -> Self {
        let seconds = |limit: Option<f64>| {
            limit.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        };
        let own = Self {
            soft: options.soft_time_limit,
            hard: options.time_limit,
        };
        // Both take the place of the task's, and one that is absent takes it away.
        let own = set.unwrap_or(own);
        let first = |limits: [Option<Duration>; 3]| {
            limits
                .into_iter()
                .flatten()
                .next()
                .filter(|limit| !limit.is_zero())
        };
        Self {
            soft: first([seconds(call.soft), own.soft, config.default_soft_time_limit]),
            hard: first([seconds(call.hard), own.hard, config.default_time_limit]),
        }
    }

    /// Returns what happens next, and how long after the start.
    ///
    /// ```text
    /// running --soft--> asked to stop --grace, when there is no hard limit--> stopped
    ///    |                    |                                               ^
    ///    +-------hard---------+-----------------------------------------------+
    /// ```
    ///
    /// Code that cannot be stopped, because it has a thread, only hears of its soft
    /// limit.
    pub(crate) fn next(
        &self,
        asked: bool,
        grace: Duration,
        stoppable: bool,
    ) -> Option<(Duration, Alarm)> {
        let soft = match self.soft {
            Some(soft) if !asked => Some((soft, Alarm::Ask)),
            Some(soft) if stoppable && self.hard.is_none() => {
                Some((soft.saturating_add(grace), Alarm::Soft))
            }
            _ => None,
        };
        let hard = self.hard.map(|hard| (hard, Alarm::Hard));
        match (soft, hard) {
            (Some(soft), Some(hard)) => Some(if soft.0 < hard.0 { soft } else { hard }),
            (soft, hard) => soft.or(hard),
        }
    }
}

/// What happens to a task that runs for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// It is asked to stop.
    Ask,
    /// It did not stop after it was asked, and is stopped.
    Soft,
    /// It is stopped.
    Hard,
}

/// Limits set by remote control, by task name. Only names of the registry are set, so
/// the table is bounded.
#[derive(Debug, Default)]
pub(crate) struct TaskLimits {
    any: AtomicBool,
    table: RwLock<HashMap<String, RunLimits>>,
}

impl TaskLimits {
    /// Sets a task's limits for runs that start from now on.
    pub(crate) fn set(&self, task: &str, limits: RunLimits) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.insert(task.to_owned(), limits);
        self.any.store(true, Ordering::Release);
    }

    pub(crate) fn get(&self, task: &str) -> Option<RunLimits> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.table
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(task)
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_one_who_says_something_wins() {
        let second = |n| Some(Duration::from_secs(n));
        let config = Config {
            default_time_limit: second(9),
            ..Config::default()
        };
        let mut options = TaskOptions::default();
        options.soft_time_limit = second(3);
        let call = TimeLimits {
            hard: None,
            soft: Some(1.5),
        };
        let picked = RunLimits::pick(call, None, &options, &config);
        assert_eq!(picked.soft, Some(Duration::from_millis(1500)));
        assert_eq!(picked.hard, second(9));

        let limits = TaskLimits::default();
        assert_eq!(limits.get("a"), None);
        limits.set(
            "a",
            RunLimits {
                soft: None,
                hard: second(4),
            },
        );
        let picked = RunLimits::pick(TimeLimits::default(), limits.get("a"), &options, &config);
        assert_eq!((picked.soft, picked.hard), (None, second(4)));
        limits.set("a", RunLimits::default());
        let picked = RunLimits::pick(TimeLimits::default(), limits.get("a"), &options, &config);
        assert_eq!((picked.soft, picked.hard), (None, second(9)));
    }

    #[test]
    fn no_limit_is_zero_or_nonsense() {
        let call = TimeLimits {
            hard: Some(0.0),
            soft: Some(f64::INFINITY),
        };
        let config = Config {
            default_time_limit: Some(Duration::from_secs(9)),
            ..Config::default()
        };
        let picked = RunLimits::pick(call, None, &TaskOptions::default(), &config);
        assert_eq!(picked, RunLimits::default());
    }

    #[test]
    fn alarms_come_in_order() {
        let second = Duration::from_secs;
        let limits = |soft: u64, hard: u64| RunLimits {
            soft: (soft > 0).then(|| second(soft)),
            hard: (hard > 0).then(|| second(hard)),
        };
        for (limits, asked, stoppable, next) in [
            (limits(0, 0), false, true, None),
            (limits(3, 0), false, true, Some((second(3), Alarm::Ask))),
            (limits(3, 0), true, true, Some((second(5), Alarm::Soft))),
            (limits(3, 0), true, false, None),
            (limits(3, 4), true, true, Some((second(4), Alarm::Hard))),
            (limits(3, 9), true, true, Some((second(9), Alarm::Hard))),
            (limits(3, 9), true, false, Some((second(9), Alarm::Hard))),
            (limits(0, 9), false, true, Some((second(9), Alarm::Hard))),
            (limits(9, 3), false, true, Some((second(3), Alarm::Hard))),
        ] {
            assert_eq!(
                limits.next(asked, second(2), stoppable),
                next,
                "{limits:?} {asked}"
            );
        }
    }
}
