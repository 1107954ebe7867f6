//! Which messages were ended here lately.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use celeriac::protocol::TaskHeaders;

/// So many ids are remembered at most.
const MAX: usize = 10_000;

/// Which of the messages of one id this is; a later one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn {
    /// How often the task was replaced.
    pub(crate) replaced: u32,
    /// How often it was retried since.
    pub(crate) retries: u32,
}

impl Turn {
    pub(crate) fn of(headers: &TaskHeaders) -> Self {
        Self {
            replaced: headers.replaced_task_nesting,
            retries: headers.retries,
        }
    }
}

/// Which messages were ended here lately: an acknowledgement may be lost with its
/// connection, and then the message comes again.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The last turn that was ended, and until when it counts, by id.
    turns: HashMap<Arc<str>, (Turn, Instant)>,
    /// With the time from which they are forgotten at the latest.
    order: VecDeque<(Arc<str>, Instant)>,
}

impl Recent {
    /// For so long an id is remembered at most.
    pub(crate) const KEEP: Duration = Duration::from_secs(300);

    /// Remembers a message until then. One without an id is nobody's.
    pub(crate) fn insert(&self, id: &str, turn: Turn, now: Instant, until: Instant) {
        if id.is_empty() {
            return;
        }
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id: Arc<str> = id.into();
        inner.turns.insert(Arc::clone(&id), (turn, until));
        inner.order.push_back((id, now + Self::KEEP));
        while inner.order.len() > MAX
            || inner.order.front().is_some_and(|(_, forget)| *forget < now)
        {
            let Some((id, forget)) = inner.order.pop_front() else {
                return;
            };
            // The same id may have come again since.
            let older = |(_, until): &(Turn, Instant)| *until <= forget;
            if inner.turns.get(&id).is_some_and(older) {
                inner.turns.remove(&id);
            }
        }
    }

    /// Tells whether this try, or a later one, is remembered.
    pub(crate) fn contains(&self, id: &str, turn: Turn, now: Instant) -> bool {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = inner.turns.get(id);
        entry.is_some_and(|(ended, until)| *ended >= turn && *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(recent: &Recent, id: &str, retries: u32, now: Instant) {
        recent.insert(id, turn(retries), now, now + Recent::KEEP);
    }

    fn turn(retries: u32) -> Turn {
        Turn {
            replaced: 0,
            retries,
        }
    }

    #[test]
    fn what_replaced_a_task_is_not_the_task() {
        let (recent, now) = (Recent::default(), Instant::now());
        insert(&recent, "a", 2, now);
        let replaced = Turn {
            replaced: 1,
            retries: 0,
        };
        assert!(!recent.contains("a", replaced, now));
        recent.insert("a", replaced, now, now + Recent::KEEP);
        assert!(recent.contains("a", turn(2), now));
    }

    #[test]
    fn an_earlier_try_is_done_a_later_one_is_not() {
        let (recent, now) = (Recent::default(), Instant::now());
        insert(&recent, "a", 1, now);
        assert!(recent.contains("a", turn(0), now));
        assert!(recent.contains("a", turn(1), now));
        assert!(!recent.contains("a", turn(2), now));
        assert!(!recent.contains("b", turn(0), now));
    }

    #[test]
    fn it_counts_as_long_as_was_said() {
        let (recent, now) = (Recent::default(), Instant::now());
        let second = Duration::from_secs(1);
        recent.insert("a", turn(0), now, now + 2 * second);
        assert!(recent.contains("a", turn(0), now + second));
        assert!(!recent.contains("a", turn(0), now + 2 * second));
        recent.insert("", turn(0), now, now + 2 * second);
        assert!(!recent.contains("", turn(0), now + second));
    }

    #[test]
    fn old_ones_are_forgotten_and_the_number_is_bounded() {
        let (recent, start) = (Recent::default(), Instant::now());
        insert(&recent, "old", 0, start);
        let later = start + Recent::KEEP + Duration::from_secs(1);
        insert(&recent, "new", 0, later);
        assert!(!recent.contains("old", turn(0), later));
        assert_eq!(recent.0.lock().unwrap().turns.len(), 1);
        for number in 0..2 * MAX {
            insert(&recent, &number.to_string(), 0, start + 2 * Recent::KEEP);
        }
        assert_eq!(recent.0.lock().unwrap().turns.len(), MAX);
    }
}
