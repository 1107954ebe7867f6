//! Again and again after the same time.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::{span, time};
use crate::error::{Error, Result};

/// The longest interval: 100 years of 365 days.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Ticks that are the same time apart, in real time: no zone and no clock change touches them.
///
/// They are counted from the Unix epoch, or from a start of their own before which there is
/// none: so they do not depend on when a scheduler started, or what it last ran. Every hour is
/// at the full hour of UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval {
    every: i64,
    start: Option<i64>,
}

impl Interval {
    /// Makes an interval that counts from the Unix epoch.
    ///
    /// # Errors
    ///
    /// When it is below a millisecond, above 100 years, or no whole number of microseconds.
    pub fn new(every: Duration) -> Result<Self> {
        let fits = (Duration::from_millis(1)..=LONGEST).contains(&every)
            && every.subsec_nanos().is_multiple_of(1000);
        match i64::try_from(every.as_micros()) {
            Ok(every) if fits => Ok(Self { every, start: None }),
            _ => Err(Error::invalid(
                "every",
                "1ms to 36500d, in whole microseconds",
                format!("{every:?}"),
            )),
        }
    }

    /// Counts from an instant instead, which is the first tick.
    #[must_use]
    pub fn starting(mut self, at: SystemTime) -> Self {
        self.start = time::floor(at);
        self
    }

    /// Returns the time between two ticks.
    pub const fn every(&self) -> Duration {
        Duration::from_micros(self.every.unsigned_abs())
    }

    /// Returns the first tick, if one was set.
    pub fn start(&self) -> Option<SystemTime> {
        time::instant(self.start?)
    }

    pub(super) fn next(&self, after: i64) -> Option<i64> {
        let start = self.start.unwrap_or(0);
        if self.start.is_some() && after < start {
            return Some(start);
        }
        let passed = after.checked_sub(start)?.div_euclid(self.every);
        passed
            .checked_add(1)?
            .checked_mul(self.every)?
            .checked_add(start)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "every {}", span::text(self.every()))?;
        match self.start() {
            Some(start) => write!(f, " from {}", time::text(start)),
            None => Ok(()),
        }
    }
}
