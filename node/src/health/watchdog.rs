//! Which loops have stopped to turn.

use std::collections::BTreeMap;
use std::time::Duration;

/// How often the watchdog looks.
pub(super) const LOOK: Duration = Duration::from_millis(500);

/// A loop that has not turned for so many looks stands still: loops turn once a second.
const STILL: u32 = 20;

/// Compares the turns of loops with what they were at the last look.
///
/// Counts looks and not time: a machine that slept is not one that hangs.
#[derive(Debug, Default)]
pub(super) struct Watchdog(BTreeMap<String, Seen>);

#[derive(Debug, Default)]
struct Seen {
    turns: u64,
    still: u32,
}

impl Watchdog {
    /// Looks once. A loop that is not there any more is forgotten: it has ended, and who
    /// keeps it makes it anew.
    pub(super) fn look(&mut self, turns: BTreeMap<String, u64>) {
        self.0.retain(|name, _| turns.contains_key(name));
        for (name, turns) in turns {
            let seen = self.0.entry(name.clone()).or_default();
            if seen.turns == turns {
                seen.still = seen.still.saturating_add(1);
                if seen.still == STILL {
                    tracing::error!(name, turns, "a loop stands still");
                }
            } else {
                if seen.still >= STILL {
                    tracing::info!(name, turns, "a loop moves again");
                }
                *seen = Seen { turns, still: 0 };
            }
        }
    }

    /// Returns the names of the loops that stand still.
    pub(super) fn stalled(&self) -> Vec<String> {
        let stalled = self.0.iter().filter(|(_, seen)| seen.still >= STILL);
        stalled.map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(loops: &[(&str, u64)]) -> BTreeMap<String, u64> {
        loops
            .iter()
            .map(|(name, turns)| ((*name).to_owned(), *turns))
            .collect()
    }

    #[test]
    fn a_loop_that_stands_still_is_named_until_it_moves() {
        let mut watchdog = Watchdog::default();
        for look in 0..=u64::from(STILL) {
            watchdog.look(turns(&[("moving", look), ("standing", 7)]));
        }
        assert_eq!(watchdog.stalled(), ["standing"]);
        watchdog.look(turns(&[("moving", 100), ("standing", 8)]));
        assert!(watchdog.stalled().is_empty());
    }

    #[test]
    fn a_loop_that_has_ended_is_forgotten() {
        let mut watchdog = Watchdog::default();
        for _ in 0..=STILL {
            watchdog.look(turns(&[("one", 1)]));
        }
        watchdog.look(turns(&[]));
        assert!(watchdog.stalled().is_empty());
    }
}
