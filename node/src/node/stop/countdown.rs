//! Until when each phase of a node's end may take.

use std::time::Duration;

use tokio::time::Instant;

use super::{END_WITHIN, FLUSH_WITHIN};
use crate::config::Config;

/// Until when each phase of a node's end may take, counted from when it began to stop.
///
/// ```text
/// begin ---- drain deadline ---------------------- end_within ------------------------|
///       what runs | cancel  2/5 | give back 1/2 | flush 7/10 | close 3/4 | parts 17/20 |
/// ```
///
/// What is left at the end is for who closes the app. A phase that needs less leaves its
/// time to the next; one that comes early is bounded by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Countdown {
    deadline: Instant,
    end_within: Duration,
}

impl Countdown {
    pub(super) fn start(config: &Config, now: Instant) -> Self {
        Self {
            // A deadline beyond all clocks is none for a century.
            deadline: now
                .checked_add(config.drain_deadline)
                .unwrap_or_else(|| now + Duration::from_secs(3_000_000_000)),
            end_within: config.end_within,
        }
    }

    /// Leaves no more time to what runs.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.deadline = self.deadline.min(now);
    }

    /// Until when what runs may go on.
    pub(super) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Until when consumers may take to end.
    pub(super) fn consumers(&self) -> Instant {
        self.at_most(END_WITHIN, 3, 10)
    }

    /// Until when what was asked to stop may go on.
    pub(super) fn cancelled(&self, grace: Duration) -> Instant {
        self.at_most(grace, 2, 5)
    }

    /// Until when the processes of tasks may take to be killed.
    pub(super) fn returned(&self) -> Instant {
        self.at(1, 2)
    }

    /// Until when outcomes may be delivered.
    pub(super) fn flushed(&self, within: Duration) -> Instant {
        self.at_most(within, 7, 10)
    }

    /// Until when processes that are idle may take to end.
    pub(super) fn closed(&self) -> Instant {
        self.at_most(FLUSH_WITHIN, 3, 4)
    }

    /// Until when all other parts may take to end.
    pub(super) fn ended(&self) -> Instant {
        self.at_most(END_WITHIN, 17, 20)
    }

    fn at_most(&self, within: Duration, part: u32, of: u32) -> Instant {
        self.at(part, of).min(Instant::now() + within)
    }

    /// The end of a phase: so much of the time after the deadline.
    fn at(&self, part: u32, of: u32) -> Instant {
        self.deadline + self.end_within * part / of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // S51: the phases follow each other and leave time before the end.
    #[tokio::test(start_paused = true)]
    async fn phases_share_what_is_left_after_the_deadline() {
        for (deadline, end_within) in [(30, 5), (8, 2), (0, 1), (3600, 5)] {
            let config = Config {
                drain_deadline: Duration::from_secs(deadline),
                end_within: Duration::from_secs(end_within),
                ..Config::default()
            };
            let begin = Instant::now();
            let time = Countdown::start(&config, begin);
            tokio::time::sleep_until(time.deadline()).await;
            let long = Duration::from_secs(100);
            let marks = [
                time.deadline(),
                time.cancelled(long),
                time.returned(),
                time.flushed(long),
                time.closed(),
                time.ended(),
                begin + Duration::from_secs(deadline + end_within),
            ];
            assert!(marks.is_sorted(), "{marks:?}");
            assert!(time.cancelled(long) - time.deadline() < config.end_within / 2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_hurried_waits_for_nothing_that_runs() {
        let mut time = Countdown::start(&Config::default(), Instant::now());
        let now = Instant::now() + Duration::from_secs(1);
        time.hurry(now);
        assert_eq!(time.deadline(), now);
        assert!(time.ended() <= now + Duration::from_secs(5));
    }
}
