//! How long a node may be silent, and when it is asked whether it lives.

use std::time::{Duration, Instant};

/// The pings that a silent node has not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pings {
    sent: u32,
    last: Option<Instant>,
}

/// So many pings have to stay unanswered before a node counts as lost. When one message
/// in five is dropped, three heartbeats in a row are missing for one in 125, which in a
/// fleet of a thousand happens every second; that so many pings or their answers are lost
/// as well, once in a week.
const PROOF: u32 = 12;

/// Pings begin before anybody is suspected, when one heartbeat is missing.
pub(super) const FIRST: f64 = 1.5;

/// How long an answer takes at most, as long as there is one.
const ANSWER: Duration = Duration::from_millis(500);

/// How many pings go into one heartbeat's time.
const PER_BEAT: f64 = 10.0;

/// Pings of one node are this far apart at least.
const SHORTEST: Duration = Duration::from_millis(250);

impl Pings {
    /// Tells whether the next ping is due, for a node that is silent.
    pub(super) fn is_due(self, beat: Duration, now: Instant) -> bool {
        let pause = beat.div_f64(PER_BEAT).max(SHORTEST);
        self.last
            .is_none_or(|last| now.saturating_duration_since(last) >= pause)
    }

    pub(super) fn send(&mut self, now: Instant) {
        self.sent = self.sent.saturating_add(1);
        self.last = Some(now);
    }

    /// Tells whether the silence is no chance.
    pub(super) fn prove(self, now: Instant) -> bool {
        let waited = |last| now.saturating_duration_since(last) >= ANSWER;
        self.sent > PROOF || (self.sent == PROOF && self.last.is_some_and(waited))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_follow_each_other_within_one_heartbeat() {
        let start = Instant::now();
        for beat in [1.0, 2.0, 5.0, 60.0] {
            let beat = Duration::from_secs_f64(beat);
            let (mut pings, mut now) = (Pings::default(), start);
            while !pings.prove(now) {
                if pings.is_due(beat, now) {
                    pings.send(now);
                }
                now += SHORTEST;
            }
            let took = now - start;
            let most = beat.mul_f64(3.0 - FIRST) + Duration::from_secs(2);
            assert!(took <= most, "{beat:?}: {took:?}");
        }
    }
}
