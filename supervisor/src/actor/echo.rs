//! Whether the broker answers at all.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Whether the broker answers at all: a node that is asked may be dead, but the question comes
/// back without an answer. While none comes back, silence is the broker's.
///
/// ```text
/// Answers --a question is out for MUTE--> Mute --all came back--> Again --> Answers
/// ```
///
/// A connection that ends without a word is noticed by its heartbeats, after 20 s; that of
/// a node would be lost long before.
#[derive(Debug, Default)]
pub(super) struct Echo {
    /// When the questions were sent that are out.
    out: VecDeque<Instant>,
    mute: bool,
}

/// What the silence of nodes means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// The broker answers.
    Nodes,
    /// It does not.
    Nothing,
    /// It does again.
    Again,
}

/// A question that is out for so long will not come back soon. Less than what lies between
/// the first ping and the loss of a node, more than nodes have time to answer.
const MUTE: Duration = Duration::from_millis(2_500);

impl Echo {
    pub(super) fn sent(&mut self, at: Instant) {
        self.out.push_back(at);
    }

    /// Takes in that a question came back; by the broker's answer, or because it was given up.
    pub(super) fn back(&mut self, sent: Instant, answered: bool) {
        match answered {
            true => self.out.retain(|at| *at > sent),
            false => self.out.retain(|at| *at != sent),
        }
    }

    pub(super) fn look(&mut self, now: Instant) -> Heard {
        let oldest = self.out.front().copied();
        let late = oldest.is_some_and(|at| now.saturating_duration_since(at) >= MUTE);
        match (std::mem::replace(&mut self.mute, late), late) {
            (_, true) => Heard::Nothing,
            (true, false) => Heard::Again,
            (false, false) => Heard::Nodes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // S38, S54: silence of the broker is not that of nodes.
    #[test]
    fn a_broker_that_brings_nothing_back_is_mute_until_it_does() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut echo = Echo::default();
        for sent in [0, 250, 500] {
            echo.sent(at(sent));
        }
        assert_eq!(echo.look(at(1_000)), Heard::Nodes);
        echo.back(at(0), true);
        assert_eq!(echo.look(at(2_600)), Heard::Nodes);
        assert_eq!(echo.look(at(2_750)), Heard::Nothing);
        // One that was given up says nothing of the others.
        echo.back(at(500), false);
        assert_eq!(echo.look(at(3_000)), Heard::Nothing);
        echo.sent(at(3_100));
        // Who took the later one has taken those before.
        echo.back(at(3_100), true);
        assert_eq!(echo.look(at(3_250)), Heard::Again);
        assert_eq!(echo.look(at(3_500)), Heard::Nodes);
    }

    #[test]
    fn questions_that_were_given_up_make_it_no_less_mute() {
        let start = Instant::now();
        let mut echo = Echo::default();
        echo.sent(start);
        assert_eq!(echo.look(start + MUTE), Heard::Nothing);
        echo.back(start, false);
        assert_eq!(echo.look(start + 2 * MUTE), Heard::Again);
    }
}
