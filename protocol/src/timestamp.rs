//! Moments as the protocol writes them.

mod text;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment as the protocol writes it: microseconds since the epoch, and the
/// offset it was written with.
///
/// A naive time (no offset) counts as UTC, as Celery's workers count it, and is
/// written without an offset again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    micros: i64,
    /// Seconds east of UTC; `None` for a naive time.
    offset: Option<i32>,
}

impl Timestamp {
    /// Makes a timestamp with offset `+00:00`.
    pub const fn from_micros(micros: i64) -> Self {
        Self {
            micros,
            offset: Some(0),
        }
    }

    /// Makes a timestamp written with `offset` seconds east of UTC, or naive.
    pub const fn with_offset(micros: i64, offset: Option<i32>) -> Self {
        Self { micros, offset }
    }

    /// Returns the microseconds since the epoch, UTC.
    pub const fn micros(&self) -> i64 {
        self.micros
    }

    /// Returns the offset in seconds east of UTC; `None` for a naive time.
    pub const fn offset(&self) -> Option<i32> {
        self.offset
    }

    /// Returns how far the moment lies after `now`; zero when it is past.
    pub fn after(&self, now: SystemTime) -> Duration {
        SystemTime::from(*self)
            .duration_since(now)
            .unwrap_or_default()
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let micros = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        };
        Self::from_micros(micros)
    }
}

impl From<Timestamp> for SystemTime {
    fn from(timestamp: Timestamp) -> Self {
        let distance = Duration::from_micros(timestamp.micros.unsigned_abs());
        if timestamp.micros >= 0 {
            UNIX_EPOCH + distance
        } else {
            UNIX_EPOCH - distance
        }
    }
}
