//! Something that is done again and again, one at a time.

use std::time::{Duration, Instant};

/// Something that is done again and again, one at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) runs: bool,
    pub(super) again: Instant,
}

impl Turn {
    pub(super) fn at(again: Instant) -> Self {
        Self { runs: false, again }
    }

    /// Says whether it is time, and that it runs then.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        let due = !self.runs && self.again <= now;
        self.runs |= due;
        due
    }

    pub(super) fn over(&mut self, now: Instant, wait: Duration) {
        *self = Self::at(now + wait);
    }
}
