//! How long a process has given no sign of life.

use std::time::{Duration, Instant};

/// No look counts for more: if the node itself was stopped, nobody could hear a thing.
const MOST: Duration = Duration::from_secs(2);

/// How long a process has given no sign of life, as looks at it in a row tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Silence {
    heard: Instant,
    looked: Instant,
    total: Duration,
}

impl Silence {
    pub(super) const fn new(heard: Instant, now: Instant) -> Self {
        Self {
            heard,
            looked: now,
            total: Duration::ZERO,
        }
    }

    /// Looks again, at what was heard last; returns how long it has been silent.
    pub(super) fn look(&mut self, heard: Instant, now: Instant) -> Duration {
        if heard == self.heard {
            self.total += (now - self.looked).min(MOST);
        } else {
            self.heard = heard;
            self.total = Duration::ZERO;
        }
        self.looked = now;
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_adds_up_and_a_sign_ends_it() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence::new(start, at(1));
        assert_eq!(silence.look(start, at(2)), Duration::from_secs(1));
        assert_eq!(silence.look(start, at(3)), Duration::from_secs(2));
        assert_eq!(silence.look(at(3), at(4)), Duration::ZERO);
        assert_eq!(silence.look(at(3), at(5)), Duration::from_secs(1));
    }

    #[test]
    fn a_node_that_did_not_listen_is_no_silence() {
        let start = Instant::now();
        let mut silence = Silence::new(start, start);
        let late = start + Duration::from_secs(3600);
        assert_eq!(silence.look(start, late), MOST);
    }
}
